//! What two narrow factors add to a linear layer (Hu et al. 2022, arXiv 2106.09685), and the gradients of both and of the input.
//!
//! The factors are so narrow that memory decides: rows are gone through as they lie, with vectors along them, and dropout is worked
//! out wherever it is needed. Wide is `[rows, width]` here, narrow `[rows, rank]`, and a factor `[rank, width]`.

use super::pack::{Numbers, View, turn};
use super::scratch::{Scratch, unwritten};
use super::simd::{LANES, Simd, Vector};
use super::with_simd;
use crate::kernels::{Dropout, LowRank};
use rayon::prelude::*;

/// Rows that a thread works on at a time; the values of as many stay in the second-level cache.
const ROWS: usize = LANES;

/// Rows of a factor that are gone through together: their sums or weights stay in AVX2's registers.
const TOGETHER: usize = 4;

/// Parts of a sum over rows, at most. They do not depend on the number of threads, so the sum is the same to the bit.
const PARTS: usize = 16;

/// Rows of such a part, at least: a part is as large as `rank` of them.
const FEWEST_ROWS: usize = 64;

impl LowRank {
    /// Adds to `y`, `[rows, out]`, what the factors make of `x`, `[rows, in]`.
    ///
    /// Returns what is between the factors, scaled: the way back needs it.
    pub fn forward(&self, x: &[f32], [a, b]: [&[f32]; 2], y: &mut [f32]) -> Vec<f32> {
        with_simd!(self.way, simd => {
            let narrow = self.narrow(simd, x, a, self.dropout);
            self.widen(simd, &narrow, &transposed(simd, b, self.rank), Dropout::OFF, y);
            narrow
        })
    }

    /// The gradients of A and B, given that of the output; that of `x` is added to `to_x`, where it is wanted.
    pub fn backward(
        &self,
        x: &[f32],
        [a, b]: [&[f32]; 2],
        narrow: &[f32],
        gradient: &[f32],
        to_x: Option<&mut [f32]>,
    ) -> [Vec<f32>; 2] {
        let [input, output] = [a.len(), b.len()].map(|len| len / self.rank);
        with_simd!(self.way, simd => {
            let back = self.narrow(simd, gradient, &transposed(simd, b, self.rank), Dropout::OFF);
            if let Some(to_x) = to_x {
                self.widen(simd, &back, a, self.dropout, to_x);
            }
            let to_a = self.gather(simd, &back, x, input, self.dropout);
            let to_b = self.gather(simd, narrow, gradient, output, Dropout::OFF);
            [to_a, transposed(simd, &to_b, output)]
        })
    }

    /// Wide to narrow: the products of each row, after dropout, with those of the factor, scaled.
    fn narrow<S: Simd>(&self, simd: S, wide: &[f32], factor: &[f32], dropout: Dropout) -> Vec<f32> {
        let (rank, width, scale) = (self.rank, factor.len() / self.rank, self.scale);
        assert!(wide.len().is_multiple_of(width), "rows of {width}");
        let mut narrow = unwritten(wide.len() / width * rank);
        let blocks = wide.par_chunks(ROWS * width).zip(narrow.par_chunks_mut(ROWS * rank)).enumerate();
        blocks.for_each(|(i, (wide, narrow))| {
            let mut place = Scratch::new(ROWS * width);
            simd.run(
                #[inline(always)]
                || {
                    let wide = dropped(simd, dropout, [i * ROWS, width], wide, &mut place);
                    for (row, narrow) in wide.chunks_exact(width).zip(narrow.chunks_exact_mut(rank)) {
                        multiply(simd, row, factor, scale, narrow);
                    }
                },
            );
        });
        narrow
    }

