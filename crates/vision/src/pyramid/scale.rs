//! Halving and bilinear resizing, with exact conventions for where pixel centres go.

use super::{Channels, Picture, gaussian_blur, picture};
use rayon::prelude::*;

/// Half the size (rounded up) by averaging 2×2 pixels; at an odd edge, the pixels that exist.
/// The centre of pixel `x` comes from `2x + 0.5`.
pub fn half<P: Channels>(image: &Picture<P>) -> Picture<P> {
    let (width, height, channels) = (image.width() as usize, image.height() as usize, P::CHANNEL_COUNT as usize);
    let (w, h) = (width.div_ceil(2), height.div_ceil(2));
    let mut out = vec![0.0; w * h * channels];
    out.par_chunks_mut((w * channels).max(1)).enumerate().for_each(|(y, out)| {
        let row = |y: usize| &image.as_raw()[y.min(height - 1) * width * channels..][..width * channels];
        let (upper, lower) = (row(2 * y), row(2 * y + 1));
        for (x, out) in out.chunks_exact_mut(channels).enumerate() {
            let (left, right) = (2 * x * channels, (2 * x + 1).min(width - 1) * channels);
            for c in 0..channels {
                out[c] = 0.25 * (upper[left + c] + upper[right + c] + lower[left + c] + lower[right + c]);
            }
        }
    });
    picture(w as u32, h as u32, out)
}

/// What coordinates from a pixel's edge (`x + 0.5`) are multiplied by, `level` halvings later. Sizes say it roughly only: odd ones round up.
pub fn scale_of_level(level: usize) -> f32 {
    0.5f32.powi(level as i32)
}

/// The picture after `level` halvings, blurred a little before each, so that nothing aliases.
pub fn at_level<P: Channels>(image: &Picture<P>, level: usize) -> Picture<P> {
    (0..level).fold(image.clone(), |image, _| half(&gaussian_blur(&image, 0.7)))
}

/// The level from which a picture is to be sampled, one step covering `scale` pixels of the finest. Halved from 1.6 on: sampled cubically the
/// finest is nearer to a filtered picture below that, its half above (docs/notes/geometry.md).
pub fn sampled_level(scale: f32) -> usize {
    const HALVED_FROM: f32 = 1.6;
    const COARSEST: f32 = 4.0;
    ((scale / HALVED_FROM).max(0.1).log2().floor() + 1.0).clamp(0.0, COARSEST) as usize
}

/// Bilinear resize in which pixels are areas (as OpenCV's `INTER_LINEAR`): `x` comes from `(x + 0.5)·scale - 0.5`.
/// Meant for enlarging and for smooth fields; to shrink photos use [`shrink_to`].
pub fn resize_bilinear<P: Channels>(image: &Picture<P>, width: u32, height: u32) -> Picture<P> {
    let channels = P::CHANNEL_COUNT as usize;
    let (w, h) = (image.width() as usize, image.height() as usize);
    let mut out = vec![0.0; width as usize * height as usize * channels];
    if image.is_empty() || out.is_empty() {
        return picture(width, height, out);
    }
    let (sx, sy) = (w as f32 / width as f32, h as f32 / height as f32);
    let columns: Vec<_> = (0..width).map(|x| neighbours((x as f32 + 0.5) * sx - 0.5, w)).collect();
    out.par_chunks_mut(width as usize * channels).enumerate().for_each(|(y, out)| {
        let (top, bottom, fy) = neighbours((y as f32 + 0.5) * sy - 0.5, h);
        let row = |y: usize| &image.as_raw()[y * w * channels..][..w * channels];
        let (top, bottom) = (row(top), row(bottom));
        for (out, &(left, right, fx)) in out.chunks_exact_mut(channels).zip(&columns) {
            let (left, right) = (left * channels, right * channels);
            for (c, out) in out.iter_mut().enumerate() {
                let upper = top[left + c] + fx * (top[right + c] - top[left + c]);
                let lower = bottom[left + c] + fx * (bottom[right + c] - bottom[left + c]);
                *out = upper + fy * (lower - upper);
            }
        }
    });
    picture(width, height, out)
}

