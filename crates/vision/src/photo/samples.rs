//! AVIF and JPEG XL files that other people's encoders made (`samples/make.sh`), read and compared.

use super::{Photo, PhotoError};
use image::DynamicImage;

macro_rules! sample {
    ($name:literal) => {
        include_bytes!(concat!("samples/", $name)).as_slice()
    };
}

fn read(bytes: &[u8]) -> Photo {
    Photo::from_bytes(bytes, "sample").unwrap_or_else(|error| panic!("{error}"))
}

/// The largest difference of any channel of any pixel, in steps of 8 bits.
fn difference(a: &DynamicImage, b: &DynamicImage) -> u8 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let (a, b) = (a.to_rgba8(), b.to_rgba8());
    a.iter().zip(b.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

fn picture() -> DynamicImage {
    read(sample!("picture.png")).pixels
}

#[test]
fn files_without_loss_equal_their_source() {
    let alpha = read(sample!("alpha.png")).pixels;
    assert_eq!(read(sample!("lossless.avif")).pixels, picture());
    assert_eq!(read(sample!("lossless.jxl")).pixels, picture());
    assert_eq!(read(sample!("alpha.jxl")).pixels, alpha);
    assert!(difference(&read(sample!("alpha.avif")).pixels, &alpha) <= 2, "colours went through another colour space");
    assert_eq!(read(sample!("grid.avif")).pixels, read(sample!("large.png")).pixels);
}

#[test]
fn files_with_loss_equal_what_their_makers_decode() {
    let halved = difference(&read(sample!("halved.avif")).pixels, &read(sample!("halved.png")).pixels);
    assert!(halved <= 2, "{halved}");
    let ten_bits = read(sample!("ten-bits.avif")).pixels;
    assert_eq!(ten_bits.color(), image::ColorType::Rgb16);
    assert!(difference(&ten_bits, &read(sample!("ten-bits.png")).pixels) <= 1);
    let grey = read(sample!("grey.avif")).pixels;
    assert!(!grey.color().has_color() && difference(&grey, &read(sample!("grey.png")).pixels) <= 6);
    assert!(difference(&read(sample!("lossy.jxl")).pixels, &picture()) <= 60);
}

#[test]
fn a_turned_picture_is_upright() {
    // A quarter anticlockwise, then top and bottom change places.
    let upright = picture().rotate270().flipv();
    assert_eq!(read(sample!("turned.avif")).pixels, upright);
}

#[test]
fn what_is_said_about_a_picture_is_read() {
    // Boxes of a JPEG XL (ISO/IEC 18181-2, 9): the number before EXIF tells how far behind it begins.
    let boxed = |kind: &[u8], content: &[u8]| [&(8 + content.len() as u32).to_be_bytes(), kind, content].concat();
    let exif = b"\0\0\0\0II*\0\x08\0\0\0\x01\0\x0F\x01\x02\0\x09\0\0\0\x1A\0\0\0\0\0\0\0Testomat\0";
    let jpeg_xl = [sample!("lossless.jxl"), &boxed(b"Exif", exif), &boxed(b"xml ", b"Someone")].concat();
    for bytes in [sample!("lossless.avif"), &jpeg_xl] {
        let photo = read(bytes);
        let holds = |block: &Option<Vec<u8>>, words: &[u8]| {
            block.as_ref().is_some_and(|block| block.windows(words.len()).any(|window| window == words))
        };
        assert!(holds(&photo.exif, b"Testomat") && photo.icc.is_none(), "{:?}", photo.exif);
        assert!(holds(&photo.xmp, b"Someone"));
        assert!(photo.doubts.is_empty(), "{:?}", photo.doubts);
    }
}

#[test]
fn a_gain_map_that_is_not_used_is_told_of() {
    let mut avif = sample!("lossless.avif").to_vec();
    let kind = avif.windows(4).position(|window| window == b"Exif").unwrap();
    avif[kind..kind + 4].copy_from_slice(b"tmap");
    let jpeg_xl = [sample!("lossless.jxl"), b"\0\0\0\x0Cjhgm\0\0\0\0"].concat();
    for bytes in [avif, jpeg_xl] {
        let photo = read(&bytes);
        assert_eq!(photo.pixels, picture());
        assert_eq!(photo.doubts, ["sample: it has an HDR gain map; only its main picture is used"]);
    }
}

#[test]
fn the_compressed_xmp_of_a_jpeg_xl_is_read() {
    // A `brob` box (ISO/IEC 18181-2) with the text in one uncompressed block of Brotli (RFC 7932, 9.2), and an empty last one.
    let content = [&b"xml "[..], &[0x60, 0, 0x10], b"Someone", &[3]].concat();
    let compressed = [&(8 + content.len() as u32).to_be_bytes()[..], b"brob", &content].concat();
    let (head, rest) = sample!("lossless.jxl").split_at(32);
    let photo = read(&[head, &compressed, rest].concat());
    assert_eq!((photo.pixels, photo.xmp.as_deref()), (picture(), Some(&b"Someone"[..])));
}

#[test]
fn files_that_are_cut_short_or_damaged_are_refused_without_a_crash() {
    for bytes in [sample!("halved.avif"), sample!("alpha.avif"), sample!("grid.avif"), sample!("lossless.jxl")] {
        for end in (0..bytes.len()).step_by(97) {
            let result = Photo::from_bytes(&bytes[..end], "sample");
            assert!(result.is_err(), "{end} of {} bytes are read as a picture", bytes.len());
        }
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= [0xFF, 0x80, 0x01, 0x10][at % 4];
            let _ = Photo::from_bytes(&damaged, "sample"); // what comes out may be a picture
        }
    }
}

