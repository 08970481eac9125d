//! Putting the record into a completed photo's file.

use crate::{CredentialsError, Edit, Identity, format};
use realfill_vision::save::replace_whole;
use std::fs::File;
use std::io;
use std::path::Path;

/// The formats that a record is put into.
const CARRIERS: [&str; 5] = ["image/jpeg", "image/png", "image/webp", "image/tiff", "image/avif"];

/// Whether the photo's format has a place for credentials; one that cannot be read has none.
pub fn can_carry(path: &Path) -> bool {
    matches!(format::of_file(path), Ok(Some(format)) if CARRIERS.contains(&format))
}

/// Puts the signed record of `edit` into the photo at `path`, whole or not at all. Pixels, coefficients and everything else
/// that the file says stay as they are.
///
/// # Errors
/// [`CredentialsError::Sign`]; the photo is then as it was.
pub fn sign(path: &Path, edit: &Edit, identity: &Identity) -> Result<(), CredentialsError> {
    let fail = |reason: String| CredentialsError::Sign { path: path.to_owned(), reason };
    let format = format::of_file(path).map_err(|error| fail(error.to_string()))?;
    let format = format.filter(|format| CARRIERS.contains(format));
    let format = format.ok_or_else(|| fail("its format has no place for them".into()))?;
    let title = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut builder = edit.builder(&title).map_err(|error| fail(error.to_string()))?;
    let signer = identity.to_c2pa().map_err(|error| fail(error.to_string()))?;
    let replaced = replace_whole(path, |signed| {
        let mut photo = File::open(path)?;
        builder.sign(&signer, format, &mut photo, signed).map(drop).map_err(io::Error::other)
    });
    replaced.map_err(|error| fail(error.to_string()))
}
