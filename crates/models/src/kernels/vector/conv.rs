//! Convolutions with frozen weights, and the gradient of their input.

use super::direct;
use super::pack::{Numbers, View, left, left_turned, pack, pair_rows, turn};
use super::product::{Panel, Start, product};
use super::scratch::{Scratch, unwritten};
use super::simd::{LANES, Simd, Vector};
use super::winograd;
use super::with_simd;
use crate::kernels::{Convolution, Kernel};
use rayon::prelude::*;

/// Channels from which on [`convolve`] is worth what it does to the picture first.
const MANY: usize = 16;

impl Kernel for Convolution {
    fn forward(&self, x: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let (one, [rows, height, width]) = (self.one(shape), self.out_size(shape));
        let plane = self.weights.rows * height * width;
        assert_eq!(x.len(), rows * one.len(), "pictures of {shape:?}");
        let mut out = unwritten(rows * plane);
        for (x, out) in x.chunks_exact(one.len()).zip(out.chunks_exact_mut(plane)) {
            with_simd!(self.way, simd => self.forward_one(simd, one, x, out));
        }
        (out, vec![rows, self.weights.rows, height, width])
    }

    fn backward(&self, _: &[f32], shape: &[usize], gradient: &[f32]) -> Vec<f32> {
        let (one, [rows, height, width]) = (self.one(shape), self.out_size(shape));
        let plane = self.weights.rows * height * width;
        assert_eq!(gradient.len(), rows * plane, "a gradient of the output's size");
        let mut out = unwritten(rows * one.len());
        for (gradient, out) in gradient.chunks_exact(plane).zip(out.chunks_exact_mut(one.len())) {
            with_simd!(self.way, simd => self.backward_one(simd, one, gradient, out));
        }
        out
    }

    fn needs_input(&self) -> bool {
        false
    }
}

/// Where nine taps of up to 16 filters are read from: first filter, filters, first channel, channels; tap `t` of
/// channel `c` and filter `f` goes to `[(c * 9 + t) * 16 + f]`.
pub(super) type Taps<'a> = dyn Fn([usize; 4], &mut [f32]) + Sync + 'a;

/// A 3x3 convolution of one picture with padding 1.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// Channels in.
    pub channels: usize,
    /// Channels out.
    pub filters: usize,
    pub height: usize,
    pub width: usize,
    /// Whether the weights of a channel in lie together, and not those of a filter.
    pub by_channel: bool,
}

