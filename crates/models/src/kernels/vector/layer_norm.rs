//! Layer norm (Ba et al. 2016, arXiv 1607.06450), and the gradient of its input.

use super::map::map;
use super::moments::{moments, norm_backward};
use super::scratch::unwritten;
use super::simd::{Simd, Vector};
use super::with_simd;
use crate::kernels::{Kernel, LayerNorm};
use rayon::prelude::*;

impl Kernel for LayerNorm {
    fn forward(&self, x: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let width = self.width(shape);
        let mut out = unwritten(x.len());
        let rows = x.par_chunks_exact(width).zip(out.par_chunks_exact_mut(width)).with_min_len(16);
        with_simd!(self.way, simd => rows.for_each(|(x, out)| {
            simd.run(
                #[inline(always)]
                || self.forward_row(simd, x, out),
            );
        }));
        (out, shape.to_vec())
    }

    fn backward(&self, x: &[f32], shape: &[usize], gradient: &[f32]) -> Vec<f32> {
        let width = self.width(shape);
        assert_eq!(gradient.len(), x.len(), "a gradient of the output's size");
        let mut out = unwritten(x.len());
        let rows = x.par_chunks_exact(width).zip(gradient.par_chunks_exact(width));
        let rows = rows.zip(out.par_chunks_exact_mut(width)).with_min_len(16);
        with_simd!(self.way, simd => rows.for_each(|((x, gradient), out)| {
            simd.run(
                #[inline(always)]
                || self.backward_row(simd, x, gradient, out),
            );
        }));
        out
    }
}

impl LayerNorm {
    /// Values of a row.
    fn width(&self, shape: &[usize]) -> usize {
        let width = self.gamma.len();
        assert_eq!(shape.last(), Some(&width), "channels of a layer norm");
        width
    }

    #[inline(always)]
    fn forward_row<S: Simd>(&self, simd: S, x: &[f32], out: &mut [f32]) {
        let [mean, rate] = moments(simd, x, self.epsilon);
        let (minus_mean, rates) = (simd.splat(-mean), simd.splat(rate));
        map(
            simd,
            [x, &self.gamma[..], &self.beta[..]],
            out,
            #[inline(always)]
            |[x, gamma, beta]| ((x + minus_mean) * rates).times_plus(gamma, beta),
        );
    }

    #[inline(always)]
    fn backward_row<S: Simd>(&self, simd: S, x: &[f32], gradient: &[f32], out: &mut [f32]) {
        let [mean, rate] = moments(simd, x, self.epsilon);
        let (minus_mean, rates) = (simd.splat(-mean), simd.splat(rate));
        let (mut sum, mut product) = (simd.zero(), simd.zero());
        map(
            simd,
            [x, gradient, &self.gamma[..]],
            out,
            #[inline(always)]
            |[x, gradient, gamma]| {
                let d = gradient * gamma;
                // Past the end of a row the gradient is read as 0, so these sums are not disturbed.
                sum = sum + d;
                product = d.times_plus((x + minus_mean) * rates, product);
                d
            },
        );
        norm_backward(simd, x, [mean, rate], [sum, product], out);
    }
}
