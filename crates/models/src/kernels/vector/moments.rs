//! What all norms have in common: mean and variance, and the way back through them.

use super::map::sum;
use super::simd::{LANES, Simd, Vector};

/// Mean, and one over the standard deviation. The mean is taken first, so that large means cost no digits.
#[inline(always)]
pub(super) fn moments<S: Simd>(simd: S, x: &[f32], epsilon: f32) -> [f32; 2] {
    let count = 1.0 / x.len() as f32;
    let mean = sum(
        simd,
        x,
        #[inline(always)]
        |v, _| v,
    ) * count;
    let middle = simd.splat(mean);
    let squares = sum(
        simd,
        x,
        #[inline(always)]
        |v, count| {
            let centred = (v - middle).first(count);
            centred * centred
        },
    );
    [mean, 1.0 / (squares * count + epsilon).sqrt()]
}

/// The gradient of what was normed, in the place of `d`, that of the normed `n`: `rate * (d - mean(d) - n * mean(d * n))`.
///
/// `sums` are those of `d` and of `d * n`, lane by lane.
#[inline(always)]
pub(super) fn norm_backward<S: Simd>(
    simd: S,
    x: &[f32],
    [mean, rate]: [f32; 2],
    [sum, product]: [S::Vector; 2],
    d: &mut [f32],
) {
    assert_eq!(x.len(), d.len(), "a gradient of the input's size");
    let (minus_mean, rates) = (simd.splat(-mean), simd.splat(rate));
    let count = 1.0 / x.len() as f32;
    let (sum, product) = (simd.splat(sum.sum() * count), simd.splat(product.sum() * count));
    for at in (0..x.len()).step_by(LANES) {
        let count = x.len() - at;
        // SAFETY: as many numbers as both slices have.
        unsafe {
            let x = simd.load_first(x.as_ptr().add(at), count);
            let normed = (x + minus_mean) * rates;
            let from = simd.load_first(d.as_ptr().add(at), count);
            (rates * normed.times_from(product, from - sum)).store_first(d.as_mut_ptr().add(at), count);
        }
    }
}
