//! Functions of each lane.

use super::simd::{Simd, Vector};

/// e to the power of each lane, to 2 units in the last place; subnormal below -87.3, 0 below -104, infinite above 88.7 and for what is no number.
///
/// Taylor's polynomial of order 7 on half of an octave to each side of a power of two.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let x = x.min(simd.splat(89.0)).max(simd.splat(-104.0));
    let octaves = (x * simd.splat(std::f32::consts::LOG2_E)).rounded();
    // ln 2 in two parts, so that the rest keeps its digits (Cody and Waite).
    let rest = octaves.times_from(simd.splat(0.693_359_4), x);
    let rest = octaves.times_from(simd.splat(-2.121_944_4e-4), rest);
    let mut sum = simd.splat(1.0 / 5040.0);
    for term in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = sum.times_plus(rest, simd.splat(term));
    }
    sum.times_power_of_two(octaves)
}

/// The logistic function of each lane.
#[inline(always)]
pub(super) fn sigmoid<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let one = simd.splat(1.0);
    one / (one + exp(simd, simd.zero() - x))
}

/// The share of a normal distribution below each lane, and its density there.
///
/// Abramowitz and Stegun 7.1.26: off by 1.5e-7 at most.
#[inline(always)]
pub(super) fn normal<S: Simd>(simd: S, x: S::Vector) -> [S::Vector; 2] {
    let one = simd.splat(1.0);
    let size = x.abs() * simd.splat(std::f32::consts::FRAC_1_SQRT_2);
    let t = one / size.times_plus(simd.splat(0.327_591_1), one);
    let mut sum = simd.splat(1.061_405_4);
    for term in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6, 0.0] {
        sum = sum.times_plus(t, simd.splat(term));
    }
    let bell = exp(simd, simd.zero() - size * size);
    let tail = sum * bell * simd.splat(0.5);
    [x.choose(tail, one - tail), bell * simd.splat(0.398_942_3)]
}
