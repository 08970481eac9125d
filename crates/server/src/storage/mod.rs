//! Where the files of scenes and jobs are: in the data folder, where everybody works on them in place, or in a bucket, where
//! the database says which objects make them up and whoever needs a file fetches it.

mod desk;
mod frozen;

pub use desk::Desk;

use crate::bucket::Bucket;
use crate::folder::DataFolder;
use crate::id::Id;
use crate::problem::{Answer, Problem};
use crate::store::{Db, Installation, Job, Store, StoreError, StoredScene};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Age after which objects that no row names are leftovers of a creation that was cut off.
const LEFTOVER: Duration = Duration::from_secs(24 * 3600);

/// Depth to which folders are looked through: `out/checkpoints/step-00000001/weights.bpk`.
const DEPTH: usize = 4;

/// The objects of a scene or job by the names of its files.
pub type Listing = BTreeMap<String, Object>;

/// An object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its key, below the storage's prefix.
    pub key: String,
    /// Its size.
    pub bytes: u64,
}

/// Whose files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A scene's.
    Scene(Id),
    /// A job's.
    Job(Id),
}

impl Place {
    /// Of which scene or job.
    pub fn id(&self) -> &Id {
        match self {
            Self::Scene(id) | Self::Job(id) => id,
        }
    }

    /// What the names of its objects begin with.
    fn prefix(&self) -> String {
        match self {
            Self::Scene(id) => format!("scenes/{id}"),
            Self::Job(id) => format!("jobs/{id}"),
        }
    }

    fn files(&self, db: &mut Db) -> Result<Option<String>, StoreError> {
        match self {
            Self::Scene(id) => StoredScene::files(db, id),
            Self::Job(id) => Job::files(db, id),
        }
    }
}

/// A file to be read: one in its place, or one that was fetched and goes when this is dropped.
#[derive(Debug)]
pub struct Local {
    /// Where it is.
    pub path: PathBuf,
    _fetched: Option<TempDir>,
}

/// The storage.
pub struct Storage {
    /// The data folder; with a bucket it has only what is passing.
    pub folder: DataFolder,
    bucket: Option<Bucket>,
    store: Store,
}

impl Storage {
    /// Of this folder, and a bucket if there is one.
    pub fn new(folder: DataFolder, bucket: Option<Bucket>, store: Store) -> Self {
        Self { folder, bucket, store }
    }

    fn path(&self, place: &Place) -> PathBuf {
        match place {
            Place::Scene(id) => self.folder.scene(id),
            Place::Job(id) => self.folder.job(id),
        }
    }

    /// Keeps a finished folder; returns the names of its objects as JSON, for the row that comes next.
    ///
    /// # Errors
    /// The disk, or 503.
    pub async fn keep(&self, made: TempDir, place: &Place) -> Answer<Option<String>> {
        let Some(bucket) = &self.bucket else {
            let place = self.path(place);
            return on_disk(move || DataFolder::keep(made, &place)).await.map(|()| None);
        };
        let mut listing = Listing::new();
        for (name, _) in files_in(made.path()) {
            let object = sent(bucket, place, &made.path().join(&name)).await?;
            listing.insert(name, object);
        }
        as_json(&listing).map(Some)
    }

    /// Puts a file into a scene, in place of one of the same name.
    ///
    /// # Errors
    /// The disk, or 503.
    pub async fn put(&self, scene: &Id, name: &str, file: &Path) -> Answer<()> {
        let Some(bucket) = &self.bucket else {
            let (file, place) = (file.to_owned(), self.folder.scene(scene).join(name));
            return on_disk(move || DataFolder::put(&file, &place)).await;
        };
        let object = sent(bucket, &Place::Scene(scene.clone()), file).await?;
        self.replace(scene, name, Some(object)).await
    }

    /// Takes a file from a scene.
    ///
    /// # Errors
    /// The disk, or 503.
    pub async fn take(&self, scene: &Id, name: &str) -> Answer<()> {
        match &self.bucket {
            None => Ok(std::fs::remove_file(self.folder.scene(scene).join(name))?),
            Some(_) => self.replace(scene, name, None).await,
        }
    }

