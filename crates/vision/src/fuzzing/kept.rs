//! What a file says about its photo.

use crate::metadata::{self, Strip};
use crate::save::Wanted;
use crate::{Mask, Photo};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// Any bytes as every kind of block: what is kept of them is read again.
pub fn metadata(bytes: &[u8]) {
    metadata::doubts(bytes, (4, 3));
    metadata::xmp_in(bytes);
    metadata::photoshop_in(bytes);
    if let Some(block) = metadata::described_by(bytes) {
        let again = metadata::described_by(&block).expect("what was moved out of a TIFF is read");
        assert_eq!(again, block, "moving again changes the block");
        assert!(block.len() <= 4 * bytes.len() + 64, "{} bytes of {}", block.len(), bytes.len());
    }
    metadata::is_premultiplied(bytes);
    metadata::describe(bytes.to_vec(), Some(bytes), Some(bytes), Some(bytes), true);
    let kept = metadata::without_thumbnails(bytes);
    assert_eq!(metadata::without_thumbnails(&kept), kept, "small pictures are left");
    metadata::from_png_text(bytes);
    for strip in [Strip::Nothing, Strip::Gps] {
        let said = Some(bytes.to_vec());
        let photo = Photo { exif: said.clone(), xmp: said.clone(), iptc: said, ..small() };
        let once = photo.described(strip, &mut Vec::new());
        let mut notes = Vec::new();
        Photo { exif: once.exif, xmp: once.xmp, iptc: once.iptc, ..small() }.described(strip, &mut notes);
        let is_damaged = notes.iter().any(|note| note.contains("is damaged"));
        assert!(!is_damaged, "what was kept is damaged: {notes:?}");
    }
}

fn small() -> Photo {
    Photo::from_pixels(RgbImage::from_fn(4, 3, |x, y| Rgb([(60 * x) as u8, (80 * y) as u8, 200])))
}

/// The formats that have a place for metadata and are quick to write.
const FORMATS: [ImageFormat; 4] = [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::WebP, ImageFormat::Jpeg];

/// How many bytes of an input say how the rest is divided.
const HEAD: usize = 5;

/// A format, then an EXIF block, an XMP packet and an IPTC record of any bytes: the file is read back with them.
pub fn transfer(bytes: &[u8]) {
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else { return };
    let length = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
    let (exif, rest) = rest.split_at(length(1).min(rest.len()));
    let (xmp, iptc) = rest.split_at(length(3).min(rest.len()));
    let said = |block: &[u8]| (!block.is_empty()).then(|| block.to_vec());
    let photo = Photo { exif: said(exif), xmp: said(xmp), iptc: said(iptc), ..small() };
    let format = FORMATS[usize::from(head[0] % 4)];
    let strip = [Strip::Nothing, Strip::Gps, Strip::All][usize::from(head[0] / 4 % 3)];
    let mut notes = Vec::new();
    let described = photo.described(strip, &mut notes);
    let mask = Mask::from_fn(photo.width(), photo.height(), |x, _| x > 1);
    let wanted = Wanted { format: Some(format), strip };
    let (_, file) = photo.completed(&described, &mask, wanted, &mut notes);
    let file = file.expect("every format takes a small picture");
    let read = Photo::from_bytes(&file, "photo").expect("what was written is read");
    assert!(format == ImageFormat::Jpeg || same(&read.pixels, &photo.pixels), "{format:?}: other pixels");
    let too_long = |what: &str| notes.iter().any(|note| note.contains(what));
    let unpadded = |packet: &Option<Vec<u8>>| packet.as_deref().map(metadata::without_padding);
    let same_xmp = match format {
        ImageFormat::Jpeg => unpadded(&read.xmp) == unpadded(&described.xmp), // a segment has little room
        _ => read.xmp == described.xmp,
    };
    assert!(same_xmp || too_long("XMP"), "{format:?}: another XMP packet");
    if format != ImageFormat::Tiff {
        assert!(read.exif == described.exif || too_long("EXIF"), "{format:?}: another EXIF block");
    }
    let iptc = |block: Option<Vec<u8>>| block.unwrap_or_default(); // an empty one is none in some formats
    assert!(iptc(read.iptc) == iptc(described.iptc) || format == ImageFormat::WebP, "{format:?}: another IPTC record");
}

fn same(a: &DynamicImage, b: &DynamicImage) -> bool {
    a.to_rgb8() == b.to_rgb8()
}
