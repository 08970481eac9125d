//! Linear layers with frozen weights, and the gradient of their input.

use super::product::{Panel, Start, product};
use super::scratch::unwritten;
use super::simd::{LANES, Numbers, View, pack, pack_turned};
use super::tile::{COLUMNS, ROWS};
use crate::kernels::{Kernel, LinearMap, Precision};

impl Kernel for LinearMap {
    fn forward(&self, x: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let (input, output) = (self.weights.columns, self.weights.rows);
        let rows = self.rows(x, shape, input);
        let mut out = unwritten(rows * output);
        // SAFETY: kernels are only made where AVX-512 was found.
        unsafe { self.run(x, rows, &mut out) };
        let mut shape = shape.to_vec();
        *shape.last_mut().expect("checked") = output;
        (out, shape)
    }

    fn backward(&self, _: &[f32], shape: &[usize], gradient: &[f32]) -> Vec<f32> {
        let (input, output) = (self.weights.columns, self.weights.rows);
        let rows = gradient.len() / output;
        assert_eq!(shape.iter().product::<usize>(), rows * input, "a gradient of the output's size");
        let mut out = unwritten(rows * input);
        // SAFETY: kernels are only made where AVX-512 was found.
        unsafe { self.run_back(gradient, rows, &mut out) };
        out
    }

    fn needs_input(&self) -> bool {
        false
    }
}

impl LinearMap {
    fn rows(&self, x: &[f32], shape: &[usize], input: usize) -> usize {
        assert_eq!(shape.last(), Some(&input), "the width of a linear layer's input");
        x.len() / input
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn run(&self, x: &[f32], rows: usize, out: &mut [f32]) {
        let (input, output) = (self.weights.columns, self.weights.rows);
        let right = |at: Panel, out: &mut [f32]| {
            for half in (0..at.count).step_by(LANES) {
                pack_turned(
                    self.precision,
                    self.weights.from(at.at + half, at.k),
                    LANES.min(at.count - half),
                    at.depth,
                    1.0,
                    &mut out[half..],
                    COLUMNS,
                );
            }
        };
        let start = self.bias.as_ref().map_or(Start::Zero, |bias| Start::Column(bias));
        product(self.precision, [rows, output, input], &turned_rows(self.precision, x, input), &right, start, out);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn run_back(&self, gradient: &[f32], rows: usize, out: &mut [f32]) {
        let (input, output) = (self.weights.columns, self.weights.rows);
        let right = |at: Panel, out: &mut [f32]| {
            pack(self.precision, self.weights.from(at.k, at.at), at.depth, at.count, 1.0, out, COLUMNS)
        };
        let left = turned_rows(self.precision, gradient, output);
        product(self.precision, [rows, input, output], &left, &right, Start::Zero, out);
    }
}

/// Rows of a matrix as a product's left panels.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn turned_rows(precision: Precision, values: &[f32], width: usize) -> impl Fn(Panel, &mut [f32]) + Sync {
    move |at: Panel, out: &mut [f32]| {
        let view = View { numbers: Numbers::F32(values), start: at.at * width + at.k, stride: width };
        pack_turned(precision, view, at.count, at.depth, 1.0, out, ROWS);
    }
}
