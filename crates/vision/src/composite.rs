//! Putting a filled picture into the photo at the photo's own depth, without touching what is known.

mod feather;
mod misses;

use crate::{Mask, Photo};
use feather::feathered;
use image::math::Rect;
use image::{DynamicImage, ImageBuffer, Pixel, Rgb, Rgb32FImage, imageops};

/// Photos are worked on in squares of this side, so that no float copy of a large one is made.
const TILE: u32 = 1024;

/// A rectangle grown by `px` to each side, within a photo of `size`.
pub fn grown(rect: Rect, px: u32, size: (u32, u32)) -> Rect {
    let (x, y) = (rect.x.saturating_sub(px), rect.y.saturating_sub(px));
    let right = (rect.x + rect.width + px).min(size.0);
    let bottom = (rect.y + rect.height + px).min(size.1);
    Rect { x, y, width: right - x, height: bottom - y }
}

/// What lies in both rectangles.
pub fn common(a: Rect, b: Rect) -> Option<Rect> {
    let (x, y) = (a.x.max(b.x), a.y.max(b.y));
    let right = (a.x + a.width).min(b.x + b.width);
    let bottom = (a.y + a.height).min(b.y + b.height);
    (x < right && y < bottom).then(|| Rect { x, y, width: right - x, height: bottom - y })
}

/// The photo with its hole filled.
///
/// Pixels outside the mask stay bit-identical, at the photo's own depth and colour type, alpha included. Inside, the
/// colours are `filled`'s and opaque; grey photos get its luma (Rec. 709). Within `feather_px` of the hole's edge they
/// are shifted by what `filled` misses of the known colours nearby, fading inwards, so that a step in light becomes a
/// ramp. So `filled` has to render the known pixels near the hole as well: where it equals the photo there, the feather
/// changes nothing. What the photo contains inside its hole is never used.
///
/// The result keeps the photo's path, format, profile and EXIF.
///
/// # Panics
/// When `filled` or `mask` has another size than the photo.
pub fn composite(photo: &Photo, mask: &Mask, filled: &Rgb32FImage, feather_px: f32) -> Photo {
    assert_eq!(filled.dimensions(), (photo.width(), photo.height()), "filled picture and photo differ in size");
    let cut = |rect: Rect| imageops::crop_imm(filled, rect.x, rect.y, rect.width, rect.height).to_image();
    composite_tiles(photo, mask, feather_px, |rect, _| cut(rect))
}

/// As [`composite`], the filled picture given piece by piece: `render` is asked for rectangles that touch the hole and is
/// shown what the photo has there.
///
/// # Panics
/// When `mask` has another size than the photo.
pub fn composite_tiles(
    photo: &Photo,
    mask: &Mask,
    feather_px: f32,
    render: impl Fn(Rect, &Rgb32FImage) -> Rgb32FImage,
) -> Photo {
    let size = (photo.width(), photo.height());
    assert_eq!((mask.width(), mask.height()), size, "mask and photo differ in size");
    let mut pixels = photo.pixels.clone();
    let margin = feather::margin(feather_px);
    for tile in tiles(size).filter(|tile| touches(mask, *tile)) {
        let rect = grown(tile, margin, size);
        let piece = mask.cut_to(rect);
        let known = photo.pixels.crop_imm(rect.x, rect.y, rect.width, rect.height).to_rgb32f();
        let colours = feathered(&known, &piece, &render(rect, &known), feather_px);
        fill_in(&mut pixels, mask, tile, (rect.x, rect.y), &colours);
    }
    photo.with_pixels(pixels)
}

fn tiles((w, h): (u32, u32)) -> impl Iterator<Item = Rect> {
    let along = |n: u32| (0..n).step_by(TILE as usize).map(move |at| (at, TILE.min(n - at)));
    along(h).flat_map(move |(y, height)| along(w).map(move |(x, width)| Rect { x, y, width, height }))
}

fn touches(mask: &Mask, tile: Rect) -> bool {
    (tile.y..tile.y + tile.height).any(|y| (tile.x..tile.x + tile.width).any(|x| mask.is_hole(x, y)))
}

/// Replaces the hole's pixels of a tile, at the same depth and colour type; `colours` begin at `from`.
fn fill_in(pixels: &mut DynamicImage, mask: &Mask, tile: Rect, from: (u32, u32), colours: &Rgb32FImage) {
    match pixels {
        DynamicImage::ImageLuma8(image) => write(image, mask, tile, from, colours),
        DynamicImage::ImageLumaA8(image) => write(image, mask, tile, from, colours),
        DynamicImage::ImageRgb8(image) => write(image, mask, tile, from, colours),
        DynamicImage::ImageRgba8(image) => write(image, mask, tile, from, colours),
        DynamicImage::ImageLuma16(image) => write(image, mask, tile, from, colours),
        DynamicImage::ImageLumaA16(image) => write(image, mask, tile, from, colours),
        DynamicImage::ImageRgb16(image) => write(image, mask, tile, from, colours),
        DynamicImage::ImageRgba16(image) => write(image, mask, tile, from, colours),
        DynamicImage::ImageRgb32F(image) => write(image, mask, tile, from, colours),
        DynamicImage::ImageRgba32F(image) => write(image, mask, tile, from, colours),
        // A colour type a later `image` may add: none is read today.
        other => {
            let mut copy = other.to_rgba32f();
            write(&mut copy, mask, tile, from, colours);
            *other = copy.into();
        }
    }
}

