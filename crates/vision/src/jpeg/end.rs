//! Where a JPEG's picture ends in its file.

/// What follows the end-of-image marker (ITU-T T.81, B.1.1); `None` where that is not reached.
pub(crate) fn behind(file: &[u8]) -> Option<&[u8]> {
    let mut at = 2;
    while let Some(&[byte, code]) = file.get(at..at + 2) {
        at += match (byte, code) {
            (0xFF, 0xD9) => return file.get(at + 2..),
            (0xFF, 0x00 | 0x01 | 0xD0..=0xD8) => 2,
            (0xFF, 0x02..=0xFE) => 2 + segment_length(file, at + 2),
            _ => 1,
        };
    }
    None
}

fn segment_length(file: &[u8], at: usize) -> usize {
    file.get(at..at + 2).map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]])))
}
