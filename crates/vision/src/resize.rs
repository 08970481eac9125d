//! Resampling of pictures and planes in work, down and up.

use crate::{Mask, Plane};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{F32, F32x3, InnerPixel};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, Rgb32FImage, RgbImage};
use rayon::prelude::*;

/// How pixels are weighted. All widen with the reduction, so nothing aliases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle: no overshoot; for trust, depth and anything that must stay within its range, and for what is compared pixel by pixel
    /// (the mean of the pixels whose centres lie in a cell, which goes by the name of box or area, moves them by up to half a pixel).
    Bilinear,
    /// Lanczos with three lobes: the sharpest, for photos. It overshoots at edges.
    Lanczos,
}

/// The picture at `width`×`height`, values kept within 0 and 1.
pub fn resize(picture: &Rgb32FImage, width: u32, height: u32, filter: Filter) -> Rgb32FImage {
    resize_part(picture, whole(picture.dimensions()), width, height, filter)
}

fn resize_part(picture: &Rgb32FImage, part: (f64, f64), width: u32, height: u32, filter: Filter) -> Rgb32FImage {
    let mut values = resample::<F32x3>(picture, picture.dimensions(), part, (width, height), filter);
    values.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
    Rgb32FImage::from_raw(width, height, values).expect("three values a pixel")
}

/// The plane at `width`×`height`; [`Filter::Lanczos`] may leave its range of values.
pub fn resize_plane(plane: &Plane, width: u32, height: u32, filter: Filter) -> Plane {
    resize_plane_part(plane, whole(plane.dimensions()), width, height, filter)
}

fn resize_plane_part(plane: &Plane, part: (f64, f64), width: u32, height: u32, filter: Filter) -> Plane {
    let values = resample::<F32>(plane, plane.dimensions(), part, (width, height), filter);
    Plane::from_raw(width, height, values).expect("one value a pixel")
}

/// The picture at another size, each pixel from the known ones under it alone, so that what a hole happens to contain
/// does not bleed into its surroundings; black where nothing is known.
///
/// # Panics
/// When picture and mask differ in size.
pub fn resize_known(picture: &Rgb32FImage, mask: &Mask, width: u32, height: u32) -> Rgb32FImage {
    assert_eq!(picture.dimensions(), (mask.width(), mask.height()), "picture and mask differ in size");
    let mut known = picture.clone();
    let mut share = Plane::from_pixel(mask.width(), mask.height(), image::Luma([1.0]));
    let pixels = known.pixels_mut().zip(share.iter_mut()).zip(mask.holes());
    for ((colour, share), _) in pixels.filter(|(_, hole)| **hole) {
        (colour.0, *share) = ([0.0; 3], 0.0);
    }
    weighted(&known, &share, whole(known.dimensions()), width, height)
}

fn whole((width, height): (u32, u32)) -> (f64, f64) {
    (f64::from(width), f64::from(height))
}

/// `known` times its share of known pixels, made smaller, over that share made smaller.
fn weighted(known: &Rgb32FImage, share: &Plane, part: (f64, f64), width: u32, height: u32) -> Rgb32FImage {
    let mut small = resize_part(known, part, width, height, Filter::Bilinear);
    let share = resize_plane_part(share, part, width, height, Filter::Bilinear);
    for (pixel, share) in small.pixels_mut().zip(share.iter()).filter(|(_, share)| **share > 1e-6) {
        pixel.0 = pixel.0.map(|value| (value / share).min(1.0));
    }
    small
}

/// A photo at a smaller `width`×`height` as [`resize`] with [`Filter::Bilinear`] gives it, never larger in memory as floats than
/// the result asks for: whole blocks of pixels are averaged first.
pub fn shrunk(photo: &DynamicImage, width: u32, height: u32) -> Rgb32FImage {
    let block = (photo.width() / width.max(1)).min(photo.height() / height.max(1));
    if block < 2 {
        return resize(&photo.to_rgb32f(), width, height, Filter::Bilinear);
    }
    let (means, _) = averaged(photo, |_, _| true, block);
    resize_part(&means, blocks(photo, block), width, height, Filter::Bilinear)
}

