//! Small EXIF blocks, little-endian.

/// A directory: tag, type, count and value (or its place) of each entry, and where the next one stands.
fn directory(entries: &[(u16, u16, u32, u32)], next: u32) -> Vec<u8> {
    let mut bytes = (entries.len() as u16).to_le_bytes().to_vec();
    for &(tag, kind, count, value) in entries {
        bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    bytes.extend(next.to_le_bytes());
    bytes
}

const HEAD: &[u8] = b"II*\0\x08\0\0\0";

/// Where the value in a block [`with_value`] begins.
pub(crate) const VALUE_AT: usize = 94;

/// A block with one value, which lies at its end, in the directory that `pointer` leads to, and a thumbnail of 20 bytes.
pub(crate) fn with_value(pointer: u16, tag: u16, value: &[u8]) -> Vec<u8> {
    let first = directory(&[(pointer, 4, 1, 26)], 44);
    let below = directory(&[(tag, 7, value.len() as u32, VALUE_AT as u32)], 0);
    let second = directory(&[(0x201, 4, 1, 74), (0x202, 4, 1, 20)], 0);
    [HEAD, &first, &below, &second, &[0xAB; 20], value].concat()
}

/// A block with an interoperability index, "R03" for Adobe RGB.
pub(crate) fn with_interoperability(index: &[u8; 3]) -> Vec<u8> {
    let value = u32::from_le_bytes([index[0], index[1], index[2], 0]);
    let first = directory(&[(0x8769, 4, 1, 26)], 0);
    let exif = directory(&[(0xA005, 4, 1, 44)], 0);
    [HEAD, &first, &exif, &directory(&[(1, 2, 4, value)], 0)].concat()
}

/// A block that says nothing but that there are 600 pixels to a unit: 1 for none, 2 for an inch.
pub(crate) fn with_resolution(unit: u32) -> Vec<u8> {
    let first = directory(&[(0x11A, 5, 1, 50), (0x11B, 5, 1, 50), (0x128, 3, 1, unit)], 0);
    [HEAD, &first, &600u32.to_le_bytes(), &1u32.to_le_bytes()].concat()
}
