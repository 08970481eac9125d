use super::*;
use crate::Photo;
use image::{ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};

/// Pseudo-random flags, about one in `sparsity` set.
fn speckled(width: u32, height: u32, sparsity: u32) -> Mask {
    let mut state = 1;
    Mask::from_fn(width, height, |_, _| {
        state = (state * 1_103_515_245u64 + 12_345) % (1 << 31);
        ((state >> 8) as u32).is_multiple_of(sparsity)
    })
}

fn brute_force(mask: &Mask, goal: bool) -> Vec<f32> {
    let goals: Vec<(i64, i64)> = pixels(mask).filter(|&(x, y)| mask.is_hole(x as u32, y as u32) == goal).collect();
    let nearest = |(x, y)| goals.iter().map(|(gx, gy)| (gx - x) * (gx - x) + (gy - y) * (gy - y)).min();
    pixels(mask).map(|pixel| nearest(pixel).map_or(f32::INFINITY, |square| (square as f64).sqrt() as f32)).collect()
}

fn pixels(mask: &Mask) -> impl Iterator<Item = (i64, i64)> + use<> {
    let (width, height) = (i64::from(mask.width()), i64::from(mask.height()));
    (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)))
}

#[test]
fn distances_equal_brute_force() {
    for (width, height) in [(1, 1), (1, 9), (17, 1), (31, 22), (64, 40)] {
        for sparsity in [1, 2, 9, 80, 100_000] {
            let mask = speckled(width, height, sparsity);
            let what = format!("{width}×{height}, one in {sparsity}");
            assert_eq!(mask.distance_to_hole().into_raw(), brute_force(&mask, true), "{what}");
            assert_eq!(mask.distance_into_hole().into_raw(), brute_force(&mask, false), "{what}");
        }
    }
}

#[test]
fn dilation_grows_by_a_disc() {
    let grown = Mask::from_fn(11, 11, |x, y| (x, y) == (5, 5)).dilate(3.0);
    let disc = Mask::from_fn(11, 11, |x, y| (x as i32 - 5).pow(2) + (y as i32 - 5).pow(2) <= 9);
    assert_eq!(grown, disc);
}

#[test]
fn the_bounding_box_is_tight() {
    let mask = Mask::from_fn(20, 10, |x, y| (x, y) == (3, 7) || (x, y) == (12, 2));
    assert_eq!(mask.bounding_box(), Some(Rect { x: 3, y: 2, width: 10, height: 6 }));
    assert_eq!(Mask::from_fn(20, 10, |_, _| false).bounding_box(), None);
}

#[test]
fn components_join_at_corners_and_keep_apart_otherwise() {
    let mask = Mask::from_fn(9, 4, |x, y| x < 3 && x == y || x == 6);
    let found = mask.components();
    let boxes: Vec<_> = found.parts.iter().map(|part| (part.bounds.x, part.bounds.width, part.area)).collect();
    assert_eq!(boxes, [(0, 3, 3), (6, 1, 4)]);
    assert_eq!(found.labels[6], 2);
    assert_eq!(found.labels[3], 0);
}

#[test]
fn a_smaller_cell_is_hole_when_any_pixel_under_it_is() {
    let mask = Mask::from_fn(16, 16, |x, y| (x, y) == (8, 7));
    assert_eq!(mask.resized_max(2, 2).holes(), [false, true, false, false]);
    let uneven = Mask::from_fn(10, 1, |x, _| x == 3);
    assert_eq!(uneven.resized_max(3, 1).holes(), [true, true, false]);
    assert_eq!(Mask::from_fn(2, 1, |x, _| x == 1).resized_max(4, 1).holes(), [false, false, true, true]);
}

fn target() -> Photo {
    Photo { path: "some/target.jpg".into(), ..Photo::from_pixels(RgbImage::new(4, 1)) }
}

fn from_photo(pixels: impl Into<image::DynamicImage>) -> Result<Mask, MaskError> {
    Mask::from_photo(&Photo { path: "some/mask.png".into(), ..Photo::from_pixels(pixels) }, &target())
}

fn grey(values: [u8; 4]) -> image::GrayImage {
    ImageBuffer::from_raw(4, 1, values.to_vec()).unwrap()
}

#[test]
fn soft_edges_fill_from_half_on_at_8_and_16_bit() {
    assert_eq!(from_photo(grey([0, 127, 128, 255])).unwrap().holes(), [false, false, true, true]);
    let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_raw(4, 1, vec![0, 32_767, 32_768, 65_535]).unwrap();
    assert_eq!(from_photo(deep).unwrap().holes(), [false, false, true, true]);
    let colour = RgbImage::from_fn(4, 1, |x, _| Rgb([if x == 2 { 255 } else { 20 }; 3]));
    assert_eq!(from_photo(colour).unwrap().holes(), [false, false, true, false]);
}

#[test]
fn alpha_counts_only_where_colour_says_nothing() {
    let both = ImageBuffer::from_fn(4, 1, |x, _| LumaA([if x == 1 { 255u8 } else { 0 }, x as u8 * 60]));
    assert_eq!(from_photo(both).unwrap().holes(), [false, true, false, false]);
    let white_paint = RgbaImage::from_fn(4, 1, |x, _| Rgba([255, 255, 255, if x == 3 { 255 } else { 0 }]));
    assert_eq!(from_photo(white_paint).unwrap().holes(), [false, false, false, true]);
    let black_paint = RgbaImage::from_fn(4, 1, |x, _| Rgba([0, 0, 0, if x == 3 { 255 } else { 0 }]));
    assert_eq!(from_photo(black_paint).unwrap().holes(), [true, true, true, false]);
}

#[test]
fn transparent_pixels_of_the_target_are_the_hole() {
    let photo = |alpha: [u8; 4]| {
        let pixels = RgbaImage::from_fn(4, 1, |x, _| Rgba([9, 9, 9, alpha[x as usize]]));
        Mask::from_alpha(&Photo { path: "a/target.png".into(), ..Photo::from_pixels(pixels) })
    };
    assert_eq!(photo([0, 127, 128, 255]).unwrap().holes(), [true, true, false, false]);
    assert!(photo([255; 4]).unwrap_err().to_string().contains("target.png has no transparent part"));
    assert!(photo([0; 4]).unwrap_err().to_string().contains("transparent everywhere"));
    assert!(Mask::from_alpha(&target()).unwrap_err().to_string().contains("nothing to fill"));
}

#[test]
fn another_size_is_an_error_with_both_sizes() {
    let message = from_photo(RgbImage::new(3, 2)).unwrap_err().to_string();
    assert_eq!(message, "mask.png is 3×2 but target.jpg is 4×1; export the mask at the photo's size");
}

#[test]
fn a_photo_in_place_of_a_mask_is_an_error() {
    let message = from_photo(grey([60, 130, 200, 255])).unwrap_err().to_string();
    assert!(message.contains("mask.png is mostly grey, so it looks like a photo"), "{message}");
    from_photo(grey([20, 130, 200, 235])).expect("half of it is a soft edge");
}

#[test]
fn empty_and_full_masks_are_errors() {
    assert!(from_photo(grey([0; 4])).unwrap_err().to_string().contains("mask.png marks nothing to fill"));
    assert!(from_photo(grey([255; 4])).unwrap_err().to_string().contains("nothing known"));
}
