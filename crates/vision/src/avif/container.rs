//! The items of an AVIF file (ISO/IEC 23008-12): pictures, their properties, and what is said about them.

use super::AvifError;
use super::boxes::{IsoBox, Numbers, boxes, find};
use std::borrow::Cow;
use std::collections::HashMap;

/// More items, or references between them, than this are no photo. A grid of the largest photo that is read has far fewer.
const MOST_ITEMS: u64 = 4096;

/// An item's properties are counted in one byte (ISO/IEC 23008-12, 9.3).
const MOST_PROPERTIES: usize = 255;

/// A file's items.
pub(super) struct Container<'a> {
    file: &'a [u8],
    data: &'a [u8],
    pub primary: u32,
    items: HashMap<u32, Item>,
    references: Vec<Reference>,
    properties: Vec<Property<'a>>,
}

/// What one item is and where it lies.
#[derive(Default)]
struct Item {
    kind: [u8; 4],
    content_type: Vec<u8>,
    in_data_box: bool,
    extents: Vec<(u64, u64)>,
    /// Places in `properties`, from 1.
    properties: Vec<usize>,
}

struct Reference {
    kind: [u8; 4],
    from: u32,
    to: Vec<u32>,
}

/// What a property says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Property<'a> {
    Size(u32, u32),
    Icc(&'a [u8]),
    /// Primaries, transfer characteristics, matrix coefficients (ITU-T H.273), full range.
    Code(u16, u16, u16, bool),
    /// Quarter turns anticlockwise.
    Turned(u8),
    /// Top and bottom change places, or left and right.
    Mirrored {
        upside_down: bool,
    },
    Cropped,
    Auxiliary(&'a [u8]),
    Other,
}

impl<'a> Container<'a> {
    pub fn read(file: &'a [u8]) -> Result<Self, AvifError> {
        let meta =
            find(file, b"meta").and_then(|meta| meta.get(4..)).ok_or(AvifError::Broken("it has no list of items"))?;
        let primary = find(meta, b"pitm").and_then(primary).ok_or(AvifError::Broken("it names no picture"))?;
        let mut items = HashMap::new();
        let listed = find(meta, b"iinf").and_then(|list| information(list, &mut items));
        let placed = find(meta, b"iloc").and_then(|list| locations(list, &mut items));
        listed.and(placed).ok_or(AvifError::Broken("its list of items is damaged"))?;
        let properties = find(meta, b"iprp").unwrap_or_default();
        for links in boxes(properties).filter(|found| found.kind == *b"ipma") {
            associations(links.content, &mut items).ok_or(AvifError::Broken("its list of properties is damaged"))?;
        }
        Ok(Self {
            file,
            data: find(meta, b"idat").unwrap_or_default(),
            primary,
            items,
            references: find(meta, b"iref").map(references).unwrap_or_default(),
            properties: find(properties, b"ipco").map(|list| boxes(list).map(property).collect()).unwrap_or_default(),
        })
    }

    pub fn kind(&self, item: u32) -> [u8; 4] {
        self.items.get(&item).map_or([0; 4], |item| item.kind)
    }

    /// Whether an item is of this kind.
    pub fn has_any(&self, kind: &[u8; 4]) -> bool {
        self.items.values().any(|item| item.kind == *kind)
    }

    pub fn properties(&self, item: u32) -> impl Iterator<Item = &Property<'a>> {
        let places = self.items.get(&item).map(|item| item.properties.as_slice()).unwrap_or_default();
        places.iter().filter_map(|place| self.properties.get(place.checked_sub(1)?))
    }

    pub fn size(&self, item: u32) -> Result<(u32, u32), AvifError> {
        let mut sizes = self.properties(item).filter_map(|property| match property {
            Property::Size(width, height) => Some((*width, *height)),
            _ => None,
        });
        sizes.next().filter(|size| size.0 > 0 && size.1 > 0).ok_or(AvifError::Broken("its picture has no size"))
    }

    /// What the item refers to by references of a kind, in order.
    pub fn parts(&self, item: u32, kind: &[u8; 4]) -> &[u32] {
        let found = self.references.iter().find(|reference| reference.kind == *kind && reference.from == item);
        found.map(|reference| reference.to.as_slice()).unwrap_or_default()
    }

    /// The picture's alpha channel, where it has one.
    pub fn alpha_of(&self, item: u32) -> Option<u32> {
        const ALPHA: [&[u8]; 2] = [b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1"];
        let is_alpha = |property: &Property| matches!(property, Property::Auxiliary(kind) if ALPHA.contains(kind));
        self.referring(item, b"auxl").find(|&from| self.properties(from).any(is_alpha))
    }

    /// Whether the colours were multiplied by alpha.
    pub fn is_premultiplied(&self, item: u32) -> bool {
        !self.parts(item, b"prem").is_empty()
    }

    /// Metadata about the item: `Exif` items, or `mime` items of a content type.
    pub fn about(&self, item: u32, kind: &[u8; 4], content_type: &[u8]) -> Option<Cow<'a, [u8]>> {
        let is_it = |from: &u32| {
            self.items.get(from).is_some_and(|item| item.kind == *kind && item.content_type == content_type)
        };
        self.content(self.referring(item, b"cdsc").find(is_it)?).ok()
    }

    fn referring(&self, item: u32, kind: &'static [u8; 4]) -> impl Iterator<Item = u32> {
        let found = self.references.iter().filter(move |r| r.kind == *kind && r.to.contains(&item));
        found.map(|reference| reference.from)
    }

    /// The item's bytes.
    pub fn content(&self, item: u32) -> Result<Cow<'a, [u8]>, AvifError> {
        let item = self.items.get(&item).ok_or(AvifError::Broken("a part of it is missing"))?;
        let source = if item.in_data_box { self.data } else { self.file };
        let extent = |&(at, length): &(u64, u64)| {
            let (at, length) = (usize::try_from(at).ok()?, usize::try_from(length).ok()?);
            match length {
                0 => source.get(at..),
                _ => source.get(at..at.checked_add(length)?),
            }
        };
        let parts: Option<Vec<&[u8]>> = item.extents.iter().map(extent).collect();
        let parts = parts.ok_or(AvifError::CutShort)?;
        if parts.iter().map(|part| part.len()).sum::<usize>() > source.len() {
            return Err(AvifError::Broken("its parts overlap"));
        }
        Ok(match parts.as_slice() {
            [one] => Cow::Borrowed(*one),
            several => Cow::Owned(several.concat()),
        })
    }
}

