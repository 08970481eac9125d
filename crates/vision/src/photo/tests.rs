use super::*;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ImageBuffer, ImageEncoder, Luma, LumaA, Rgb, RgbImage, Rgba};
use std::io::Cursor;

/// EXIF with nothing but an orientation (little-endian TIFF, one entry: tag 0x112, type SHORT, count 1).
fn exif_with_orientation(value: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([value, 0, 0, 0, 0, 0, 0, 0]);
    exif
}

/// 32×16, four flat quarters: red, green / blue, white, so that turns and flips can be told from its corners.
fn quarters() -> RgbImage {
    let colours = [Rgb([255, 0, 0]), Rgb([0, 255, 0]), Rgb([0, 0, 255]), Rgb([255, 255, 255])];
    RgbImage::from_fn(32, 16, |x, y| colours[(x / 16 + 2 * (y / 8)) as usize])
}

fn encoded(pixels: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    pixels.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn decoded(bytes: &[u8]) -> Photo {
    Photo::from_bytes(bytes, "photo.any").unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    Photo::from_bytes(bytes, "photo.any").unwrap_err().to_string()
}

#[test]
fn every_lossless_format_gives_back_its_pixels() {
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp] {
        let photo = decoded(&encoded(quarters(), format));
        assert_eq!(photo.pixels.as_rgb8(), Some(&quarters()), "{format:?}");
        assert_eq!(photo.format, Some(format));
    }
}

/// The same picture as every one of an animation (RFC 9649, 2.7.1).
#[test]
fn of_an_animated_webp_the_first_picture_is_used_and_the_others_are_told_of() {
    let still = encoded(quarters(), ImageFormat::WebP);
    let chunk = |name: &[u8; 4], data: &[u8]| [&name[..], &(data.len() as u32).to_le_bytes(), data].concat();
    let frame = [&[0, 0, 0, 0, 0, 0, 31, 0, 0, 15, 0, 0, 0, 0, 0, 2][..], &still[12..]].concat();
    let animation = |frames: usize| {
        let header = chunk(b"VP8X", &[2, 0, 0, 0, 31, 0, 0, 15, 0, 0]);
        let chunks = [header, chunk(b"ANIM", &[0; 6]), chunk(b"ANMF", &frame).repeat(frames)].concat();
        decoded(&chunk(b"RIFF", &[&b"WEBP"[..], &chunks].concat()))
    };
    let photo = animation(2);
    assert_eq!(photo.pixels.to_rgb8(), quarters());
    assert_eq!(photo.doubts, ["photo.any: it is an animation; only its first picture is used"]);
    assert!(animation(1).doubts.is_empty(), "it is the only one");
    assert!(decoded(&still).doubts.is_empty());
}

#[test]
fn depth_and_colour_type_are_kept() {
    let grey: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_fn(9, 7, |x, y| Luma([(x * 7001 + y * 13) as u16]));
    let rgb: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_fn(9, 7, |x, y| Rgb([1, x as u16 * 7001, y as u16]));
    let rgba: ImageBuffer<Rgba<u16>, Vec<u16>> =
        ImageBuffer::from_fn(9, 7, |x, y| Rgba([1, 2, x as u16, y as u16 * 9001]));
    let grey_alpha = ImageBuffer::from_fn(9, 7, |x, y| LumaA([x as u8 * 20, y as u8 * 30]));
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        assert_eq!(decoded(&encoded(grey.clone(), format)).pixels.as_luma16(), Some(&grey), "{format:?}");
        assert_eq!(decoded(&encoded(rgb.clone(), format)).pixels.as_rgb16(), Some(&rgb), "{format:?}");
        assert_eq!(decoded(&encoded(rgba.clone(), format)).pixels.as_rgba16(), Some(&rgba), "{format:?}");
    }
    let read = decoded(&encoded(grey_alpha.clone(), ImageFormat::Png));
    assert_eq!(read.pixels.as_luma_alpha8(), Some(&grey_alpha));
}

#[test]
fn working_colours_are_the_stored_values_over_their_maximum() {
    let near = |photo: &Photo, wanted: [f32; 3]| {
        let found = photo.to_rgb32f().get_pixel(0, 0).0;
        found.iter().zip(wanted).all(|(f, w)| (f - w).abs() < 1e-6)
    };
    let grey = Photo::from_pixels(image::GrayImage::from_pixel(1, 1, Luma([51])));
    assert!(near(&grey, [0.2; 3]));
    let deep: ImageBuffer<Rgba<u16>, Vec<u16>> = ImageBuffer::from_pixel(1, 1, Rgba([13107, 65535, 0, 7]));
    assert!(near(&Photo::from_pixels(deep), [0.2, 1.0, 0.0]));
}

