//! Group norm (Wu and He 2018), alone or with SiLU in the same pass, and the gradient of its input.

use super::scratch::unwritten;
use super::simd::{LANES, first, sigmoid};
use crate::kernels::{Kernel, Norm};
use rayon::prelude::*;
use std::arch::x86_64::*;

impl Kernel for Norm {
    fn forward(&self, x: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let group = self.group(x, shape);
        let mut out = unwritten(x.len());
        let groups = x.par_chunks_exact(group).zip(out.par_chunks_exact_mut(group));
        groups.enumerate().for_each(|(i, (x, out))| {
            // SAFETY: kernels are only made where AVX-512 was found.
            unsafe { self.forward_group(i % self.groups, x, out) }
        });
        (out, shape.to_vec())
    }

    fn backward(&self, x: &[f32], shape: &[usize], gradient: &[f32]) -> Vec<f32> {
        let group = self.group(x, shape);
        assert_eq!(gradient.len(), x.len(), "a gradient of the output's size");
        let mut out = unwritten(x.len());
        let groups = x.par_chunks_exact(group).zip(gradient.par_chunks_exact(group));
        groups.zip(out.par_chunks_exact_mut(group)).enumerate().for_each(|(i, ((x, gradient), out))| {
            // SAFETY: kernels are only made where AVX-512 was found.
            unsafe { self.backward_group(i % self.groups, x, gradient, out) }
        });
        out
    }
}

impl Norm {
    /// Values of a group.
    fn group(&self, x: &[f32], shape: &[usize]) -> usize {
        assert_eq!(shape.get(1), Some(&self.gamma.len()), "channels of a group norm");
        x.len() / (shape[0] * self.groups)
    }

    /// The channels of a group: its values, scale and shift.
    fn channels(&self, group: usize, len: usize) -> impl Iterator<Item = (std::ops::Range<usize>, f32, f32)> {
        let count = self.gamma.len() / self.groups;
        let each = len / count;
        (0..count).map(move |c| {
            let channel = group * count + c;
            (c * each..(c + 1) * each, self.gamma[channel], self.beta[channel])
        })
    }

    #[target_feature(enable = "avx512f")]
    fn forward_group(&self, group: usize, x: &[f32], out: &mut [f32]) {
        let [mean, rate] = moments(x, self.epsilon);
        for (range, gamma, beta) in self.channels(group, x.len()) {
            let (scale, shift) = (_mm512_set1_ps(gamma * rate), _mm512_set1_ps(beta - mean * gamma * rate));
            let silu = self.silu;
            map([&x[range.clone()]], &mut out[range], |[x]| {
                let z = _mm512_fmadd_ps(x, scale, shift);
                if silu { _mm512_mul_ps(z, sigmoid(z)) } else { z }
            });
        }
    }

    /// `out = rate * (d - mean(d) - n * mean(d * n))`, where `n` is the normed input and `d` its gradient.
    #[target_feature(enable = "avx512f")]
    fn backward_group(&self, group: usize, x: &[f32], gradient: &[f32], out: &mut [f32]) {
        let [mean, rate] = moments(x, self.epsilon);
        let (minus_mean, rates) = (_mm512_set1_ps(-mean), _mm512_set1_ps(rate));
        let (mut sum, mut product) = (_mm512_setzero_ps(), _mm512_setzero_ps());
        for (range, gamma, beta) in self.channels(group, x.len()) {
            let (gamma, beta, silu) = (_mm512_set1_ps(gamma), _mm512_set1_ps(beta), self.silu);
            map([&x[range.clone()], &gradient[range.clone()]], &mut out[range], |[x, gradient]| {
                let n = _mm512_mul_ps(_mm512_add_ps(x, minus_mean), rates);
                let slope = if silu { slope_of_silu(_mm512_fmadd_ps(n, gamma, beta)) } else { _mm512_set1_ps(1.0) };
                let d = _mm512_mul_ps(_mm512_mul_ps(gradient, slope), gamma);
                // Past the end of a channel the gradient is read as 0, so these sums are not disturbed.
                sum = _mm512_add_ps(sum, d);
                product = _mm512_fmadd_ps(d, n, product);
                d
            });
        }
        let count = 1.0 / x.len() as f32;
        let sum = _mm512_set1_ps(_mm512_reduce_add_ps(sum) * count);
        let product = _mm512_set1_ps(_mm512_reduce_add_ps(product) * count);
        for at in (0..x.len()).step_by(LANES) {
            let mask = first(x.len() - at);
            // SAFETY: masked to the group.
            unsafe {
                let x = _mm512_maskz_loadu_ps(mask, x.as_ptr().add(at));
                let d = _mm512_maskz_loadu_ps(mask, out.as_ptr().add(at));
                let n = _mm512_mul_ps(_mm512_add_ps(x, minus_mean), rates);
                let value = _mm512_mul_ps(rates, _mm512_fnmadd_ps(n, product, _mm512_sub_ps(d, sum)));
                _mm512_mask_storeu_ps(out.as_mut_ptr().add(at), mask, value);
            }
        }
    }
}

/// The derivative of SiLU.
#[target_feature(enable = "avx512f")]
#[inline]
fn slope_of_silu(z: __m512) -> __m512 {
    let s = sigmoid(z);
    let one = _mm512_set1_ps(1.0);
    _mm512_mul_ps(s, _mm512_fmadd_ps(z, _mm512_sub_ps(one, s), one))
}

/// Mean, and one over the standard deviation. The mean is taken first, so that large means cost no digits.
#[target_feature(enable = "avx512f")]
fn moments(x: &[f32], epsilon: f32) -> [f32; 2] {
    let count = 1.0 / x.len() as f32;
    let mean = sum(x, |v, _| v) * count;
    let middle = _mm512_set1_ps(mean);
    let squares = sum(x, |v, mask| {
        let centred = _mm512_maskz_sub_ps(mask, v, middle);
        _mm512_mul_ps(centred, centred)
    });
    [mean, 1.0 / (squares * count + epsilon).sqrt()]
}

/// The sum of a function of all values, in four strands.
#[target_feature(enable = "avx512f")]
#[inline]
fn sum(x: &[f32], of: impl Fn(__m512, __mmask16) -> __m512) -> f32 {
    let mut sums = [_mm512_setzero_ps(); 4];
    for (i, at) in (0..x.len()).step_by(LANES).enumerate() {
        let mask = first(x.len() - at);
        // SAFETY: masked to the slice.
        let v = unsafe { _mm512_maskz_loadu_ps(mask, x.as_ptr().add(at)) };
        sums[i % 4] = _mm512_add_ps(sums[i % 4], of(v, mask));
    }
    let [a, b, c, d] = sums;
    _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)))
}

/// `out` of slices of one length, a vector at a time; past the end they are 0.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn map<const N: usize>(from: [&[f32]; N], out: &mut [f32], mut of: impl FnMut([__m512; N]) -> __m512) {
    assert!(from.iter().all(|slice| slice.len() == out.len()));
    for at in (0..out.len()).step_by(LANES) {
        let mask = first(out.len() - at);
        let mut vectors = [_mm512_setzero_ps(); N];
        for (vector, slice) in vectors.iter_mut().zip(&from) {
            // SAFETY: masked to the slice.
            *vector = unsafe { _mm512_maskz_loadu_ps(mask, slice.as_ptr().add(at)) };
        }
        let value = of(vectors);
        // SAFETY: masked to the slice.
        unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr().add(at), mask, value) };
    }
}
