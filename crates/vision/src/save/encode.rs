//! From a photo to a file's bytes.

use super::segments::segments;
use crate::avif::{self, Description};
use crate::metadata::{self, About, Strip};
use crate::photo::describes;
use crate::{Mask, Photo, jpeg};
use image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, png::PngEncoder, tiff::TiffEncoder};
use image::error::EncodingError;
use image::{ColorType, DynamicImage, ImageEncoder, ImageError, ImageFormat, ImageResult};
use image_webp::WebPEncoder;
use std::borrow::Cow;
use std::io::Cursor;

/// The formats that are written.
pub(super) const WRITABLE: [ImageFormat; 6] =
    [ImageFormat::Avif, ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp];

/// High enough that an eye sees no loss; what cameras call "fine".
const JPEG_QUALITY: u8 = 95;

/// A file of pixels and what is said about them. What the format has no place for is left out and told in `notes`.
pub(super) fn encode(
    pixels: &DynamicImage,
    about: &About,
    format: ImageFormat,
    notes: &mut Vec<String>,
) -> ImageResult<Vec<u8>> {
    let fitted = fitting(pixels, format);
    let pixels: &DynamicImage = &fitted;
    let named = about.named_icc.as_ref().filter(|_| format != ImageFormat::Jpeg);
    let icc = about.icc.as_ref().or(named).filter(|icc| describes(icc, pixels)).cloned();
    let mut bytes = Vec::new();
    match format {
        ImageFormat::Jpeg => {
            write(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY), None, None, pixels)?;
            let segments = segments(&About { icc, ..about.clone() }, &[], Strip::Nothing, notes);
            return Ok(jpeg::with_segments(&bytes, &segments));
        }
        ImageFormat::WebP => write_webp(&mut bytes, about, icc, pixels)?,
        ImageFormat::Avif => bytes = avif_of(about, icc.as_deref(), pixels, notes)?,
        ImageFormat::Bmp => write(BmpEncoder::new(&mut bytes), None, None, pixels)?,
        ImageFormat::Tiff => {
            write(TiffEncoder::new(Cursor::new(&mut bytes)), icc, None, pixels)?;
            let (exif, xmp) = (about.exif.as_deref(), about.xmp.as_deref());
            return Ok(metadata::describe(bytes, exif, xmp, about.iptc.as_deref(), pixels.color().has_alpha()));
        }
        _ => {
            let beside: &[&[u8; 4]] = if icc.is_some() { &metadata::INSTEAD_OF_PROFILE } else { &[] };
            let chunks = metadata::without_chunks(about.png_chunks.as_deref().unwrap_or_default(), beside);
            write(PngEncoder::new(&mut bytes), icc, about.exif.clone(), pixels)?;
            return Ok(metadata::png_with(&bytes, &chunks, about.xmp.as_deref(), about.iptc.as_deref()));
        }
    }
    tell_left_out(about, format, notes);
    Ok(bytes)
}

/// WebP and AVIF have no place for the IPTC record, and BMP none for anything.
fn tell_left_out(about: &About, format: ImageFormat, notes: &mut Vec<String>) {
    let bmp = format == ImageFormat::Bmp;
    let parts = [
        ("profile", bmp && about.icc.as_ref().or(about.named_icc.as_ref()).is_some()),
        ("EXIF", bmp && about.exif.is_some()),
        ("XMP", bmp && about.xmp.is_some()),
        ("IPTC", about.iptc.is_some()),
    ];
    let lost: Vec<&str> = parts.into_iter().filter(|(_, lost)| *lost).map(|(name, _)| name).collect();
    if !lost.is_empty() {
        notes.push(format!("{} left out: a {format:?} has no place for it", lost.join(", ")));
    }
}

fn write(
    mut encoder: impl ImageEncoder,
    icc: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
    pixels: &DynamicImage,
) -> ImageResult<()> {
    if let Some(icc) = icc {
        encoder.set_icc_profile(icc).map_err(ImageError::Unsupported)?;
    }
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).map_err(ImageError::Unsupported)?;
    }
    encoder.write_image(pixels.as_bytes(), pixels.width(), pixels.height(), pixels.color().into())
}

fn write_webp(bytes: &mut Vec<u8>, about: &About, icc: Option<Vec<u8>>, pixels: &DynamicImage) -> ImageResult<()> {
    let mut encoder = WebPEncoder::new(bytes);
    icc.into_iter().for_each(|icc| encoder.set_icc_profile(icc));
    about.exif.iter().for_each(|exif| encoder.set_exif_metadata(exif.clone()));
    about.xmp.iter().for_each(|xmp| encoder.set_xmp_metadata(xmp.clone()));
    let colour = match pixels.color() {
        ColorType::L8 => image_webp::ColorType::L8,
        ColorType::La8 => image_webp::ColorType::La8,
        ColorType::Rgba8 => image_webp::ColorType::Rgba8,
        _ => image_webp::ColorType::Rgb8,
    };
    encoder
        .encode(pixels.as_bytes(), pixels.width(), pixels.height(), colour)
        .map_err(|error| ImageError::Encoding(EncodingError::new(ImageFormat::WebP.into(), error)))
}

