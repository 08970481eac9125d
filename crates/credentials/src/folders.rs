//! Where the program keeps what is the user's own.

use crate::CredentialsError;
use std::path::PathBuf;

/// Names a folder to keep the identity in, in place of the user's data folder.
pub const DATA_FOLDER_VARIABLE: &str = "REALFILL_DATA";

const NAME: &str = "realfill";

/// Where the user's identity is kept.
pub(crate) fn identity_folder() -> Result<PathBuf, CredentialsError> {
    let named = std::env::var_os(DATA_FOLDER_VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = named.or_else(|| Some(dirs::data_dir()?.join(NAME)));
    let none = || CredentialsError::Folder { path: "~".into(), reason: "this user has no home folder".into() };
    folder.ok_or_else(none)
}

/// Where a server keeps scenes and jobs that it was told no other place for: the user's data folder, on Windows the one that
/// stays on the machine. `None` where the user has no home folder.
pub fn work_folder() -> Option<PathBuf> {
    Some(dirs::data_local_dir()?.join(NAME))
}
