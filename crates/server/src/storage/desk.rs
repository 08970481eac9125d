//! A worker's files of one job. In the data folder it works in place. From a bucket it fetches them into a folder of its own,
//! and sends back what is new: always a state that was whole at one moment, so that another worker can go on from it.

use super::{Listing, Object, Place, files_in};
use crate::bucket::Bucket;
use crate::problem::Answer;
use crate::worker::OUTPUT;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tempfile::TempDir;

/// Looks at a folder that changes all the time before it is left for later.
const TRIES: usize = 5;

/// The files.
#[derive(Debug)]
pub struct Desk {
    /// The scene's folder.
    pub scene: PathBuf,
    /// The job's folder.
    pub job: PathBuf,
    /// The folder of the job whose adapter is used.
    pub adapter: Option<PathBuf>,
    remote: Option<Remote>,
}

/// What is known about the bucket.
#[derive(Debug)]
struct Remote {
    bucket: Bucket,
    place: Place,
    /// The objects of files as they were at a time.
    sent: BTreeMap<String, (Mark, Object)>,
    /// The objects of the state that the database knows.
    noted: HashSet<String>,
    /// Objects that no state needs any more, once the newest is noted.
    unneeded: Vec<String>,
    _folder: TempDir,
}

/// How a file is told from a later one of its name.
type Mark = (u64, Option<SystemTime>);

impl Desk {
    /// In the data folder.
    pub fn in_place(scene: PathBuf, job: PathBuf, adapter: Option<PathBuf>) -> Self {
        Self { scene, job, adapter, remote: None }
    }

    /// In a folder of its own, empty yet.
    ///
    /// # Errors
    /// The disk.
    pub fn fetched(bucket: Bucket, place: Place, folder: TempDir) -> Answer<Self> {
        let [scene, job] = ["scene", "job"].map(|part| folder.path().join(part));
        std::fs::create_dir(&scene)?;
        std::fs::create_dir_all(job.join(OUTPUT))?;
        let (sent, noted, unneeded) = Default::default();
        let remote = Remote { bucket, place, sent, noted, unneeded, _folder: folder };
        Ok(Self { scene, job, adapter: None, remote: Some(remote) })
    }

    /// Fetches the scene's photos.
    ///
    /// # Errors
    /// The disk, or 503.
    pub async fn fetch_scene(&mut self, listing: &Listing) -> Answer<()> {
        let needed = listing.iter().filter(|(name, _)| !name.starts_with("preview-"));
        fetch(self.remote.as_ref(), needed, &self.scene).await
    }

    /// Fetches what there is of the job: its settings, and how far it came.
    ///
    /// # Errors
    /// The disk, or 503.
    pub async fn fetch_job(&mut self, listing: Listing) -> Answer<()> {
        fetch(self.remote.as_ref(), listing.iter(), &self.job).await?;
        if let Some(remote) = &mut self.remote {
            for (name, object) in listing {
                remote.sent.insert(name.clone(), (mark(&self.job.join(name))?, object));
            }
            remote.noted = remote.names();
        }
        Ok(())
    }

    /// Fetches the adapter of another job.
    ///
    /// # Errors
    /// The disk, or 503.
    pub async fn fetch_adapter(&mut self, listing: &Listing) -> Answer<()> {
        let folder = self.scene.with_file_name("other");
        let adapter = format!("{OUTPUT}/adapter/");
        fetch(self.remote.as_ref(), listing.iter().filter(|(name, _)| name.starts_with(&adapter)), &folder).await?;
        self.adapter = Some(folder);
        Ok(())
    }

    /// Sends what is new. Returns a state that was whole at one moment; `None` where the files are in place anyway, where
    /// nothing has changed, or where everything changes too fast.
    ///
    /// # Errors
    /// The disk, or 503; what was sent already is not sent again.
    pub async fn send(&mut self) -> Answer<Option<Listing>> {
        let Some(remote) = &mut self.remote else { return Ok(None) };
        let mut seen = marks(&self.job);
        for _ in 0..TRIES {
            let is_whole = remote.send(&self.job, &seen).await?;
            let now = marks(&self.job);
            if is_whole && now == seen {
                let listing = remote.settle(&seen);
                return Ok((remote.names() != remote.noted).then_some(listing));
            }
            seen = now;
        }
        Ok(None)
    }

    /// To be called when the database knows the state that was sent last: removes the objects that it does not need.
    pub async fn noted(&mut self) {
        let Some(remote) = &mut self.remote else { return };
        remote.noted = remote.names();
        let unneeded = std::mem::take(&mut remote.unneeded);
        let _ = remote.bucket.remove(&unneeded).await; // what stays goes with the job
    }
}

impl Remote {
    fn names(&self) -> HashSet<String> {
        self.sent.values().map(|(_, object)| object.key.clone()).collect()
    }

    /// Sends the files that are not as they were; `false` where one is gone by now.
    async fn send(&mut self, folder: &Path, seen: &BTreeMap<String, Mark>) -> Answer<bool> {
        for (name, wanted) in seen {
            if self.sent.get(name).is_some_and(|(mark, _)| mark == wanted) {
                continue;
            }
            let mut file = match tokio::fs::File::open(folder.join(name)).await {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let about = file.metadata().await?;
            let key = self.place.new_key();
            let bytes = self.bucket.put(&key, &mut file).await?;
            let sent = ((about.len(), about.modified().ok()), Object { key, bytes });
            if let Some((_, old)) = self.sent.insert(name.clone(), sent) {
                self.unneeded.push(old.key);
            }
        }
        Ok(true)
    }

    /// The state that was seen; files that are gone are forgotten.
    fn settle(&mut self, seen: &BTreeMap<String, Mark>) -> Listing {
        let gone: Vec<String> = self.sent.keys().filter(|name| !seen.contains_key(*name)).cloned().collect();
        self.unneeded.extend(gone.iter().filter_map(|name| self.sent.remove(name)).map(|(_, object)| object.key));
        self.sent.iter().map(|(name, (_, object))| (name.clone(), object.clone())).collect()
    }
}

async fn fetch(
    remote: Option<&Remote>,
    objects: impl Iterator<Item = (&String, &Object)>,
    folder: &Path,
) -> Answer<()> {
    let Some(remote) = remote else { return Ok(()) };
    for (name, object) in objects {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        remote.bucket.get(&object.key, &path).await?;
    }
    Ok(())
}

fn mark(path: &Path) -> io::Result<Mark> {
    let about = std::fs::metadata(path)?;
    Ok((about.len(), about.modified().ok()))
}

/// The files of a job that are worth sending, and how they are now.
fn marks(job: &Path) -> BTreeMap<String, Mark> {
    let is_work = |name: &str| !name.ends_with(".lock") && !name.split('/').any(|part| part.ends_with(".tmp"));
    let names = files_in(job).into_iter().map(|(name, _)| name).filter(|name| is_work(name));
    names.filter_map(|name| Some((name.clone(), mark(&job.join(&name)).ok()?))).collect()
}
