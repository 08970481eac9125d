//! Convolutions with frozen weights, and the gradient of their input.

use super::product::{Panel, Start, product};
use super::scratch::Scratch;
use super::simd::{LANES, Numbers, View, copy, turn};
use super::tile::{COLUMNS, ROWS};
use super::winograd::{self, Plan};
use crate::kernels::{Convolution, Kernel};
use rayon::prelude::*;

/// Channels from which on the transforms of Winograd's method are worth their time.
const MANY: usize = 16;

impl Kernel for Convolution {
    fn forward(&self, x: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let (one, [rows, height, width]) = (self.one(shape), self.out_size(shape));
        let plane = self.weights.rows * height * width;
        let mut out = vec![0.0; rows * plane];
        for (x, out) in x.chunks_exact(one.len()).zip(out.chunks_exact_mut(plane)) {
            // SAFETY: kernels are only made where AVX-512 was found.
            unsafe { self.forward_one(one, x, out) };
        }
        (out, vec![rows, self.weights.rows, height, width])
    }

    fn backward(&self, _: &[f32], shape: &[usize], gradient: &[f32]) -> Vec<f32> {
        let (one, [rows, height, width]) = (self.one(shape), self.out_size(shape));
        let plane = self.weights.rows * height * width;
        let mut out = vec![0.0; rows * one.len()];
        for (gradient, out) in gradient.chunks_exact(plane).zip(out.chunks_exact_mut(one.len())) {
            // SAFETY: kernels are only made where AVX-512 was found.
            unsafe { self.backward_one(one, gradient, out) };
        }
        out
    }

    fn needs_input(&self) -> bool {
        false
    }
}

/// A picture's shape.
#[derive(Clone, Copy)]
struct Size {
    channels: usize,
    height: usize,
    width: usize,
}

impl Size {
    fn len(self) -> usize {
        self.channels * self.height * self.width
    }
}

impl Convolution {
    fn one(&self, shape: &[usize]) -> Size {
        assert_eq!(shape.len(), 4, "pictures [batch, channels, height, width]");
        let channels = self.weights.columns / (self.size * self.size);
        assert_eq!(shape[1], channels, "channels of a convolution");
        Size { channels, height: shape[2], width: shape[3] }
    }

    /// Rows, height and width of the output.
    fn out_size(&self, shape: &[usize]) -> [usize; 3] {
        let side = |n: usize| (n + 2 * self.padding - self.size) / self.stride + 1;
        [shape[0], side(shape[2]), side(shape[3])]
    }

    /// Whether Winograd's method fits.
    fn is_plain(&self) -> bool {
        (self.size, self.stride, self.padding) == (3, 1, 1)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn forward_one(&self, from: Size, x: &[f32], out: &mut [f32]) {
        let (filters, channels) = (self.weights.rows, from.channels);
        if self.is_plain() && channels >= MANY {
            let taps = |[filter, count, channel, depth]: [usize; 4], out: &mut [f32]| {
                turn(self.weights.from(filter, channel * 9), count, depth * 9, out, LANES)
            };
            let plan = Plan { channels, filters, height: from.height, width: from.width };
            return winograd::convolve(plan, x, &taps, Some(&self.bias), out);
        }
        let left = |at: Panel, out: &mut [f32]| turn(self.weights.from(at.at, at.k), at.count, at.depth, out, ROWS);
        let right = |at: Panel, out: &mut [f32]| self.gather(from, x, at, out);
        let n = out.len() / filters;
        product([filters, n, self.weights.columns], &left, &right, Start::Row(&self.bias), out);
    }

    /// Columns of the picture's patches, one for each pixel of the output.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn gather(&self, from: Size, x: &[f32], at: Panel, out: &mut [f32]) {
        if self.size == 1 && self.stride == 1 {
            let plane = from.height * from.width;
            let view = View { numbers: Numbers::F32(x), start: at.k * plane + at.at, stride: plane };
            return copy(view, at.depth, at.count, 1.0, out, COLUMNS);
        }
        let taps = self.size * self.size;
        let across = (from.width + 2 * self.padding - self.size) / self.stride + 1;
        for (k, line) in (at.k..at.k + at.depth).zip(out.chunks_exact_mut(COLUMNS)) {
            let [channel, ky, kx] = [k / taps, k % taps / self.size, k % self.size];
            let plane = &x[channel * from.height * from.width..][..from.height * from.width];
            let [mut oy, mut ox] = [at.at / across, at.at % across];
            for value in &mut line[..at.count] {
                let y = (oy * self.stride + ky).wrapping_sub(self.padding);
                let x = (ox * self.stride + kx).wrapping_sub(self.padding);
                *value = if y < from.height && x < from.width { plane[y * from.width + x] } else { 0.0 };
                ox += 1;
                if ox == across {
                    (oy, ox) = (oy + 1, 0);
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn backward_one(&self, to: Size, gradient: &[f32], out: &mut [f32]) {
        let filters = self.weights.rows;
        if self.is_plain() {
            // A convolution by the same weights, turned, with channels in and out changed.
            let taps = |[channel, count, filter, depth]: [usize; 4], out: &mut [f32]| {
                let mut turned = [0.0; 9 * LANES];
                for i in 0..depth {
                    let view = View { stride: 9, ..self.weights.from(filter + i, channel * 9) };
                    turn(view, count, 9, &mut turned, LANES);
                    for (tap, to) in out[i * 9 * LANES..].chunks_exact_mut(LANES).take(9).enumerate() {
                        to.copy_from_slice(&turned[(8 - tap) * LANES..][..LANES]);
                    }
                }
            };
            let plan = Plan { channels: filters, filters: to.channels, height: to.height, width: to.width };
            return winograd::convolve(plan, gradient, &taps, None, out);
        }
        let n = gradient.len() / filters;
        let left =
            |at: Panel, out: &mut [f32]| copy(self.weights.from(at.k, at.at), at.depth, at.count, 1.0, out, ROWS);
        let right = |at: Panel, out: &mut [f32]| {
            let view = View { numbers: Numbers::F32(gradient), start: at.k * n + at.at, stride: n };
            copy(view, at.depth, at.count, 1.0, out, COLUMNS)
        };
        if self.size == 1 && self.stride == 1 {
            return product([to.channels, n, filters], &left, &right, Start::Zero, out);
        }
        let mut patches = Scratch::new(self.weights.columns * n);
        product([self.weights.columns, n, filters], &left, &right, Start::Zero, &mut patches);
        self.scatter(to, &patches, n, out);
    }

    /// Adds the patches' gradients to the pixels they were taken from.
    fn scatter(&self, to: Size, patches: &[f32], n: usize, out: &mut [f32]) {
        let taps = self.size * self.size;
        let across = (to.width + 2 * self.padding - self.size) / self.stride + 1;
        out.par_chunks_exact_mut(to.height * to.width).enumerate().for_each(|(channel, plane)| {
            plane.fill(0.0);
            for tap in 0..taps {
                let values = &patches[(channel * taps + tap) * n..][..n];
                for (i, value) in values.iter().enumerate() {
                    let y = (i / across * self.stride + tap / self.size).wrapping_sub(self.padding);
                    let x = (i % across * self.stride + tap % self.size).wrapping_sub(self.padding);
                    if y < to.height && x < to.width {
                        plane[y * to.width + x] += value;
                    }
                }
            }
        });
    }
}
