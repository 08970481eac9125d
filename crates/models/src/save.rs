//! Writing a model's files, with the errors of this crate.

use crate::ModelError;
use std::io::Write;
use std::path::Path;

/// Writes a file whole or not at all, and to the disk before it returns.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let written = realfill_vision::save::write_whole(path, |file| file.write_all(bytes));
    written.map_err(|error| ModelError::file(path, error))
}
