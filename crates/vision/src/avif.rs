//! AVIF files (AV1 image file format 1.1): the container by our own code, AV1 by `re_rav1d` and `rav1e`, all without assembler.

mod av1;
mod boxes;
mod colours;
mod container;
mod mux;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use colours::{is_srgb_code, profile_of_code};
pub(crate) use write::{Description, encode};

use crate::photo::MAX_MEGAPIXELS;
use colours::{Colours, colours};
use container::{Container, Property};
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer};
use thiserror::Error;

/// Why an AVIF file cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AvifError {
    /// What it says cannot be so.
    #[error("{0}")]
    Broken(&'static str),
    /// Its parts lie outside of the file.
    #[error("the file is cut short")]
    CutShort,
    /// A variant that is not handled.
    #[error("{0} is not handled")]
    Unsupported(&'static str),
    /// The AV1 decoder gave up.
    #[error("its AV1 stream is damaged (dav1d's error {0})")]
    Decoder(i32),
    /// The AV1 encoder gave up.
    #[error("the AV1 encoder says: {0}")]
    Encoder(String),
}

/// Larger pictures are refused before they are decoded, and so are such parts of one.
const MOST_PIXELS: u64 = MAX_MEGAPIXELS * 1_000_000;

/// The largest photo that is read has fewer in tiles of 256×256.
const MOST_TILES: usize = 4096;

/// What tiles may have beside twice the picture, for small pictures in large tiles: 2000×2000.
const SPARE_PIXELS: u64 = MOST_PIXELS / 50;

const ABSURD: AvifError = AvifError::Broken("its size is absurd");

/// A decoded file.
pub(crate) struct Avif {
    /// 8 bits a channel, or 16 where there are more than 8; as stored.
    pub pixels: DynamicImage,
    /// How they are to be turned to be upright.
    pub orientation: Orientation,
    pub icc: Option<Vec<u8>>,
    pub exif: Option<Vec<u8>>,
    pub xmp: Option<Vec<u8>>,
    /// Whether it has another picture that makes of this one an HDR picture.
    pub has_gain_map: bool,
}

/// The content of the first box of a kind in a file of boxes, for formats that are related.
pub(crate) fn box_content<'a>(file: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes::find(file, kind)
}

/// The size that the file declares, before anything is decoded.
pub(crate) fn size(file: &[u8]) -> Result<(u32, u32), AvifError> {
    let container = Container::read(file)?;
    container.size(container.primary)
}

const MISFIT_ALPHA: AvifError = AvifError::Broken("its alpha channel does not fit");

/// Decodes the file's main picture.
pub(crate) fn decode(file: &[u8]) -> Result<Avif, AvifError> {
    let container = Container::read(file)?;
    let item = container.primary;
    if container.properties(item).any(|property| *property == Property::Cropped) {
        return Err(AvifError::Unsupported("a crop that was left to the reader (clap)"));
    }
    let main = whole(&container, item)?;
    let alpha = container.alpha_of(item);
    if alpha.map(|alpha| container.size(alpha)).transpose()?.is_some_and(|size| size != main.size) {
        return Err(MISFIT_ALPHA);
    }
    let alpha = alpha.map(|alpha| whole(&container, alpha)).transpose()?;
    if alpha.is_some() && container.is_premultiplied(item) {
        return Err(AvifError::Unsupported("colours that were multiplied by alpha"));
    }
    let icc = container.properties(item).find_map(|property| match property {
        Property::Icc(icc) => Some(icc.to_vec()),
        _ => None,
    });
    let icc = icc.or_else(|| profile_of_code(main.code));
    let exif = container.about(item, b"Exif", b"").and_then(|content| tiff(&content));
    let xmp = container.about(item, b"mime", b"application/rdf+xml").map(|content| content.into_owned());
    let orientation = orientation(&container, item);
    let has_gain_map = container.has_any(b"tmap");
    let pixels = pixels(main, alpha)?;
    Ok(Avif { pixels, orientation, icc, exif, xmp, has_gain_map })
}