/// The same with a hole, each pixel from the known ones under it alone, as [`resize_known`].
///
/// # Panics
/// When photo and mask differ in size.
pub fn shrunk_known(photo: &DynamicImage, mask: &Mask, width: u32, height: u32) -> Rgb32FImage {
    assert_eq!((photo.width(), photo.height()), (mask.width(), mask.height()), "photo and mask differ in size");
    let block = (photo.width() / width.max(1)).min(photo.height() / height.max(1));
    if block < 2 {
        return resize_known(&photo.to_rgb32f(), mask, width, height);
    }
    let (mut means, known) = averaged(photo, |x, y| !mask.is_hole(x, y), block);
    means.pixels_mut().zip(known.iter()).for_each(|(mean, known)| mean.0 = mean.0.map(|v| v * known));
    weighted(&means, &known, blocks(photo, block), width, height)
}

/// The photo's size in blocks.
fn blocks(photo: &DynamicImage, block: u32) -> (f64, f64) {
    (f64::from(photo.width()) / f64::from(block), f64::from(photo.height()) / f64::from(block))
}

/// Means of the known pixels of whole blocks, and how much of each is known; what is left at the right and the bottom
/// edge is a narrower block.
fn averaged(photo: &DynamicImage, is_known: impl Fn(u32, u32) -> bool + Sync, block: u32) -> (Rgb32FImage, Plane) {
    let (width, height) = (photo.width().div_ceil(block), photo.height().div_ceil(block));
    let mut means = vec![0.0f32; 3 * width as usize * height as usize];
    let mut known = vec![0.0f32; width as usize * height as usize];
    let rows = means.par_chunks_mut(3 * width as usize).zip(known.par_chunks_mut(width as usize)).enumerate();
    rows.for_each(|(row, (means, known))| {
        let top = row as u32 * block;
        let band = photo.crop_imm(0, top, photo.width(), block.min(photo.height() - top)).to_rgb32f();
        for (x, _, pixel) in band.enumerate_pixels().filter(|(x, y, _)| is_known(*x, top + y)) {
            let at = (x / block) as usize;
            (0..3).for_each(|c| means[3 * at + c] += pixel[c]);
            known[at] += 1.0;
        }
        for (mean, known) in means.chunks_exact_mut(3).zip(known) {
            mean.iter_mut().for_each(|v| *v /= known.max(1.0));
            *known /= (block * block) as f32;
        }
    });
    let size = "one cell a block";
    (Rgb32FImage::from_raw(width, height, means).expect(size), Plane::from_raw(width, height, known).expect(size))
}

/// The largest size of the same aspect whose longer side is at most `max_side` (never enlarged, never 0).
pub fn fit_within((width, height): (u32, u32), max_side: u32) -> (u32, u32) {
    let longer = width.max(height);
    if longer <= max_side {
        return (width, height);
    }
    let scaled =
        |side: u32| ((u64::from(side) * u64::from(max_side) * 2 / u64::from(longer)).div_ceil(2) as u32).max(1);
    (scaled(width), scaled(height))
}

