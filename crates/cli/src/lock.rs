//! One run at a time in an output folder: a lock on a file in it, which ends with the process, however that ends.

use anyhow::{Context, Result, bail};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::OnceLock;

/// The file. It stays behind: whoever waits for it would else hold a lock that nobody else sees.
const NAME: &str = ".realfill.lock";

/// The lock, until the process ends.
static HELD: OnceLock<File> = OnceLock::new();

/// Takes an output folder for this process. Where the file system knows no locks, the folder is not taken.
///
/// # Errors
/// Another run works in it, or nothing can be written there.
pub fn take(output: &Path) -> Result<()> {
    let file = open(output)?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        bail!("another run works in {}; wait for its end or give another --output", output.display());
    }
    let _ = HELD.set(file);
    Ok(())
}

/// Waits until no other run works in an output folder, and takes it for this process.
///
/// # Errors
/// The folder cannot be written to or locked.
pub fn wait_for(output: &Path) -> Result<()> {
    let file = open(output)?;
    file.lock().with_context(|| format!("cannot lock {}", output.join(NAME).display()))?;
    let _ = HELD.set(file);
    Ok(())
}

/// The file may be another person's, who may not let it be written to: it can be locked all the same.
fn open(output: &Path) -> Result<File> {
    let path = output.join(NAME);
    File::create(&path).or_else(|_| File::open(&path)).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_another_run_works_in_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let other = open(folder.path()).unwrap();
        other.lock().unwrap();
        let message = take(folder.path()).unwrap_err().to_string();
        assert!(message.contains("another run works in") && message.contains("another --output"), "{message}");
        drop(other);
        take(folder.path()).expect("the other one has ended");
    }
}