fn avif_of(about: &About, icc: Option<&[u8]>, pixels: &DynamicImage, notes: &mut Vec<String>) -> ImageResult<Vec<u8>> {
    let description = Description { icc, exif: about.exif.as_deref(), xmp: about.xmp.as_deref() };
    let encoded = avif::encode(pixels, &description)
        .map_err(|error| ImageError::Encoding(EncodingError::new(ImageFormat::Avif.into(), error)))?;
    if !encoded.exact {
        notes.push("some pixels of the AVIF differ by a step or two of 10 bits from the photo's; as a PNG or TIFF all are kept".into());
    }
    Ok(encoded.bytes)
}

/// The most pixels that a side of a picture has in a format: WebP's by RFC 9649, 3.4, JPEG's by ITU-T T.81, B.2.2, AVIF's by its
/// encoder.
pub fn largest_side(format: ImageFormat) -> u32 {
    match format {
        ImageFormat::WebP => 1 << 14,
        ImageFormat::Jpeg | ImageFormat::Avif => u16::MAX.into(),
        _ => i32::MAX as u32,
    }
}

/// A size that the format cannot hold, in words: "16385×1, and a WebP has at most 16384 pixels a side".
pub fn oversize((width, height): (u32, u32), format: ImageFormat) -> Option<String> {
    let most = largest_side(format);
    let words = || format!("{width}×{height}, and a {format:?} has at most {most} pixels a side");
    (width.max(height) > most).then(words)
}

/// What of a photo's known pixels the format cannot hold, in words: "alpha", "16 bits a channel".
pub fn losses(photo: &Photo, mask: &Mask, format: ImageFormat) -> Vec<&'static str> {
    let (before, after) = (photo.pixels.color(), nearest(photo.pixels.color(), format));
    let bits = |colour: ColorType| colour.bits_per_pixel() / u16::from(colour.channel_count());
    let alpha = before.has_alpha() && !after.has_alpha() && is_transparent(&photo.pixels, mask);
    // AVIF holds 12 bits, which is all of a photo that was an AVIF.
    let twelve = format == ImageFormat::Avif && photo.format != Some(format) && bits(before) > 8;
    let parts = [("alpha", alpha), ("16 bits a channel", bits(after) < bits(before) || twelve)];
    parts.into_iter().filter(|(_, lost)| *lost).map(|(name, _)| name).collect()
}

/// Whether a known pixel is: the hole becomes opaque.
fn is_transparent(pixels: &DynamicImage, mask: &Mask) -> bool {
    pixels.to_luma_alpha16().pixels().zip(mask.holes()).any(|(pixel, hole)| !hole && pixel.0[1] < u16::MAX)
}

/// The nearest colour type that the format holds.
fn nearest(colour: ColorType, format: ImageFormat) -> ColorType {
    use ColorType::*;
    match (format, colour) {
        (ImageFormat::Jpeg, L8 | L16 | La8 | La16) => L8,
        (ImageFormat::Jpeg, _) => Rgb8,
        (ImageFormat::WebP | ImageFormat::Bmp, L16) => L8,
        (ImageFormat::WebP | ImageFormat::Bmp, La16) => La8,
        (ImageFormat::WebP | ImageFormat::Bmp, Rgb16 | Rgb32F) => Rgb8,
        (ImageFormat::WebP | ImageFormat::Bmp, Rgba16 | Rgba32F) => Rgba8,
        (ImageFormat::Tiff, La8) => Rgba8,
        (ImageFormat::Tiff, La16) => Rgba16,
        (ImageFormat::Png | ImageFormat::Avif, Rgb32F) => Rgb16,
        (ImageFormat::Png | ImageFormat::Avif, Rgba32F) => Rgba16,
        (_, other) => other,
    }
}

/// The pixels in the nearest colour type that the format holds; no copy where that is their own.
pub(super) fn fitting(pixels: &DynamicImage, format: ImageFormat) -> Cow<'_, DynamicImage> {
    let converted: DynamicImage = match nearest(pixels.color(), format) {
        same if same == pixels.color() => return Cow::Borrowed(pixels),
        ColorType::L8 => pixels.to_luma8().into(),
        ColorType::La8 => pixels.to_luma_alpha8().into(),
        ColorType::Rgb16 => pixels.to_rgb16().into(),
        ColorType::Rgba16 => pixels.to_rgba16().into(),
        ColorType::Rgba8 => pixels.to_rgba8().into(),
        _ => pixels.to_rgb8().into(),
    };
    Cow::Owned(converted)
}