/// The picture as 8-bit values, rounded.
pub fn quantise(picture: &Rgb32FImage) -> RgbImage {
    let values = picture.iter().map(|value| (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8).collect();
    RgbImage::from_raw(picture.width(), picture.height(), values).expect("three values a pixel")
}

/// Of a picture of size `from` the `part` at its upper left, in pixels.
fn resample<P>(values: &[f32], from: (u32, u32), part: (f64, f64), to: (u32, u32), filter: Filter) -> Vec<f32>
where
    P: PixelTrait + InnerPixel<Component = f32>,
{
    let channels = P::count_of_components();
    if from.0 == 0 || from.1 == 0 || to.0 == 0 || to.1 == 0 || (from == to && part == whole(from)) {
        let mut copy = values.to_vec();
        copy.resize(to.0 as usize * to.1 as usize * channels, 0.0);
        return copy;
    }
    let mut out = vec![0.0f32; to.0 as usize * to.1 as usize * channels];
    let source =
        TypedImageRef::<P>::from_buffer(from.0, from.1, bytemuck::cast_slice(values)).expect("a whole picture");
    let mut target =
        TypedImage::<P>::from_buffer(to.0, to.1, bytemuck::cast_slice_mut(&mut out)).expect("a whole picture");
    let kernel = match filter {
        Filter::Bilinear => FilterType::Bilinear,
        Filter::Lanczos => FilterType::Lanczos3,
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(kernel)).crop(0.0, 0.0, part.0, part.1);
    Resizer::new().resize_typed(&source, &mut target, &options).expect("the part lies in the picture");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Luma, Rgb};

    fn ramp(width: u32, height: u32) -> Rgb32FImage {
        Rgb32FImage::from_fn(width, height, |x, y| {
            let (u, v) = ((x as f32 + 0.5) / width as f32, (y as f32 + 0.5) / height as f32);
            Rgb([u, v, 0.5 + 0.3 * (6.0 * u).sin() * (5.0 * v).cos()])
        })
    }

    fn largest_difference(a: &Rgb32FImage, b: &Rgb32FImage) -> f32 {
        a.iter().zip(b.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    /// At sizes whose ratio is no whole number, too: each pixel of a ramp is what the ramp is at its centre.
    #[test]
    fn a_smaller_picture_shows_everything_in_its_place() {
        let ramp = |width: u32| Rgb32FImage::from_fn(width, 8, |x, _| Rgb([(x as f32 + 0.5) / width as f32; 3]));
        for (from, to) in [(1536, 1024), (1280, 1024), (1100, 1024), (4000, 1024), (2832, 1024)] {
            let stored: DynamicImage = ramp(from).into();
            let mask = Mask::from_fn(from, 8, |x, _| x == 0);
            let wanted = ramp(to);
            for found in [shrunk(&stored, to, 8), shrunk_known(&stored, &mask, to, 8)] {
                let off = (16..to - 16).map(|x| found.get_pixel(x, 4)[0] - wanted.get_pixel(x, 4)[0]);
                let worst = off.map(|v| (v * to as f32).abs()).fold(0.0, f32::max);
                assert!(worst < 0.06, "{from} to {to}: {worst} px");
            }
        }
    }

    #[test]
    fn smooth_pictures_survive_down_and_up() {
        let picture = ramp(96, 64);
        for filter in [Filter::Bilinear, Filter::Lanczos] {
            let back = resize(&resize(&picture, 48, 32, filter), 96, 64, filter);
            assert!(largest_difference(&back, &picture) < 0.02, "{filter:?}");
            assert!(largest_difference(&resize(&picture, 48, 32, filter), &ramp(48, 32)) < 0.02, "{filter:?}");
        }
    }

    #[test]
    fn planes_and_pictures_are_weighted_alike() {
        let picture = ramp(40, 30);
        let plane = Plane::from_fn(40, 30, |x, y| Luma([picture.get_pixel(x, y).0[2]]));
        let (small, small_plane) =
            (resize(&picture, 17, 11, Filter::Bilinear), resize_plane(&plane, 17, 11, Filter::Bilinear));
        assert!(small.pixels().zip(small_plane.iter()).all(|(a, b)| (a.0[2] - b).abs() < 1e-5));
    }

    #[test]
    fn a_hole_does_not_bleed_into_its_surroundings() {
        let mask = Mask::from_fn(40, 40, |x, _| x >= 21);
        let picture = Rgb32FImage::from_fn(40, 40, |x, _| Rgb([if x >= 21 { 1.0 } else { 0.3 }; 3]));
        let small = resize_known(&picture, &mask, 10, 10);
        assert!((0..6).all(|x| (small.get_pixel(x, 4).0[0] - 0.3).abs() < 1e-5));
        assert_eq!(small.get_pixel(9, 4).0, [0.0; 3]);
    }

    #[test]
    fn a_large_photo_shrinks_by_blocks_as_it_would_at_once() {
        let photo = ramp(203, 151);
        let stored: DynamicImage = photo.clone().into();
        let (found, wanted) = (shrunk(&stored, 41, 30), resize(&photo, 41, 30, Filter::Bilinear));
        assert!(largest_difference(&found, &wanted) < 0.03, "{}", largest_difference(&found, &wanted));
        let mask = Mask::from_fn(203, 151, |x, _| x >= 101);
        let painted =
            Rgb32FImage::from_fn(203, 151, |x, y| if x >= 101 { Rgb([1.0; 3]) } else { *photo.get_pixel(x, y) });
        let known = shrunk_known(&painted.into(), &mask, 41, 30);
        assert!(
            (0..20).all(|x| (0..3).all(|c| (known.get_pixel(x, 9).0[c] - wanted.get_pixel(x, 9).0[c]).abs() < 0.05))
        );
        assert_eq!(known.get_pixel(39, 9).0, [0.0; 3]);
    }

    #[test]
    fn fitting_keeps_the_aspect_and_never_enlarges() {
        assert_eq!(fit_within((4000, 3000), 768), (768, 576));
        assert_eq!(fit_within((300, 200), 768), (300, 200));
        assert_eq!(fit_within((10_000, 3), 100), (100, 1));
    }
}
