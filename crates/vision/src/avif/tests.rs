use super::*;
use crate::test_folder::TestFolder;
use crate::{Mask, Photo};
use image::{GrayAlphaImage, GrayImage, ImageFormat, Luma, LumaA, Rgb, Rgb32FImage, RgbImage, Rgba, RgbaImage};

/// Noise, which is the hardest to keep, with black and white.
fn noise(x: u32, y: u32, channel: u32) -> u8 {
    let mixed = (x * 73 + y * 151 + channel * 199 + 7).wrapping_mul(2_654_435_761);
    match mixed >> 28 {
        0 => 0,
        1 => 255,
        _ => (mixed >> 16) as u8,
    }
}

fn pictures((width, height): (u32, u32)) -> Vec<DynamicImage> {
    let n = noise;
    vec![
        RgbImage::from_fn(width, height, |x, y| Rgb([n(x, y, 0), n(x, y, 1), n(x, y, 2)])).into(),
        RgbaImage::from_fn(width, height, |x, y| Rgba([n(x, y, 0), n(x, y, 1), n(x, y, 2), n(x, y, 3)])).into(),
        GrayImage::from_fn(width, height, |x, y| Luma([n(x, y, 0)])).into(),
        GrayAlphaImage::from_fn(width, height, |x, y| LumaA([n(x, y, 0), n(x, y, 1)])).into(),
    ]
}

#[test]
fn what_is_written_decodes_to_the_same_values() {
    for size in [(64, 48), (97, 33), (17, 16)] {
        for picture in pictures(size) {
            let encoded = encode(&picture, &Description::default()).unwrap();
            assert!(encoded.exact, "{size:?} {:?}", picture.color());
            let read = decode(&encoded.bytes).unwrap();
            assert_eq!(read.orientation, Orientation::NoTransforms);
            assert_eq!(read.pixels.to_rgba8(), picture.to_rgba8(), "{size:?} {:?}", picture.color());
            assert_eq!(read.pixels.color().channel_count(), picture.color().channel_count());
        }
    }
}

#[test]
fn single_pixels_in_flat_places_are_kept() {
    let picture = RgbImage::from_fn(192, 128, |x, y| {
        let sky = (100 + x / 48 + y / 64) as u8;
        Rgb([sky + u8::from(x % 37 == 5 && y % 29 == 3), sky - u8::from(x * y % 211 == 7), sky])
    });
    let encoded = encode(&picture.clone().into(), &Description::default()).unwrap();
    assert!(encoded.exact);
    assert_eq!(decode(&encoded.bytes).unwrap().pixels.to_rgb8(), picture);
}

#[test]
fn deep_pictures_are_kept_to_two_steps_of_ten_bits() {
    let picture = image::ImageBuffer::<Rgba<u16>, _>::from_fn(40, 30, |x, y| {
        Rgba([0, 1, 2, 3].map(|c| u16::from(noise(x, y, c)) << 8 | u16::from(noise(y, x, c))))
    });
    let encoded = encode(&picture.clone().into(), &Description::default()).unwrap();
    let read = decode(&encoded.bytes).unwrap().pixels.to_rgba16();
    let worst = read.iter().zip(picture.iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(128), "{worst:?} of 65535");
}

#[test]
fn what_is_said_about_the_picture_goes_along() {
    let picture = &pictures((32, 24))[0];
    let icc = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let (exif, xmp) = (b"II*\0\x08\0\0\0\0\0\0\0\0\0".to_vec(), b"<x:xmpmeta/>".to_vec());
    let description = Description { icc: Some(&icc), exif: Some(&exif), xmp: Some(&xmp) };
    let read = decode(&encode(picture, &description).unwrap().bytes).unwrap();
    assert_eq!((read.icc, read.exif, read.xmp), (Some(icc), Some(exif), Some(xmp)));
    let plain = decode(&encode(picture, &Description::default()).unwrap().bytes).unwrap();
    assert_eq!((plain.icc, plain.exif, plain.xmp), (None, None, None));
}

#[test]
fn the_known_pixels_of_a_completed_avif_are_as_they_were() {
    let folder = TestFolder::new();
    let target = Photo::from_bytes(include_bytes!("../photo/samples/halved.avif"), "target.avif").unwrap();
    let (width, height) = (target.width(), target.height());
    assert_eq!(target.format, Some(ImageFormat::Avif));
    let mask = Mask::from_fn(width, height, |x, y| (20..40).contains(&x) && (10..30).contains(&y));
    let filled = Rgb32FImage::from_pixel(width, height, Rgb([0.2, 0.5, 0.8]));
    let completed = crate::composite::composite(&target, &mask, &filled, 3.0);
    let saved = completed.save_completed(&mask, &folder.join("completed"), Default::default()).unwrap();
    assert!(saved.path.ends_with("completed.avif") && saved.notes.is_empty(), "{saved:?}");
    let (before, after) = (target.pixels.to_rgb8(), Photo::open(&saved.path).unwrap().pixels.to_rgb8());
    let differ = |inside: bool| {
        let pixels = before.enumerate_pixels().filter(|(x, y, _)| mask.is_hole(*x, *y) == inside);
        pixels.filter(|(x, y, pixel)| after.get_pixel(*x, *y) != *pixel).count()
    };
    assert_eq!((differ(false), differ(true) > 0), (0, true));
}

#[test]
fn parts_larger_than_the_picture_are_refused_before_they_are_decoded() {
    let mut grid = include_bytes!("../photo/samples/grid.avif").to_vec();
    let tiles = grid.windows(4).rposition(|window| window == b"ispe").unwrap() + 8;
    for side in [64u32, 20_000, 65_535] {
        grid[tiles..tiles + 8].copy_from_slice(&[side.to_be_bytes(), side.to_be_bytes()].concat());
        assert_eq!(decode(&grid).err(), (side > 64).then_some(ABSURD), "{side}");
    }
    let large = (14_000, 14_000);
    assert!(check_tiles(3000, (256, 256), large).is_ok() && check_tiles(1, large, large).is_ok());
    assert!(check_tiles(1, (2000, 2000), (64, 64)).is_ok());
    assert_eq!(check_tiles(1, large, (64, 64)), Err(ABSURD), "64×64 would cost as much as 14000×14000");
    assert_eq!(check_tiles(256, large, large), Err(ABSURD));
    assert_eq!(check_tiles(60_000, (1, 1), large), Err(ABSURD));
}

#[test]
fn places_that_take_no_bytes_to_say_are_refused() {
    // Item 1 has 65535 places without offset and length; 4096 of such items would take 4 GB.
    let location = [0x00, 0x00, 0, 1, 0, 1, 0, 0, 0xFF, 0xFF];
    let entry = boxes::full(b"infe", 2, 0, &[&[0, 1, 0, 0], b"av01", &[0]]);
    let file = boxes::full(
        b"meta",
        0,
        0,
        &[
            &boxes::full(b"pitm", 0, 0, &[&[0, 1]]),
            &boxes::full(b"iinf", 0, 0, &[&[0, 1], &entry]),
            &boxes::full(b"iloc", 0, 0, &[&location]),
        ],
    );
    assert_eq!(size(&file).err(), Some(AvifError::Broken("its list of items is damaged")));
}
