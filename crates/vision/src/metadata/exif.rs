//! Changing an EXIF block in place (Exif 2.32, 4.6; TIFF 6.0, section 2). Nothing is moved, since makers' notes point
//! into the block by their own rules.

use super::tiff::{Directory, Raw};
use crate::jpeg;
use std::ops::Range;

const IMAGE_WIDTH: u16 = 0x100;
const IMAGE_HEIGHT: u16 = 0x101;
const ORIENTATION: u16 = 0x112;
const THUMBNAIL_AT: u16 = 0x201;
const THUMBNAIL_LENGTH: u16 = 0x202;
const STRIPS_AT: u16 = 0x111;
const STRIP_LENGTHS: u16 = 0x117;
const EXIF_DIRECTORY: u16 = 0x8769;
const MAKER_NOTE: u16 = 0x927C;
const GPS_DIRECTORY: u16 = 0x8825;
const INTEROPERABILITY_DIRECTORY: u16 = 0xA005;
const INTEROPERABILITY_INDEX: u16 = 1;
const COLOUR_SPACE: u16 = 0xA001;
/// What [`COLOUR_SPACE`] says of any but sRGB.
const UNCALIBRATED: u32 = 0xFFFF;
const PIXEL_WIDTH: u16 = 0xA002;
const PIXEL_HEIGHT: u16 = 0xA003;

/// How a JPEG begins: the marker of its start and the first byte of the next one.
const JPEG_START: [u8; 3] = [0xFF, 0xD8, 0xFF];

/// An EXIF block to change.
pub(super) struct Exif {
    raw: Raw,
    first: Directory,
}

impl Exif {
    /// `None` when it is no TIFF structure with a first directory.
    pub(super) fn read(block: Vec<u8>) -> Option<Self> {
        let raw = Raw::read(block)?;
        let first = raw.directory(raw.first()?)?;
        Some(Self { raw, first })
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.raw.bytes
    }

    fn directory_at(&self, tag: u16) -> Option<Directory> {
        self.below(&self.first, tag)
    }

    /// The directory that an entry of another one leads to.
    fn below(&self, directory: &Directory, tag: u16) -> Option<Directory> {
        self.raw.directory(self.raw.number(directory.find(tag)?)? as usize)
    }

    fn interoperability(&self) -> Option<Directory> {
        self.below(&self.directory_at(EXIF_DIRECTORY)?, INTEROPERABILITY_DIRECTORY)
    }

    /// Where all that the directories say ends, but for the thumbnail's.
    fn end_of_directories(&self) -> usize {
        let below = [self.directory_at(EXIF_DIRECTORY), self.directory_at(GPS_DIRECTORY), self.interoperability()];
        let ends = below.iter().flatten().map(|directory| self.raw.end_with_values(directory));
        ends.fold(self.raw.end_with_values(&self.first), usize::max)
    }

    /// Says that the pixels are upright, and how many there are.
    pub(super) fn set_upright(&mut self, width: u32, height: u32) {
        let mut places = Vec::new();
        for (tag, value) in [(ORIENTATION, 1), (IMAGE_WIDTH, width), (IMAGE_HEIGHT, height)] {
            places.extend(self.first.find(tag).map(|entry| (*entry, value)));
        }
        if let Some(directory) = self.directory_at(EXIF_DIRECTORY) {
            for (tag, value) in [(PIXEL_WIDTH, width), (PIXEL_HEIGHT, height)] {
                places.extend(directory.find(tag).map(|entry| (*entry, value)));
            }
        }
        places.iter().for_each(|(entry, value)| self.raw.set_number(entry, *value));
    }

    /// Takes out where the photo was taken, values and all, and the maker's note, since makers name places in theirs. Whether
    /// there was one.
    pub(super) fn strip_gps(&mut self) -> bool {
        let had_note = self.strip_note();
        if let Some(directory) = self.directory_at(GPS_DIRECTORY) {
            self.wipe(&directory);
        }
        self.raw.remove_entry(&self.first, GPS_DIRECTORY);
        self.first = self.raw.directory(self.first.at).unwrap_or_else(|| Directory::empty(self.first.at));
        had_note
    }