#[test]
fn all_eight_orientations_are_applied_and_reset() {
    let upright = quarters();
    // What has to be stored so that the viewer's transform (EXIF 2.32, tag 274) gives the upright picture back.
    let stored: [fn(&DynamicImage) -> DynamicImage; 8] = [
        |p| p.clone(),
        |p| p.fliph(),
        |p| p.rotate180(),
        |p| p.flipv(),
        |p| p.rotate90().fliph(),
        |p| p.rotate270(),
        |p| p.rotate270().fliph(),
        |p| p.rotate90(),
    ];
    for (value, store) in (1..=8).zip(stored) {
        let turned = store(&upright.clone().into()).into_rgb8();
        let (width, height) = turned.dimensions();
        let (mut png, mut jpeg) = (Vec::new(), Vec::new());
        let mut encoder = PngEncoder::new(&mut png);
        encoder.set_exif_metadata(exif_with_orientation(value)).unwrap();
        encoder.write_image(&turned, width, height, image::ExtendedColorType::Rgb8).unwrap();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 100);
        encoder.set_exif_metadata(exif_with_orientation(value)).unwrap();
        encoder.write_image(&turned, width, height, image::ExtendedColorType::Rgb8).unwrap();
        let exif = [&b"Exif\0\0"[..], &exif_with_orientation(value)].concat();
        let as_in_jpegs = |name: &str| {
            let photo = Photo { exif: Some(exif.clone()), ..Photo::from_pixels(turned.clone()) };
            photo.encoded(name).unwrap()
        };
        for bytes in [png, jpeg, as_in_jpegs("a.webp"), as_in_jpegs("a.png")] {
            let photo = decoded(&bytes);
            assert!(close(&photo.pixels.to_rgb8(), &upright, 3), "orientation {value} of {:?}", photo.format);
            assert_eq!(photo.exif, Some(exif_with_orientation(1)), "orientation {value} of {:?}", photo.format);
        }
    }
}

/// A chunk of a PNG.
fn png_chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [&name[..], data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &named, &crc32(&named).to_be_bytes()].concat()
}

#[test]
fn what_stands_behind_a_pngs_pixels_is_read() {
    let plain = encoded(quarters(), ImageFormat::Png);
    let (head, end) = plain.split_at(plain.len() - 12);
    let exif = png_chunk(b"eXIf", &exif_with_orientation(6));
    let xmp = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta/>");
    let photo = decoded(&[head, &exif, &xmp, end].concat());
    assert_eq!((photo.width(), photo.height()), (16, 32));
    assert_eq!(photo.exif, Some(exif_with_orientation(1)));
    assert_eq!(photo.xmp.as_deref(), Some(&b"<x:xmpmeta/>"[..]));
}

fn close(a: &RgbImage, b: &RgbImage, tolerance: u8) -> bool {
    a.dimensions() == b.dimensions() && a.iter().zip(b.iter()).all(|(a, b)| a.abs_diff(*b) <= tolerance)
}

#[test]
fn cmyk_and_ycck_with_adobe_inversion_give_the_printed_colours() {
    let patches: [[f32; 4]; 6] = [
        [0., 0., 0., 0.],
        [0., 0., 0., 255.],
        [200., 30., 0., 0.],
        [0., 180., 220., 40.],
        [90., 0., 160., 100.],
        [10., 20., 30., 128.],
    ];
    let files: [(&str, &[u8]); 4] = [
        ("cmyk.jpg", include_bytes!("../../tests/data/cmyk.jpg")),
        ("cmyk-progressive.jpg", include_bytes!("../../tests/data/cmyk-progressive.jpg")),
        ("ycck.jpg", include_bytes!("../../tests/data/ycck.jpg")),
        ("cmyk.tif", include_bytes!("../../tests/data/cmyk.tif")),
    ];
    for (name, bytes) in files {
        let photo = decoded(bytes);
        for (i, [c, m, y, k]) in patches.iter().enumerate() {
            let expected = [c, m, y].map(|v| (255.0 - v) * (255.0 - k) / 255.0);
            let found = photo.pixels.to_rgb8().get_pixel(16 * i as u32 + 8, 8).0;
            let near = expected.iter().zip(found).all(|(e, f)| (e - f32::from(f)).abs() < 6.0);
            assert!(near, "{name}, patch {i}: {found:?} instead of {expected:?}");
        }
        assert_eq!(photo.icc, None, "{name}: a CMYK profile does not describe RGB pixels");
    }
}