/// The TIFF structure in an `Exif` item: behind the number that tells where (ISO/IEC 23008-12, A.2.1).
fn tiff(content: &[u8]) -> Option<Vec<u8>> {
    let at = u32::from_be_bytes(content.get(..4)?.try_into().ok()?) as usize;
    content.get(4usize.checked_add(at)?..).filter(|block| !block.is_empty()).map(<[u8]>::to_vec)
}

/// Turned first, then mirrored, in the order that MIAF prescribes (ISO/IEC 23000-22, 7.3.6.7).
fn orientation(container: &Container, item: u32) -> Orientation {
    let (mut turns, mut mirrored) = (0, None);
    for property in container.properties(item) {
        match property {
            Property::Turned(quarters) => turns = *quarters,
            Property::Mirrored { upside_down } => mirrored = Some(*upside_down),
            _ => {}
        }
    }
    // The turns are anticlockwise, Orientation's clockwise.
    let (turned, flipped, other_flipped) = match turns {
        1 => (Orientation::Rotate270, Orientation::Rotate270FlipH, Orientation::Rotate90FlipH),
        2 => (Orientation::Rotate180, Orientation::FlipVertical, Orientation::FlipHorizontal),
        3 => (Orientation::Rotate90, Orientation::Rotate90FlipH, Orientation::Rotate270FlipH),
        _ => (Orientation::NoTransforms, Orientation::FlipHorizontal, Orientation::FlipVertical),
    };
    match mirrored {
        None => turned,
        Some(false) => flipped,
        Some(true) => other_flipped,
    }
}

/// An item's colours, put together from tiles where it is a grid.
struct Whole {
    size: (u32, u32),
    depth: u32,
    code: (u16, u16),
    colours: Colours,
}

fn whole(container: &Container, item: u32) -> Result<Whole, AvifError> {
    match &container.kind(item) {
        b"av01" => tile(container, item),
        b"grid" => grid(container, item),
        _ => Err(AvifError::Unsupported("a picture that is neither AV1 nor a grid of it")),
    }
}

fn tile(container: &Container, item: u32) -> Result<Whole, AvifError> {
    let size = container.size(item)?;
    let most = u64::from(size.0) * u64::from(size.1);
    let most = u32::try_from(most).ok().filter(|most| u64::from(*most) <= MOST_PIXELS).ok_or(ABSURD)?;
    let picture = av1::decode(&container.content(item)?, most)?;
    if (picture.width, picture.height) != size {
        return Err(AvifError::Broken("its picture has another size than it says"));
    }
    let code = container.properties(item).find_map(|property| match property {
        Property::Code(primaries, transfer, matrix, full) => Some((*primaries, *transfer, *matrix, *full)),
        _ => None,
    });
    let colours = colours(&picture, code.map(|(_, _, matrix, full)| (matrix, full)))?;
    let code = code.map_or((picture.code.0, picture.code.1), |(primaries, transfer, ..)| (primaries, transfer));
    Ok(Whole { size, depth: picture.depth, code, colours })
}

