//! From a file's bytes to upright pixels, with the checks that come before decoding.

use super::alpha::divide_by_alpha;
use super::{MAX_MEGAPIXELS, Origin, Photo, PhotoError, jpeg_xl};
use crate::save::{EXIF_NAME, photoshop};
use crate::{avif, colour, jpeg, metadata};
use image::codecs::tiff::TiffDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::borrow::Cow;
use std::io::{Cursor, Error, ErrorKind};
use std::path::Path;

/// Larger files are not read into memory: 200 megapixels of 16-bit RGBA, uncompressed, are 1.6 GB.
const MAX_FILE_BYTES: u64 = 2 << 30;

/// What a decoder may allocate beside the pixels themselves (profiles, text, tiles): stops bombs in side chunks.
pub(super) const MAX_SIDE_BYTES: u64 = 512 << 20;

/// The formats that are read; others that the `image` crate recognises are refused by name.
const READABLE: [ImageFormat; 6] =
    [ImageFormat::Avif, ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp];

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

/// What a file's content is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Known(ImageFormat),
    JpegXl,
}

/// The size in pixels that a file declares, as stored; nothing is decoded.
pub(super) fn declared_size(bytes: &[u8], path: &Path) -> Result<(u32, u32), PhotoError> {
    match recognise(bytes, path)? {
        Kind::Known(ImageFormat::Avif) => avif::size(bytes).map_err(|error| broken_avif(path, &error)),
        Kind::Known(format) => match open_decoder(bytes, format) {
            Ok(decoder) => Ok(decoder.dimensions()),
            Err(error) => Err(broken(path, format!("{format:?}"), explain(&error))),
        },
        Kind::JpegXl => jpeg_xl::declared_size(bytes, path),
    }
}

/// What a file holds, as stored.
pub(super) struct Content {
    pub(super) pixels: DynamicImage,
    pub(super) stored_size: (u32, u32),
    pub(super) orientation: Orientation,
    pub(super) icc: Option<Vec<u8>>,
    pub(super) exif: Option<Vec<u8>>,
    pub(super) xmp: Option<Vec<u8>>,
    pub(super) iptc: Option<Vec<u8>>,
    /// Whether it has another picture that makes of this one an HDR picture.
    pub(super) has_gain_map: bool,
}

/// Decodes `bytes` to an upright photo that calls itself `path`.
pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<Photo, PhotoError> {
    let kind = recognise(bytes, path)?;
    let content = match kind {
        Kind::Known(ImageFormat::Avif) => of_avif(bytes, path)?,
        Kind::Known(format) => of_known(bytes, format, path)?,
        Kind::JpegXl => jpeg_xl::content(bytes, path)?,
    };
    let Content { mut pixels, stored_size, orientation, icc, exif, xmp, iptc, has_gain_map } = content;
    let mut doubts = exif.as_ref().map_or_else(Vec::new, |exif| metadata::doubts(exif, stored_size));
    pixels.apply_orientation(orientation);
    let icc = icc.filter(|profile| describes(profile, &pixels)).filter(|profile| {
        let defect = colour::defect(profile);
        doubts.extend(defect.iter().map(|defect| format!("its colour profile is broken ({defect}); sRGB is used")));
        defect.is_none()
    });
    let (format, is_jpeg) = match kind {
        Kind::Known(format) => (Some(format), format == ImageFormat::Jpeg),
        Kind::JpegXl => (None, false),
    };
    if is_animated(bytes, format) {
        doubts.push("it is an animation; only its first picture is used".into());
    }
    if has_gain_map {
        doubts.push("it has an HDR gain map; only its main picture is used".into());
    }
    let png_chunks = if format == Some(ImageFormat::Png) { metadata::shown_by(bytes) } else { None };
    let origin = is_jpeg.then(|| Origin { bytes: bytes.into(), orientation, at: (0, 0) });
    let (exif, path) = (exif.map(upright_exif), path.to_owned());
    let doubts = doubts.into_iter().map(|doubt| format!("{}: {doubt}", path.display())).collect();
    let is_reframed = orientation != Orientation::NoTransforms;
    Ok(Photo { pixels, path, format, icc, exif, xmp, iptc, png_chunks, origin, is_reframed, doubts })
}

/// Whether a file shows more pictures than the one that is read.
fn is_animated(bytes: &[u8], format: Option<ImageFormat>) -> bool {
    match format {
        Some(ImageFormat::WebP) => chunks_of_webp(bytes).filter(|name| *name == b"ANMF").nth(1).is_some(),
        Some(ImageFormat::Png) => metadata::is_animated(bytes),
        _ => false,
    }
}

/// The names of a WebP's chunks (RFC 9649, 2.3 and 2.4), up to one that is cut short.
fn chunks_of_webp(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (head, behind) = rest.split_at_checked(8)?;
        let length = u32::from_le_bytes(head[4..].try_into().ok()?) as usize;
        rest = behind.get(length.checked_next_multiple_of(2)?..).unwrap_or_default();
        Some(&head[..4])
    })
}

