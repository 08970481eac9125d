//! From a photo to a file's bytes.

use crate::Photo;
use crate::photo::describes;
use image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, png::PngEncoder, tiff::TiffEncoder, webp::WebPEncoder};
use image::{ColorType, DynamicImage, ImageEncoder, ImageFormat, ImageResult};
use std::io::Cursor;

/// The formats that are written.
pub(super) const WRITABLE: [ImageFormat; 5] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp];

/// High enough that an eye sees no loss; what cameras call "fine".
const JPEG_QUALITY: u8 = 95;

/// The longest EXIF block that fits into a JPEG segment beside its length and prefix.
const MAX_JPEG_EXIF: usize = 65_533 - 6;

pub(super) fn encode(photo: &Photo, format: ImageFormat) -> ImageResult<Vec<u8>> {
    let pixels = fitting(&photo.pixels, format);
    let mut bytes = Vec::new();
    match format {
        ImageFormat::Jpeg => write(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY), photo, &pixels, format),
        ImageFormat::WebP => write(WebPEncoder::new_lossless(&mut bytes), photo, &pixels, format),
        ImageFormat::Bmp => write(BmpEncoder::new(&mut bytes), photo, &pixels, format),
        ImageFormat::Tiff => write(TiffEncoder::new(Cursor::new(&mut bytes)), photo, &pixels, format),
        _ => write(PngEncoder::new(&mut bytes), photo, &pixels, format),
    }?;
    Ok(bytes)
}

/// Profile and EXIF go along where the encoder takes them; those that do not say so, and the picture is written without.
fn write(mut encoder: impl ImageEncoder, photo: &Photo, pixels: &DynamicImage, format: ImageFormat) -> ImageResult<()> {
    if let Some(icc) = photo.icc.as_ref().filter(|icc| describes(icc, pixels)) {
        let _ = encoder.set_icc_profile(icc.clone());
    }
    let fits = |exif: &&Vec<u8>| format != ImageFormat::Jpeg || exif.len() <= MAX_JPEG_EXIF;
    if let Some(exif) = photo.exif.as_ref().filter(fits) {
        let _ = encoder.set_exif_metadata(exif.clone());
    }
    encoder.write_image(pixels.as_bytes(), pixels.width(), pixels.height(), pixels.color().into())
}

/// The pixels in the nearest colour type that the format holds.
fn fitting(pixels: &DynamicImage, format: ImageFormat) -> DynamicImage {
    use ColorType::*;
    match (format, pixels.color()) {
        (ImageFormat::Jpeg, L8 | Rgb8) => pixels.clone(),
        (ImageFormat::Jpeg, L16 | La8 | La16) => pixels.to_luma8().into(),
        (ImageFormat::Jpeg, _) => pixels.to_rgb8().into(),
        (ImageFormat::WebP | ImageFormat::Bmp, L16) => pixels.to_luma8().into(),
        (ImageFormat::WebP | ImageFormat::Bmp, La16) => pixels.to_luma_alpha8().into(),
        (ImageFormat::WebP | ImageFormat::Bmp, Rgb16 | Rgb32F) => pixels.to_rgb8().into(),
        (ImageFormat::WebP | ImageFormat::Bmp, Rgba16 | Rgba32F) => pixels.to_rgba8().into(),
        (ImageFormat::Tiff, La8) => pixels.to_rgba8().into(),
        (ImageFormat::Tiff, La16) => pixels.to_rgba16().into(),
        (ImageFormat::Png, Rgb32F) => pixels.to_rgb16().into(),
        (ImageFormat::Png, Rgba32F) => pixels.to_rgba16().into(),
        _ => pixels.clone(),
    }
}
