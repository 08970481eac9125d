//! The data folder: scenes, jobs, and what is being uploaded. Every path is made of ids and names of ours.

use crate::config::ServeError;
use crate::id::Id;
use crate::store::Installation;
use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SCENES: &str = "scenes";
const JOBS: &str = "jobs";
/// Uploads in the making and what is about to be removed; rid of what is ours at every start.
const PASSING: &str = "passing";

/// What the names in it begin with; letters and digits follow.
const PASSING_PREFIX: &str = "passing-";

/// The file that says which database's folder this is.
const INSTALLATION: &str = "realfill.id";

/// Age after which what nobody knows is a leftover, where other processes may be making something at the moment.
const LEFTOVER: Duration = Duration::from_secs(24 * 3600);

/// The folder, held by this process alone, or by this one and others that share a PostgreSQL queue.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    is_shared: bool,
    _lock: File,
}

/// How long a start waits for its folder. A process that a killed server was just starting has the folder until it runs its own program.
const PATIENCE: Duration = Duration::from_secs(2);

/// Locks the folder, for this process alone or with others.
fn take(lock: &File, is_shared: bool) -> Result<(), TryLockError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match if is_shared { lock.try_lock_shared() } else { lock.try_lock() } {
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(Duration::from_millis(20)),
            taken => return taken,
        }
    }
}

