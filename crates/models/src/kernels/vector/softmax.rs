//! Attention's weights, out of scores that lie one query (or key) a lane.

use super::functions::exp;
use super::simd::{LANES, MOST_COLUMNS, Simd, Vector};

/// Maximum and sum of each lane's scores so far.
#[derive(Clone, Copy)]
pub(super) struct Running {
    most: [f32; MOST_COLUMNS],
    sum: [f32; MOST_COLUMNS],
}

impl Running {
    /// Of no scores.
    pub fn new() -> Self {
        Self { most: [f32::NEG_INFINITY; MOST_COLUMNS], sum: [0.0; MOST_COLUMNS] }
    }

    /// Scores to weights of a running softmax; what was mixed so far is scaled to the new maxima.
    pub fn add<S: Simd>(&mut self, simd: S, scores: &mut [f32], mixed: &mut [f32]) {
        simd.run(
            #[inline(always)]
            || self.add_inlined(simd, scores, mixed),
        );
    }

    #[inline(always)]
    fn add_inlined<S: Simd>(&mut self, simd: S, scores: &mut [f32], mixed: &mut [f32]) {
        let (before, mut sum) = (load_all(simd, &self.most), load_all(simd, &self.sum));
        let mut most = before;
        for row in scores.chunks_exact(S::COLUMNS) {
            for v in 0..S::VECTORS {
                most[v] = most[v].max(load(simd, row, v));
            }
        }
        let mut scale = before;
        for v in 0..S::VECTORS {
            scale[v] = exp(simd, before[v] - most[v]);
            sum[v] = sum[v] * scale[v];
        }
        scale_rows(simd, mixed, scale);
        for row in scores.chunks_exact_mut(S::COLUMNS) {
            for v in 0..S::VECTORS {
                let weight = exp(simd, load(simd, row, v) - most[v]);
                sum[v] = sum[v] + weight;
                store(weight, row, v);
            }
        }
        for v in 0..S::VECTORS {
            store(most[v], &mut self.most, v);
            store(sum[v], &mut self.sum, v);
        }
    }

    /// What each lane's weights are to be multiplied by.
    pub fn shares(&self) -> [f32; MOST_COLUMNS] {
        self.sum.map(|sum| 1.0 / sum)
    }

    /// The logarithm of each lane's sum.
    pub fn logs(&self) -> [f32; MOST_COLUMNS] {
        std::array::from_fn(|lane| self.most[lane] + self.sum[lane].ln())
    }
}

/// [`weigh`] for columns whose sums and means are known; there is nothing to know of the rest.
pub(super) fn weigh_by_columns<S: Simd>(
    simd: S,
    [scores, slopes]: [&mut [f32]; 2],
    rows: usize,
    [sums, means]: [&[f32]; 2],
) {
    let padded = |values: &[f32]| {
        let mut all = [0.0; MOST_COLUMNS];
        all[..values.len()].copy_from_slice(values);
        all
    };
    let (sums, means) = (padded(sums), padded(means));
    simd.run(
        #[inline(always)]
        || {
            let (sums, means) = (load_all(simd, &sums), load_all(simd, &means));
            for row in 0..rows {
                weigh(simd, [&mut *scores, &mut *slopes], row, sums, means);
            }
        },
    );
}

/// [`weigh`] for rows whose sums and means are known.
pub(super) fn weigh_by_rows<S: Simd>(simd: S, [scores, slopes]: [&mut [f32]; 2], [sums, means]: [&[f32]; 2]) {
    simd.run(
        #[inline(always)]
        || {
            for (row, (sum, mean)) in sums.iter().zip(means).enumerate() {
                weigh(simd, [&mut *scores, &mut *slopes], row, [simd.splat(*sum); 2], [simd.splat(*mean); 2]);
            }
        },
    );
}

/// The softmax's weights of a row of scores, and the gradients of the scores: `weight * (slope - mean)`.
#[inline(always)]
fn weigh<S: Simd>(simd: S, [scores, slopes]: [&mut [f32]; 2], row: usize, sums: [S::Vector; 2], means: [S::Vector; 2]) {
    let range = row * S::COLUMNS..(row + 1) * S::COLUMNS;
    let (scores, slopes) = (&mut scores[range.clone()], &mut slopes[range]);
    for v in 0..S::VECTORS {
        let weight = exp(simd, load(simd, scores, v) - sums[v]);
        let slope = weight * (load(simd, slopes, v) - means[v]);
        store(weight, scores, v);
        store(slope, slopes, v);
    }
}

/// Multiplies the lanes of all rows.
pub(super) fn scale_lanes<S: Simd>(simd: S, rows: &mut [f32], by: &[f32; MOST_COLUMNS]) {
    simd.run(
        #[inline(always)]
        || scale_rows(simd, rows, load_all(simd, by)),
    );
}

#[inline(always)]
fn scale_rows<S: Simd>(simd: S, rows: &mut [f32], by: [S::Vector; 2]) {
    for row in rows.chunks_exact_mut(S::COLUMNS) {
        for v in 0..S::VECTORS {
            store(load(simd, row, v) * by[v], row, v);
        }
    }
}

#[inline(always)]
fn load_all<S: Simd>(simd: S, all: &[f32; MOST_COLUMNS]) -> [S::Vector; 2] {
    [load(simd, all, 0), load(simd, all, 1)]
}

/// A row's vector of this place.
#[inline(always)]
fn load<S: Simd>(simd: S, row: &[f32], v: usize) -> S::Vector {
    // SAFETY: sixteen numbers of the slice.
    unsafe { simd.load(row[v * LANES..][..LANES].as_ptr()) }
}

#[inline(always)]
fn store(vector: impl Vector, row: &mut [f32], v: usize) {
    // SAFETY: sixteen numbers of the slice.
    unsafe { vector.store(row[v * LANES..][..LANES].as_mut_ptr()) };
}
