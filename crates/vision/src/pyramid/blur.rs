//! Gaussian blur, separable, with mirrored borders.

use super::{Channels, Picture, picture, stride};
use crate::Plane;
use crate::linalg::vectorised;
use rayon::prelude::*;

/// Samples summed in registers at a time.
const LANES: usize = 32;

/// The normalised kernel for a standard deviation in pixels, cut off at four of them. Empty blur: `[1.0]`.
pub fn gaussian_kernel(sigma: f32) -> Vec<f32> {
    let radius = (4.0 * sigma.max(0.0)).round() as i64;
    let scale = -0.5 / (sigma as f64 * sigma as f64);
    let weights: Vec<f64> = (-radius..=radius).map(|i| ((i * i) as f64 * scale).exp()).collect();
    let sum: f64 = weights.iter().sum();
    if radius == 0 { vec![1.0] } else { weights.iter().map(|w| (w / sum) as f32).collect() }
}

/// Blurs every channel with a Gaussian of `sigma` pixels. Borders are mirrored without repeating the edge pixel.
pub fn gaussian_blur<P: Channels>(image: &Picture<P>, sigma: f32) -> Picture<P> {
    let kernel = gaussian_kernel(sigma);
    if kernel.len() == 1 || image.width() == 0 || image.height() == 0 {
        return image.clone();
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    let rows = blur_rows(image.as_raw(), width, P::CHANNEL_COUNT as usize, &kernel);
    picture(image.width(), image.height(), blur_columns(&rows, stride(image), height, &kernel))
}

/// Blurs along rows only.
pub(crate) fn gaussian_blur_rows(image: &Plane, sigma: f32) -> Plane {
    let samples = blur_rows(image.as_raw(), image.width() as usize, 1, &gaussian_kernel(sigma));
    picture(image.width(), image.height(), samples)
}

fn blur_rows(src: &[f32], width: usize, channels: usize, kernel: &[f32]) -> Vec<f32> {
    let radius = kernel.len() / 2;
    let mut out = vec![0.0; src.len()];
    out.par_chunks_mut(width * channels).zip(src.par_chunks(width * channels)).for_each_init(
        Vec::new,
        |padded, (out, row)| {
            padded.clear();
            for x in -(radius as isize)..(width + radius) as isize {
                let x = mirrored(x, width) * channels;
                padded.extend_from_slice(&row[x..x + channels]);
            }
            vectorised(|| weighted_sum(out, kernel, |j| &padded[j * channels..]));
        },
    );
    out
}

fn blur_columns(src: &[f32], stride: usize, height: usize, kernel: &[f32]) -> Vec<f32> {
    let radius = (kernel.len() / 2) as isize;
    let mut out = vec![0.0; src.len()];
    out.par_chunks_mut(stride).enumerate().for_each(|(y, out)| {
        let row = |j: usize| &src[mirrored(y as isize + j as isize - radius, height) * stride..][..stride];
        vectorised(|| weighted_sum(out, kernel, row));
    });
    out
}

/// `out[i] = Σ_j kernel[j] · tap(j)[i]`
#[inline(always)]
fn weighted_sum<'a>(out: &mut [f32], kernel: &[f32], tap: impl Fn(usize) -> &'a [f32]) {
    let whole = out.len() / LANES * LANES;
    let (blocks, rest) = out.split_at_mut(whole);
    for (b, block) in blocks.chunks_exact_mut(LANES).enumerate() {
        let mut sums = [0.0f32; LANES];
        for (j, &k) in kernel.iter().enumerate() {
            let taps = &tap(j)[b * LANES..][..LANES];
            for i in 0..LANES {
                sums[i] += k * taps[i];
            }
        }
        block.copy_from_slice(&sums);
    }
    for (i, out) in rest.iter_mut().enumerate() {
        *out = kernel.iter().enumerate().map(|(j, &k)| k * tap(j)[whole + i]).sum();
    }
}

/// `-1 -> 1`, `n -> n - 2`, and so on as often as needed.
pub(crate) fn mirrored(i: isize, n: usize) -> usize {
    let last = n as isize - 1;
    if last <= 0 {
        return 0;
    }
    let i = i.rem_euclid(2 * last);
    i.min(2 * last - i) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::{noise, noise_rgb};

    fn plain(image: &Plane, sigma: f32) -> Plane {
        let kernel = gaussian_kernel(sigma);
        let radius = (kernel.len() / 2) as isize;
        let (w, h) = image.dimensions();
        Plane::from_fn(w, h, |x, y| {
            let mut sum = 0.0;
            for (j, ky) in kernel.iter().enumerate() {
                for (i, kx) in kernel.iter().enumerate() {
                    let sx = mirrored(x as isize + i as isize - radius, w as usize);
                    let sy = mirrored(y as isize + j as isize - radius, h as usize);
                    sum += ky * kx * image.get_pixel(sx as u32, sy as u32)[0];
                }
            }
            image::Luma([sum])
        })
    }

    #[test]
    fn separable_blur_equals_the_plain_sum_at_odd_sizes() {
        for (w, h, sigma) in [(70, 41, 1.6), (5, 3, 2.5), (1, 9, 1.0), (33, 64, 0.6)] {
            let image = noise(w, h, 7);
            let (fast, slow) = (gaussian_blur(&image, sigma), plain(&image, sigma));
            for (a, b) in fast.as_raw().iter().zip(slow.as_raw()) {
                assert!((a - b).abs() < 1e-5, "{w}×{h}, sigma {sigma}: {a} and {b}");
            }
        }
    }

    #[test]
    fn channels_are_blurred_apart() {
        let image = noise_rgb(40, 30, 3);
        let red = Plane::from_fn(40, 30, |x, y| image::Luma([image.get_pixel(x, y)[0]]));
        let (all, one) = (gaussian_blur(&image, 2.0), gaussian_blur(&red, 2.0));
        assert!(all.pixels().zip(one.pixels()).all(|(a, b)| (a[0] - b[0]).abs() < 1e-6));
    }

    #[test]
    fn no_blur_returns_the_picture() {
        let image = noise(9, 9, 1);
        assert_eq!(gaussian_blur(&image, 0.0), image);
    }
}