impl DataFolder {
    /// Makes the folder if need be, and takes it for this process, alone or with others.
    ///
    /// # Errors
    /// Another server has it, or it cannot be written to.
    pub fn open(root: &Path, is_shared: bool) -> Result<Self, ServeError> {
        let fail = |error: io::Error| ServeError::Folder { path: root.into(), reason: error.to_string() };
        make_private(root).map_err(fail)?;
        let lock = File::create(root.join("lock")).map_err(fail)?;
        match take(&lock, is_shared) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ServeError::InUse(root.into())),
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        [SCENES, JOBS, PASSING].iter().try_for_each(|part| fs::create_dir_all(root.join(part))).map_err(fail)?;
        let root = root.canonicalize().map_err(fail)?;
        let folder = Self { root, is_shared, _lock: lock };
        folder.clear(PASSING, &is_passing).map_err(fail)?;
        Ok(folder)
    }

    /// A name for this process, the same after a restart, and a lock that keeps others from having it at the same time.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn worker(&self) -> io::Result<(Id, File)> {
        for number in 1.. {
            let path = self.root.join(format!("worker-{number}"));
            let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) => {
                    let mut text = String::new();
                    file.read_to_string(&mut text)?;
                    let name = Id::parse(text.trim()).unwrap_or_else(Id::random);
                    file.set_len(0)?;
                    file.rewind()?;
                    file.write_all(name.as_str().as_bytes())?;
                    file.sync_all()?;
                    return Ok((name, file));
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other("too many workers"))
    }

    /// The database's file.
    pub fn database(&self) -> PathBuf {
        self.root.join("realfill.sqlite")
    }

    /// A scene's folder.
    pub fn scene(&self, id: &Id) -> PathBuf {
        self.root.join(SCENES).join(id.as_str())
    }

    /// A job's folder.
    pub fn job(&self, id: &Id) -> PathBuf {
        self.root.join(JOBS).join(id.as_str())
    }

    /// A folder that goes when it is dropped, on the same disk as the rest.
    pub fn passing(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix(PASSING_PREFIX).tempdir_in(self.root.join(PASSING))
    }

    /// Moves a finished folder of files to its place, all at once. Files and name then last through a power cut, so that no row that
    /// comes next names what is not there.
    pub fn keep(made: TempDir, place: &Path) -> io::Result<()> {
        for file in fs::read_dir(made.path())? {
            sync_file(&file?.path())?;
        }
        sync_folder(made.path());
        fs::rename(made.path(), place)?;
        let _ = made.keep(); // its name is another now: nothing to remove
        place.parent().into_iter().for_each(sync_folder);
        Ok(())
    }

    /// Puts a file in the place of another, all at once; it lasts through a power cut.
    pub fn put(file: &Path, place: &Path) -> io::Result<()> {
        sync_file(file)?;
        fs::rename(file, place)?;
        place.parent().into_iter().for_each(sync_folder);
        Ok(())
    }

    /// Removes a folder; it is gone from its place at once.
    pub fn remove(&self, place: &Path) -> io::Result<()> {
        let passing = self.passing()?;
        match fs::rename(place, passing.path().join("gone")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => passing.close(),
        }
    }

    /// Whether the scenes and jobs that lie here are this database's, `known` being its scenes; says what to do where they are
    /// not. A folder without any becomes the database's. So does one of before there was a file that says whose it is, where the
    /// database is as old and knows a scene in it.
    ///
    /// # Errors
    /// The disk.
    pub fn is_of(&self, database: &Installation, known: &[Id]) -> io::Result<bool> {
        let owner = self.owner()?;
        if owner.as_ref() == Some(&database.id) {
            return Ok(true);
        }
        let (scenes, jobs) = (self.ids(SCENES)?, self.ids(JOBS)?);
        let is_free = scenes.is_empty() && jobs.is_empty();
        let is_older = owner.is_none() && database.is_new && known.iter().any(|id| scenes.contains(id));
        if is_free || is_older {
            self.belong_to(&database.id)?;
            return Ok(true);
        }
        let (root, id) = (self.root.display(), &database.id);
        tracing::warn!(
            "{root} has {} scene(s) and {} job(s), and the database does not know this folder, so nothing in it is cleared away; \
             if they are another database's, give this one a folder of its own with --data-dir; if they are this one's, \
             write {id} into {root}/{INSTALLATION}",
            scenes.len(),
            jobs.len()
        );
        Ok(false)
    }

    /// Which database's folder this is, where that is said.
    fn owner(&self) -> io::Result<Option<Id>> {
        match fs::read_to_string(self.root.join(INSTALLATION)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => Ok(Id::parse(text?.trim())),
        }
    }

    /// Says that this is the folder of a database.
    fn belong_to(&self, database: &Id) -> io::Result<()> {
        let passing = self.passing()?;
        let file = passing.path().join(INSTALLATION);
        fs::write(&file, format!("{database}\n"))?;
        Self::put(&file, &self.root.join(INSTALLATION))
    }

    /// The scenes or jobs that have a folder.
    fn ids(&self, part: &str) -> io::Result<HashSet<Id>> {
        let names = fs::read_dir(self.root.join(part))?.map(|entry| entry.map(|entry| entry.file_name()));
        names.filter_map(|name| name.map(|name| name.to_str().and_then(Id::parse)).transpose()).collect()
    }

    /// Removes the folders of scenes and jobs that the database does not know: of creations that were cut off. What has a name that
    /// we do not give is not ours.
    pub fn sweep(&self, scenes: &[Id], jobs: &[Id]) -> io::Result<()> {
        for (part, known) in [(SCENES, scenes), (JOBS, jobs)] {
            let known: HashSet<&str> = known.iter().map(Id::as_str).collect();
            self.clear(part, &|name| Id::parse(name).is_some() && !known.contains(name))?;
        }
        Ok(())
    }

    /// Removes what is in a part and has such a name; where others share the folder, only what is a day old.
    fn clear(&self, part: &str, is_so: &dyn Fn(&str) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join(part))? {
            let entry = entry?;
            let is_leftover = || Some(entry.metadata().ok()?.modified().ok()?.elapsed().ok()? > LEFTOVER);
            let goes = entry.file_name().to_str().is_some_and(is_so);
            if goes && (!self.is_shared || is_leftover().unwrap_or(false)) {
                match part {
                    PASSING if entry.file_type()?.is_dir() => fs::remove_dir_all(entry.path())?,
                    PASSING => fs::remove_file(entry.path())?,
                    _ => self.remove(&entry.path())?,
                }
            }
        }
        Ok(())
    }
}

/// Whether [`DataFolder::passing`] gives such names.
fn is_passing(name: &str) -> bool {
    let random = name.strip_prefix(PASSING_PREFIX).unwrap_or_default();
    !random.is_empty() && random.bytes().all(|c| c.is_ascii_alphanumeric())
}

/// Makes a folder that others on this machine cannot look into; one that is there stays as it is.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Waits until a file's content is on the disk. Some systems ask for a file that is open for writing.
fn sync_file(path: &Path) -> io::Result<()> {
    File::options().write(true).open(path)?.sync_all()
}

