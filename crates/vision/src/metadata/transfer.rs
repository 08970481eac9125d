//! Moving what describes a photo between EXIF blocks and TIFF files: directories are written anew, little-endian, with the
//! values they point to.

use super::text::{record_in, with_record};
use super::tiff::{Entry, Raw, SIZES};

/// A tagged value without a place: what moves between files.
struct Field {
    tag: u16,
    kind: u16,
    count: u32,
    value: Value,
}

enum Value {
    /// Bytes, least significant first.
    Plain(Vec<u8>),
    Directory(Vec<Field>),
}

impl Field {
    fn is(&self, short: u16) -> bool {
        matches!(&self.value, Value::Plain(bytes) if *bytes == short.to_le_bytes())
    }
}

const EXIF: u16 = 0x8769;

/// Tags of a first directory whose value is the place of another one: EXIF's, GPS's.
const IN_FIRST: [u16; 2] = [EXIF, 0x8825];

/// The same of EXIF's: interoperability's. A directory that leads back to itself is not followed, then.
const IN_EXIF: [u16; 1] = [0xA005];

/// Tags of a first directory that describe the photo and not the way its pixels are stored: document name,
/// description, make, model, resolution, software, date, artist, host, rating, copyright, Windows' fields, and the
/// directories of EXIF and GPS.
const DESCRIBING: [u16; 22] = [
    0x10D, 0x10E, 0x10F, 0x110, 0x11A, 0x11B, 0x128, 0x131, 0x132, 0x13B, 0x13C, 0x4746, 0x4749, 0x8298, 0x8769,
    0x8825, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, 0xC4A5,
];

/// What every TIFF file has to say, so that without a unit it alone describes nothing.
const RESOLUTION: [u16; 3] = [0x11A, 0x11B, RESOLUTION_UNIT];
const RESOLUTION_UNIT: u16 = 0x128;
/// What [`RESOLUTION_UNIT`] says where there is none (TIFF 6.0, page 38).
const NO_UNIT: u16 = 1;

const XMP: u16 = 700;
const IPTC: u16 = 0x83BB;
const PHOTOSHOP: u16 = 0x8649;

/// What a fourth channel beside colours is, or a second beside grey (TIFF 6.0, section 18).
const EXTRA_SAMPLES: u16 = 338;
/// What [`EXTRA_SAMPLES`] says of alpha that the colours were multiplied by, and of alpha that they were not.
const MULTIPLIED: u16 = 1;
const NOT_MULTIPLIED: u16 = 2;

/// The first directory's fields, with those of `directories` below it.
fn fields(raw: &Raw, directories: &[u16]) -> Option<Vec<Field>> {
    // Honest values seldom share a place. Damaged ones could all be the whole file.
    let mut room = 2 * raw.bytes.len();
    fields_at(raw, raw.first()?, directories, &mut room)
}

fn fields_at(raw: &Raw, at: usize, directories: &[u16], room: &mut usize) -> Option<Vec<Field>> {
    let directory = raw.directory(at)?;
    *room = room.checked_sub(12 * directory.entries.len())?;
    let field = |entry: &Entry| {
        let (tag, kind, count) = (entry.tag, entry.kind, entry.count);
        if directories.contains(&tag) {
            let below: &[u16] = if tag == EXIF { &IN_EXIF } else { &[] };
            let inner = fields_at(raw, raw.number(entry)? as usize, below, room)?;
            return Some(Field { tag, kind: 4, count: 1, value: Value::Directory(inner) });
        }
        let range = raw.value_range(entry)?;
        *room = room.checked_sub(range.len())?;
        let mut bytes = raw.bytes[range].to_vec();
        if !raw.little {
            let unit = match kind {
                5 | 10 => 4,
                _ => SIZES[usize::from(kind)],
            };
            bytes.chunks_exact_mut(unit.max(1)).for_each(<[u8]>::reverse);
        }
        Some(Field { tag, kind, count, value: Value::Plain(bytes) })
    };
    Some(directory.entries.iter().filter_map(field).collect())
}

/// Appends a directory and what it points to, little-endian; where it stands.
fn append(bytes: &mut Vec<u8>, mut fields: Vec<Field>) -> u32 {
    fields.sort_by_key(|field| field.tag);
    let mut entries = (fields.len() as u16).to_le_bytes().to_vec();
    for field in fields {
        entries.extend([field.tag.to_le_bytes(), field.kind.to_le_bytes()].concat());
        entries.extend(field.count.to_le_bytes());
        let value = match field.value {
            Value::Directory(fields) => append(bytes, fields).to_le_bytes().to_vec(),
            Value::Plain(value) if value.len() <= 4 => value,
            Value::Plain(value) => {
                align(bytes);
                let at = bytes.len() as u32;
                bytes.extend(value);
                at.to_le_bytes().to_vec()
            }
        };
        entries.extend(value.iter().copied().chain(std::iter::repeat(0)).take(4));
    }
    entries.extend([0; 4]);
    align(bytes);
    let at = bytes.len() as u32;
    bytes.extend(entries);
    at
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(2), 0);
}

