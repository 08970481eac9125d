//! How near a filled picture is to the truth: PSNR and SSIM inside the hole, PSNR of its seam, and proof that the rest
//! was left alone. On 8-bit values, so that a saved file scores as the picture in memory.

mod chamfer;
mod ssim;
#[cfg(test)]
mod tests;
mod trust;

pub use ssim::hole_ssim;
pub use trust::TrustTable;

use crate::Mask;
use image::RgbImage;
use serde::Serialize;

/// The seam is what lies within this many pixels of the hole's edge, on either side.
const SEAM_PX: u32 = 16;

/// Changes up to this far outside the hole do not count as changes of what is known.
const MARGIN_PX: u32 = 8;

/// All figures of one result. PSNR in dB (100 and more: equal), SSIM at most 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// [`hole_psnr`].
    pub hole_psnr: f64,
    /// [`hole_ssim`].
    pub hole_ssim: f64,
    /// [`seam_psnr`].
    pub seam_psnr: f64,
    /// [`max_change_outside`].
    pub max_change_outside: u8,
}

/// Scores `result` against the `truth`, and against the `target` outside the hole.
///
/// # Panics
/// When the pictures and the mask differ in size.
pub fn score(result: &RgbImage, target: &RgbImage, truth: &RgbImage, mask: &Mask) -> Scores {
    Scores {
        hole_psnr: hole_psnr(result, truth, mask),
        hole_ssim: hole_ssim(result, truth, mask),
        seam_psnr: seam_psnr(result, truth, mask),
        max_change_outside: max_change_outside(result, target, mask),
    }
}

/// PSNR in dB over the hole's pixels, the three channels pooled; not a number when there is no hole.
///
/// # Panics
/// When the pictures and the mask differ in size.
pub fn hole_psnr(result: &RgbImage, truth: &RgbImage, mask: &Mask) -> f64 {
    check_sizes(result, truth, mask);
    psnr(result, truth, |i| mask.holes()[i])
}

/// PSNR in dB over the band from 16 px outside to 16 px inside the hole's edge.
///
/// # Panics
/// When the pictures and the mask differ in size.
pub fn seam_psnr(result: &RgbImage, truth: &RgbImage, mask: &Mask) -> f64 {
    check_sizes(result, truth, mask);
    let outside = chamfer::within(mask, true, SEAM_PX);
    let inside = chamfer::within(mask, false, SEAM_PX);
    psnr(result, truth, |i| if mask.holes()[i] { inside[i] } else { outside[i] })
}

/// The largest difference of any channel from the target more than 8 px outside the hole; 0 = left alone.
///
/// # Panics
/// When the pictures and the mask differ in size.
pub fn max_change_outside(result: &RgbImage, target: &RgbImage, mask: &Mask) -> u8 {
    check_sizes(result, target, mask);
    let near = chamfer::within(mask, true, MARGIN_PX);
    let far = result.pixels().zip(target.pixels()).zip(near).filter(|(_, near)| !near);
    far.flat_map(|((a, b), _)| (0..3).map(|c| a.0[c].abs_diff(b.0[c]))).max().unwrap_or(0)
}

fn psnr(a: &RgbImage, b: &RgbImage, counts: impl Fn(usize) -> bool) -> f64 {
    let (mut sum, mut count) = (0u64, 0u64);
    for (_, (a, b)) in a.pixels().zip(b.pixels()).enumerate().filter(|(i, _)| counts(*i)) {
        sum += (0..3).map(|c| u64::from(a.0[c].abs_diff(b.0[c])).pow(2)).sum::<u64>();
        count += 3;
    }
    10.0 * (255.0 * 255.0 / (sum as f64 / count as f64).max(1e-10)).log10() + if count == 0 { f64::NAN } else { 0.0 }
}

fn check_sizes(a: &RgbImage, b: &RgbImage, mask: &Mask) {
    assert_eq!(a.dimensions(), b.dimensions(), "pictures differ in size");
    assert_eq!(a.dimensions(), (mask.width(), mask.height()), "picture and mask differ in size");
}
