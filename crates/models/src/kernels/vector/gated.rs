//! GELU, alone or as the gate of the transformers' perceptrons (Shazeer 2020, arXiv 2002.05202: value times GELU of gate), and the gradients.

use super::functions::normal;
use super::map::map;
use super::scratch::unwritten;
use super::simd::{Simd, Vector};
use super::with_simd;
use crate::kernels::{Geglu, Gelu, Kernel};
use rayon::prelude::*;

impl Kernel for Geglu {
    fn forward(&self, x: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let width = half(shape);
        let mut out = unwritten(x.len() / 2);
        let rows = x.par_chunks_exact(2 * width).zip(out.par_chunks_exact_mut(width)).with_min_len(16);
        with_simd!(self.way, simd => rows.for_each(|(x, out)| {
            simd.run(
                #[inline(always)]
                || forward_row(simd, x.split_at(width), out),
            );
        }));
        let mut shape = shape.to_vec();
        *shape.last_mut().expect("checked") = width;
        (out, shape)
    }

    fn backward(&self, x: &[f32], shape: &[usize], gradient: &[f32]) -> Vec<f32> {
        let width = half(shape);
        assert_eq!(gradient.len() * 2, x.len(), "a gradient of the output's size");
        let mut out = unwritten(x.len());
        let rows = x.par_chunks_exact(2 * width).zip(gradient.par_chunks_exact(width));
        let rows = rows.zip(out.par_chunks_exact_mut(2 * width)).with_min_len(16);
        with_simd!(self.way, simd => rows.for_each(|((x, gradient), out)| {
            simd.run(
                #[inline(always)]
                || backward_row(simd, x.split_at(width), gradient, out.split_at_mut(width)),
            );
        }));
        out
    }
}

/// Numbers that a thread takes at a time, at least.
const SOME: usize = 4096;

impl Kernel for Gelu {
    fn forward(&self, x: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let mut out = unwritten(x.len());
        let parts = x.par_chunks(SOME).zip(out.par_chunks_mut(SOME));
        with_simd!(self.way, simd => parts.for_each(|(x, out)| {
            simd.run(
                #[inline(always)]
                || map(
                    simd,
                    [x],
                    out,
                    #[inline(always)]
                    |[x]| x * normal(simd, x)[0],
                ),
            );
        }));
        (out, shape.to_vec())
    }

    fn backward(&self, x: &[f32], _: &[usize], gradient: &[f32]) -> Vec<f32> {
        assert_eq!(gradient.len(), x.len(), "a gradient of the output's size");
        let mut out = unwritten(x.len());
        let parts = x.par_chunks(SOME).zip(gradient.par_chunks(SOME)).zip(out.par_chunks_mut(SOME));
        with_simd!(self.way, simd => parts.for_each(|((x, gradient), out)| {
            simd.run(
                #[inline(always)]
                || map(
                    simd,
                    [x, gradient],
                    out,
                    #[inline(always)]
                    |[x, gradient]| {
                        let [below, density] = normal(simd, x);
                        gradient * x.times_plus(density, below)
                    },
                ),
            );
        }));
        out
    }
}

fn half(shape: &[usize]) -> usize {
    let width = shape.last().copied().unwrap_or(0);
    assert!(width > 0 && width.is_multiple_of(2), "values and gates");
    width / 2
}

#[inline(always)]
fn forward_row<S: Simd>(simd: S, (value, gate): (&[f32], &[f32]), out: &mut [f32]) {
    map(
        simd,
        [value, gate],
        out,
        #[inline(always)]
        |[value, gate]| {
            let [below, _] = normal(simd, gate);
            value * (gate * below)
        },
    );
}

#[inline(always)]
fn backward_row<S: Simd>(
    simd: S,
    (value, gate): (&[f32], &[f32]),
    gradient: &[f32],
    (to_value, to_gate): (&mut [f32], &mut [f32]),
) {
    map(
        simd,
        [gate, gradient],
        to_value,
        #[inline(always)]
        |[gate, gradient]| {
            let [below, _] = normal(simd, gate);
            gradient * (gate * below)
        },
    );
    map(
        simd,
        [value, gate, gradient],
        to_gate,
        #[inline(always)]
        |[value, gate, gradient]| {
            let [below, density] = normal(simd, gate);
            gradient * value * gate.times_plus(density, below)
        },
    );
}
