//! JPEG XL (ISO/IEC 18181), to read.

use super::PhotoError;
use super::decode::{Content, MAX_SIDE_BYTES, broken, check_size, explain, limits};
use crate::{avif, colour};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageDecoderRect, ImageError, ImageResult, Limits};
use jxl_oxide::integration::JxlDecoder;
use jxl_oxide::{AuxBoxData, JxlImage};
use std::io::{Cursor, ErrorKind};
use std::path::Path;

/// Pixels that are decoded at a time: all of a 100-megapixel photo at once would take 27 bytes for each.
const STRIP_PIXELS: u32 = 24 << 20;

/// Strips begin where groups of blocks may, so that few are decoded for two of them.
const GROUP_ROWS: u32 = 256;

/// What the decoder may take for each declared pixel, whatever the layers inside say of their sizes: over twice what a picture of
/// one layer was seen to take at once.
const BYTES_PER_PIXEL: u64 = 64;

pub(super) fn recognised(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0x0A]) || bytes.starts_with(b"\0\0\0\x0CJXL \x0D\x0A\x87\x0A")
}

/// The size in pixels that the file declares.
pub(super) fn declared_size(bytes: &[u8], path: &Path) -> Result<(u32, u32), PhotoError> {
    Ok(open(bytes, path)?.dimensions())
}

/// The decoder turns the picture as the file says; what EXIF says of that does not count (ISO/IEC 18181-2, B.6).
pub(super) fn content(bytes: &[u8], path: &Path) -> Result<Content, PhotoError> {
    let broken = |error: ImageError| broken_file(path, &error);
    let mut decoder = open(bytes, path)?;
    let stored_size = decoder.dimensions();
    check_size(stored_size, path)?;
    decoder.set_limits(limits_for(stored_size)).map_err(broken)?;
    let whole = whole(bytes).ok_or_else(|| broken(ImageError::IoError(ErrorKind::UnexpectedEof.into())))?;
    let icc = decoder.icc_profile().ok().flatten().filter(|icc| !colour::is_srgb(icc));
    let exif = decoder.exif_metadata().ok().flatten().filter(|block| !block.is_empty());
    let xmp = xmp_in(bytes, &whole);
    drop(whole);
    let rows = (STRIP_PIXELS / stored_size.0 / GROUP_ROWS * GROUP_ROWS).max(GROUP_ROWS);
    let pixels = DynamicImage::from_decoder(Strips { decoder, rows }).map_err(broken)?;
    let orientation = Orientation::NoTransforms;
    let has_gain_map = avif::box_content(bytes, b"jhgm").is_some();
    Ok(Content { pixels, stored_size, orientation, icc, exif, xmp, iptc: None, has_gain_map })
}

fn open<'a>(bytes: &'a [u8], path: &Path) -> Result<JxlDecoder<Cursor<&'a [u8]>>, PhotoError> {
    JxlDecoder::new(Cursor::new(bytes)).map_err(|error| broken_file(path, &error))
}

fn broken_file(path: &Path, error: &ImageError) -> PhotoError {
    broken(path, "JPEG XL".into(), explain(error))
}

fn limits_for((width, height): (u32, u32)) -> Limits {
    let wanted = BYTES_PER_PIXEL * u64::from(width) * u64::from(height) + MAX_SIDE_BYTES;
    let mut limits = limits();
    limits.max_alloc = limits.max_alloc.map(|most| most.min(wanted));
    limits
}

/// The file taken apart, where every part of every frame is there. The decoder paints what is missing and says nothing.
fn whole(bytes: &[u8]) -> Option<JxlImage> {
    JxlImage::builder().read(Cursor::new(bytes)).ok().filter(JxlImage::is_loading_done)
}

/// The XMP packet, which may be compressed. What stands behind the picture is not taken apart; of that the plain one is found.
fn xmp_in(bytes: &[u8], image: &JxlImage) -> Option<Vec<u8>> {
    match image.aux_boxes().first_xml() {
        AuxBoxData::Data(xmp) => Some(xmp.to_vec()),
        _ => avif::box_content(bytes, b"xml ").map(<[u8]>::to_vec),
    }
}

/// A decoder that gives some rows at a time. The pixels are the same; the memory is not.
struct Strips<D> {
    decoder: D,
    rows: u32,
}

impl<D: ImageDecoderRect> ImageDecoder for Strips<D> {
    fn dimensions(&self) -> (u32, u32) {
        self.decoder.dimensions()
    }

    fn color_type(&self) -> ColorType {
        self.decoder.color_type()
    }

    fn read_image(mut self, buffer: &mut [u8]) -> ImageResult<()> {
        let (width, height) = self.dimensions();
        let pitch = width as usize * usize::from(self.color_type().bytes_per_pixel());
        let strips = buffer.chunks_mut((self.rows as usize * pitch).max(1));
        for (strip, top) in strips.zip((0..height).step_by(self.rows as usize)) {
            self.decoder.read_rect(0, top, width, self.rows.min(height - top), strip, pitch)?;
        }
        Ok(())
    }

    fn read_image_boxed(self: Box<Self>, buffer: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_are_the_whole_picture_to_the_bit() {
        let samples: [&[u8]; 3] = [
            include_bytes!("samples/lossless.jxl"),
            include_bytes!("samples/lossy.jxl"),
            include_bytes!("samples/alpha.jxl"),
        ];
        for bytes in samples {
            let decoder = || open(bytes, Path::new("sample")).unwrap();
            let whole = DynamicImage::from_decoder(decoder()).unwrap();
            for rows in [1, 8, 13, 256] {
                assert_eq!(DynamicImage::from_decoder(Strips { decoder: decoder(), rows }).unwrap(), whole, "{rows}");
            }
        }
    }

    #[test]
    fn the_memory_allowed_follows_the_declared_size() {
        let allowed = |size| limits_for(size).max_alloc.unwrap();
        assert!(allowed((1000, 1000)) < 600 << 20);
        assert_eq!(allowed((20_000, 10_000)), limits().max_alloc.unwrap());
        let bytes = include_bytes!("samples/lossless.jxl");
        let mut decoder = open(bytes, Path::new("sample")).unwrap();
        let mut few = Limits::no_limits();
        few.max_alloc = Some(2000);
        decoder.set_limits(few).unwrap();
        assert!(DynamicImage::from_decoder(Strips { decoder, rows: 256 }).is_err(), "limits count");
    }
}
