//! Products of matrices of any size, out of tiles. Both factors are packed on the way, from whatever the caller keeps them as.
//!
//! Rows of the left factor are packed a block at a time, as many as stay in the second-level cache; the threads then share
//! the columns. Each value of the product is summed by one thread in one order, so results are the same every time.

use super::pack::left_entries;
use super::scratch::Scratch;
use super::shared::Shared;
use super::simd::Simd;
use super::tile::Tile;
use rayon::prelude::*;

/// Entries that a right panel holds at a time: 32 kB at most, so that those of a thread stay in the second-level cache.
const ENTRIES: usize = 256;

/// Columns that a thread works on at a time, at most: rows of the product are far apart, so each is visited once for several
/// panels.
const MOST_COLUMNS: usize = 128;

/// Rows of the left factor that are packed at a time, at least, down to whole tiles.
const FEWEST_ROWS: usize = 112;

/// What the columns are shared out in, at least, where they suffice.
const TASKS: usize = 16;

/// Entries of the left factor that are packed at a time: 1.5 MB, read again for every few columns.
const LEFT_ENTRIES: usize = 384 << 10;

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
/// `left` packs rows as [`pack::left`](super::pack::left) does, `right` packs columns as `[entry][COLUMNS]`; both may leave what is
/// past the count as it is.
///
/// # Panics
/// When `out` has another length than `m * n`.
pub(super) fn product<S: Simd>(
    simd: S,
    [m, n, k]: [usize; 3],
    left: &(dyn Fn(Panel, &mut [f32]) + Sync),
    right: &(dyn Fn(Panel, &mut [f32]) + Sync),
    start: Start,
    out: &mut [f32],
) {
    assert_eq!(out.len(), m * n);
    let tall = left_entries::<S>(k);
    let rows_at_once = (LEFT_ENTRIES / tall.max(1)).max(FEWEST_ROWS) / S::ROWS * S::ROWS;
    let mut packed = Scratch::new(rows_at_once.min(m.next_multiple_of(S::ROWS)) * tall);
    let shared = Shared::new(out);
    for first_row in (0..m).step_by(rows_at_once) {
        let rows = rows_at_once.min(m - first_row);
        packed.par_chunks_mut(S::ROWS * tall.max(1)).take(rows.div_ceil(S::ROWS)).enumerate().for_each(|(i, panel)| {
            let at = first_row + i * S::ROWS;
            left(Panel { at, count: S::ROWS.min(first_row + rows - at), k: 0, depth: k }, panel);
        });
        let packed: &[f32] = &packed;
        let panels = n.div_ceil(S::COLUMNS);
        let at_once = (panels / TASKS).clamp(1, MOST_COLUMNS / S::COLUMNS);
        (0..panels.div_ceil(at_once)).into_par_iter().for_each_init(
            || Scratch::new(ENTRIES.min(tall) * S::COLUMNS * at_once),
            |right_panels, i| {
                let from = i * at_once * S::COLUMNS;
                let columns =
                    Columns { simd, at: from, end: n.min(from + at_once * S::COLUMNS), stride: n, out: shared };
                // SAFETY: the rows are inside; columns are this thread's alone.
                unsafe { columns.fill([first_row, rows, k], packed, right, start, right_panels) };
            },
        );
    }
}

/// Some panels of columns of the product, one thread's work.
struct Columns<S> {
    simd: S,
    at: usize,
    end: usize,
    stride: usize,
    out: Shared,
}

impl<S: Simd> Columns<S> {
    /// # Safety
    /// The rows are inside of the output, and nobody else uses these columns.
    unsafe fn fill(
        &self,
        [first_row, rows, k]: [usize; 3],
        left: &[f32],
        right: &(dyn Fn(Panel, &mut [f32]) + Sync),
        start: Start,
        panels: &mut [f32],
    ) {
        let Self { simd, stride, .. } = *self;
        let tall = left_entries::<S>(k);
        let most = if S::PAIRS { 2 * ENTRIES } else { ENTRIES };
        let size = ENTRIES.min(tall) * S::COLUMNS;
        let places = || (self.at..self.end).step_by(S::COLUMNS).map(|at| (at, S::COLUMNS.min(self.end - at)));
        // Without terms the product is what it starts from.
        for k0 in (0..k.max(1)).step_by(most) {
            let depth = most.min(k - k0);
            for ((at, count), panel) in places().zip(panels.chunks_exact_mut(size.max(1))) {
                right(Panel { at, count, k: k0, depth }, panel);
            }
            for row in (0..rows).step_by(S::ROWS) {
                let count = S::ROWS.min(rows - row);
                for (i, (at, columns)) in places().enumerate() {
                    // SAFETY: the left panel of these rows has all entries; the output is ours.
                    unsafe {
                        let add = k0 > 0 || !matches!(start, Start::Zero);
                        if k0 == 0 {
                            self.begin(first_row + row..first_row + row + count, at, columns, start);
                        }
                        let out = self.out.at((first_row + row) * stride + at);
                        let left = left.as_ptr().add(row * tall + S::entries(k0) * S::ROWS);
                        let right = panels.as_ptr().add(i * size);
                        let entries = S::entries(depth);
                        Tile { left, right, out, stride, entries, add }.run(simd, count, columns);
                    }
                }
            }
        }
    }

    /// Writes what the sums are added to, if that is not 0.
    ///
    /// # Safety
    /// As [`Columns::fill`].
    unsafe fn begin(&self, rows: std::ops::Range<usize>, at: usize, columns: usize, start: Start) {
        for row in rows {
            // SAFETY: inside of the output, and ours.
            let place = unsafe { self.out.slice(row * self.stride + at, columns) };
            match start {
                Start::Zero => (),
                Start::Row(values) => place.fill(values[row]),
                Start::Column(values) => place.copy_from_slice(&values[at..at + columns]),
            }
        }
    }
}
