//! The TIFF structure that EXIF blocks and TIFF files share (TIFF 6.0, section 2): directories of tagged values, read
//! and changed in place, or moved from one file to another.

use std::ops::Range;

/// An entry of a directory, where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) at: usize,
    pub(super) tag: u16,
    kind: u16,
    count: u32,
}

/// A directory, where it stands.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) at: usize,
    pub(super) entries: Vec<Entry>,
}

/// A structure's bytes, with their order.
pub(super) struct Raw {
    pub(super) bytes: Vec<u8>,
    little: bool,
}

/// Bytes of a value of each type (TIFF 6.0, page 15), by the type's number.
const SIZES: [usize; 14] = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4];

/// No camera writes more; damaged counts do.
const MOST_ENTRIES: usize = 1000;

impl Directory {
    pub(super) fn empty(at: usize) -> Self {
        Self { at, entries: Vec::new() }
    }

    pub(super) fn find(&self, tag: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// Where the place of the next directory's place ends.
    pub(super) fn end(&self) -> usize {
        self.at + 2 + 12 * self.entries.len() + 4
    }
}

impl Raw {
    pub(super) fn read(bytes: Vec<u8>) -> Option<Self> {
        let little = match bytes.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        Some(Self { bytes, little })
    }

    fn get16(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn get32(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn bytes16(&self, value: u16) -> [u8; 2] {
        if self.little { value.to_le_bytes() } else { value.to_be_bytes() }
    }

    fn bytes32(&self, value: u32) -> [u8; 4] {
        if self.little { value.to_le_bytes() } else { value.to_be_bytes() }
    }

    pub(super) fn push16(&mut self, value: u16) {
        self.bytes.extend(self.bytes16(value));
    }

    pub(super) fn push32(&mut self, value: u32) {
        self.bytes.extend(self.bytes32(value));
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }

    /// Where the first directory stands.
    pub(super) fn first(&self) -> Option<usize> {
        self.get32(4).map(|at| at as usize)
    }

    pub(super) fn directory(&self, at: usize) -> Option<Directory> {
        let count = usize::from(self.get16(at)?);
        if at < 8 || count > MOST_ENTRIES {
            return None;
        }
        let entries = (0..count).map(|i| {
            let at = at + 2 + 12 * i;
            Some(Entry { at, tag: self.get16(at)?, kind: self.get16(at + 2)?, count: self.get32(at + 4)? })
        });
        Some(Directory { at, entries: entries.collect::<Option<_>>()? })
    }

    /// Where an entry's values stand.
    pub(super) fn value_range(&self, entry: &Entry) -> Option<Range<usize>> {
        let length = SIZES.get(usize::from(entry.kind))?.checked_mul(entry.count as usize)?;
        let at = if length <= 4 { entry.at + 8 } else { self.get32(entry.at + 8)? as usize };
        let end = at.checked_add(length)?;
        (at >= 8 && end <= self.bytes.len()).then_some(at..end)
    }

    /// A single whole number.
    pub(super) fn number(&self, entry: &Entry) -> Option<u32> {
        match (entry.kind, entry.count) {
            (3, 1) => self.get16(entry.at + 8).map(u32::from),
            (4 | 13, 1) => self.get32(entry.at + 8),
            _ => None,
        }
    }

    /// Changes a single whole number; one that does not fit its type becomes 0.
    pub(super) fn set_number(&mut self, entry: &Entry, value: u32) {
        match (entry.kind, entry.count) {
            (3, 1) => self.put(entry.at + 8, &self.bytes16(u16::try_from(value).unwrap_or(0))),
            (4, 1) => self.put(entry.at + 8, &self.bytes32(value)),
            _ => {}
        }
    }

    pub(super) fn next_of(&self, directory: &Directory) -> Option<usize> {
        self.get32(directory.end() - 4).map(|at| at as usize)
    }

    pub(super) fn set_next_of(&mut self, directory: &Directory, next: u32) {
        self.put(directory.end() - 4, &self.bytes32(next));
    }

    /// Takes an entry out; those behind it move up.
    pub(super) fn remove_entry(&mut self, directory: &Directory, tag: u16) {
        let Some(entry) = directory.find(tag) else { return };
        let end = directory.end().min(self.bytes.len());
        self.bytes.copy_within(entry.at + 12..end, entry.at);
        self.bytes[end - 12..end].fill(0);
        self.put(directory.at, &self.bytes16(directory.entries.len() as u16 - 1));
    }

    /// Drops the zeros at the end, where nothing of the first directory can be.
    pub(super) fn drop_zeros_after(&mut self, directory: &Directory) {
        let values = directory.entries.iter().filter_map(|entry| self.value_range(entry)).map(|range| range.end);
        let least = values.max().unwrap_or(0).max(directory.end());
        let used = self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        // A value of a sub-directory may end in zeros: the few that one can, stay.
        self.bytes.truncate((used + 64).max(least));
    }
}

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

/// Tags whose value is the place of another directory: EXIF, GPS, interoperability.
const DIRECTORIES: [u16; 3] = [0x8769, 0x8825, 0xA005];

/// Tags of a first directory that describe the photo and not the way its pixels are stored: document name,
/// description, make, model, resolution, software, date, artist, host, rating, copyright, Windows' fields, and the
/// directories of EXIF and GPS.
const DESCRIBING: [u16; 22] = [
    0x10D, 0x10E, 0x10F, 0x110, 0x11A, 0x11B, 0x128, 0x131, 0x132, 0x13B, 0x13C, 0x4746, 0x4749, 0x8298, 0x8769,
    0x8825, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, 0xC4A5,
];

/// What every TIFF file has to say, so that it alone describes nothing.
const RESOLUTION: [u16; 3] = [0x11A, 0x11B, 0x128];

const XMP: u16 = 700;
const PHOTOSHOP: u16 = 0x8649;

fn fields(raw: &Raw, at: usize, deep: bool) -> Option<Vec<Field>> {
    let directory = raw.directory(at)?;
    let field = |entry: &Entry| {
        let (tag, kind, count) = (entry.tag, entry.kind, entry.count);
        if deep && DIRECTORIES.contains(&tag) {
            // Two levels: EXIF's own interoperability directory has none below.
            let inner = fields(raw, raw.number(entry)? as usize, tag == DIRECTORIES[0])?;
            return Some(Field { tag, kind: 4, count: 1, value: Value::Directory(inner) });
        }
        let mut bytes = raw.bytes[raw.value_range(entry)?].to_vec();
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
    let mut kept = fields(&raw, raw.first()?, true)?;
    kept.retain(|field| DESCRIBING.contains(&field.tag));
    if kept.iter().all(|field| RESOLUTION.contains(&field.tag)) {
        return None;
    }
    let mut block = b"II*\0\0\0\0\0".to_vec();
    let at = append(&mut block, kept);
    block[4..8].copy_from_slice(&at.to_le_bytes());
    Some(block)
}

/// The XMP packet in a TIFF file. `image` 0.25 lets it be no larger than the pixels.
pub(crate) fn xmp_in(file: &[u8]) -> Option<Vec<u8>> {
    value_in(file, XMP)
}

/// Photoshop's image resources in a TIFF file.
pub(crate) fn photoshop_in(file: &[u8]) -> Option<Vec<u8>> {
    value_in(file, PHOTOSHOP)
}

fn value_in(file: &[u8], tag: u16) -> Option<Vec<u8>> {
    let raw = Raw::read(file.to_vec())?;
    let first = raw.directory(raw.first()?)?;
    let range = raw.value_range(first.find(tag)?)?;
    Some(raw.bytes[range].to_vec())
}

/// Adds to a TIFF file what an EXIF block, an XMP packet and Photoshop's resources say. A file that is not a classic
/// little-endian one, or too long for its places, stays as it is.
pub(crate) fn describe(file: Vec<u8>, exif: Option<&[u8]>, xmp: Option<&[u8]>, photoshop: Option<&[u8]>) -> Vec<u8> {
    describe_little(&file, exif, xmp, photoshop).unwrap_or(file)
}

fn describe_little(file: &[u8], exif: Option<&[u8]>, xmp: Option<&[u8]>, photoshop: Option<&[u8]>) -> Option<Vec<u8>> {
    let raw =
        Raw::read(file.to_vec()).filter(|raw| raw.little && u32::try_from(raw.bytes.len() + (64 << 20)).is_ok())?;
    let mut own = fields(&raw, raw.first()?, false)?;
    let block = exif.and_then(|block| Raw::read(block.to_vec()));
    let said = block.and_then(|block| fields(&block, block.first()?, true)).unwrap_or_default();
    let plain = |tag: u16, kind: u16, value: &[u8]| Field {
        tag,
        kind,
        count: value.len() as u32,
        value: Value::Plain(value.to_vec()),
    };
    let packets = [(XMP, xmp), (PHOTOSHOP, photoshop)].into_iter();
    let packets = packets.filter_map(|(tag, value)| Some(plain(tag, if tag == XMP { 1 } else { 7 }, value?)));
    for field in said.into_iter().filter(|field| DESCRIBING.contains(&field.tag)).chain(packets) {
        own.retain(|other| other.tag != field.tag);
        own.push(field);
    }
    let mut bytes = raw.bytes;
    let at = append(&mut bytes, own);
    bytes[4..8].copy_from_slice(&at.to_le_bytes());
    Some(bytes)
}
