//! Photoshop's image resources, which hold the IPTC record in JPEG and TIFF files, and their form in PNG files.

use std::fmt::Write;

/// The names of the resources that hold small pictures of the old picture (Adobe Photoshop File Formats, image resource
/// IDs 1033 and 1036).
const THUMBNAILS: [u16; 2] = [1033, 1036];

const SIGNATURE: &[u8] = b"8BIM";

/// The block without its small pictures; what cannot be read is left out.
pub(crate) fn without_thumbnails(block: &[u8]) -> Vec<u8> {
    let (mut kept, mut rest) = (Vec::new(), block);
    while let Some((id, length)) = resource(rest) {
        if !THUMBNAILS.contains(&id) {
            kept.extend(&rest[..length]);
        }
        rest = &rest[length..];
    }
    kept
}

/// The first resource's name and how long it is in all: signature, name, a text, the data, each padded to even length.
fn resource(bytes: &[u8]) -> Option<(u16, usize)> {
    if !bytes.starts_with(SIGNATURE) {
        return None;
    }
    let id = u16::from_be_bytes(bytes.get(4..6)?.try_into().ok()?);
    let data = 6 + (usize::from(*bytes.get(6)?) + 1).next_multiple_of(2);
    let length = u32::from_be_bytes(bytes.get(data..data + 4)?.try_into().ok()?) as usize;
    let end = data.checked_add(4)?.checked_add(length)?;
    let padded = end.next_multiple_of(2).min(bytes.len());
    (end <= bytes.len()).then_some((id, padded))
}

/// The chunks that hold an XMP packet and Photoshop's resources in a PNG: `iTXt` as XMP's specification has it (part 3,
/// 1.1.5), and `tEXt` in hexadecimal as ImageMagick began it and others read it.
pub(crate) fn png_text(png: &[u8], xmp: Option<&[u8]>, photoshop: Option<&[u8]>) -> Vec<u8> {
    // Signature and header: 8 bytes, then length, name, 13 bytes and checksum.
    let (head, rest) = png.split_at(png.len().min(8 + 25));
    let mut bytes = head.to_vec();
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

fn chunk(bytes: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let named = [name, data].concat();
    bytes.extend((data.len() as u32).to_be_bytes());
    bytes.extend(&named);
    bytes.extend(crc32fast::hash(&named).to_be_bytes());
}