    async fn replace(&self, scene: &Id, name: &str, object: Option<Object>) -> Answer<()> {
        let (id, name) = (scene.clone(), name.to_owned());
        let changed = self.store.run(move |db| {
            StoredScene::change_files(db, &id, |before| {
                let mut listing = listing_of(before)?;
                let old = match object {
                    Some(object) => listing.insert(name, object),
                    None => listing.remove(&name),
                };
                let after = serde_json::to_string(&listing).map_err(|error| StoreError::Content(error.to_string()))?;
                Ok((old, after))
            })
        });
        match (changed.await?, &self.bucket) {
            (Some(old), Some(bucket)) => bucket.remove(&[old.key]).await,
            _ => Ok(()),
        }
    }

    /// A file, where it is there.
    ///
    /// # Errors
    /// The disk, 503, or 404 where the bucket has lost it.
    pub async fn file(&self, place: &Place, name: &str) -> Answer<Option<Local>> {
        let Some(bucket) = &self.bucket else {
            let path = self.path(place).join(name);
            return Ok(path.is_file().then_some(Local { path, _fetched: None }));
        };
        let fetched = self.folder.passing()?;
        let path = fetched.path().join(Path::new(name).file_name().unwrap_or_default());
        let mut missing = None;
        loop {
            let Some(Object { key, .. }) = self.listing(place).await?.remove(name) else { return Ok(None) };
            match bucket.get(&key, &path).await {
                // it may have been replaced since the listing was read
                Err(problem) if problem.status == 404 && missing.as_ref() != Some(&key) => missing = Some(key),
                got => return got.map(|()| Some(Local { path, _fetched: Some(fetched) })),
            }
        }
    }

    /// Names and sizes of the files.
    ///
    /// # Errors
    /// 503.
    pub async fn files(&self, place: &Place) -> Answer<Vec<(String, u64)>> {
        match &self.bucket {
            None => Ok(files_in(&self.path(place))),
            Some(_) => Ok(self.listing(place).await?.into_iter().map(|(name, object)| (name, object.bytes)).collect()),
        }
    }

    async fn listing(&self, place: &Place) -> Answer<Listing> {
        let place = place.clone();
        self.store.run(move |db| place.files(db).and_then(listing_of)).await
    }

    /// Removes everything of a scene or job.
    ///
    /// # Errors
    /// The disk, or 503.
    pub async fn remove(&self, place: &Place) -> Answer<()> {
        if let Some(bucket) = &self.bucket {
            return bucket.remove_all(&place.prefix()).await;
        }
        Ok(self.folder.remove(&self.path(place))?)
    }

    /// Removes what creations that were cut off have left, and nothing that is not known to be of this database.
    ///
    /// # Errors
    /// The disk, or 503.
    pub async fn sweep(&self, database: &Installation) -> Answer<()> {
        let (scenes, jobs) = self.store.run(|db| Ok((StoredScene::all(db)?, Job::all(db)?))).await?;
        let Some(bucket) = &self.bucket else {
            return match self.folder.is_of(database, &scenes)? {
                true => Ok(self.folder.sweep(&scenes, &jobs)?),
                false => Ok(()),
            };
        };
        for (part, known) in [("scenes", scenes), ("jobs", jobs)] {
            let known: HashSet<Id> = known.into_iter().collect();
            for id in bucket.older(part, &known, LEFTOVER).await? {
                bucket.remove_all(&format!("{part}/{id}")).await?;
            }
        }
        Ok(())
    }

    /// Where a worker finds the files of a job and its scene, and of the job whose adapter it uses.
    ///
    /// # Errors
    /// The disk, or 503.
    pub async fn desk(&self, scene: &Id, job: &Id, adapter_of: Option<&Id>) -> Answer<Desk> {
        let [scene, job] = [Place::Scene(scene.clone()), Place::Job(job.clone())];
        let other = adapter_of.map(|other| Place::Job(other.clone()));
        let Some(bucket) = &self.bucket else {
            let adapter = other.map(|other| self.path(&other));
            return Ok(Desk::in_place(self.path(&scene), self.path(&job), adapter));
        };
        let mut desk = Desk::fetched(bucket.clone(), job.clone(), self.folder.passing()?)?;
        desk.fetch_scene(&self.listing(&scene).await?).await?;
        desk.fetch_job(self.listing(&job).await?).await?;
        if let Some(other) = &other {
            desk.fetch_adapter(&self.listing(other).await?).await?;
        }
        Ok(desk)
    }

