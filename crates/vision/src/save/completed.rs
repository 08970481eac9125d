//! Writing a completed photo so that what was not filled in stays as it was in the file.

use super::encode::{encode, oversize};
use super::left_behind::tell_left_behind;
use super::segments::{holds_xmp, segments};
use super::{SaveError, extension_of, write_whole};
use crate::jpeg::{self, Jpeg, JpegError, Placed, splice};
use crate::metadata::{About, Strip, new_xmp, without_padding};
use crate::photo::Origin;
use crate::{Mask, Photo};
use image::{DynamicImage, ImageFormat};
use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How a completed photo is to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// In this format. `None` for the photo's own; then a JPEG whose blocks cannot be kept becomes a PNG, and so does a picture
    /// whose sides are too long for the format.
    pub format: Option<ImageFormat>,
    /// Without this part of the metadata.
    pub strip: Strip,
}

/// A completed photo's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Where it is.
    pub path: PathBuf,
    /// What a person should know about it, a sentence each.
    pub notes: Vec<String>,
}

impl Photo {
    /// Writes a photo whose `mask` was filled in, whole or not at all; `stem` is the file's path without extension.
    ///
    /// Pixels outside the mask keep their values in formats without loss. From JPEG to JPEG, the blocks that hold no
    /// filled pixel keep their quantised coefficients, and the file its tables, subsampling and mode.
    ///
    /// # Errors
    /// A picture that the format cannot hold, or a file that cannot be written.
    ///
    /// # Panics
    /// When the mask has another size than the photo.
    pub fn save_completed(&self, mask: &Mask, stem: &Path, wanted: Wanted) -> Result<Saved, SaveError> {
        assert_eq!((mask.width(), mask.height()), (self.width(), self.height()), "mask and photo differ in size");
        let mut notes = Vec::new();
        let about = self.described(wanted.strip, &mut notes);
        let (format, bytes) = self.completed(&about, mask, wanted, &mut notes);
        if let Some(origin) = &self.origin {
            tell_left_behind(&origin.bytes, wanted.strip, &mut notes);
        }
        let path = stem.with_extension(extension_of(format));
        let bytes = bytes.map_err(|reason| SaveError::Encode { path: path.clone(), format, reason })?;
        write_whole(&path, |file| file.write_all(&bytes))?;
        Ok(Saved { path, notes })
    }

    /// The file of the photo with `about` said in it, and its format.
    pub(crate) fn completed(
        &self,
        about: &About,
        mask: &Mask,
        wanted: Wanted,
        notes: &mut Vec<String>,
    ) -> (ImageFormat, Result<Vec<u8>, String>) {
        let format = wanted.format.or(self.format).unwrap_or(ImageFormat::Png);
        if wanted.format.or(self.format).is_none() && !self.path.as_os_str().is_empty() {
            notes.push("the result is a PNG, because JPEG XL is read but not written".into());
        }
        let plainly = |format: ImageFormat, notes: &mut Vec<String>| {
            let about = if format == ImageFormat::Jpeg { marked(about, notes) } else { Cow::Borrowed(about) };
            encode(&self.pixels, &about, format, notes).map_err(|error| error.to_string())
        };
        if let Some(oversize) = oversize((self.width(), self.height()), format) {
            if wanted.format.is_some() {
                return (format, Err(format!("it is {oversize}")));
            }
            notes.push(format!("the result is a PNG, because it is {oversize}"));
            return (ImageFormat::Png, plainly(ImageFormat::Png, notes));
        }
        let Some(origin) = self.origin.as_ref().filter(|_| format == ImageFormat::Jpeg) else {
            return (format, plainly(format, notes));
        };
        let pieces = Pieces { pixels: &self.pixels, about, origin, mask, strip: wanted.strip };
        match (pieces.with_kept_blocks(notes), wanted.format) {
            (Ok(bytes), _) => (format, Ok(bytes)),
            (Err(why), None) => {
                notes.push(not_a_jpeg(&why));
                (ImageFormat::Png, plainly(ImageFormat::Png, notes))
            }
            (Err(why), Some(_)) => {
                notes.push(format!("all of the JPEG is encoded anew: {why}"));
                (format, pieces.with_its_tables(notes).or_else(|_| plainly(format, notes)))
            }
        }
    }
}

/// What a completed JPEG is put together from.
struct Pieces<'a> {
    pixels: &'a DynamicImage,
    about: &'a About,
    origin: &'a Origin,
    mask: &'a Mask,
    strip: Strip,
}

impl Pieces<'_> {
    fn with_kept_blocks(&self, notes: &mut Vec<String>) -> Result<Vec<u8>, JpegError> {
        let source = jpeg::turn(jpeg::decode(&self.origin.bytes)?, self.origin.orientation)?;
        self.spliced(&source, Some(self.origin.at), notes)
    }

    /// Everything encoded anew, but as the source was.
    fn with_its_tables(&self, notes: &mut Vec<String>) -> Result<Vec<u8>, JpegError> {
        self.spliced(&jpeg::decode(&self.origin.bytes)?, None, notes)
    }

    fn spliced(&self, source: &Jpeg, at: Option<(i64, i64)>, notes: &mut Vec<String>) -> Result<Vec<u8>, JpegError> {
        let mut result = splice(&Placed { source, at, pixels: self.pixels, mask: self.mask })?;
        result.segments = segments(&marked(self.about, notes), &source.segments, self.strip, notes);
        Ok(jpeg::encode(&result))
    }
}

/// What is said in a JPEG, where an XMP packet that is too long for a segment must not take the mark of generated parts with it.
fn marked<'a>(about: &'a About, notes: &mut Vec<String>) -> Cow<'a, About> {
    let Some(packet) = about.xmp.as_deref().filter(|packet| !holds_xmp(packet)) else { return Cow::Borrowed(about) };
    let shorter = Some(without_padding(packet)).filter(|packet| holds_xmp(packet));
    let xmp = shorter.unwrap_or_else(|| {
        notes.push(
            "the XMP packet is too long for a JPEG; of it only the mark that parts of the picture are generated is kept".into(),
        );
        new_xmp()
    });
    Cow::Owned(About { xmp: Some(xmp), ..about.clone() })
}

fn not_a_jpeg(why: &JpegError) -> String {
    format!(
        "the result is a PNG, because as a JPEG it would have to be encoded anew, which changes the known pixels: {why}; \
         name the format jpeg to have one anyway"
    )
}
