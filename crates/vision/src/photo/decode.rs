//! From a file's bytes to upright pixels, with the checks that come before decoding.

use super::{MAX_MEGAPIXELS, Origin, Photo, PhotoError};
use crate::save::photoshop;
use crate::{colour, jpeg, metadata};
use image::codecs::tiff::TiffDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::io::{Cursor, Error, ErrorKind};
use std::path::Path;

/// Larger files are not read into memory: 200 megapixels of 16-bit RGBA, uncompressed, are 1.6 GB.
const MAX_FILE_BYTES: u64 = 2 << 30;

/// What a decoder may allocate beside the pixels themselves (profiles, text, tiles): stops bombs in side chunks.
const MAX_SIDE_BYTES: u64 = 512 << 20;

/// The formats that are read; others that the `image` crate recognises are refused by name.
const READABLE: [ImageFormat; 5] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp];

/// The file's content, refused where it is too long to be a photo.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, PhotoError> {
    let fail = |source| PhotoError::Read { path: path.to_owned(), source };
    let about = std::fs::metadata(path).map_err(fail)?;
    if about.is_dir() {
        return Err(fail(Error::new(ErrorKind::IsADirectory, "it is a folder")));
    }
    if about.len() > MAX_FILE_BYTES {
        return Err(fail(Error::new(ErrorKind::FileTooLarge, "it is longer than 2 GiB")));
    }
    std::fs::read(path).map_err(fail)
}

/// Decodes `bytes` to an upright photo that calls itself `path`.
pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<Photo, PhotoError> {
    let format = recognise(bytes, path)?;
    let broken = |reason: String| PhotoError::Broken { path: path.to_owned(), format, reason };
    if format == ImageFormat::Jpeg && !jpeg_reaches_its_end(bytes) {
        return Err(broken("the file is cut short".into()));
    }
    let mut decoder = open_decoder(bytes, format).map_err(|error| broken(explain(&error)))?;
    check_size(decoder.dimensions(), path)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let icc = if format == ImageFormat::Tiff { tiff_profile(bytes) } else { decoder.icc_profile().ok().flatten() };
    let exif = match format {
        ImageFormat::Tiff => metadata::described_by(bytes),
        _ => decoder.exif_metadata().ok().flatten(),
    };
    let xmp = match format {
        ImageFormat::Tiff => metadata::xmp_in(bytes),
        _ => decoder.xmp_metadata().ok().flatten(),
    };
    let iptc = match format {
        ImageFormat::Jpeg => photoshop(&jpeg::segments(bytes)),
        ImageFormat::Tiff => metadata::photoshop_in(bytes),
        ImageFormat::Png => decoder.iptc_metadata().ok().flatten().and_then(|text| metadata::from_png_text(&text)),
        _ => None,
    };
    let mut doubts = exif.as_ref().map_or_else(Vec::new, |exif| metadata::doubts(exif, decoder.dimensions()));
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(|error| broken(explain(&error)))?;
    pixels.apply_orientation(orientation);
    let icc = icc.filter(|profile| describes(profile, &pixels)).filter(|profile| {
        let defect = colour::defect(profile);
        doubts.extend(defect.iter().map(|defect| format!("its colour profile is broken ({defect}); sRGB is used")));
        defect.is_none()
    });
    let origin = (format == ImageFormat::Jpeg).then(|| Origin { bytes: bytes.into(), orientation, at: (0, 0) });
    let (format, exif, path) = (Some(format), exif.map(upright_exif), path.to_owned());
    let doubts = doubts.into_iter().map(|doubt| format!("{}: {doubt}", path.display())).collect();
    Ok(Photo { pixels, path, format, icc, exif, xmp, iptc, origin, doubts })
}

fn recognise(bytes: &[u8], path: &Path) -> Result<ImageFormat, PhotoError> {
    let refuse = |found: String| Err(PhotoError::NotAPicture { path: path.to_owned(), found });
    match image::guess_format(bytes) {
        Ok(format) if READABLE.contains(&format) => Ok(format),
        Ok(other) => refuse(format!("a picture in the format {other:?}")),
        Err(_) if bytes.is_empty() => refuse("empty".into()),
        Err(_) => refuse("not a picture".into()),
    }
}

fn open_decoder<'a>(bytes: &'a [u8], format: ImageFormat) -> Result<impl ImageDecoder + 'a, ImageError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_MEGAPIXELS * 1_000_000 * 8 + MAX_SIDE_BYTES);
    reader.limits(limits);
    reader.into_decoder()
}

/// `image` 0.25 lets a TIFF's profile be no larger than its pixels once limits are set, so it is read without them (the
/// decoder's own apply).
fn tiff_profile(bytes: &[u8]) -> Option<Vec<u8>> {
    TiffDecoder::new(Cursor::new(bytes)).ok()?.icc_profile().ok().flatten()
}

fn check_size((width, height): (u32, u32), path: &Path) -> Result<(), PhotoError> {
    if u64::from(width) * u64::from(height) > MAX_MEGAPIXELS * 1_000_000 {
        return Err(PhotoError::TooLarge { path: path.to_owned(), width, height });
    }
    Ok(())
}

fn explain(error: &ImageError) -> String {
    match error {
        ImageError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => "the file is cut short".into(),
        other => other.to_string(),
    }
}

fn upright_exif(mut exif: Vec<u8>) -> Vec<u8> {
    let _ = Orientation::remove_from_exif_chunk(&mut exif);
    exif
}

/// Whether the profile's data colour space (ICC.1:2022, header bytes 16 to 19) is that of the decoded pixels.
pub(crate) fn describes(profile: &[u8], pixels: &DynamicImage) -> bool {
    let wanted: &[u8] = if pixels.color().has_color() { b"RGB " } else { b"GRAY" };
    profile.get(16..20) == Some(wanted)
}

/// Whether the end-of-image marker (ITU-T T.81, B.1.1) is reached. Decoders paint what is missing grey and say nothing.
fn jpeg_reaches_its_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[byte, code]) = bytes.get(at..at + 2) {
        at += match (byte, code) {
            (0xFF, 0xD9) => return true,
            (0xFF, 0x00 | 0x01 | 0xD0..=0xD8) => 2,
            (0xFF, 0x02..=0xFE) => 2 + segment_length(bytes, at + 2),
            _ => 1,
        };
    }
    false
}

fn segment_length(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 2).map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]])))
}
