//! The TIFF structure that EXIF blocks and TIFF files share (TIFF 6.0, section 2): directories of tagged values, read
//! and changed in place.

use std::ops::Range;

/// An entry of a directory, where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) at: usize,
    pub(super) tag: u16,
    pub(super) kind: u16,
    pub(super) count: u32,
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
    pub(super) little: bool,
}

/// Bytes of a value of each type (TIFF 6.0, page 15), by the type's number.
pub(super) const SIZES: [usize; 14] = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4];

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

    pub(super) fn get16(&self, at: usize) -> Option<u16> {
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

    /// A directory whose entries are all there.
    pub(super) fn directory(&self, at: usize) -> Option<Directory> {
        let count = usize::from(self.get16(at)?);
        if at < 8 || count > MOST_ENTRIES {
            return None;
        }
        let entries = (0..count).map(|i| {
            let at = at + 2 + 12 * i;
            self.bytes.get(at..at + 12)?;
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

    /// Where a directory and its values end.
    pub(super) fn end_with_values(&self, directory: &Directory) -> usize {
        let values = directory.entries.iter().filter_map(|entry| self.value_range(entry)).map(|range| range.end);
        values.max().unwrap_or(0).max(directory.end())
    }

    /// Drops the zeros at the end, but none of the first `least` bytes. What was wiped began at `wiped`.
    pub(super) fn drop_zeros_after(&mut self, least: usize, wiped: usize) {
        let used = self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        // A value that makers' notes point to may end in zeros: the few that one can, stay.
        let spared = used + 64;
        let end = if wiped < used { spared } else { spared.min(wiped) };
        self.bytes.truncate(end.max(least));
    }
}