#[test]
fn the_declared_size_is_told_without_decoding() {
    let declared = |bytes: &[u8]| Photo::declared_size(bytes, "sample").unwrap();
    for bytes in [sample!("lossless.avif"), sample!("turned.avif"), sample!("lossless.jxl"), sample!("alpha.jxl")] {
        assert_eq!(declared(bytes), (50, 34), "as stored");
    }
    assert_eq!(declared(sample!("grid.avif")), (128, 128));
    let mut damaged = sample!("lossless.avif").to_vec();
    let content = damaged.windows(4).position(|window| window == b"mdat").unwrap() + 4;
    damaged[content..].fill(0);
    assert!(Photo::from_bytes(&damaged, "sample").is_err());
    assert_eq!(declared(&damaged), (50, 34), "its pixels are gone");
}

#[test]
fn an_absurd_size_is_refused_before_anything_is_decoded() {
    let mut bytes = sample!("halved.avif").to_vec();
    let at = bytes.windows(4).position(|window| window == b"ispe").unwrap() + 8;
    bytes[at..at + 8].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let refused = Photo::from_bytes(&bytes, "sample");
    assert!(matches!(refused, Err(PhotoError::TooLarge { width: 65_536, height: 65_536, .. })), "{refused:?}");
    // A small size for a larger stream: the decoder is not let loose on more than was said.
    bytes[at..at + 8].copy_from_slice(&[0, 0, 0, 8, 0, 0, 0, 8]);
    let message = Photo::from_bytes(&bytes, "sample").unwrap_err().to_string();
    assert!(message.contains("AVIF"), "{message}");
    // A size of 2^30 by 2^30 in a JPEG XL's header (ISO/IEC 18181-1, D.2): not small, both of 30 bits.
    let absurd = [0xFF, 0x0A, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
    assert!(Photo::from_bytes(&absurd, "sample").is_err());
}

#[test]
fn heic_says_how_to_convert() {
    for brands in [b"heicmif1".as_slice(), b"mif1\0\0\0\0heic", b"mif1\0\0\0\0mif1"] {
        let bytes = [&(8 + brands.len() as u32).to_be_bytes()[..], b"ftyp", brands].concat();
        let message = Photo::from_bytes(&bytes, "photo.heic").unwrap_err().to_string();
        assert!(message.contains("HEIC") && message.contains("heif-convert"), "{message}");
    }
}