/// Makes the names in a folder last, where folders can be opened (not on Windows).
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_the_folder_and_strangers_are_swept() {
        let root = TempDir::new().unwrap();
        let folder = DataFolder::open(root.path(), false).unwrap();
        for is_shared in [false, true] {
            assert!(matches!(DataFolder::open(root.path(), is_shared), Err(ServeError::InUse(_))));
        }
        let (known, stranger) = (Id::random(), Id::random());
        fs::create_dir(folder.scene(&known)).unwrap();
        fs::create_dir(folder.job(&stranger)).unwrap();
        folder.sweep(std::slice::from_ref(&known), &[]).unwrap();
        assert!(folder.scene(&known).exists() && !folder.job(&stranger).exists());
        folder.remove(&folder.scene(&known)).unwrap();
        folder.remove(&folder.scene(&known)).expect("it is gone already");
        assert!(!folder.scene(&known).exists());
    }

    #[test]
    fn what_has_another_name_than_ours_stays() {
        let root = TempDir::new().unwrap();
        let others = ["scenes/still-life", "jobs/strange", "passing/notes", "passing/passing-", "passing/passing-a.b"];
        let others = others.map(|part| root.path().join(part));
        others.iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        let folder = DataFolder::open(root.path(), false).unwrap();
        let cut_off = folder.passing().unwrap().keep();
        drop(folder);
        let folder = DataFolder::open(root.path(), false).unwrap();
        folder.sweep(&[], &[]).unwrap();
        assert!(others.iter().all(|folder| folder.exists()) && !cut_off.exists());
    }

    #[test]
    fn a_folder_is_of_the_database_that_found_it_empty_or_has_always_known_its_scenes() {
        let new = |is_new| Installation { id: Id::random(), is_new };
        let known_again = |database: &Installation| Installation { id: database.id.clone(), is_new: false };
        let (mine, others) = (Id::random(), Id::random());
        let make = |scenes: &[&Id]| {
            let root = TempDir::new().unwrap();
            let folder = DataFolder::open(root.path(), false).unwrap();
            scenes.iter().for_each(|scene| fs::create_dir(folder.scene(scene)).unwrap());
            (root, folder)
        };
        let is_of = |folder: &DataFolder, database: &Installation, known: &[&Id]| {
            folder.is_of(database, &known.iter().map(|id| (*id).clone()).collect::<Vec<_>>()).unwrap()
        };

        let (_root, folder) = make(&[]);
        let first = new(true);
        assert!(is_of(&folder, &first, &[]));
        fs::create_dir(folder.scene(&mine)).unwrap();
        assert!(is_of(&folder, &known_again(&first), &[]), "it is the same database");
        assert!(!is_of(&folder, &new(true), &[]), "another database");
        assert!(!is_of(&folder, &new(false), &[&mine]), "another database");
        assert!(is_of(&folder, &known_again(&first), &[]), "another database has changed whose it is");

        let (_root, old) = make(&[&mine, &others]);
        assert!(!is_of(&old, &new(true), &[]), "a new database and the scenes of a lost one");
        assert!(!is_of(&old, &new(true), &[&first.id]), "none of its scenes is there");
        assert!(!is_of(&old, &new(false), &[&mine]), "a database that did not know the folder when it was new");
        let older = new(true);
        assert!(is_of(&old, &older, &[&mine]), "both are of before there were ids");
        assert!(is_of(&old, &known_again(&older), &[]));
    }

    #[test]
    fn processes_that_share_the_folder_leave_each_others_work_and_have_names_that_last() {
        let root = TempDir::new().unwrap();
        let first = DataFolder::open(root.path(), true).unwrap();
        let (making, stranger) = (first.passing().unwrap(), first.scene(&Id::random()));
        fs::create_dir(&stranger).unwrap();
        let second = DataFolder::open(root.path(), true).unwrap();
        second.sweep(&[], &[]).unwrap();
        assert!(making.path().exists() && stranger.exists());
        let ((one, held), (other, _)) = (first.worker().unwrap(), second.worker().unwrap());
        assert_ne!(one, other);
        drop(held);
        assert_eq!(second.worker().unwrap().0, one, "a restarted worker has its old name");
    }
}
