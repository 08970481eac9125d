//! A photo as read from a file: upright, at its own size and depth, with what its file said about it.

mod alpha;
mod decode;
mod jpeg_xl;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub(crate) use decode::describes;

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, Rgb32FImage};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Pictures larger than this are refused before they are decoded: 200 megapixels is twice the largest medium-format
/// sensor, and takes 2.4 GB as `f32`.
pub const MAX_MEGAPIXELS: u64 = if cfg!(fuzzing) { 1 } else { 200 };

/// The formats that work, as messages name them.
pub const FORMATS: &str = "JPEG, PNG, WebP, TIFF, AVIF and BMP, and JPEG XL to read";

/// The formats that are written, as messages name them.
pub const WRITTEN_FORMATS: &str = "JPEG, PNG, WebP, TIFF, AVIF and BMP";

/// A decoded photo, EXIF orientation already applied.
#[derive(Clone, Debug)]
pub struct Photo {
    /// The pixels at the file's own depth and colour type, upright.
    pub pixels: DynamicImage,
    /// Where it was read from; empty for a picture made in memory.
    pub path: PathBuf,
    /// The format its content had, where it is one that is written; `None` too for a picture made in memory.
    pub format: Option<ImageFormat>,
    /// The ICC profile, where there is one and it describes `pixels` (a CMYK profile is dropped with the CMYK values).
    pub icc: Option<Vec<u8>>,
    /// The EXIF block (a TIFF structure without the `Exif\0\0` prefix), its orientation reset to upright.
    pub exif: Option<Vec<u8>>,
    /// The XMP packet.
    pub xmp: Option<Vec<u8>>,
    /// Photoshop's image resources, which hold the IPTC record.
    pub iptc: Option<Vec<u8>>,
    /// Chunks of a PNG that say how its values are to be shown and how large it is in print, whole, one after the other.
    pub png_chunks: Option<Vec<u8>>,
    /// The file itself, where parts of it can be kept when the photo is written again.
    pub origin: Option<Origin>,
    /// Whether its pixels lie elsewhere than in its file: it was turned upright, laid onto a canvas, or cut.
    pub is_reframed: bool,
    /// What the file says that cannot be so, or shows beside what is used, a sentence each that names the file and what is used.
    pub doubts: Vec<String>,
}

/// The JPEG file that a photo was read from.
#[derive(Clone, Debug)]
pub struct Origin {
    pub(crate) bytes: Arc<[u8]>,
    /// How its pixels were turned to be upright.
    pub(crate) orientation: Orientation,
    /// Where its upper left corner, upright, lies in the photo now.
    pub(crate) at: (i64, i64),
}

/// Why a photo could not be read.
#[derive(Debug, Error)]
pub enum PhotoError {
    /// The file is missing, a folder, or may not be read.
    #[error("cannot read {}: {source}; give a picture in a format that works ({FORMATS})", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The content is no picture, or one in a format that is not read.
    #[error("{} is {found}; the formats that work are {FORMATS}", path.display())]
    NotAPicture {
        /// The file.
        path: PathBuf,
        /// What it is instead: "empty", "not a picture", "a GIF picture".
        found: String,
    },
    /// The file is cut short, damaged, or uses a variant of its format that is not read.
    #[error("{} cannot be decoded as {format}: {reason}; export it again ({FORMATS} work)", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The format of its content.
        format: String,
        /// What the decoder said.
        reason: String,
    },
    /// More pixels than [`MAX_MEGAPIXELS`].
    #[error(
        "{} is {width}×{height}, {} megapixels, and the limit is {MAX_MEGAPIXELS}; scale it down first ({FORMATS} work)",
        path.display(), u64::from(*width) * u64::from(*height) / 1_000_000
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Width in pixels, as the file declares it.
        width: u32,
        /// Height in pixels, as the file declares it.
        height: u32,
    },
}

impl Photo {
    /// Reads a photo, its format recognised by content whatever its name says; EXIF orientation is applied.
    ///
    /// # Errors
    /// A missing, unreadable, damaged or too large file ([`PhotoError`] says which and what to do).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, PhotoError> {
        let path = path.as_ref();
        let bytes = decode::read_file(path)?;
        Self::from_bytes(&bytes, path)
    }

    /// Reads a photo from a file's content; `path` is what messages call it and is not opened.
    ///
    /// # Errors
    /// As [`Photo::open`].
    pub fn from_bytes(bytes: &[u8], path: impl AsRef<Path>) -> Result<Self, PhotoError> {
        decode::decode(bytes, path.as_ref())
    }

    /// Width and height in pixels that a file's content declares, as stored (a photo that lies on its side is not turned), in
    /// every format that is read; nothing is decoded, so that a size that is too large can be refused first. `path` is what
    /// messages call it and is not opened.
    ///
    /// # Errors
    /// As [`Photo::open`], but for [`PhotoError::TooLarge`], and a file that is damaged behind its declaration.
    pub fn declared_size(bytes: &[u8], path: impl AsRef<Path>) -> Result<(u32, u32), PhotoError> {
        decode::declared_size(bytes, path.as_ref())
    }

    /// A photo made in memory.
    pub fn from_pixels(pixels: impl Into<DynamicImage>) -> Self {
        let pixels = pixels.into();
        Self {
            pixels,
            path: PathBuf::new(),
            format: None,
            icc: None,
            exif: None,
            xmp: None,
            iptc: None,
            png_chunks: None,
            origin: None,
            is_reframed: false,
            doubts: Vec::new(),
        }
    }

    /// The photo with other pixels; its own are not copied.
    pub(crate) fn with_pixels(&self, pixels: DynamicImage) -> Self {
        Self {
            pixels,
            path: self.path.clone(),
            format: self.format,
            icc: self.icc.clone(),
            exif: self.exif.clone(),
            xmp: self.xmp.clone(),
            iptc: self.iptc.clone(),
            png_chunks: self.png_chunks.clone(),
            origin: self.origin.clone(),
            is_reframed: self.is_reframed,
            doubts: self.doubts.clone(),
        }
    }

    /// Tells that the photo has another frame, and that its upper left corner has moved from 0, 0 to `by`.
    pub(crate) fn moved(mut self, by: (i64, i64)) -> Self {
        self.is_reframed = true;
        if let Some(origin) = &mut self.origin {
            origin.at = (origin.at.0 + by.0, origin.at.1 + by.1);
        }
        self
    }

    /// The bytes of its ICC profile: its own, or that which a camera's mark in EXIF stands for; `None` for sRGB.
    pub fn profile(&self) -> Option<Vec<u8>> {
        self.icc.clone().or_else(|| crate::colour::named_by_exif(self))
    }

    /// The profile of RGB pictures that were made in the photo's colours; `None` for sRGB, and where the photo is grey.
    pub fn rgb_profile(&self) -> Option<Vec<u8>> {
        self.profile().filter(|_| self.pixels.color().has_color())
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.pixels.width()
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.pixels.height()
    }

    /// The file's name for messages and reports; "the photo" for a picture made in memory.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "the photo".into(), |name| name.to_string_lossy().into_owned())
    }

    /// The colours as `f32`, 0 to 1, in the photo's own encoding; alpha is dropped.
    pub fn to_rgb32f(&self) -> Rgb32FImage {
        self.pixels.to_rgb32f()
    }
}
