//! The factors of attention's products that several panels share.

use super::pack::{View, left, left_entries, left_turned};
use super::scratch::Scratch;
use super::simd::Simd;
use super::tile::Tile;

/// The tokens of a head as left panels, both ways.
pub(super) struct Packed<S> {
    simd: S,
    /// For products over the width: `[token / ROWS]` panels.
    rows: Scratch,
    /// For products over tokens: `[width / ROWS]` panels.
    columns: Scratch,
    count: usize,
    width: usize,
}

impl<S: Simd> Packed<S> {
    pub fn new(simd: S, view: View, count: usize, width: usize, factor: f32) -> Self {
        let mut packed = Self {
            simd,
            rows: Scratch::new(count.div_ceil(S::ROWS) * left_entries::<S>(width) * S::ROWS),
            columns: Scratch::new(width.div_ceil(S::ROWS) * left_entries::<S>(count) * S::ROWS),
            count,
            width,
        };
        packed.fill(view, factor);
        packed
    }

    fn fill(&mut self, view: View, factor: f32) {
        let Self { simd, count, width, .. } = *self;
        let panels = self.columns.chunks_exact_mut(left_entries::<S>(count) * S::ROWS);
        for (column, panel) in (0..width).step_by(S::ROWS).zip(panels) {
            let view = View { start: view.start + column, ..view };
            left(simd, view, count, S::ROWS.min(width - column), factor, panel);
        }
        let panels = self.rows.chunks_exact_mut(left_entries::<S>(width) * S::ROWS);
        for (token, panel) in (0..count).step_by(S::ROWS).zip(panels) {
            let view = View { start: view.start + token * view.stride, ..view };
            left_turned(simd, view, S::ROWS.min(count - token), width, factor, panel);
        }
    }

    /// `out[token][COLUMNS]`: these tokens times the right panel of the width. `first` is a multiple of a tile's rows.
    pub fn by_rows(&self, first: usize, count: usize, right: &[f32], out: &mut [f32]) {
        let entries = S::entries(self.width);
        assert!(first.is_multiple_of(S::ROWS) && first + count <= self.count);
        assert!(right.len() >= entries * S::COLUMNS && out.len() >= count * S::COLUMNS);
        for row in (0..count).step_by(S::ROWS) {
            let left = self.rows[(first + row) * left_entries::<S>(self.width)..].as_ptr();
            let out = out[row * S::COLUMNS..].as_mut_ptr();
            let tile = Tile { left, right: right.as_ptr(), out, stride: S::COLUMNS, entries, add: false };
            // SAFETY: the lengths were checked above.
            unsafe { tile.run(self.simd, S::ROWS.min(count - row), S::COLUMNS) };
        }
    }

    /// Adds to `out[width][COLUMNS]`: the sum of these tokens, weighted by a right panel of them. `first` is even, or a whole number of
    /// blocks, and so is `count` unless these are the last tokens.
    pub fn by_columns(&self, first: usize, count: usize, weights: &[f32], out: &mut [f32]) {
        let ([before, entries], all) = ([first, count].map(S::entries), left_entries::<S>(self.count));
        assert_eq!(left_entries::<S>(first) * 2, if S::PAIRS { first } else { 2 * first }, "whole entries and blocks");
        assert!(first + count == self.count || S::entries(count) == left_entries::<S>(count));
        assert!(first + count <= self.count);
        assert!(weights.len() >= entries * S::COLUMNS && out.len() >= self.width * S::COLUMNS);
        for row in (0..self.width).step_by(S::ROWS) {
            let left = self.columns[(row / S::ROWS * all + before) * S::ROWS..].as_ptr();
            let out = out[row * S::COLUMNS..].as_mut_ptr();
            let tile = Tile { left, right: weights.as_ptr(), out, stride: S::COLUMNS, entries, add: true };
            // SAFETY: the lengths were checked above.
            unsafe { tile.run(self.simd, S::ROWS.min(self.width - row), S::COLUMNS) };
        }
    }
}