/// `picture` `[channels, height, width]` to `out` `[filters, height, width]`, in the way that suits the processor: where products
/// cost less than the transforms of Winograd's method, directly.
fn convolve<S: Simd>(simd: S, plan: Plan, picture: &[f32], taps: &Taps, bias: Option<&[f32]>, out: &mut [f32]) {
    if S::TILES {
        direct::convolve(simd, plan, picture, taps, bias, out);
    } else {
        winograd::convolve(simd, plan, picture, taps, bias, out);
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
        [shape[0], self.out_side(shape[2]), self.out_side(shape[3])]
    }

    /// What a side of the picture becomes.
    fn out_side(&self, side: usize) -> usize {
        (side + self.padding[0] + self.padding[1] - self.size) / self.stride + 1
    }

    /// Whether it is what [`convolve`] does.
    fn is_plain(&self) -> bool {
        (self.size, self.stride, self.padding) == (3, 1, [1; 2])
    }

    fn forward_one<S: Simd>(&self, simd: S, from: Size, x: &[f32], out: &mut [f32]) {
        let (filters, channels) = (self.weights.rows, from.channels);
        if self.is_plain() && channels >= MANY {
            let taps = |[filter, count, channel, depth]: [usize; 4], out: &mut [f32]| {
                turn(simd, self.weights.from(filter, channel * 9), count, depth * 9, out, LANES)
            };
            let Size { height, width, .. } = from;
            let plan = Plan { channels, filters, height, width, by_channel: false };
            return convolve(simd, plan, x, &taps, Some(&self.bias), out);
        }
        let left = |at: Panel, out: &mut [f32]| {
            left_turned(simd, self.weights.from(at.at, at.k), at.count, at.depth, 1.0, out)
        };
        let right = |at: Panel, out: &mut [f32]| self.gather(simd, from, x, at, out);
        let n = out.len() / filters;
        product(simd, [filters, n, self.weights.columns], &left, &right, Start::Row(&self.bias), out);
    }

    /// Columns of the picture's patches, one for each pixel of the output.
    fn gather<S: Simd>(&self, simd: S, from: Size, x: &[f32], at: Panel, out: &mut [f32]) {
        if self.size == 1 && self.stride == 1 {
            let plane = from.height * from.width;
            let view = View { numbers: Numbers::F32(x), start: at.k * plane + at.at, stride: plane };
            return pack(simd, view, at.depth, at.count, 1.0, out, S::COLUMNS);
        }
        if !S::PAIRS {
            return self.gather_patches(simd, from, x, at, out);
        }
        let mut wide = Scratch::new(at.depth * S::COLUMNS);
        self.gather_patches(simd, from, x, at, &mut wide);
        pair_rows(simd, &mut wide, at.depth, S::COLUMNS);
        let pairs = S::entries(at.depth) * S::COLUMNS;
        out[..pairs].copy_from_slice(&wide[..pairs]);
    }

    /// [`Convolution::gather`] in `f32`: `[term][columns]`.
    fn gather_patches<S: Simd>(&self, simd: S, from: Size, x: &[f32], at: Panel, out: &mut [f32]) {
        let taps = self.size * self.size;
        let (across, before) = (self.out_side(from.width), self.padding[0]);
        for (k, line) in (at.k..at.k + at.depth).zip(out.chunks_exact_mut(S::COLUMNS)) {
            let [channel, ky, kx] = [k / taps, k % taps / self.size, k % self.size];
            let plane = &x[channel * from.height * from.width..][..from.height * from.width];
            let [mut oy, mut ox] = [at.at / across, at.at % across];
            let mut values = &mut line[..at.count];
            while !values.is_empty() {
                let (run, rest) = values.split_at_mut((across - ox).min(values.len()));
                let y = (oy * self.stride + ky).wrapping_sub(before);
                if y < from.height {
                    let row = &plane[y * from.width..][..from.width];
                    every(simd, row, (ox * self.stride + kx) as isize - before as isize, self.stride, run);
                } else {
                    run.fill(0.0);
                }
                (oy, ox, values) = (oy + 1, 0, rest);
            }
        }
    }

    fn backward_one<S: Simd>(&self, simd: S, to: Size, gradient: &[f32], out: &mut [f32]) {
        let filters = self.weights.rows;
        if self.is_plain() {
            // A convolution by the same weights, turned, with channels in and out changed.
            let taps = |[channel, count, filter, depth]: [usize; 4], out: &mut [f32]| {
                let mut turned = [0.0; 9 * LANES];
                for i in 0..depth {
                    let view = View { stride: 9, ..self.weights.from(filter + i, channel * 9) };
                    turn(simd, view, count, 9, &mut turned, LANES);
                    for (tap, to) in out[i * 9 * LANES..].chunks_exact_mut(LANES).take(9).enumerate() {
                        to.copy_from_slice(&turned[(8 - tap) * LANES..][..LANES]);
                    }
                }
            };
            let Size { channels, height, width } = to;
            let plan = Plan { channels: filters, filters: channels, height, width, by_channel: true };
            return convolve(simd, plan, gradient, &taps, None, out);
        }
        let n = gradient.len() / filters;
        let left =
            |at: Panel, out: &mut [f32]| left(simd, self.weights.from(at.k, at.at), at.depth, at.count, 1.0, out);
        let right = |at: Panel, out: &mut [f32]| {
            let view = View { numbers: Numbers::F32(gradient), start: at.k * n + at.at, stride: n };
            pack(simd, view, at.depth, at.count, 1.0, out, S::COLUMNS)
        };
        if self.size == 1 && self.stride == 1 {
            return product(simd, [to.channels, n, filters], &left, &right, Start::Zero, out);
        }
        let mut patches = Scratch::new(self.weights.columns * n);
        product(simd, [self.weights.columns, n, filters], &left, &right, Start::Zero, &mut patches);
        self.scatter(to, &patches, n, out);
    }

    /// Adds the patches' gradients to the pixels they were taken from.
    fn scatter(&self, to: Size, patches: &[f32], n: usize, out: &mut [f32]) {
        let taps = self.size * self.size;
        let (across, before) = (self.out_side(to.width), self.padding[0]);
        out.par_chunks_exact_mut(to.height * to.width).enumerate().for_each(|(channel, plane)| {
            plane.fill(0.0);
            for tap in 0..taps {
                let values = &patches[(channel * taps + tap) * n..][..n];
                for (i, value) in values.iter().enumerate() {
                    let y = (i / across * self.stride + tap / self.size).wrapping_sub(before);
                    let x = (i % across * self.stride + tap % self.size).wrapping_sub(before);
                    if y < to.height && x < to.width {
                        plane[y * to.width + x] += value;
                    }
                }
            }
        });
    }
}

/// Every `stride`-th number of a row, from `start` on; 0 outside of it.
fn every<S: Simd>(simd: S, row: &[f32], start: isize, stride: usize, out: &mut [f32]) {
    let before = start.min(0).unsigned_abs().div_ceil(stride).min(out.len());
    let (outside, out) = out.split_at_mut(before);
    outside.fill(0.0);
    let from = (start + (before * stride) as isize).unsigned_abs().min(row.len());
    let row = &row[from..];
    let (inside, outside) = out.split_at_mut(row.len().div_ceil(stride).min(out.len()));
    outside.fill(0.0);
    match stride {
        1 => inside.copy_from_slice(&row[..inside.len()]),
        2 => simd.run(
            #[inline(always)]
            || every_second(simd, row, inside),
        ),
        _ => inside.iter_mut().zip(row.iter().step_by(stride)).for_each(|(value, from)| *value = *from),
    }
}

/// Every second number of a row, which has a number for each of `out`'s.
#[inline(always)]
fn every_second<S: Simd>(simd: S, row: &[f32], out: &mut [f32]) {
    for (row, out) in row.chunks(2 * LANES).zip(out.chunks_mut(LANES)) {
        let high = row.len().saturating_sub(LANES);
        // SAFETY: as many numbers as the slices have.
        unsafe {
            let low = simd.load_first(row.as_ptr(), row.len());
            let high = simd.load_first(row.as_ptr().add(row.len() - high), high);
            low.parted(high)[0].store_first(out.as_mut_ptr(), out.len());
        }
    }
}