/// Tiles of the same size in rows, cut to the picture's size (ISO/IEC 23008-12, 6.6.2.3).
fn grid(container: &Container, item: u32) -> Result<Whole, AvifError> {
    let content = container.content(item)?;
    let mut numbers = boxes::Numbers(&content);
    let mut read = || {
        let (_, flags) = (numbers.next(1)?, numbers.next(1)?);
        let (rows, columns) = (numbers.next(1)? + 1, numbers.next(1)? + 1);
        let length = if flags & 1 == 1 { 4 } else { 2 };
        Some((rows, columns, (numbers.next(length)? as u32, numbers.next(length)? as u32)))
    };
    let (rows, columns, size) = read().ok_or(AvifError::Broken("its grid is damaged"))?;
    let tiles = container.parts(item, b"dimg");
    let wrong = AvifError::Broken("its grid's tiles do not fit");
    let Some(&first) = tiles.first() else { return Err(wrong) };
    let tile_size = container.size(first)?;
    if tiles.len() as u64 != rows * columns || size != container.size(item)? {
        return Err(wrong);
    }
    check_tiles(tiles.len(), tile_size, size)?;
    let mut result: Option<Whole> = None;
    for (at, &part) in tiles.iter().enumerate() {
        if container.kind(part) != *b"av01" || container.size(part)? != tile_size {
            return Err(wrong);
        }
        let tile = tile(container, part)?;
        let whole = result.get_or_insert_with(|| empty(size, &tile));
        let (row, column) = (at as u64 / columns, at as u64 % columns);
        let (left, top) = (column * u64::from(tile.size.0), row * u64::from(tile.size.1));
        let same = tile.colours.channels == whole.colours.channels && tile.depth == whole.depth;
        if !same || left >= u64::from(size.0) || top >= u64::from(size.1) {
            return Err(wrong);
        }
        lay(&tile, whole, (left as usize, top as usize));
    }
    result.ok_or(wrong)
}

/// All tiles together may be little more than the picture, or a small file would be hours of work, and the declared size no
/// measure of it.
fn check_tiles(count: usize, (width, height): (u32, u32), picture: (u32, u32)) -> Result<(), AvifError> {
    let pixels = u128::from(width) * u128::from(height) * count as u128;
    let most = 2 * u128::from(picture.0) * u128::from(picture.1) + u128::from(SPARE_PIXELS);
    if count > MOST_TILES || pixels > most { Err(ABSURD) } else { Ok(()) }
}

fn empty(size: (u32, u32), tile: &Whole) -> Whole {
    let channels = tile.colours.channels;
    let values = vec![0; channels * size.0 as usize * size.1 as usize];
    Whole { size, depth: tile.depth, code: tile.code, colours: Colours { channels, values } }
}

fn lay(tile: &Whole, whole: &mut Whole, (left, top): (usize, usize)) {
    let channels = whole.colours.channels;
    let (width, height) = (whole.size.0 as usize, whole.size.1 as usize);
    let columns = (tile.size.0 as usize).min(width - left);
    let rows = tile.colours.values.chunks_exact(channels * tile.size.0 as usize).take(height - top);
    for (y, row) in rows.enumerate() {
        let at = channels * ((top + y) * width + left);
        whole.colours.values[at..at + channels * columns].copy_from_slice(&row[..channels * columns]);
    }
}

fn pixels(main: Whole, alpha: Option<Whole>) -> Result<DynamicImage, AvifError> {
    let deep = main.depth > 8;
    let (width, height) = main.size;
    let (mut channels, mut values) = (main.colours.channels, main.colours.values);
    if let Some(alpha) = alpha {
        if alpha.size != main.size || alpha.colours.channels != 1 {
            return Err(MISFIT_ALPHA);
        }
        let pairs = values.chunks_exact(channels).zip(&alpha.colours.values);
        values = pairs.flat_map(|(pixel, alpha)| pixel.iter().chain(std::iter::once(alpha)).copied()).collect();
        channels += 1;
    }
    let picture = match (channels, deep) {
        (1, true) => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageLuma16),
        (2, true) => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageLumaA16),
        (3, true) => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageRgb16),
        (_, true) => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageRgba16),
        (1, false) => ImageBuffer::from_raw(width, height, to_8(&values)).map(DynamicImage::ImageLuma8),
        (2, false) => ImageBuffer::from_raw(width, height, to_8(&values)).map(DynamicImage::ImageLumaA8),
        (3, false) => ImageBuffer::from_raw(width, height, to_8(&values)).map(DynamicImage::ImageRgb8),
        (_, false) => ImageBuffer::from_raw(width, height, to_8(&values)).map(DynamicImage::ImageRgba8),
    };
    picture.ok_or(AvifError::Broken("its picture has another size than it says"))
}

fn to_8(values: &[u16]) -> Vec<u8> {
    values.iter().map(|&value| ((u32::from(value) * 255 + 32_767) / 65_535) as u8).collect()
}
