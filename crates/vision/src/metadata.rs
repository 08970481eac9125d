//! What a completed photo's file says: what the photo said about itself, with the traces of the old picture gone and
//! how it was made added.

mod chunks;
mod exif;
#[cfg(test)]
pub(crate) mod test_blocks;
#[cfg(test)]
mod tests;
mod text;
mod tiff;
mod transfer;
mod xmp;

pub(crate) use chunks::{
    INSTEAD_OF_PROFILE, colour_code, is_animated, shown_by, texts_first, without as without_chunks,
};
pub(crate) use exif::{doubts, says_adobe_rgb, without_small_picture};
pub(crate) use text::{from_png_text, png_with, without_place, without_thumbnails};
pub(crate) use transfer::{describe, described_by, is_premultiplied, photoshop_in, xmp_in};
pub(crate) use xmp::{new as new_xmp, without_padding};

use crate::{Photo, colour};
use exif::Exif;
use image::codecs::jpeg::JpegEncoder;
use std::io::Cursor;
use xmp::Without;

/// What of the metadata is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strip {
    /// Nothing.
    #[default]
    Nothing,
    /// Where the photo was taken: GPS, the names of places in IPTC and XMP, and the maker's note, which may hold them.
    Gps,
    /// Everything but the colour profile and how the picture was made.
    All,
}

/// Longest side of the small picture in the EXIF block, as the standard has it (Exif 2.32, 4.5.5).
const THUMBNAIL_PX: u32 = 160;

const THUMBNAIL_QUALITY: u8 = 80;

/// What a file says about its photo, as a [`Photo`] has it.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) icc: Option<Vec<u8>>,
    /// The profile that the EXIF block alone names. Readers look there in JPEGs only.
    pub(crate) named_icc: Option<Vec<u8>>,
    pub(crate) exif: Option<Vec<u8>>,
    pub(crate) xmp: Option<Vec<u8>>,
    pub(crate) iptc: Option<Vec<u8>>,
    pub(crate) png_chunks: Option<Vec<u8>>,
}

impl About {
    /// What the photo's own file said.
    pub(crate) fn of(photo: &Photo) -> Self {
        Self {
            icc: photo.icc.clone(),
            named_icc: colour::named_by_exif(photo),
            exif: photo.exif.clone(),
            xmp: photo.xmp.clone(),
            iptc: photo.iptc.clone(),
            png_chunks: photo.png_chunks.clone(),
        }
    }

    /// Nothing but how the pixels are to be shown. Without the EXIF block, only a profile can name its colours.
    fn stripped(self) -> Self {
        let icc = self.icc.or(self.named_icc);
        let png_chunks = self.png_chunks.map(|bytes| without_chunks(&bytes, &chunks::IN_PRINT));
        Self { icc, named_icc: None, exif: None, xmp: None, iptc: None, png_chunks }
    }
}

impl Photo {
    /// What the photo's file is to say: that it is upright, its size, the small picture made anew, and marked as a
    /// composite with generated parts (IPTC's digital source type).
    pub(crate) fn described(&self, strip: Strip, notes: &mut Vec<String>) -> About {
        let said = match strip {
            Strip::All => About::of(self).stripped(),
            _ => About::of(self),
        };
        let exif = said.exif.and_then(|block| {
            let edited = self.edited_exif(block, strip, notes);
            if edited.is_none() {
                notes.push("the EXIF block is damaged and left out".into());
            }
            edited
        });
        let without = Without { place: strip == Strip::Gps, regions: self.is_reframed };
        let xmp = xmp::marked(said.xmp.as_deref(), without).unwrap_or_else(|| {
            notes.push("the XMP packet is damaged and left out".into());
            xmp::new()
        });
        let iptc = said.iptc.map(|block| match strip {
            Strip::Gps => without_place(&without_thumbnails(&block)),
            _ => without_thumbnails(&block),
        });
        About { exif, xmp: Some(xmp), iptc, ..said }
    }

    fn edited_exif(&self, block: Vec<u8>, strip: Strip, notes: &mut Vec<String>) -> Option<Vec<u8>> {
        let mut exif = Exif::read(block)?;
        exif.set_upright(self.width(), self.height());
        if strip == Strip::Gps && exif.strip_gps() {
            notes.push("the maker's note, which may name the place, is left out".into());
        }
        if exif.wipe_previews() {
            notes.push("the small picture in the maker's note is left out, since it shows the old picture".into());
        }
        if exif.has_thumbnail() {
            exif.replace_thumbnail(&self.thumbnail());
        }
        Some(exif.into_bytes())
    }

    /// A small JPEG of the picture.
    fn thumbnail(&self) -> Vec<u8> {
        let small = self.pixels.thumbnail(THUMBNAIL_PX, THUMBNAIL_PX).to_rgb8();
        let mut bytes = Cursor::new(Vec::new());
        let encoded = small.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, THUMBNAIL_QUALITY));
        encoded.map(|()| bytes.into_inner()).unwrap_or_default()
    }
}