#[test]
fn a_profile_that_describes_the_pixels_is_kept() {
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(profile.clone()).unwrap();
    encoder.write_image(&quarters(), 32, 16, image::ExtendedColorType::Rgb8).unwrap();
    assert_eq!(decoded(&bytes).icc, Some(profile));
}

#[test]
fn the_content_decides_the_format_not_the_name() {
    let photo = Photo::from_bytes(&encoded(quarters(), ImageFormat::Png), "photo.jpg").unwrap();
    assert_eq!(photo.format, Some(ImageFormat::Png));
}

#[test]
fn a_missing_file_and_a_folder_are_errors_that_name_them() {
    let missing = Photo::open("no/such/photo.jpg").unwrap_err().to_string();
    assert!(missing.contains("no/such/photo.jpg") && missing.contains(FORMATS), "{missing}");
    let folder = Photo::open(env!("CARGO_MANIFEST_DIR")).unwrap_err().to_string();
    assert!(folder.contains("it is a folder"), "{folder}");
}

#[test]
fn what_is_no_picture_is_refused_by_name_with_the_formats_that_work() {
    for (bytes, what) in [
        (&b""[..], "empty"),
        (b"Dear reader", "not a picture"),
        (b"GIF89a...", "Gif"),
        (b"II+\0\x08\0\0\0", "a BigTIFF picture"),
    ] {
        let message = refusal(bytes);
        assert!(message.contains("photo.any") && message.contains(what) && message.contains(FORMATS), "{message}");
    }
}

#[test]
fn a_file_cut_short_is_an_error_in_every_format() {
    let noise = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y % 251) as u8, (x * 7 + y * y) as u8, (x ^ y) as u8]));
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp] {
        let whole = encoded(noise.clone(), format);
        decoded(&whole);
        for share in [0.02, 0.3, 0.6, 0.99] {
            let message = refusal(&whole[..(whole.len() as f64 * share) as usize]);
            assert!(message.contains("photo.any") && message.contains(FORMATS), "{format:?} at {share}: {message}");
        }
    }
}

#[test]
fn damaged_content_never_panics() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp] {
        let whole = encoded(quarters(), format);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xFF;
            let _ = Photo::from_bytes(&damaged, "photo.any");
        }
    }
}

/// A PNG header that declares a size and brings no pixels.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(&chunk);
    bytes.extend(crc32(&chunk).to_be_bytes());
    bytes.extend(b"\0\0\0\x01IDAT\x78");
    bytes
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

#[test]
fn more_than_200_megapixels_are_refused_before_decoding() {
    let message = refusal(&png_header(20_000, 10_001));
    assert!(message.contains("20000×10001") && message.contains("200 megapixels"), "{message}");
    let mut jpeg = encoded(quarters(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
    assert!(refusal(&jpeg).contains("65535×65535"), "{}", refusal(&jpeg));
}

#[test]
fn the_declared_size_is_told_without_decoding() {
    let declared = |bytes: &[u8]| Photo::declared_size(bytes, "photo.any").unwrap();
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp] {
        assert_eq!(declared(&encoded(quarters(), format)), (32, 16), "{format:?}");
    }
    assert_eq!(declared(&png_header(20_000, 10_001)), (20_000, 10_001), "there are no pixels to decode");
    let refused = Photo::declared_size(b"Dear reader", "photo.any").unwrap_err().to_string();
    assert_eq!(refused, refusal(b"Dear reader"));
}

#[test]
fn a_broken_profile_is_a_doubt_and_srgb() {
    let broken = [&[0; 16][..], b"RGB ", &[7; 108]].concat();
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(broken).unwrap();
    encoder.write_image(&quarters(), 32, 16, image::ExtendedColorType::Rgb8).unwrap();
    let photo = decoded(&bytes);
    assert_eq!(photo.icc, None);
    assert!(photo.doubts[0].contains("photo.any: its colour profile is broken"), "{:?}", photo.doubts);
    assert_eq!(photo.pixels.as_rgb8(), Some(&quarters()));
}