fn of_known(bytes: &[u8], format: ImageFormat, path: &Path) -> Result<Content, PhotoError> {
    let broken = |reason: String| broken(path, format!("{format:?}"), reason);
    // Decoders paint what is missing grey and say nothing.
    if format == ImageFormat::Jpeg && jpeg::behind(bytes).is_none() {
        return Err(broken("the file is cut short".into()));
    }
    let arranged = if format == ImageFormat::Png { metadata::texts_first(bytes) } else { Cow::Borrowed(bytes) };
    let decoder = open_decoder(&arranged, format).or_else(|_| open_decoder(bytes, format));
    let mut decoder = decoder.map_err(|error| broken(explain(&error)))?;
    check_size(decoder.dimensions(), path)?;
    let has_colour = decoder.color_type().has_color();
    let icc = match format {
        ImageFormat::Tiff => tiff_profile(bytes),
        ImageFormat::Png if has_colour => coded_profile(bytes, decoder.icc_profile().ok().flatten()),
        _ => decoder.icc_profile().ok().flatten(),
    };
    let mut exif = match format {
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
    let (stored_size, mut orientation) = (decoder.dimensions(), decoder.orientation().ok());
    // Some programs write the block as it stands in a JPEG. The decoder makes nothing of that.
    if let Some(block) = exif.as_deref().and_then(|block| block.strip_prefix(EXIF_NAME)) {
        orientation = Orientation::from_exif_chunk(block);
        exif = Some(block.to_vec());
    }
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(|error| broken(explain(&error)))?;
    if format == ImageFormat::Tiff && pixels.color().has_alpha() && metadata::is_premultiplied(bytes) {
        divide_by_alpha(&mut pixels);
    }
    Ok(Content { pixels, stored_size, orientation, icc, exif, xmp, iptc, has_gain_map: false })
}

/// The profile of a PNG in colour: that of its code, which counts before the profile that stands beside it, where it is one (PNG,
/// third edition, 4.3).
fn coded_profile(bytes: &[u8], own: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match metadata::shown_by(bytes).as_deref().and_then(metadata::colour_code) {
        Some(code) if avif::is_srgb_code(code) => None,
        Some(code) => avif::profile_of_code(code).or(own),
        None => own,
    }
}

/// The container says how the picture is to be turned; what EXIF says of that does not count (ISO/IEC 23000-22, 7.3.6.7).
fn of_avif(bytes: &[u8], path: &Path) -> Result<Content, PhotoError> {
    let stored_size = declared_size(bytes, path)?;
    check_size(stored_size, path)?;
    let decoded = avif::decode(bytes).map_err(|error| broken_avif(path, &error))?;
    let avif::Avif { pixels, orientation, icc, exif, xmp, has_gain_map } = decoded;
    Ok(Content { pixels, stored_size, orientation, icc, exif, xmp, iptc: None, has_gain_map })
}

pub(super) fn broken(path: &Path, format: String, reason: String) -> PhotoError {
    PhotoError::Broken { path: path.to_owned(), format, reason }
}

fn broken_avif(path: &Path, error: &avif::AvifError) -> PhotoError {
    broken(path, "AVIF".into(), error.to_string())
}

fn recognise(bytes: &[u8], path: &Path) -> Result<Kind, PhotoError> {
    let refuse = |found: String| Err(PhotoError::NotAPicture { path: path.to_owned(), found });
    if jpeg_xl::recognised(bytes) {
        return Ok(Kind::JpegXl);
    }
    match brands(bytes) {
        Some(Brands::Avif) => return Ok(Kind::Known(ImageFormat::Avif)),
        Some(Brands::Heic) => return refuse(HEIC.into()),
        None => {}
    }
    match image::guess_format(bytes) {
        Ok(format) if READABLE.contains(&format) => Ok(Kind::Known(format)),
        Ok(other) => refuse(format!("a picture in the format {other:?}")),
        Err(_) if bytes.is_empty() => refuse("empty".into()),
        Err(_) if BIG_TIFF.iter().any(|start| bytes.starts_with(*start)) => refuse("a BigTIFF picture".into()),
        Err(_) => refuse("not a picture".into()),
    }
}

const HEIC: &str = "a HEIC picture, whose compression is patented and not built in; convert it first, with \
    `heif-convert photo.heic photo.png`, `magick photo.heic photo.png`, or by exporting it as JPEG";

/// How TIFF files with places of 8 bytes begin.
const BIG_TIFF: [&[u8; 4]; 2] = [b"II+\0", b"MM\0+"];

enum Brands {
    Avif,
    Heic,
}

/// What kind of ISO base media file it is (AV1 image file format, 6; ISO/IEC 23008-12, annex B).
fn brands(bytes: &[u8]) -> Option<Brands> {
    let content = avif::box_content(bytes, b"ftyp").filter(|_| bytes.get(4..8) == Some(b"ftyp"))?;
    let mut brands = content.chunks_exact(4);
    let any = |wanted: &[&[u8]]| brands.clone().any(|brand| wanted.contains(&brand));
    if any(&[b"avif", b"avis"]) {
        return Some(Brands::Avif);
    }
    let is_heic = any(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"]) || brands.next() == Some(b"mif1");
    is_heic.then_some(Brands::Heic)
}

fn open_decoder<'a>(bytes: &'a [u8], format: ImageFormat) -> Result<impl ImageDecoder + 'a, ImageError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits());
    reader.into_decoder()
}

pub(super) fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_MEGAPIXELS * 1_000_000 * 8 + MAX_SIDE_BYTES);
    limits
}

/// `image` 0.25 lets a TIFF's profile be no larger than its pixels once limits are set, so it is read without them (the
/// decoder's own apply).
fn tiff_profile(bytes: &[u8]) -> Option<Vec<u8>> {
    TiffDecoder::new(Cursor::new(bytes)).ok()?.icc_profile().ok().flatten()
}

pub(super) fn check_size((width, height): (u32, u32), path: &Path) -> Result<(), PhotoError> {
    if u64::from(width) * u64::from(height) > MAX_MEGAPIXELS * 1_000_000 {
        return Err(PhotoError::TooLarge { path: path.to_owned(), width, height });
    }
    Ok(())
}

pub(super) fn explain(error: &ImageError) -> String {
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