    fn strip_note(&mut self) -> bool {
        let Some(directory) = self.directory_at(EXIF_DIRECTORY) else { return false };
        let notes: Vec<_> = directory.entries.iter().filter(|entry| entry.tag == MAKER_NOTE).collect();
        let values: Vec<_> = notes.iter().filter_map(|entry| self.raw.value_range(entry)).collect();
        values.iter().for_each(|range| self.wipe_range(range.start, range.len()));
        // In a damaged block one directory may lie in the other. The first one has to stay whole.
        if self.is_free(&(directory.at..directory.end())) {
            for _ in &notes {
                if let Some(left) = self.raw.directory(directory.at) {
                    self.raw.remove_entry(&left, MAKER_NOTE);
                }
            }
        }
        !notes.is_empty()
    }

    /// Wipes the JPEGs in the maker's note, which show the old picture; nothing is moved. Whether there were any.
    pub(super) fn wipe_previews(&mut self) -> bool {
        let previews = self.previews();
        previews.iter().for_each(|range| self.raw.bytes[range.clone()].fill(0));
        !previews.is_empty()
    }

    /// Where the JPEGs in the maker's note stand. One without an end takes the rest of the note.
    fn previews(&self) -> Vec<Range<usize>> {
        let note = || self.raw.value_range(self.directory_at(EXIF_DIRECTORY)?.find(MAKER_NOTE)?);
        let Some(note) = note().filter(|range| self.is_free(range)) else { return Vec::new() };
        let start = |rest: &[u8]| rest.windows(JPEG_START.len()).position(|bytes| bytes == JPEG_START);
        let (mut found, mut at) = (Vec::new(), note.start);
        while let Some(passed) = start(&self.raw.bytes[at..note.end]) {
            let begin = at + passed;
            let behind = jpeg::behind(&self.raw.bytes[begin..note.end]).map_or(0, <[u8]>::len);
            at = note.end - behind;
            found.push(begin..at);
        }
        found
    }

    fn wipe(&mut self, directory: &Directory) {
        for entry in &directory.entries {
            if let Some(range) = self.raw.value_range(entry).filter(|_| entry.at + 8 < self.raw.bytes.len()) {
                self.raw.bytes[range].fill(0);
            }
        }
        let end = (directory.at + 2 + 12 * directory.entries.len() + 4).min(self.raw.bytes.len());
        self.raw.bytes[directory.at..end].fill(0);
    }

    fn second(&self) -> Option<Directory> {
        self.raw.directory(self.raw.next_of(&self.first)?)
    }

    pub(super) fn has_thumbnail(&self) -> bool {
        self.second().is_some()
    }

    /// Puts a small JPEG in place of the one that is there. With an empty one there is none afterwards.
    pub(super) fn replace_thumbnail(&mut self, jpeg: &[u8]) {
        let Some(second) = self.second() else { return };
        for (at, length) in [(THUMBNAIL_AT, THUMBNAIL_LENGTH), (STRIPS_AT, STRIP_LENGTHS)] {
            let number = |tag| second.find(tag).and_then(|entry| self.raw.number(entry)).map(|n| n as usize);
            if let (Some(at), Some(length)) = (number(at), number(length)) {
                self.wipe_range(at, length);
            }
        }
        self.wipe(&second);
        self.raw.drop_zeros_after(self.end_of_directories(), second.at);
        let next = if jpeg.is_empty() { 0 } else { self.append_thumbnail(jpeg) };
        self.raw.set_next_of(&self.first, next);
    }