    /// Narrow to wide: adds the factor's rows, each with its weight, after dropout.
    fn widen<S: Simd>(&self, simd: S, narrow: &[f32], factor: &[f32], dropout: Dropout, wide: &mut [f32]) {
        let (rank, width) = (self.rank, factor.len() / self.rank);
        assert_eq!(wide.len() * rank, narrow.len() * width, "as many rows");
        let blocks = wide.par_chunks_mut(ROWS * width).zip(narrow.par_chunks(ROWS * rank)).enumerate();
        blocks.for_each(|(i, (wide, narrow))| {
            let mut sum = Scratch::new(width);
            simd.run(
                #[inline(always)]
                || {
                    let rows = wide.chunks_exact_mut(width).zip(narrow.chunks_exact(rank));
                    for (row, (wide, narrow)) in (i * ROWS..).zip(rows) {
                        if dropout.is_on() {
                            sum.fill(0.0);
                            add_weighted(simd, narrow, factor, &mut sum);
                            add_dropped(simd, dropout, row, &sum, wide);
                        } else {
                            add_weighted(simd, narrow, factor, wide);
                        }
                    }
                },
            );
        });
    }

    /// The sum over all rows of what is narrow times what is wide, after dropout: a factor's gradient.
    fn gather<S: Simd>(&self, simd: S, narrow: &[f32], wide: &[f32], width: usize, dropout: Dropout) -> Vec<f32> {
        let rank = self.rank;
        assert_eq!(wide.len() * rank, narrow.len() * width, "as many rows");
        let each = (wide.len() / width).div_ceil(PARTS).max(FEWEST_ROWS).next_multiple_of(ROWS);
        let parts = wide.par_chunks(each * width).zip(narrow.par_chunks(each * rank)).enumerate();
        let parts: Vec<_> = parts
            .map(|(i, (wide, narrow))| gather_part(simd, [i * each, rank, width], narrow, wide, dropout))
            .collect();
        let mut sum = vec![0.0; rank * width];
        for part in parts {
            for (sum, value) in sum.iter_mut().zip(part) {
                *sum += value;
            }
        }
        sum
    }
}

/// [`LowRank::gather`] of the rows from `first` on.
fn gather_part<S: Simd>(
    simd: S,
    [first, rank, width]: [usize; 3],
    narrow: &[f32],
    wide: &[f32],
    dropout: Dropout,
) -> Vec<f32> {
    let mut sum = vec![0.0; rank * width];
    let (mut place, mut weights) = (Scratch::new(ROWS * width), Scratch::new(rank * ROWS));
    for (i, (wide, narrow)) in wide.chunks(ROWS * width).zip(narrow.chunks(ROWS * rank)).enumerate() {
        let count = narrow.len() / rank;
        let view = View { numbers: Numbers::F32(narrow), start: 0, stride: rank };
        turn(simd, view, count, rank, &mut weights, ROWS);
        simd.run(
            #[inline(always)]
            || {
                let wide = dropped(simd, dropout, [first + i * ROWS, width], wide, &mut place);
                for (sum, weights) in sum.chunks_exact_mut(width).zip(weights.chunks_exact(ROWS)) {
                    add_weighted(simd, &weights[..count], wide, sum);
                }
            },
        );
    }
    sum
}

/// `[rows, columns]` as `[columns, rows]`.
fn transposed<S: Simd>(simd: S, from: &[f32], columns: usize) -> Vec<f32> {
    let rows = from.len() / columns;
    assert_eq!(from.len(), rows * columns, "rows of {columns}");
    let mut out = unwritten(from.len());
    for row in (0..rows).step_by(LANES) {
        let view = View { numbers: Numbers::F32(from), start: row * columns, stride: columns };
        turn(simd, view, LANES.min(rows - row), columns, &mut out[row..], rows);
    }
    out
}

/// Rows after dropout, from `first` on; they are written to `place` unless they stay as they are.
#[inline(always)]
fn dropped<'a, S: Simd>(
    simd: S,
    dropout: Dropout,
    [first, width]: [usize; 2],
    rows: &'a [f32],
    place: &'a mut [f32],
) -> &'a [f32] {
    if !dropout.is_on() {
        return rows;
    }
    let place = &mut place[..rows.len()];
    place.fill(0.0);
    for (i, (row, place)) in rows.chunks_exact(width).zip(place.chunks_exact_mut(width)).enumerate() {
        add_dropped(simd, dropout, first + i, row, place);
    }
    place
}

