//! Nearest-neighbour doubling, and the gradient of its input: the sum over what each pixel became.

use super::scratch::unwritten;
use crate::kernels::{Double, Kernel};
use rayon::prelude::*;

impl Kernel for Double {
    fn forward(&self, x: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let from = self.from(x, shape);
        let mut out = unwritten(shape[0] * shape[1] * self.plane());
        let planes = x.par_chunks_exact(from.0 * from.1).zip(out.par_chunks_exact_mut(self.plane()));
        planes.for_each(|(x, out)| {
            for (y, line) in out.chunks_exact_mut(self.width).enumerate() {
                let (pairs, rest) = line.as_chunks_mut::<2>();
                let row = &x[y / 2 * from.1..][..from.1];
                pairs.iter_mut().zip(row).for_each(|(pair, value)| *pair = [*value; 2]);
                rest.iter_mut().for_each(|last| *last = row[from.1 - 1]);
            }
        });
        (out, vec![shape[0], shape[1], self.height, self.width])
    }

    fn backward(&self, _: &[f32], shape: &[usize], gradient: &[f32]) -> Vec<f32> {
        let (height, width) = (shape[2], shape[3]);
        assert_eq!(gradient.len(), shape[0] * shape[1] * self.plane(), "a gradient of the output's size");
        let mut out = vec![0.0; shape.iter().product()];
        let planes = out.par_chunks_exact_mut(height * width).zip(gradient.par_chunks_exact(self.plane()));
        planes.for_each(|(out, gradient)| {
            for (y, line) in gradient.chunks_exact(self.width).enumerate() {
                let (pairs, rest) = line.as_chunks::<2>();
                let row = &mut out[y / 2 * width..][..width];
                row.iter_mut().zip(pairs).for_each(|(sum, [left, right])| *sum += left + right);
                rest.iter().for_each(|last| row[width - 1] += last);
            }
        });
        out
    }

    fn needs_input(&self) -> bool {
        false
    }
}

impl Double {
    fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Height and width of the input.
    fn from(&self, x: &[f32], shape: &[usize]) -> (usize, usize) {
        assert_eq!(shape.len(), 4, "pictures [batch, channels, height, width]");
        assert_eq!(x.len(), shape.iter().product::<usize>(), "pictures of {shape:?}");
        assert_eq!([self.height, self.width].map(|side| side.div_ceil(2)), [shape[2], shape[3]], "twice {shape:?}");
        (shape[2], shape[3])
    }
}
