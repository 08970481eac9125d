//! A worker's files of one job. In the data folder it works in place. From a bucket it fetches them into a folder of its own,
//! and sends back what is new: always a state that was whole at one moment, so that another worker can go on from it. That state
//! is frozen first, so that sending may take longer than the job takes to replace it.

use super::frozen::{Frozen, Mark, mark};
use super::{Listing, Object, Place};
use crate::bucket::Bucket;
use crate::problem::{Answer, Problem};
use crate::worker::OUTPUT;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

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
    folder: TempDir,
}

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
        let remote = Remote { bucket, place, sent, noted, unneeded, folder };
        Ok(Self { scene, job, adapter: None, remote: Some(remote) })
    }

    /// Fetches the scene's photos: the job has a mask of its own, and the scene's may be replaced at this very moment.
    ///
    /// # Errors
    /// The disk, or 503.
    pub async fn fetch_scene(&mut self, listing: &Listing) -> Answer<()> {
        let needed = listing.iter().filter(|(name, _)| !name.starts_with("preview-") && !name.starts_with("mask."));
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

    /// Sends what is new. Returns a state that was whole at one moment; `None` where the files are in place anyway, or where
    /// nothing has changed.
    ///
    /// # Errors
    /// The disk, or 503; what was sent already is not sent again.
    pub async fn send(&mut self) -> Answer<Option<Listing>> {
        let Some(remote) = &mut self.remote else { return Ok(None) };
        let (job, beside) = (self.job.clone(), remote.folder.path().to_owned());
        let frozen = spawn_blocking(move || Frozen::of(&job, &beside)).await.map_err(Problem::ours)??;
        remote.send(&frozen).await?;
        let listing = remote.settle(&frozen);
        Ok((remote.names() != remote.noted).then_some(listing))
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

    /// Sends the files that are not as they were.
    async fn send(&mut self, frozen: &Frozen) -> Answer<()> {
        for (name, mark) in &frozen.marks {
            if self.sent.get(name).is_some_and(|(sent, _)| sent == mark) {
                continue;
            }
            let key = self.bucket.new_key(&self.place.prefix());
            let bytes = self.bucket.put(&key, &mut tokio::fs::File::open(frozen.path(name)).await?).await?;
            if let Some((_, old)) = self.sent.insert(name.clone(), (*mark, Object { key, bytes })) {
                self.unneeded.push(old.key);
            }
        }
        Ok(())
    }

    /// The state that was sent; files that are gone are forgotten.
    fn settle(&mut self, frozen: &Frozen) -> Listing {
        let gone: Vec<String> = self.sent.keys().filter(|name| !frozen.marks.contains_key(*name)).cloned().collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use object_store::memory::InMemory;
    use object_store::throttle::{ThrottleConfig, ThrottledStore};
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::time::Duration;

    /// The files of a checkpoint.
    const PARTS: [&str; 3] = ["optimizer.bpk", "state.json", "weights.bpk"];

    /// What the bucket takes for each file; the checkpoints come two hundred times as fast, or fewer where the machine is busy.
    const SLOW: Duration = Duration::from_millis(400);

    /// A file beside the checkpoints that is replaced before each: it tells the number of the one to come.
    const NEXT: &str = "out/next.json";

    fn write(path: &Path, number: u64) {
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, number.to_string()).unwrap();
        fs::rename(&temporary, path).unwrap();
    }

    /// Replaces the checkpoint as `realfill::training::checkpoint` does.
    fn write_checkpoint(job: &Path, number: u64) {
        let folder = job.join("out/checkpoints");
        let (part, whole) = (folder.join("writing.tmp"), |number: u64| folder.join(format!("step-{number:08}")));
        write(&job.join(NEXT), number);
        fs::create_dir_all(&part).unwrap();
        PARTS.iter().for_each(|name| fs::write(part.join(name), number.to_string()).unwrap());
        fs::rename(&part, whole(number)).unwrap();
        let _ = fs::remove_dir_all(whole(number - 1));
    }

    /// The numbers in the files of a state, each read from the bucket.
    async fn numbers(bucket: &Bucket, listing: &Listing, into: &Path) -> BTreeMap<String, u64> {
        let mut numbers = BTreeMap::new();
        for (name, object) in listing {
            bucket.get(&object.key, into).await.unwrap();
            numbers.insert(name.clone(), fs::read_to_string(into).unwrap().parse().unwrap());
        }
        numbers
    }

    /// Checks that there was a moment at which the job's files had these numbers.
    fn belong_together(numbers: &BTreeMap<String, u64>) {
        let newest = numbers.keys().rfind(|name| name.contains("/step-")).expect("a checkpoint");
        let number = numbers[newest];
        let folder = format!("out/checkpoints/step-{number:08}");
        for part in PARTS {
            assert_eq!(numbers.get(&format!("{folder}/{part}")), Some(&number), "{part} of {folder}: {numbers:?}");
        }
        let next = numbers[NEXT];
        assert!(next == number || next == number + 1, "the checkpoint is of another moment: {numbers:?}");
    }

    #[tokio::test]
    async fn a_job_waits_for_no_file_that_is_lost_and_fetches_no_mask_of_the_scene() {
        let (bucket, root) = (Bucket::of(Arc::new(InMemory::new())), TempDir::new().unwrap());
        let place = Place::Scene(Id::random());
        let mut listing = Listing::new();
        for name in ["target.png", "mask.png", "preview-target.jpg"] {
            listing.insert(name.into(), Object { key: bucket.new_key(&place.prefix()), bytes: 0 });
        }
        let folder = TempDir::new_in(root.path()).unwrap();
        let mut desk = Desk::fetched(bucket.clone(), Place::Job(Id::random()), folder).unwrap();
        assert_eq!(desk.fetch_scene(&listing).await.unwrap_err().status, 404);
        let mut file = tokio::fs::File::from_std(tempfile::tempfile().unwrap());
        bucket.put(&listing["target.png"].key, &mut file).await.unwrap();
        desk.fetch_scene(&listing).await.unwrap();
        let names = fs::read_dir(&desk.scene).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["target.png"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn checkpoints_that_are_replaced_faster_than_they_are_sent_are_noted_whole() {
        let config = ThrottleConfig { wait_put_per_call: SLOW, ..ThrottleConfig::default() };
        let bucket = Bucket::of(Arc::new(ThrottledStore::new(InMemory::new(), config)));
        let root = TempDir::new().unwrap();
        let folder = TempDir::new_in(root.path()).unwrap();
        let mut desk = Desk::fetched(bucket.clone(), Place::Job(Id::random()), folder).unwrap();
        let written = Arc::new(AtomicU64::new(1));
        let (job, count) = (desk.job.clone(), written.clone());
        write_checkpoint(&job, 1);
        let writer = std::thread::spawn(move || {
            while Arc::strong_count(&count) > 1 {
                std::thread::sleep(SLOW / 200);
                write_checkpoint(&job, count.fetch_add(1, SeqCst) + 1);
            }
        });
        for _ in 0..3 {
            let before = written.load(SeqCst);
            let listing = desk.send().await.unwrap().expect("there is something new");
            assert!(written.load(SeqCst) > before + 10, "the bucket was not slow");
            belong_together(&numbers(&bucket, &listing, &root.path().join("read")).await);
            desk.noted().await;
        }
        drop(written);
        writer.join().unwrap();
        desk.send().await.unwrap().expect("the last checkpoint");
        desk.noted().await;
        assert_eq!(desk.send().await.unwrap(), None, "nothing has changed");
    }
}
