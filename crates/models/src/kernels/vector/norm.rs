//! Group norm (Wu and He 2018), alone or with SiLU in the same pass, and the gradient of its input.

use super::functions::sigmoid;
use super::map::map;
use super::moments::{moments, norm_backward};
use super::scratch::unwritten;
use super::simd::{Simd, Vector};
use super::with_simd;
use crate::kernels::{Kernel, Norm};
use rayon::prelude::*;

impl Kernel for Norm {
    fn forward(&self, x: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let group = self.group(x, shape);
        let mut out = unwritten(x.len());
        let groups = x.par_chunks_exact(group).zip(out.par_chunks_exact_mut(group));
        with_simd!(self.way, simd => groups.enumerate().for_each(|(i, (x, out))| {
            simd.run(
                #[inline(always)]
                || self.forward_group(simd, i % self.groups, x, out),
            );
        }));
        (out, shape.to_vec())
    }

    fn backward(&self, x: &[f32], shape: &[usize], gradient: &[f32]) -> Vec<f32> {
        let group = self.group(x, shape);
        assert_eq!(gradient.len(), x.len(), "a gradient of the output's size");
        let mut out = unwritten(x.len());
        let groups = x.par_chunks_exact(group).zip(gradient.par_chunks_exact(group));
        let groups = groups.zip(out.par_chunks_exact_mut(group)).enumerate();
        with_simd!(self.way, simd => groups.for_each(|(i, ((x, gradient), out))| {
            simd.run(
                #[inline(always)]
                || self.backward_group(simd, i % self.groups, x, gradient, out),
            );
        }));
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

    #[inline(always)]
    fn forward_group<S: Simd>(&self, simd: S, group: usize, x: &[f32], out: &mut [f32]) {
        let [mean, rate] = moments(simd, x, self.epsilon);
        for (range, gamma, beta) in self.channels(group, x.len()) {
            let (scale, shift) = (simd.splat(gamma * rate), simd.splat(beta - mean * gamma * rate));
            let silu = self.silu;
            map(
                simd,
                [&x[range.clone()]],
                &mut out[range],
                #[inline(always)]
                |[x]| {
                    let z = x.times_plus(scale, shift);
                    if silu { z * sigmoid(simd, z) } else { z }
                },
            );
        }
    }

    #[inline(always)]
    fn backward_group<S: Simd>(&self, simd: S, group: usize, x: &[f32], gradient: &[f32], out: &mut [f32]) {
        let [mean, rate] = moments(simd, x, self.epsilon);
        let (minus_mean, rates) = (simd.splat(-mean), simd.splat(rate));
        let (mut sum, mut product) = (simd.zero(), simd.zero());
        for (range, gamma, beta) in self.channels(group, x.len()) {
            let (gamma, beta, silu) = (simd.splat(gamma), simd.splat(beta), self.silu);
            map(
                simd,
                [&x[range.clone()], &gradient[range.clone()]],
                &mut out[range],
                #[inline(always)]
                |[x, gradient]| {
                    let n = (x + minus_mean) * rates;
                    let slope = if silu { slope_of_silu(simd, n.times_plus(gamma, beta)) } else { simd.splat(1.0) };
                    let d = gradient * slope * gamma;
                    // Past the end of a channel the gradient is read as 0, so these sums are not disturbed.
                    sum = sum + d;
                    product = d.times_plus(n, product);
                    d
                },
            );
        }
        norm_backward(simd, x, [mean, rate], [sum, product], out);
    }
}

/// The derivative of SiLU.
#[inline(always)]
fn slope_of_silu<S: Simd>(simd: S, z: S::Vector) -> S::Vector {
    let (s, one) = (sigmoid(simd, z), simd.splat(1.0));
    s * z.times_plus(one - s, one)
}
