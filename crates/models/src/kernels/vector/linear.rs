//! Linear layers with frozen weights, and the gradient of their input.

use super::pack::{Numbers, View, left_turned, pack, pack_turned};
use super::product::{Panel, Start, product};
use super::scratch::unwritten;
use super::simd::{LANES, Simd};
use super::with_simd;
use crate::kernels::{Kernel, LinearMap};

impl Kernel for LinearMap {
    fn forward(&self, x: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let (input, output) = (self.weights.columns, self.weights.rows);
        let rows = self.rows(x, shape, input);
        let mut out = unwritten(rows * output);
        with_simd!(self.way, simd => self.run(simd, x, rows, &mut out));
        let mut shape = shape.to_vec();
        *shape.last_mut().expect("checked") = output;
        (out, shape)
    }

    fn backward(&self, _: &[f32], shape: &[usize], gradient: &[f32]) -> Vec<f32> {
        let (input, output) = (self.weights.columns, self.weights.rows);
        let rows = gradient.len() / output;
        assert_eq!(shape.iter().product::<usize>(), rows * input, "a gradient of the output's size");
        let mut out = unwritten(rows * input);
        with_simd!(self.way, simd => self.run_back(simd, gradient, rows, &mut out));
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

    fn run<S: Simd>(&self, simd: S, x: &[f32], rows: usize, out: &mut [f32]) {
        let (input, output) = (self.weights.columns, self.weights.rows);
        let right = |at: Panel, out: &mut [f32]| {
            for half in (0..at.count).step_by(LANES) {
                pack_turned(
                    simd,
                    self.weights.from(at.at + half, at.k),
                    LANES.min(at.count - half),
                    at.depth,
                    1.0,
                    &mut out[half..],
                    S::COLUMNS,
                );
            }
        };
        let start = self.bias.as_ref().map_or(Start::Zero, |bias| Start::Column(bias));
        product(simd, [rows, output, input], &turned_rows(simd, x, input), &right, start, out);
    }

    fn run_back<S: Simd>(&self, simd: S, gradient: &[f32], rows: usize, out: &mut [f32]) {
        let (input, output) = (self.weights.columns, self.weights.rows);
        let right = |at: Panel, out: &mut [f32]| {
            pack(simd, self.weights.from(at.k, at.at), at.depth, at.count, 1.0, out, S::COLUMNS)
        };
        let left = turned_rows(simd, gradient, output);
        product(simd, [rows, input, output], &left, &right, Start::Zero, out);
    }
}

/// Rows of a matrix as a product's left panels.
fn turned_rows<S: Simd>(simd: S, values: &[f32], width: usize) -> impl Fn(Panel, &mut [f32]) + Sync {
    move |at: Panel, out: &mut [f32]| {
        let view = View { numbers: Numbers::F32(values), start: at.at * width + at.k, stride: width };
        left_turned(simd, view, at.count, at.depth, 1.0, out);
    }
}