fn write<P>(
    image: &mut ImageBuffer<P, Vec<P::Subpixel>>,
    mask: &Mask,
    tile: Rect,
    from: (u32, u32),
    colours: &Rgb32FImage,
) where
    P: Pixel,
    P::Subpixel: Sample,
{
    let places = (tile.y..tile.y + tile.height).flat_map(|y| (tile.x..tile.x + tile.width).map(move |x| (x, y)));
    for (x, y) in places.filter(|&(x, y)| mask.is_hole(x, y)) {
        let Rgb([r, g, b]) = *colours.get_pixel(x - from.0, y - from.1);
        let luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        let values: &[f32] = match P::CHANNEL_COUNT {
            1 => &[luma],
            2 => &[luma, 1.0],
            3 => &[r, g, b],
            _ => &[r, g, b, 1.0],
        };
        let to = image.get_pixel_mut(x, y).channels_mut().iter_mut();
        to.zip(values).for_each(|(to, &value)| *to = Sample::from_unit(value));
    }
}

/// A stored value: how 0 to 1 becomes one.
trait Sample {
    fn from_unit(value: f32) -> Self;
}

impl Sample for u8 {
    fn from_unit(value: f32) -> Self {
        (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
    }
}

impl Sample for u16 {
    fn from_unit(value: f32) -> Self {
        (value.clamp(0.0, 1.0) * 65_535.0 + 0.5) as u16
    }
}

impl Sample for f32 {
    fn from_unit(value: f32) -> Self {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ColorType, GenericImageView, GrayImage, Luma, Rgba, RgbaImage};

    const SIZE: u32 = 24;

    fn square_hole() -> Mask {
        Mask::from_fn(SIZE, SIZE, |x, y| (6..18).contains(&x) && (6..18).contains(&y))
    }

    /// A 16-bit picture with every value different, and alpha that is nowhere opaque.
    fn varied() -> DynamicImage {
        let value = |x: u32, y: u32, c: u32| (x * 2609 + y * 911 + c * 17_001) as u16;
        let pixels = ImageBuffer::from_fn(SIZE, SIZE, |x, y| {
            Rgba([value(x, y, 0), value(x, y, 1), value(x, y, 2), value(x, y, 3) % 60_000])
        });
        DynamicImage::ImageRgba16(pixels)
    }

    fn every_type() -> Vec<DynamicImage> {
        let p = varied();
        vec![
            p.to_luma8().into(),
            p.to_luma_alpha8().into(),
            p.to_rgb8().into(),
            p.to_rgba8().into(),
            p.to_luma16().into(),
            p.to_luma_alpha16().into(),
            p.to_rgb16().into(),
            p.to_rgba16().into(),
            p.to_rgb32f().into(),
            p.to_rgba32f().into(),
        ]
    }

    fn bytes_of_pixel(image: &DynamicImage, x: u32, y: u32) -> &[u8] {
        let step = usize::from(image.color().bytes_per_pixel());
        let at = (y * SIZE + x) as usize * step;
        &image.as_bytes()[at..at + step]
    }

    #[test]
    fn known_pixels_are_bit_identical_at_every_depth_and_colour_type() {
        let mask = square_hole();
        let filled = Rgb32FImage::from_pixel(SIZE, SIZE, Rgb([0.9, 0.1, 0.4]));
        for pixels in every_type() {
            let result = composite(&Photo::from_pixels(pixels.clone()), &mask, &filled, 4.0).pixels;
            assert_eq!(result.color(), pixels.color());
            let known = (0..SIZE * SIZE).map(|i| (i % SIZE, i / SIZE)).filter(|&(x, y)| !mask.is_hole(x, y));
            for (x, y) in known {
                assert_eq!(bytes_of_pixel(&result, x, y), bytes_of_pixel(&pixels, x, y), "{:?}", pixels.color());
            }
        }
    }

    #[test]
    fn the_hole_gets_the_filled_colours_and_becomes_opaque() {
        let filled = Rgb32FImage::from_pixel(SIZE, SIZE, Rgb([0.8, 0.2, 0.4]));
        for pixels in every_type() {
            let result = composite(&Photo::from_pixels(pixels), &square_hole(), &filled, 0.0).pixels;
            let found = result.to_rgba32f().get_pixel(12, 12).0;
            let grey = 0.2126 * 0.8 + 0.7152 * 0.2 + 0.0722 * 0.4;
            let wanted = if result.color().has_color() { [0.8, 0.2, 0.4, 1.0] } else { [grey, grey, grey, 1.0] };
            let step =
                if result.color().bytes_per_pixel() / result.color().channel_count() == 1 { 0.5 / 255.0 } else { 1e-4 };
            let near = found.iter().zip(wanted).all(|(f, w)| (f - w).abs() <= step + 1e-6);
            assert!(near, "{:?}: {found:?}", result.color());
        }
    }