/// Shrinks to a size without aliasing: a Gaussian of `0.5·sqrt(scale² - 1)` pixels, then bilinear samples.
pub fn shrink_to<P: Channels>(image: &Picture<P>, width: u32, height: u32) -> Picture<P> {
    let mut current = image.clone();
    let is_even = |image: &Picture<P>| image.width().is_multiple_of(2) && image.height().is_multiple_of(2);
    while current.width() >= 4 * width.max(1) && current.height() >= 4 * height.max(1) && is_even(&current) {
        current = half(&current);
    }
    let scale = (current.width() as f32 / width.max(1) as f32).max(current.height() as f32 / height.max(1) as f32);
    let sigma = 0.5 * (scale * scale - 1.0).max(0.0).sqrt();
    resize_bilinear(&gaussian_blur(&current, sigma), width, height)
}

/// The picture and its successive halves, finest first, until the shorter side would fall below `min_side`.
pub fn pyramid<P: Channels>(image: &Picture<P>, min_side: u32) -> Vec<Picture<P>> {
    let mut levels = vec![image.clone()];
    loop {
        let last = levels.last().expect("there is always the finest level");
        if last.width().min(last.height()).div_ceil(2) < min_side.max(2) {
            return levels;
        }
        levels.push(half(last));
    }
}

/// The two samples around a coordinate, clamped to the picture, and the share of the second.
fn neighbours(at: f32, n: usize) -> (usize, usize, f32) {
    let at = at.clamp(0.0, (n - 1) as f32);
    let first = at as usize;
    (first, (first + 1).min(n - 1), at - first as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plane;
    use crate::pyramid::test_pictures::noise;
    use image::Luma;

    fn ramp(width: u32, height: u32) -> Plane {
        Plane::from_fn(width, height, |x, y| Luma([x as f32 + 10.0 * y as f32]))
    }

    #[test]
    fn half_averages_and_rounds_sizes_up() {
        let small = half(&ramp(5, 4));
        assert_eq!(small.dimensions(), (3, 2));
        assert_eq!(small.get_pixel(0, 0)[0], 5.5);
        assert_eq!(small.get_pixel(2, 0)[0], 9.0);
    }

    #[test]
    fn resizing_a_ramp_keeps_it_a_ramp_inside() {
        let large = resize_bilinear(&ramp(10, 10), 20, 20);
        assert!((large.get_pixel(7, 9)[0] - (3.25 + 10.0 * 4.25)).abs() < 1e-4);
    }

    #[test]
    fn shrinking_noise_keeps_its_mean_and_loses_its_contrast() {
        let small = shrink_to(&noise(400, 300, 5), 40, 30);
        let mean = small.iter().sum::<f32>() / 1200.0;
        let spread = (small.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 1200.0).sqrt();
        assert!((mean - 0.5).abs() < 0.01 && spread < 0.05, "mean {mean}, spread {spread}");
    }

    #[test]
    fn pictures_are_sampled_from_the_level_that_their_steps_ask_for() {
        assert_eq!([0.0, 0.5, 1.5, 1.7, 3.1, 3.3, 1e9].map(sampled_level), [0, 0, 0, 1, 1, 2, 4]);
    }

    /// Whatever the size, a level's pixel `x` shows the place `(x + 0.5) / scale - 0.5`.
    #[test]
    fn levels_of_odd_sizes_lie_where_their_scale_says() {
        let level = at_level(&ramp(43, 37), 2);
        let place = |at: u32| (at as f32 + 0.5) / scale_of_level(2) - 0.5;
        let wanted = place(6) + 10.0 * place(5);
        assert!((level.get_pixel(6, 5)[0] - wanted).abs() < 1e-3, "{} for {wanted}", level.get_pixel(6, 5)[0]);
    }

    #[test]
    fn a_pyramid_ends_above_the_smallest_side() {
        let sizes: Vec<_> = pyramid(&noise(100, 60, 1), 12).iter().map(|l| l.dimensions()).collect();
        assert_eq!(sizes, [(100, 60), (50, 30), (25, 15)]);
    }
}
