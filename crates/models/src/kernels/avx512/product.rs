//! Products of matrices of any size, out of tiles. Both factors are packed on the way, from whatever the caller keeps them as.
//!
//! Rows of the left factor are packed a block at a time, as many as stay in the second-level cache; the threads then share
//! the columns. Each value of the product is summed by one thread in one order, so results are the same every time.

use super::tile::{COLUMNS, ROWS, Shared, Tile};
use rayon::prelude::*;

/// Terms that a right panel holds at a time: 32 kB, so that it stays in the first-level cache.
const DEPTH: usize = 256;

/// Values of the left factor that are packed at a time: 1.5 MB.
const LEFT_VALUES: usize = 384 << 10;

/// What a product's values start from.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    Zero,
    /// One value a row.
    Row(&'a [f32]),
    /// One value a column.
    Column(&'a [f32]),
}

/// Where a panel begins, how wide it is, and which terms it holds.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    /// First row (or column).
    pub at: usize,
    /// Rows or columns, at most those of a tile.
    pub count: usize,
    /// First term.
    pub k: usize,
    /// Terms.
    pub depth: usize,
}

/// `out[m][n]` is the start plus the product.
///
/// `left` packs rows as `[k][ROWS]`, `right` packs columns as `[k][COLUMNS]`; both may leave what is past the count as it is.
///
/// # Panics
/// When `out` has another length than `m * n`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn product(
    [m, n, k]: [usize; 3],
    left: &(dyn Fn(Panel, &mut [f32]) + Sync),
    right: &(dyn Fn(Panel, &mut [f32]) + Sync),
    start: Start,
    out: &mut [f32],
) {
    assert_eq!(out.len(), m * n);
    let rows_at_once = (LEFT_VALUES / k.max(1) / ROWS).max(8) * ROWS;
    let mut packed = vec![0.0; rows_at_once.min(m.next_multiple_of(ROWS)) * k];
    let shared = Shared::new(out);
    for first_row in (0..m).step_by(rows_at_once) {
        let rows = rows_at_once.min(m - first_row);
        packed.par_chunks_mut(ROWS * k.max(1)).take(rows.div_ceil(ROWS)).enumerate().for_each(|(i, panel)| {
            let at = first_row + i * ROWS;
            left(Panel { at, count: ROWS.min(first_row + rows - at), k: 0, depth: k }, panel);
        });
        let packed = &packed;
        (0..n.div_ceil(COLUMNS)).into_par_iter().for_each_init(
            || vec![0.0; DEPTH.min(k) * COLUMNS],
            |panel, i| {
                let columns = Columns { at: i * COLUMNS, count: COLUMNS.min(n - i * COLUMNS), stride: n, out: shared };
                // SAFETY: AVX-512 is there, as this function's own caller made sure; columns are this thread's alone.
                unsafe { columns.fill([first_row, rows, k], packed, right, start, panel) };
            },
        );
    }
}

/// Columns of the product, one thread's work.
struct Columns {
    at: usize,
    count: usize,
    stride: usize,
    out: Shared,
}

impl Columns {
    /// # Safety
    /// AVX-512 is there, the rows are inside of the output, and nobody else uses these columns.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn fill(
        &self,
        [first_row, rows, k]: [usize; 3],
        left: &[f32],
        right: &(dyn Fn(Panel, &mut [f32]) + Sync),
        start: Start,
        panel: &mut [f32],
    ) {
        // SAFETY: these columns of these rows are ours.
        unsafe { self.begin(first_row, rows, start) };
        for k0 in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - k0);
            right(Panel { at: self.at, count: self.count, k: k0, depth }, panel);
            for row in (0..rows).step_by(ROWS) {
                // SAFETY: the left panel of these rows has k terms; the output is ours.
                unsafe {
                    let out = self.out.at((first_row + row) * self.stride + self.at);
                    let left = left.as_ptr().add(row * k + k0 * ROWS);
                    let tile = Tile { left, right: panel.as_ptr(), out, stride: self.stride, k: depth, add: true };
                    tile.run(ROWS.min(rows - row), self.count);
                }
            }
        }
    }

    /// # Safety
    /// As [`Columns::fill`].
    unsafe fn begin(&self, first_row: usize, rows: usize, start: Start) {
        for row in first_row..first_row + rows {
            // SAFETY: inside of the output, and ours.
            let place = unsafe { self.out.slice(row * self.stride + self.at, self.count) };
            match start {
                Start::Zero => place.fill(0.0),
                Start::Row(values) => place.fill(values[row]),
                Start::Column(values) => place.copy_from_slice(&values[self.at..self.at + self.count]),
            }
        }
    }
}
