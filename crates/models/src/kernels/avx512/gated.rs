//! The gate of the transformers' perceptrons (Shazeer 2020, arXiv 2002.05202): value times GELU of gate, and its gradient.

use super::norm::map;
use super::scratch::unwritten;
use super::simd::normal;
use crate::kernels::{Geglu, Kernel};
use rayon::prelude::*;
use std::arch::x86_64::*;

impl Kernel for Geglu {
    fn forward(&self, x: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let width = half(shape);
        let mut out = unwritten(x.len() / 2);
        x.par_chunks_exact(2 * width).zip(out.par_chunks_exact_mut(width)).with_min_len(16).for_each(|(x, out)| {
            // SAFETY: kernels are only made where AVX-512 was found.
            unsafe { forward_row(x.split_at(width), out) }
        });
        let mut shape = shape.to_vec();
        *shape.last_mut().expect("checked") = width;
        (out, shape)
    }

    fn backward(&self, x: &[f32], shape: &[usize], gradient: &[f32]) -> Vec<f32> {
        let width = half(shape);
        assert_eq!(gradient.len() * 2, x.len(), "a gradient of the output's size");
        let mut out = unwritten(x.len());
        let rows = x.par_chunks_exact(2 * width).zip(gradient.par_chunks_exact(width));
        rows.zip(out.par_chunks_exact_mut(2 * width)).with_min_len(16).for_each(|((x, gradient), out)| {
            // SAFETY: kernels are only made where AVX-512 was found.
            unsafe { backward_row(x.split_at(width), gradient, out.split_at_mut(width)) }
        });
        out
    }
}

fn half(shape: &[usize]) -> usize {
    let width = shape.last().copied().unwrap_or(0);
    assert!(width > 0 && width.is_multiple_of(2), "values and gates");
    width / 2
}

#[target_feature(enable = "avx512f")]
fn forward_row((value, gate): (&[f32], &[f32]), out: &mut [f32]) {
    map([value, gate], out, |[value, gate]| {
        let [below, _] = normal(gate);
        _mm512_mul_ps(value, _mm512_mul_ps(gate, below))
    });
}

#[target_feature(enable = "avx512f")]
fn backward_row((value, gate): (&[f32], &[f32]), gradient: &[f32], (to_value, to_gate): (&mut [f32], &mut [f32])) {
    map([gate, gradient], to_value, |[gate, gradient]| {
        let [below, _] = normal(gate);
        _mm512_mul_ps(gradient, _mm512_mul_ps(gate, below))
    });
    map([value, gate, gradient], to_gate, |[value, gate, gradient]| {
        let [below, density] = normal(gate);
        _mm512_mul_ps(_mm512_mul_ps(gradient, value), _mm512_fmadd_ps(gate, density, below))
    });
}
