//! Structural similarity (Wang et al., IEEE TIP 13(4), 2004) with Gaussian weights, averaged inside the hole.

use crate::Mask;
use image::RgbImage;
use image::math::Rect;
use rayon::prelude::*;

/// Width of the Gaussian, as in the paper, cut off at 3.5 times that: 11 taps.
const SIGMA: f64 = 1.5;
const RADIUS: usize = 5;

/// (0.01 · 255)² and (0.03 · 255)², the paper's constants.
const C1: f64 = 6.5025;
const C2: f64 = 58.5225;

/// Around the hole's box, so that windows inside the hole see what is there.
const PAD_PX: u32 = 16;

/// Mean of the SSIM map of each channel inside the hole: Gaussian weights of sigma 1.5, population covariance, values
/// 0 to 255. Not a number when there is no hole.
///
/// # Panics
/// When the pictures and the mask differ in size.
pub fn hole_ssim(result: &RgbImage, truth: &RgbImage, mask: &Mask) -> f64 {
    super::check_sizes(result, truth, mask);
    let Some(hole) = mask.bounding_box() else { return f64::NAN };
    let window = padded(hole, mask);
    let inside: Vec<bool> = pixels(window).map(|(x, y)| mask.is_hole(x, y)).collect();
    let count = inside.iter().filter(|hole| **hole).count();
    let channel_sum = |channel: usize| {
        let values = |image: &RgbImage| -> Vec<f32> {
            pixels(window).map(|(x, y)| f32::from(image.get_pixel(x, y).0[channel])).collect()
        };
        ssim_sum(&values(result), &values(truth), window.width as usize, &inside)
    };
    (0..3).map(channel_sum).sum::<f64>() / (3 * count) as f64
}

fn padded(hole: Rect, mask: &Mask) -> Rect {
    let (x, y) = (hole.x.saturating_sub(PAD_PX), hole.y.saturating_sub(PAD_PX));
    let right = (hole.x + hole.width + PAD_PX).min(mask.width());
    let bottom = (hole.y + hole.height + PAD_PX).min(mask.height());
    Rect { x, y, width: right - x, height: bottom - y }
}

fn pixels(window: Rect) -> impl Iterator<Item = (u32, u32)> {
    let columns = window.x..window.x + window.width;
    (window.y..window.y + window.height).flat_map(move |y| columns.clone().map(move |x| (x, y)))
}

/// Sum of one channel's SSIM map over the pixels that count.
fn ssim_sum(a: &[f32], b: &[f32], width: usize, counts: &[bool]) -> f64 {
    let product = |a: &[f32], b: &[f32]| -> Vec<f32> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
    let (mean_a, mean_b) = (blur(a, width), blur(b, width));
    let (aa, bb, ab) = (blur(&product(a, a), width), blur(&product(b, b), width), blur(&product(a, b), width));
    let at = |i: usize| {
        let (ua, ub) = (f64::from(mean_a[i]), f64::from(mean_b[i]));
        let (va, vb) = (f64::from(aa[i]) - ua * ua, f64::from(bb[i]) - ub * ub);
        let vab = f64::from(ab[i]) - ua * ub;
        (2.0 * ua * ub + C1) * (2.0 * vab + C2) / ((ua * ua + ub * ub + C1) * (va + vb + C2))
    };
    counts.iter().enumerate().filter(|(_, counts)| **counts).map(|(i, _)| at(i)).sum()
}

/// Gaussian blur; beyond the border the picture is mirrored, its edge pixels repeated.
fn blur(values: &[f32], width: usize) -> Vec<f32> {
    let (taps, height) = (taps(), values.len() / width);
    let mut out = vec![0.0; values.len()];
    out.par_chunks_exact_mut(width).enumerate().for_each_init(
        || (vec![0.0; width], vec![0.0; width + 2 * RADIUS]),
        |(sums, padded), (y, row)| {
            down(values, width, height, y, &taps, sums);
            (0..padded.len()).for_each(|i| padded[i] = sums[mirrored(i as isize - RADIUS as isize, width)]);
            for (x, out) in row.iter_mut().enumerate() {
                *out = taps.iter().zip(&padded[x..]).map(|(weight, value)| weight * value).sum::<f64>() as f32;
            }
        },
    );
    out
}

/// Row `y` of the picture blurred along its columns.
fn down(values: &[f32], width: usize, height: usize, y: usize, taps: &[f64], sums: &mut [f64]) {
    sums.fill(0.0);
    for (tap, weight) in taps.iter().enumerate() {
        let from = mirrored(y as isize + tap as isize - RADIUS as isize, height) * width;
        sums.iter_mut().zip(&values[from..from + width]).for_each(|(sum, value)| *sum += weight * f64::from(*value));
    }
}

fn taps() -> [f64; 2 * RADIUS + 1] {
    let raw: [f64; 2 * RADIUS + 1] =
        std::array::from_fn(|i| (-0.5 * ((i as f64 - RADIUS as f64) / SIGMA).powi(2)).exp());
    let sum: f64 = raw.iter().sum();
    raw.map(|weight| weight / sum)
}

fn mirrored(at: isize, size: usize) -> usize {
    let wrapped = at.rem_euclid(2 * size as isize) as usize;
    wrapped.min(2 * size - 1 - wrapped)
}