    /// Whether what passes can be written, and the bucket answers.
    ///
    /// # Errors
    /// 503.
    pub async fn try_it(&self) -> Answer<()> {
        let written = self.folder.passing().and_then(|folder| std::fs::write(folder.path().join("sign"), "ready"));
        written.map_err(|error| {
            tracing::error!("the data folder: {error}");
            Problem::unavailable("the data folder cannot be written to")
        })?;
        let Some(bucket) = &self.bucket else { return Ok(()) };
        bucket.try_it().await.map_err(|error| {
            tracing::error!("the storage: {error}");
            Problem::unavailable("the server's storage cannot be used at the moment; try again later")
        })
    }
}

/// Work that waits for the disk.
async fn on_disk(work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Answer<()> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(Problem::ours)??)
}

/// Stores a file as a new object.
async fn sent(bucket: &Bucket, place: &Place, file: &Path) -> Answer<Object> {
    let key = bucket.new_key(&place.prefix());
    let bytes = bucket.put(&key, &mut tokio::fs::File::open(file).await?).await?;
    Ok(Object { key, bytes })
}

fn listing_of(text: Option<String>) -> Result<Listing, StoreError> {
    let Some(text) = text else { return Ok(Listing::new()) };
    serde_json::from_str(&text).map_err(|error| StoreError::Content(format!("files: {error}")))
}

/// A listing for a row.
///
/// # Errors
/// None that can be thought of: it is plain data.
pub fn as_json(listing: &Listing) -> Answer<String> {
    serde_json::to_string(listing).map_err(Problem::ours)
}

/// Names and sizes of the files in a folder and those in it.
pub fn files_in(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    walk(folder, "", 0, &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, before: &str, depth: usize, found: &mut Vec<(String, u64)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (Ok(about), Ok(name)) = (entry.metadata(), entry.file_name().into_string()) else { continue };
        let name = format!("{before}{name}");
        match about.is_dir() {
            true if depth < DEPTH => walk(&entry.path(), &format!("{name}/"), depth + 1, found),
            true => {}
            false => found.push((name, about.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// What a start does with a folder: `scenes` are those that the database has from before.
    async fn started(root: &Path, store: &Store, scenes: &[&Id]) {
        for id in scenes {
            let (owner, name) = ("all".into(), "s".into());
            let scene = StoredScene { id: (*id).clone(), owner, name, created: 5, has_hole: false, photos: Vec::new() };
            store.now(|db| scene.insert(db, None)).unwrap();
        }
        let database = store.now(Installation::of).unwrap();
        let storage = Storage::new(DataFolder::open(root, false).unwrap(), None, store.clone());
        storage.sweep(&database).await.unwrap();
    }

    fn new_database() -> Store {
        Store::open(Path::new(":memory:"), false).unwrap()
    }

    #[tokio::test]
    async fn another_database_clears_nothing_away_however_often_it_starts() {
        let root = TempDir::new().unwrap();
        let [mine, cut_off, new] = [0, 1, 2].map(|_| Id::random());
        let path = |id: &Id| root.path().join("scenes").join(id.as_str());
        let first = new_database();
        started(root.path(), &first, &[]).await;
        [&mine, &cut_off].iter().for_each(|id| fs::create_dir(path(id)).unwrap());
        let second = new_database();
        started(root.path(), &second, &[]).await;
        fs::create_dir(path(&new)).unwrap();
        started(root.path(), &second, &[&new]).await;
        assert!([&mine, &cut_off, &new].iter().all(|id| path(id).exists()), "another database's scenes are gone");
        started(root.path(), &first, &[&mine, &new]).await;
        assert!(path(&mine).exists() && path(&new).exists() && !path(&cut_off).exists());
    }

    #[tokio::test]
    async fn a_folder_and_a_database_from_before_they_had_ids_go_on_together() {
        let root = TempDir::new().unwrap();
        let (store, [mine, cut_off]) = (new_database(), [0, 1].map(|_| Id::random()));
        let path = |id: &Id| root.path().join("scenes").join(id.as_str());
        [&mine, &cut_off].iter().for_each(|id| fs::create_dir_all(path(id)).unwrap());
        started(root.path(), &store, &[&mine]).await;
        assert!(path(&mine).exists() && !path(&cut_off).exists());
        started(root.path(), &new_database(), &[]).await;
        assert!(path(&mine).exists());
    }
}
