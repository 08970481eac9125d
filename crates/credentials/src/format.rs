//! Telling a picture's format by its first bytes, in the names that `c2pa` has for them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The media type of the file's content; `None` for one that is no picture known here.
pub(crate) fn of_file(path: &Path) -> io::Result<Option<&'static str>> {
    let mut head = Vec::new();
    File::open(path)?.take(32).read_to_end(&mut head)?;
    Ok(of_bytes(&head))
}

fn of_bytes(head: &[u8]) -> Option<&'static str> {
    match head {
        [0xFF, 0xD8, 0xFF, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some("image/tiff"),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => of_brand(brand.get(..4)?),
        [0xFF, 0x0A, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Some("image/jxl"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'B', b'M', ..] => Some("image/bmp"),
        _ => None,
    }
}

/// ISO base media files by their major brand (ISO/IEC 23008-12, 10.2; AV1 image file format, 8).
fn of_brand(brand: &[u8]) -> Option<&'static str> {
    match brand {
        b"avif" | b"avis" => Some("image/avif"),
        b"heic" | b"heix" | b"heim" | b"heis" => Some("image/heic"),
        b"mif1" | b"msf1" => Some("image/heif"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_content() {
        let cases: [(&[u8], Option<&str>); 7] = [
            (b"\xFF\xD8\xFF\xE0", Some("image/jpeg")),
            (b"RIFF\0\0\0\0WEBPVP8L", Some("image/webp")),
            (b"MM\0\x2A\0\0\0\x08", Some("image/tiff")),
            (b"\0\0\0\x1Cftypavif\0\0", Some("image/avif")),
            (b"\0\0\0\x1Cftypisom", None),
            (b"\xFF\x0A\x01", Some("image/jxl")),
            (b"words", None),
        ];
        for (head, format) in cases {
            assert_eq!(of_bytes(head), format, "{head:?}");
        }
    }
}