/// An EXIF block of what a TIFF file says about its photo; makers' notes that point elsewhere lose what they point to.
pub(crate) fn described_by(file: &[u8]) -> Option<Vec<u8>> {
    let raw = Raw::read(file.to_vec())?;
    let mut kept = fields(&raw, &IN_FIRST)?;
    kept.retain(|field| DESCRIBING.contains(&field.tag));
    let says_more =
        |field: &Field| !RESOLUTION.contains(&field.tag) || field.tag == RESOLUTION_UNIT && !field.is(NO_UNIT);
    if !kept.iter().any(says_more) {
        return None;
    }
    let mut block = b"II*\0\0\0\0\0".to_vec();
    let at = append(&mut block, kept);
    block[4..8].copy_from_slice(&at.to_le_bytes());
    Some(block)
}

/// The XMP packet in a TIFF file. `image` 0.25 lets it be no larger than the pixels.
pub(crate) fn xmp_in(file: &[u8]) -> Option<Vec<u8>> {
    let [xmp] = values_in(file, [XMP])?;
    xmp
}

/// Photoshop's image resources in a TIFF file; among them the IPTC record where it stands beside them.
pub(crate) fn photoshop_in(file: &[u8]) -> Option<Vec<u8>> {
    let [photoshop, record] = values_in(file, [PHOTOSHOP, IPTC])?;
    with_record(photoshop, record)
}

/// Whether a TIFF file's colours were multiplied by its alpha.
pub(crate) fn is_premultiplied(file: &[u8]) -> bool {
    let says = || {
        let raw = Raw::read(file.to_vec())?;
        let first = raw.directory(raw.first()?)?;
        let entry = first.find(EXTRA_SAMPLES).filter(|entry| SIZES.get(usize::from(entry.kind)) == Some(&2))?;
        raw.get16(raw.value_range(entry)?.start)
    };
    says() == Some(MULTIPLIED)
}

fn values_in<const N: usize>(file: &[u8], tags: [u16; N]) -> Option<[Option<Vec<u8>>; N]> {
    let raw = Raw::read(file.to_vec())?;
    let first = raw.directory(raw.first()?)?;
    Some(tags.map(|tag| Some(raw.bytes[raw.value_range(first.find(tag)?)?].to_vec())))
}

/// Adds to a TIFF file what an EXIF block, an XMP packet and Photoshop's resources say, and that its last channel is alpha where
/// it has one. A file that is not a classic little-endian one, or too long for its places, stays as it is.
pub(crate) fn describe(
    file: Vec<u8>,
    exif: Option<&[u8]>,
    xmp: Option<&[u8]>,
    photoshop: Option<&[u8]>,
    has_alpha: bool,
) -> Vec<u8> {
    if !file.starts_with(b"II*\0") || u32::try_from(file.len() + (64 << 20)).is_err() {
        return file;
    }
    let mut raw = Raw { bytes: file, little: true };
    let Some(mut own) = fields(&raw, &[]) else { return raw.bytes };
    let value = Value::Plain(NOT_MULTIPLIED.to_le_bytes().to_vec());
    let alpha = has_alpha.then_some(Field { tag: EXTRA_SAMPLES, kind: 3, count: 1, value });
    for field in describing(exif, xmp, photoshop).into_iter().chain(alpha) {
        own.retain(|other| other.tag != field.tag);
        own.push(field);
    }
    let at = append(&mut raw.bytes, own);
    raw.bytes[4..8].copy_from_slice(&at.to_le_bytes());
    raw.bytes
}

/// What an EXIF block, an XMP packet and Photoshop's resources say, as a TIFF's first directory has it.
fn describing(exif: Option<&[u8]>, xmp: Option<&[u8]>, photoshop: Option<&[u8]>) -> Vec<Field> {
    let block = exif.and_then(|block| Raw::read(block.to_vec()));
    let mut said = block.and_then(|block| fields(&block, &IN_FIRST)).unwrap_or_default();
    said.retain(|field| DESCRIBING.contains(&field.tag));
    let plain = |tag: u16, kind: u16, value: &[u8]| Field {
        tag,
        kind,
        count: value.len() as u32,
        value: Value::Plain(value.to_vec()),
    };
    // Some programs look for the IPTC record by itself.
    let record = photoshop.and_then(record_in).filter(|record| !record.is_empty());
    let packets = [(XMP, 1, xmp), (PHOTOSHOP, 7, photoshop), (IPTC, 7, record)];
    said.extend(packets.into_iter().filter_map(|(tag, kind, value)| Some(plain(tag, kind, value?))));
    said
}
