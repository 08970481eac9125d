//! Writing pictures and other results: whole or not at all, in the photo's own format, with what its file said about it.

mod completed;
mod encode;
mod left_behind;
mod segments;
#[cfg(test)]
mod tests;

pub use completed::{Saved, Wanted};
pub use encode::{largest_side, losses, oversize};
pub(crate) use segments::{EXIF_NAME, photoshop};

use crate::Photo;
use crate::metadata::About;
use crate::photo::WRITTEN_FORMATS as FORMATS;
use image::ImageFormat;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

/// Why a result could not be written.
#[derive(Debug, Error)]
pub enum SaveError {
    /// The output folder cannot be made or written to.
    #[error("cannot write into the folder {}: {source}; name another output folder", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is too full.
    #[error(
        "{} has {} MB free and about {} MB are needed; make room or name another output folder",
        path.display(), free / 1_000_000, needed.div_ceil(1_000_000)
    )]
    DiskFull {
        /// The folder.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// A file cannot be written; nothing is left of it, and a file that was there before is as it was.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The picture does not fit into the format.
    #[error("cannot write {} as {format:?}: {reason}; name a file with another extension ({FORMATS} work)", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// The format its extension names.
        format: ImageFormat,
        /// What the encoder said.
        reason: String,
    },
    /// The extension names no format that is written.
    #[error("{} has the extension of a format that is not written; {FORMATS} are", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
    },
}

impl Photo {
    /// Writes the photo in the format that the extension names (without one, its own, or PNG), whole or not at all.
    /// JPEG is written at quality 95, WebP and AVIF without loss. Depth, alpha, profile and EXIF are kept as far as the format
    /// (and its encoder) can hold them.
    ///
    /// # Errors
    /// An extension of another format, a picture the format cannot hold, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SaveError> {
        let bytes = self.encoded(&path)?;
        write_whole(path, |file| file.write_all(&bytes))
    }

    /// What [`Photo::save`] would write, in memory; the path is not touched.
    ///
    /// # Errors
    /// As [`Photo::save`].
    pub fn encoded(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, SaveError> {
        let path = path.as_ref();
        let format = self.format_for(path)?;
        encode::encode(&self.pixels, &About::of(self), format, &mut Vec::new()).map_err(|error| {
            let reason = error.to_string();
            SaveError::Encode { path: path.to_owned(), format, reason }
        })
    }

    /// The extension, without dot, of a result that keeps this photo's format; `png` for a picture made in memory.
    pub fn extension(&self) -> &'static str {
        extension_of(self.format.unwrap_or(ImageFormat::Png))
    }

    fn format_for(&self, path: &Path) -> Result<ImageFormat, SaveError> {
        let Some(extension) = path.extension() else { return Ok(self.format.unwrap_or(ImageFormat::Png)) };
        ImageFormat::from_extension(extension)
            .filter(|format| encode::WRITABLE.contains(format))
            .ok_or_else(|| SaveError::Extension { path: path.to_owned() })
    }
}

fn extension_of(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "jpg",
        ImageFormat::WebP => "webp",
        ImageFormat::Tiff => "tif",
        ImageFormat::Bmp => "bmp",
        ImageFormat::Avif => "avif",
        _ => "png",
    }
}

/// Makes sure, before work starts, that `folder` is there (it is made if need be), can be written to, and has
/// `needed_bytes` free where the system tells.
///
/// # Errors
/// [`SaveError::Folder`] or [`SaveError::DiskFull`].
pub fn check_output_folder(folder: impl AsRef<Path>, needed_bytes: u64) -> Result<(), SaveError> {
    let folder = folder.as_ref();
    let fail = |source| SaveError::Folder { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(fail)?;
    Temporary::beside(&folder.join("probe")).map_err(fail)?;
    match fs4::available_space(folder) {
        Ok(free) if free < needed_bytes => {
            Err(SaveError::DiskFull { path: folder.to_owned(), free, needed: needed_bytes })
        }
        _ => Ok(()),
    }
}

/// Writes a file whole or not at all: into a temporary file in the same folder, flushed to the disk, then renamed over
/// what was there before.
///
/// # Errors
/// [`SaveError::Write`]; the temporary file is gone then, and an older file untouched.
pub fn write_whole(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut io::BufWriter<&File>) -> io::Result<()>,
) -> Result<(), SaveError> {
    replace_whole(path.as_ref(), |file| {
        let mut writer = io::BufWriter::new(&*file);
        write(&mut writer)?;
        writer.flush()
    })
}

/// As [`write_whole`], for writers that go back and read what they wrote.
///
/// # Errors
/// As [`write_whole`].
pub fn replace_whole(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), SaveError> {
    let attempt = || {
        let mut temporary = Temporary::beside(path)?;
        write(&mut temporary.file)?;
        temporary.file.sync_all()?;
        fs::rename(&temporary.path, path)?;
        sync_folder(path);
        Ok(())
    };
    attempt().map_err(|source| SaveError::Write { path: path.to_owned(), source })
}

/// A new file that is removed when it goes out of scope, unless it was renamed by then.
struct Temporary {
    file: File,
    path: PathBuf,
}

impl Temporary {
    fn beside(path: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".{}.{}-{count}.tmp", name.to_string_lossy(), std::process::id());
        let path = path.with_file_name(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        Ok(Self { file, path })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes the rename itself last through a power cut, where folders can be opened (not on Windows).
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}