    /// Wipes bytes, but never the header and the first directory, whatever a damaged block says.
    fn wipe_range(&mut self, at: usize, length: usize) {
        let end = at.saturating_add(length).min(self.raw.bytes.len());
        if at < end && self.is_free(&(at..end)) {
            self.raw.bytes[at..end].fill(0);
        }
    }

    /// Whether a range has nothing of the header and the first directory.
    fn is_free(&self, range: &Range<usize>) -> bool {
        range.start >= 8 && !(range.start < self.first.end() && range.end > self.first.at)
    }

    /// A directory with the JPEG behind it, at the end of the block; where it begins.
    fn append_thumbnail(&mut self, jpeg: &[u8]) -> u32 {
        const ENTRIES: u32 = 6;
        self.raw.bytes.resize(self.raw.bytes.len().next_multiple_of(2), 0);
        let at = self.raw.bytes.len() as u32;
        let behind = at + 2 + 12 * ENTRIES + 4;
        let (short, long, rational) = (3, 4, 5);
        let entries: [(u16, u16, u32); ENTRIES as usize] = [
            (0x103, short, 6),
            (0x11A, rational, behind),
            (0x11B, rational, behind),
            (0x128, short, 2),
            (THUMBNAIL_AT, long, behind + 8),
            (THUMBNAIL_LENGTH, long, jpeg.len() as u32),
        ];
        self.raw.push16(ENTRIES as u16);
        for (tag, kind, value) in entries {
            self.raw.push16(tag);
            self.raw.push16(kind);
            self.raw.push32(1);
            if kind == short {
                self.raw.push16(value as u16);
                self.raw.push16(0);
            } else {
                self.raw.push32(value);
            }
        }
        [0, 72, 1].into_iter().for_each(|value| self.raw.push32(value));
        self.raw.bytes.extend(jpeg);
        at
    }
}

/// Whether the colours are Adobe RGB by the mark that cameras give their files in place of a profile (DCF 2.0, option files; Exif
/// 2.32, 4.6.7).
pub(crate) fn says_adobe_rgb(block: &[u8]) -> bool {
    let Some(exif) = Exif::read(block.to_vec()) else { return false };
    let space = exif.directory_at(EXIF_DIRECTORY).and_then(|below| exif.raw.number(below.find(COLOUR_SPACE)?));
    if space.is_some_and(|space| space != UNCALIBRATED) {
        return false;
    }
    let index = exif.interoperability().and_then(|it| exif.raw.value_range(it.find(INTEROPERABILITY_INDEX)?));
    index.is_some_and(|range| exif.raw.bytes[range].starts_with(b"R03"))
}

/// The block without its small picture; `None` when it is damaged.
pub(crate) fn without_small_picture(block: &[u8]) -> Option<Vec<u8>> {
    let mut exif = Exif::read(block.to_vec())?;
    exif.replace_thumbnail(&[]);
    Some(exif.into_bytes())
}

/// What the block says that cannot be so: an orientation that does not exist, a size that the pixels (as stored) have not.
pub(crate) fn doubts(block: &[u8], (width, height): (u32, u32)) -> Vec<String> {
    let Some(exif) = Exif::read(block.to_vec()) else { return vec!["its EXIF block is damaged".into()] };
    let number = |directory: &Directory, tag| directory.find(tag).and_then(|entry| exif.raw.number(entry));
    let mut doubts = Vec::new();
    if let Some(orientation) = number(&exif.first, ORIENTATION).filter(|value| !(0..=8).contains(value)) {
        doubts.push(format!("its EXIF orientation is {orientation}, which does not exist; it is taken to be upright"));
    }
    let said = exif
        .directory_at(EXIF_DIRECTORY)
        .and_then(|directory| Some((number(&directory, PIXEL_WIDTH)?, number(&directory, PIXEL_HEIGHT)?)));
    if let Some((said_width, said_height)) = said.filter(|said| *said != (width, height)) {
        doubts
            .push(format!("its EXIF block says {said_width}×{said_height}, but it is {width}×{height}, which is used"));
    }
    doubts
}
