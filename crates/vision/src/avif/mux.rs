//! Putting an AVIF file together: one picture, its alpha channel, and what is said about it.

use super::boxes::{boxed, full};

/// Everything that goes into a file.
pub(super) struct Parts<'a> {
    pub size: (u32, u32),
    pub depth: u8,
    pub colour: Stream,
    pub colour_channels: u8,
    pub alpha: Option<Stream>,
    pub icc: Option<&'a [u8]>,
    pub exif: Option<&'a [u8]>,
    pub xmp: Option<&'a [u8]>,
}

/// An AV1 stream and what a container says about it (AV1 codec ISO media file format binding, 2.3).
pub(super) struct Stream {
    pub bytes: Vec<u8>,
    pub configuration: Vec<u8>,
}

/// sRGB's primaries and curve; with a profile, neither is said (ITU-T H.273).
const SRGB: [u16; 2] = [1, 13];
const UNSPECIFIED: [u16; 2] = [2, 2];

/// Channels that are green, blue and red themselves, in full range.
const IDENTITY: u16 = 0;
const FULL_RANGE: u8 = 0x80;

const ALPHA: &[u8] = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0";

/// An item: its kind, the rest of its entry, the reference from it to the picture, its bytes and its properties' places.
struct Item<'a> {
    kind: &'a [u8; 4],
    entry: &'a [u8],
    reference: Option<&'a [u8; 4]>,
    bytes: Vec<u8>,
    properties: Vec<u8>,
}

/// The file.
pub(super) fn file(parts: Parts) -> Vec<u8> {
    let (properties, colour_places, alpha_places) = properties(&parts);
    let mut items = vec![item(b"av01", b"\0", None, parts.colour.bytes, colour_places)];
    if let Some(alpha) = parts.alpha {
        items.push(item(b"av01", b"\0", Some(b"auxl"), alpha.bytes, alpha_places));
    }
    if let Some(exif) = parts.exif {
        items.push(item(b"Exif", b"\0", Some(b"cdsc"), [&[0; 4], exif].concat(), Vec::new()));
    }
    if let Some(xmp) = parts.xmp {
        items.push(item(b"mime", b"\0application/rdf+xml\0", Some(b"cdsc"), xmp.to_vec(), Vec::new()));
    }
    let head = boxed(b"ftyp", &[b"avif\0\0\0\0avifmif1miaf"]);
    let length = meta(&items, &properties, 0).len();
    let meta = meta(&items, &properties, head.len() + length + 8);
    let data: Vec<&[u8]> = items.iter().map(|item| item.bytes.as_slice()).collect();
    [head, meta, boxed(b"mdat", &data)].concat()
}

fn item<'a>(
    kind: &'a [u8; 4],
    entry: &'a [u8],
    reference: Option<&'a [u8; 4]>,
    bytes: Vec<u8>,
    properties: Vec<u8>,
) -> Item<'a> {
    Item { kind, entry, reference, bytes, properties }
}

/// The properties, and which of them are the picture's and the alpha channel's (with the bit of those a reader must know).
fn properties(parts: &Parts) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    const ESSENTIAL: u8 = 0x80;
    let size = [parts.size.0.to_be_bytes(), parts.size.1.to_be_bytes()].concat();
    let bits = |channels: u8| [vec![channels], vec![parts.depth; usize::from(channels)]].concat();
    let code = if parts.icc.is_some() { UNSPECIFIED } else { SRGB };
    let code: Vec<u8> = [code[0], code[1], IDENTITY].iter().flat_map(|code| code.to_be_bytes()).collect();
    let mut all = vec![
        full(b"ispe", 0, 0, &[&size]),
        boxed(b"av1C", &[&parts.colour.configuration]),
        full(b"pixi", 0, 0, &[&bits(parts.colour_channels)]),
        boxed(b"colr", &[b"nclx", &code, &[FULL_RANGE]]),
    ];
    let mut colour_places = vec![1, ESSENTIAL | 2, 3, 4];
    if let Some(icc) = parts.icc {
        all.push(boxed(b"colr", &[b"prof", icc]));
        colour_places.push(all.len() as u8);
    }
    let mut alpha_places = Vec::new();
    if let Some(alpha) = &parts.alpha {
        let first = all.len() as u8 + 1;
        all.push(boxed(b"av1C", &[&alpha.configuration]));
        all.push(full(b"pixi", 0, 0, &[&bits(1)]));
        all.push(full(b"auxC", 0, 0, &[ALPHA]));
        alpha_places = vec![1, ESSENTIAL | first, first + 1, first + 2];
    }
    (all.concat(), colour_places, alpha_places)
}

/// The list of items, whose bytes begin at `at` one after another.
fn meta(items: &[Item], properties: &[u8], at: usize) -> Vec<u8> {
    let count = (items.len() as u16).to_be_bytes();
    let numbered = || (1u16..).zip(items);
    let entries =
        numbered().map(|(id, item)| full(b"infe", 2, 0, &[&id.to_be_bytes(), &[0, 0], item.kind, item.entry]));
    let entries: Vec<u8> = entries.flatten().collect();
    let references =
        numbered().filter_map(|(id, item)| Some(boxed(item.reference?, &[&id.to_be_bytes(), &[0, 1, 0, 1]])));
    let references: Vec<u8> = references.flatten().collect();
    let linked = numbered().filter(|(_, item)| !item.properties.is_empty());
    let links: Vec<u8> = linked.clone().flat_map(|(id, item)| link(id, &item.properties)).collect();
    let linked = (linked.count() as u32).to_be_bytes();
    let handler = [&[0; 4], b"pict".as_slice(), &[0; 13]].concat();
    let list = boxed(b"iprp", &[&boxed(b"ipco", &[properties]), &full(b"ipma", 0, 0, &[&linked, &links])]);
    let mut children = vec![
        full(b"hdlr", 0, 0, &[&handler]),
        full(b"pitm", 0, 0, &[&[0, 1]]),
        full(b"iloc", 0, 0, &[&[0x44, 0], &count, &locations(items, at)]),
        full(b"iinf", 0, 0, &[&count, &entries]),
    ];
    if !references.is_empty() {
        children.push(full(b"iref", 0, 0, &[&references]));
    }
    children.push(list);
    full(b"meta", 0, 0, &[&children.concat()])
}

fn link(id: u16, properties: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[properties.len() as u8], properties].concat()
}

fn locations(items: &[Item], mut at: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, item) in (1u16..).zip(items) {
        bytes.extend([id, 0, 1].iter().flat_map(|number| number.to_be_bytes()));
        bytes.extend((at as u32).to_be_bytes());
        bytes.extend((item.bytes.len() as u32).to_be_bytes());
        at += item.bytes.len();
    }
    bytes
}