    #[test]
    fn the_feather_turns_a_step_in_light_into_a_ramp_inside_the_hole() {
        let photo = Photo::from_pixels(Rgb32FImage::from_pixel(SIZE, SIZE, Rgb([0.5; 3])));
        let filled = Rgb32FImage::from_pixel(SIZE, SIZE, Rgb([0.6; 3]));
        let result = composite(&photo, &square_hole(), &filled, 4.0).to_rgb32f();
        let row: Vec<f32> = (4..13).map(|x| result.get_pixel(x, 12).0[0]).collect();
        assert_eq!(row[..2], [0.5, 0.5]);
        assert!((row[2] - 0.51).abs() < 0.005, "{row:?}");
        assert!(row.windows(2).all(|pair| pair[0] <= pair[1] && pair[1] - pair[0] < 0.04), "{row:?}");
        assert_eq!(row[6..], [0.6, 0.6, 0.6]);
    }

    #[test]
    fn a_fill_that_meets_the_known_pixels_is_not_changed() {
        let photo = Photo::from_pixels(varied().to_rgb32f());
        let mut filled = photo.to_rgb32f();
        filled.put_pixel(8, 8, Rgb([0.1, 0.2, 0.3]));
        assert_eq!(composite(&photo, &square_hole(), &filled, 5.0).to_rgb32f(), filled);
    }

    #[test]
    fn what_the_photo_has_in_its_hole_never_shows() {
        let mask = square_hole();
        let with = |inside: u8| {
            let pixels = GrayImage::from_fn(SIZE, SIZE, |x, y| Luma([if mask.is_hole(x, y) { inside } else { 90 }]));
            composite(&Photo::from_pixels(pixels), &mask, &Rgb32FImage::from_pixel(SIZE, SIZE, Rgb([0.7; 3])), 6.0)
        };
        assert_eq!(with(0).pixels, with(255).pixels);
    }

    #[test]
    fn tiles_meet_without_a_trace() {
        let size = (2 * TILE + 40, 60);
        let mask = Mask::from_fn(size.0, size.1, |x, y| (9..50).contains(&y) && (20..size.0 - 20).contains(&x));
        let photo = Photo::from_pixels(Rgb32FImage::from_fn(size.0, size.1, |x, y| {
            Rgb([(x % 97) as f32 / 97.0, y as f32 / 60.0, 0.5])
        }));
        let filled = Rgb32FImage::from_fn(size.0, size.1, |x, _| Rgb([(x % 89) as f32 / 89.0, 0.4, 0.2]));
        let found = composite(&photo, &mask, &filled, 6.0).to_rgb32f();
        let whole = feathered(&photo.to_rgb32f(), &mask, &filled, 6.0);
        let hole = found.enumerate_pixels().filter(|(x, y, _)| mask.is_hole(*x, *y));
        hole.for_each(|(x, y, p)| assert_eq!(p, whole.get_pixel(x, y), "at {x}, {y}"));
    }

    #[test]
    fn a_wide_feather_is_quick_and_its_tiles_meet() {
        let size = (TILE + 300, 260);
        let mask = Mask::from_fn(size.0, size.1, |x, y| (60..200).contains(&y) && (TILE - 60..TILE + 60).contains(&x));
        let photo = Photo::from_pixels(Rgb32FImage::from_fn(size.0, size.1, |x, y| {
            Rgb([(x % 97) as f32 / 97.0, y as f32 / 260.0, 0.5])
        }));
        let filled = Rgb32FImage::from_pixel(size.0, size.1, Rgb([0.3, 0.4, 0.2]));
        for feather_px in [40.0, 1000.0] {
            let found = composite(&photo, &mask, &filled, feather_px).to_rgb32f();
            let whole = feathered(&photo.to_rgb32f(), &mask, &filled, feather_px);
            for (x, y, found) in found.enumerate_pixels().filter(|(x, y, _)| mask.is_hole(*x, *y)) {
                let near = found.0.iter().zip(whole.get_pixel(x, y).0).all(|(a, b)| (a - b).abs() < 1e-4);
                assert!(near, "at {x}, {y} of {feather_px} px");
            }
        }
    }

    #[test]
    fn the_result_keeps_what_the_file_said_about_itself() {
        let photo = Photo { icc: Some(vec![1]), exif: Some(vec![2]), ..Photo::from_pixels(RgbaImage::new(SIZE, SIZE)) };
        let result = composite(&photo, &square_hole(), &Rgb32FImage::new(SIZE, SIZE), 2.0);
        assert_eq!((result.icc, result.exif), (Some(vec![1]), Some(vec![2])));
        assert_eq!((result.pixels.dimensions(), result.pixels.color()), ((SIZE, SIZE), ColorType::Rgba8));
    }
}