/// Adds a row's values after dropout.
#[inline(always)]
fn add_dropped<S: Simd>(simd: S, dropout: Dropout, row: usize, values: &[f32], out: &mut [f32]) {
    assert_eq!(values.len(), out.len());
    let (key, rate, scale) = (dropout.key(row), simd.splat(dropout.rate), simd.splat(dropout.scale()));
    for at in (0..out.len()).step_by(LANES) {
        let count = out.len() - at;
        let factor = (simd.chances(key, at as u32) - rate).choose(simd.zero(), scale);
        // SAFETY: as many numbers as both have.
        unsafe {
            let place = out.as_mut_ptr().add(at);
            let before = simd.load_first(place, count);
            simd.load_first(values.as_ptr().add(at), count).times_plus(factor, before).store_first(place, count);
        }
    }
}

/// A row's products with the rows of a factor, times `scale`.
#[inline(always)]
fn multiply<S: Simd>(simd: S, row: &[f32], factor: &[f32], scale: f32, out: &mut [f32]) {
    let (fours, rest) = out.as_chunks_mut::<TOGETHER>();
    let (of_fours, of_rest) = factor.split_at(fours.len() * TOGETHER * row.len());
    for (out, factor) in fours.iter_mut().zip(of_fours.chunks_exact(TOGETHER * row.len())) {
        *out = products(simd, row, factor, scale);
    }
    for (out, factor) in rest.iter_mut().zip(of_rest.chunks_exact(row.len())) {
        *out = products::<S, 1>(simd, row, factor, scale)[0];
    }
}

/// [`multiply`] by `N` rows.
#[inline(always)]
fn products<S: Simd, const N: usize>(simd: S, row: &[f32], factor: &[f32], scale: f32) -> [f32; N] {
    assert_eq!(factor.len(), N * row.len());
    let mut sums = [simd.zero(); N];
    for at in (0..row.len()).step_by(LANES) {
        let count = row.len() - at;
        // SAFETY: as many numbers as the rows have.
        unsafe {
            let values = simd.load_first(row.as_ptr().add(at), count);
            for i in 0..N {
                let factor = simd.load_first(factor.as_ptr().add(i * row.len() + at), count);
                sums[i] = values.times_plus(factor, sums[i]);
            }
        }
    }
    let mut out = [0.0; N];
    for i in 0..N {
        out[i] = scale * sums[i].sum();
    }
    out
}

/// Adds rows, each times its weight.
#[inline(always)]
fn add_weighted<S: Simd>(simd: S, weights: &[f32], rows: &[f32], out: &mut [f32]) {
    let (fours, rest) = weights.as_chunks::<TOGETHER>();
    let (of_fours, of_rest) = rows.split_at(fours.len() * TOGETHER * out.len());
    for (weights, rows) in fours.iter().zip(of_fours.chunks_exact(TOGETHER * out.len())) {
        add_rows(simd, *weights, rows, out);
    }
    for (weight, row) in rest.iter().zip(of_rest.chunks_exact(out.len())) {
        add_rows(simd, [*weight], row, out);
    }
}

/// [`add_weighted`] of `N` rows.
#[inline(always)]
fn add_rows<S: Simd, const N: usize>(simd: S, weights: [f32; N], rows: &[f32], out: &mut [f32]) {
    let width = out.len();
    assert_eq!(rows.len(), N * width);
    let mut factors = [simd.zero(); N];
    for i in 0..N {
        factors[i] = simd.splat(weights[i]);
    }
    for at in (0..width).step_by(LANES) {
        let count = width - at;
        // SAFETY: as many numbers as the rows have.
        unsafe {
            let place = out.as_mut_ptr().add(at);
            let mut sum = simd.load_first(place, count);
            for i in 0..N {
                sum = simd.load_first(rows.as_ptr().add(i * width + at), count).times_plus(factors[i], sum);
            }
            sum.store_first(place, count);
        }
    }
}