fn primary(content: &[u8]) -> Option<u32> {
    let mut numbers = Numbers(content);
    let (version, _) = numbers.version()?;
    numbers.next(if version == 0 { 2 } else { 4 }).map(|item| item as u32)
}

fn information(content: &[u8], items: &mut HashMap<u32, Item>) -> Option<()> {
    let mut numbers = Numbers(content);
    let (version, _) = numbers.version()?;
    let count = numbers.next(if version == 0 { 2 } else { 4 })?;
    for entry in boxes(numbers.0).filter(|found| found.kind == *b"infe").take(count.min(MOST_ITEMS) as usize) {
        let mut numbers = Numbers(entry.content);
        let (version, _) = numbers.version()?;
        let id = numbers.next(if version < 3 { 2 } else { 4 })? as u32;
        numbers.next(2)?;
        let kind = numbers.take(4)?.try_into().ok()?;
        let mut texts = numbers.0.split(|byte| *byte == 0).skip(1);
        let content_type = if kind == *b"mime" { texts.next().unwrap_or_default().to_vec() } else { Vec::new() };
        items.insert(id, Item { kind, content_type, ..Item::default() });
    }
    Some(())
}

fn locations(content: &[u8], items: &mut HashMap<u32, Item>) -> Option<()> {
    let mut numbers = Numbers(content);
    let (version, _) = numbers.version()?;
    let sizes = numbers.next(2)?;
    let size = |shift: u32| Some((sizes >> shift & 15) as usize).filter(|size| *size <= 8);
    let (offset, length, base, index) = (size(12)?, size(8)?, size(4)?, size(0)?);
    let count = numbers.next(if version < 2 { 2 } else { 4 })?;
    for _ in 0..count.min(MOST_ITEMS) {
        let id = numbers.next(if version < 2 { 2 } else { 4 })? as u32;
        let method = if version > 0 { numbers.next(2)? & 15 } else { 0 };
        numbers.next(2)?;
        let base = numbers.next(base)?;
        let (mut extents, count) = (Vec::new(), numbers.next(2)?);
        if count > 1 && offset + length == 0 {
            return None; // each would be all of the file, and take no bytes to say so
        }
        for _ in 0..count {
            if version > 0 {
                numbers.next(index)?;
            }
            let at = base.checked_add(numbers.next(offset)?)?;
            extents.push((at, numbers.next(length)?));
        }
        if let Some(item) = items.get_mut(&id) {
            (item.in_data_box, item.extents) = (method == 1, extents);
        }
    }
    Some(())
}

