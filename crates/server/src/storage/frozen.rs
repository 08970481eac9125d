//! A job's files as they were at one moment, while its process goes on to replace them. All of them are written beside their
//! place and renamed into it, never changed in place, so that a second name for each (a hard link) is a copy for ever.

use super::files_in;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

/// For how long a moment is looked for in which nothing changes: as long as the pause between two looks for files. Naming files
/// takes far less time than writing them and flushing them to the disk, so that the first try is nearly always enough.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a file is told from a later one of its name: length, time, and where the system has one, number. The number of a file that
/// is frozen goes to no other meanwhile; the time alone moves on only every few milliseconds.
pub type Mark = (u64, Option<SystemTime>, u64);

/// The files, until this is dropped.
#[derive(Debug)]
pub struct Frozen {
    /// What there was.
    pub marks: BTreeMap<String, Mark>,
    folder: TempDir,
}

impl Frozen {
    /// Those of a job's folder, in a new folder inside `beside`, which is on the same disk.
    ///
    /// # Errors
    /// The disk, or files that change all the time.
    pub fn of(job: &Path, beside: &Path) -> io::Result<Self> {
        let clock = Instant::now();
        loop {
            let mut frozen = Self { marks: BTreeMap::new(), folder: TempDir::new_in(beside)? };
            if frozen.take(job)? && marks(job) == frozen.marks {
                return Ok(frozen);
            }
            if clock.elapsed() > PATIENCE {
                return Err(io::Error::other("its files change too fast to be seen whole"));
            }
        }
    }

    /// Where a file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes every file there is; `false` where one is gone by then.
    fn take(&mut self, job: &Path) -> io::Result<bool> {
        for name in names(job) {
            let path = self.path(&name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            match named_again(&job.join(&name), &path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                mark => self.marks.insert(name, mark?),
            };
        }
        Ok(true)
    }
}

/// Gives a file a second name, or copies it in a file system without them; returns which file it was.
fn named_again(file: &Path, name: &Path) -> io::Result<Mark> {
    let before = mark(file)?;
    match std::fs::hard_link(file, name) {
        Ok(()) => mark(name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) => std::fs::copy(file, name).map(|_| before),
    }
}

/// How a file is now.
pub fn mark(path: &Path) -> io::Result<Mark> {
    let about = std::fs::metadata(path)?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&about);
    #[cfg(not(unix))]
    let number = 0;
    Ok((about.len(), about.modified().ok(), number))
}

/// The files of a job that are worth keeping.
fn names(job: &Path) -> impl Iterator<Item = String> {
    let is_work = |name: &str| !name.ends_with(".lock") && !name.split('/').any(|part| part.ends_with(".tmp"));
    files_in(job).into_iter().map(|(name, _)| name).filter(move |name| is_work(name))
}

/// How they are now.
fn marks(job: &Path) -> BTreeMap<String, Mark> {
    names(job).filter_map(|name| Some((name.clone(), mark(&job.join(&name)).ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_frozen_stays_when_the_job_goes_on_and_is_gone_afterwards() {
        let folder = TempDir::new().unwrap();
        let (job, beside) = (folder.path().join("job"), folder.path().join("beside"));
        let [old, new] = ["out/checkpoints/step-1", "out/checkpoints/writing.tmp"].map(|part| job.join(part));
        fs::create_dir(&beside).unwrap();
        fs::create_dir_all(&old).unwrap();
        fs::create_dir_all(&new).unwrap();
        fs::write(old.join("state"), "one").unwrap();
        fs::write(new.join("state"), "tw").unwrap();
        fs::write(job.join("out/.realfill.lock"), "").unwrap();
        let frozen = Frozen::of(&job, &beside).unwrap();
        fs::remove_dir_all(&old).unwrap();
        fs::rename(&new, &old).unwrap();
        assert_eq!(frozen.marks.keys().collect::<Vec<_>>(), ["out/checkpoints/step-1/state"]);
        assert_eq!(fs::read_to_string(frozen.path("out/checkpoints/step-1/state")).unwrap(), "one");
        assert_ne!(Frozen::of(&job, &beside).unwrap().marks, frozen.marks);
        drop(frozen);
        assert_eq!(fs::read_dir(&beside).unwrap().count(), 0);
    }
}
