//! Photoshop's image resources, which hold the IPTC record in JPEG and TIFF files, and their form in PNG files.

use std::fmt::Write;
use std::ops::Range;

/// The names of the resources that hold small pictures of the old picture (Adobe Photoshop File Formats, image resource
/// IDs 1033 and 1036).
const THUMBNAILS: [u16; 2] = [1033, 1036];

/// The resource that holds the IPTC record.
const RECORD: u16 = 1028;

/// Those that hold EXIF and XMP again, and a digest of the record.
const COPIES: [u16; 4] = [1058, 1059, 1060, 1061];

const SIGNATURE: &[u8] = b"8BIM";

/// Datasets of the record's second part that name places (IIM 4.2, 6): of the content, and city, part of it, province, country.
const PLACES: [u8; 7] = [26, 27, 90, 92, 95, 100, 101];

/// The block without its small pictures; what cannot be read is left out.
pub(crate) fn without_thumbnails(block: &[u8]) -> Vec<u8> {
    let kept = resources(block).filter(|resource| !THUMBNAILS.contains(&resource.id));
    kept.map(|resource| resource.whole).collect::<Vec<_>>().concat()
}

/// The block without the places that its record names, and without copies of what other blocks say; what cannot be read is
/// left out.
pub(crate) fn without_place(block: &[u8]) -> Vec<u8> {
    let kept = resources(block).filter(|resource| !COPIES.contains(&resource.id));
    let edited = kept.map(|resource| match resource.id {
        RECORD => resource.with(&without_places(&resource.whole[resource.data.clone()])),
        _ => resource.whole.to_vec(),
    });
    edited.collect::<Vec<_>>().concat()
}

/// The IPTC record in a block.
pub(super) fn record_in(block: &[u8]) -> Option<&[u8]> {
    let record = resources(block).find(|resource| resource.id == RECORD)?;
    Some(&record.whole[record.data])
}

/// The block with an IPTC record that stood beside it, unless it has one.
pub(super) fn with_record(block: Option<Vec<u8>>, record: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let has_one = block.as_deref().and_then(record_in).is_some();
    let Some(record) = record.filter(|_| !has_one) else { return block };
    let length = (record.len() as u32).to_be_bytes();
    let mut bytes = [SIGNATURE, &RECORD.to_be_bytes(), &[0, 0], &length, &record].concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes.extend(block.unwrap_or_default());
    Some(bytes)
}

/// One of Photoshop's resources.
struct Resource<'a> {
    id: u16,
    /// All of it, with padding.
    whole: &'a [u8],
    /// Where its data are in that.
    data: Range<usize>,
}

/// The resources of a block, up to one that cannot be read.
fn resources(block: &[u8]) -> impl Iterator<Item = Resource<'_>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        let resource = Resource::read(rest)?;
        rest = &rest[resource.whole.len()..];
        Some(resource)
    })
}

impl<'a> Resource<'a> {
    /// The first one: signature, name, a text, the data's length and the data; text and data are padded to even length.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        if !bytes.starts_with(SIGNATURE) {
            return None;
        }
        let id = u16::from_be_bytes(bytes.get(4..6)?.try_into().ok()?);
        let length_at = 6 + (usize::from(*bytes.get(6)?) + 1).next_multiple_of(2);
        let length = u32::from_be_bytes(bytes.get(length_at..length_at + 4)?.try_into().ok()?) as usize;
        let data = length_at + 4..(length_at + 4).checked_add(length)?;
        let padding = bytes.get(data.end..)?.len().min(data.end % 2);
        Some(Self { id, whole: &bytes[..data.end + padding], data })
    }

    /// The same with other data.
    fn with(&self, data: &[u8]) -> Vec<u8> {
        let head = &self.whole[..self.data.start - 4];
        let mut bytes = [head, &(data.len() as u32).to_be_bytes(), data].concat();
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        bytes
    }
}

/// An IPTC record without the datasets that name places.
fn without_places(record: &[u8]) -> Vec<u8> {
    let (mut kept, mut rest) = (Vec::new(), record);
    while let Some((part, number, length)) = dataset(rest) {
        let (whole, behind) = rest.split_at(length);
        if part != 2 || !PLACES.contains(&number) {
            kept.extend(whole);
        }
        rest = behind;
    }
    kept
}

/// The first dataset's part of the record and number, and how long it is in all: a mark, these two, the data's length and the
/// data. Where the first bit of the length is set, it says in how many bytes the true one follows (IIM 4.2, extended datasets).
fn dataset(bytes: &[u8]) -> Option<(u8, u8, usize)> {
    let &[0x1C, part, number, high, low, ref rest @ ..] = bytes else { return None };
    let said = usize::from(u16::from_be_bytes([high & 0x7F, low]));
    let end = match high & 0x80 {
        0 => 5 + said,
        _ => {
            let add = |sum: usize, byte: &u8| sum.checked_mul(256)?.checked_add(usize::from(*byte));
            (5 + said).checked_add(rest.get(..said)?.iter().try_fold(0, add)?)?
        }
    };
    (end <= bytes.len()).then_some((part, number, end))
}

/// A PNG with more chunks behind its header: whole ones as they are, then those that hold an XMP packet and Photoshop's
/// resources, `iTXt` as XMP's specification has it (part 3, 1.1.5), and `tEXt` in hexadecimal as ImageMagick began it and others
/// read it.
pub(crate) fn png_with(png: &[u8], whole: &[u8], xmp: Option<&[u8]>, photoshop: Option<&[u8]>) -> Vec<u8> {
    // Signature and header: 8 bytes, then length, name, 13 bytes and checksum.
    let (head, rest) = png.split_at(png.len().min(8 + 25));
    let mut bytes = [head, whole].concat();
    if let Some(xmp) = xmp {
        chunk(&mut bytes, b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", xmp].concat());
    }
    if let Some(block) = photoshop {
        let mut text = format!("Raw profile type iptc\0\niptc\n{:8}", block.len());
        for line in block.chunks(36) {
            text.push('\n');
            line.iter().for_each(|byte| {
                let _ = write!(text, "{byte:02x}");
            });
        }
        text.push('\n');
        chunk(&mut bytes, b"tEXt", text.as_bytes());
    }
    bytes.extend(rest);
    bytes
}

/// Photoshop's resources from that form.
pub(crate) fn from_png_text(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).skip(1);
    let length: usize = std::str::from_utf8(lines.next()?).ok()?.trim().parse().ok()?;
    let digits: Vec<u8> =
        lines.flatten().filter_map(|digit| char::from(*digit).to_digit(16)).map(|d| d as u8).collect();
    let block: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (block.len() == length).then_some(block)
}

pub(super) fn chunk(bytes: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let named = [name, data].concat();
    bytes.extend((data.len() as u32).to_be_bytes());
    bytes.extend(&named);
    bytes.extend(crc32fast::hash(&named).to_be_bytes());
}