fn associations(content: &[u8], items: &mut HashMap<u32, Item>) -> Option<()> {
    let mut numbers = Numbers(content);
    let (version, flags) = numbers.version()?;
    let (size, places) = if flags & 1 == 1 { (2, 0x7FFF) } else { (1, 0x7F) };
    for _ in 0..numbers.next(4)?.min(MOST_ITEMS) {
        let id = numbers.next(if version < 1 { 2 } else { 4 })? as u32;
        for _ in 0..numbers.next(1)? {
            let place = (numbers.next(size)? & places) as usize;
            if let Some(item) = items.get_mut(&id).filter(|item| item.properties.len() < MOST_PROPERTIES) {
                item.properties.push(place);
            }
        }
    }
    Some(())
}

fn references(content: &[u8]) -> Vec<Reference> {
    let mut numbers = Numbers(content);
    let Some((version, _)) = numbers.version() else { return Vec::new() };
    let size = if version == 0 { 2 } else { 4 };
    let read = |found: IsoBox| {
        let mut numbers = Numbers(found.content);
        let from = numbers.next(size)? as u32;
        let count = numbers.next(2)?;
        let to = (0..count).map_while(|_| numbers.next(size).map(|id| id as u32)).collect();
        Some(Reference { kind: found.kind, from, to })
    };
    boxes(numbers.0).take(MOST_ITEMS as usize).filter_map(read).collect()
}

fn property(found: IsoBox<'_>) -> Property<'_> {
    let read = || {
        let mut numbers = Numbers(found.content);
        Some(match &found.kind {
            b"ispe" => {
                numbers.version()?;
                Property::Size(numbers.next(4)? as u32, numbers.next(4)? as u32)
            }
            b"colr" => match numbers.take(4)? {
                b"prof" | b"rICC" => Property::Icc(numbers.0),
                b"nclx" => {
                    let mut code = || numbers.next(2).map(|code| code as u16);
                    let (primaries, transfer, matrix) = (code()?, code()?, code()?);
                    Property::Code(primaries, transfer, matrix, numbers.next(1)? & 0x80 != 0)
                }
                _ => Property::Other,
            },
            b"irot" => Property::Turned((numbers.next(1)? & 3) as u8),
            b"imir" => Property::Mirrored { upside_down: numbers.next(1)? & 1 == 0 },
            b"clap" => Property::Cropped,
            b"auxC" => {
                numbers.version()?;
                Property::Auxiliary(numbers.0.split(|byte| *byte == 0).next()?)
            }
            _ => Property::Other,
        })
    };
    read().unwrap_or(Property::Other)
}
