//! The data folder: scenes, jobs, and what is being uploaded. Every path is made of ids and names of ours.

use crate::config::ServeError;
use crate::id::Id;
use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SCENES: &str = "scenes";
const JOBS: &str = "jobs";
/// Uploads in the making and what is about to be removed; emptied at every start.
const PASSING: &str = "passing";

/// The folder, held by this process alone.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if need be, and takes it for this process.
    ///
    /// # Errors
    /// Another server has it, or it cannot be written to.
    pub fn open(root: &Path) -> Result<Self, ServeError> {
        let fail = |error: io::Error| ServeError::Folder { path: root.into(), reason: error.to_string() };
        make_private(root).map_err(fail)?;
        let lock = File::create(root.join("lock")).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ServeError::InUse(root.into())),
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        if root.join(PASSING).exists() {
            fs::remove_dir_all(root.join(PASSING)).map_err(fail)?;
        }
        [SCENES, JOBS, PASSING].iter().try_for_each(|part| fs::create_dir_all(root.join(part))).map_err(fail)?;
        let root = root.canonicalize().map_err(fail)?;
        Ok(Self { root, _lock: lock })
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
        TempDir::new_in(self.root.join(PASSING))
    }

    /// Moves a finished folder to its place, all at once.
    pub fn keep(&self, made: TempDir, place: &Path) -> io::Result<()> {
        fs::rename(made.path(), place)?;
        let _ = made.keep(); // its name is another now: nothing to remove
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

    /// Removes the folders of scenes and jobs that the database does not know: of creations that were cut off.
    pub fn sweep(&self, scenes: &[Id], jobs: &[Id]) -> io::Result<()> {
        for (part, known) in [(SCENES, scenes), (JOBS, jobs)] {
            let known: HashSet<&str> = known.iter().map(Id::as_str).collect();
            for entry in fs::read_dir(self.root.join(part))? {
                let entry = entry?;
                if !entry.file_name().to_str().is_some_and(|name| known.contains(name)) {
                    self.remove(&entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// Makes a folder that others on this machine cannot look into; one that is there stays as it is.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_the_folder_and_strangers_are_swept() {
        let root = TempDir::new().unwrap();
        let folder = DataFolder::open(root.path()).unwrap();
        assert!(matches!(DataFolder::open(root.path()), Err(ServeError::InUse(_))));
        let (known, stranger) = (Id::random(), Id::random());
        fs::create_dir(folder.scene(&known)).unwrap();
        fs::create_dir(folder.job(&stranger)).unwrap();
        folder.sweep(std::slice::from_ref(&known), &[]).unwrap();
        assert!(folder.scene(&known).exists() && !folder.job(&stranger).exists());
        folder.remove(&folder.scene(&known)).unwrap();
        folder.remove(&folder.scene(&known)).expect("it is gone already");
        assert!(!folder.scene(&known).exists());
    }
}
