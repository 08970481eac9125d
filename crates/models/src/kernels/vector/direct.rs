//! 3x3 convolutions as products of whole tiles, without patches.
//!
//! A part of the picture is written as tiles of sixteen pixels of a row and sixteen pairs of channels, three times: as it is, and moved by
//! a pixel to either side. So what lies under a tap is whole tiles again, some rows further down, each 1 kB in one piece. A part is as
//! large as stays in a core's second-level cache, where it meets the weights of all filters in turn.

use super::amx::{self, Blocks, TILES};
use super::conv::{Plan, Taps};
use super::pack::{BLOCK, left_entries};
use super::scratch::Scratch;
use super::shared::Shared;
use super::simd::{LANES, MOST_COLUMNS, Simd, Vector};
use rayon::prelude::*;
use std::ops::Range;

/// Numbers of a tile.
const TILE: usize = BLOCK * LANES;

/// Tiles of a part, about: 1 MB.
const PART: usize = 1 << 10;

/// Rows of a part, at least: two more are written for its border.
const FEWEST_ROWS: usize = 6;

/// Numbers of the packed weights that are held at a time, about: 32 MB.
const WEIGHTS: usize = 8 << 20;

/// Tasks of a thread, at least, where the work can be cut so far.
const TASKS: usize = 4;

/// As [`super::conv::convolve`].
pub(super) fn convolve<S: Simd>(
    simd: S,
    plan: Plan,
    picture: &[f32],
    taps: &Taps,
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    assert!(S::TILES);
    assert_eq!(picture.len(), plan.channels * plan.height * plan.width);
    assert_eq!(out.len(), plan.filters * plan.height * plan.width);
    let direct = Direct { simd, plan, bias, blocks: left_entries::<S>(plan.channels) / BLOCK };
    let filters_at_once = (WEIGHTS / direct.panel_len()).max(1) * S::ROWS;
    let mut weights = Scratch::new(direct.panel_len() * filters_at_once.min(plan.filters).div_ceil(S::ROWS));
    let (parts, out) = (direct.parts(), Shared::new(out));
    for first in (0..plan.filters).step_by(filters_at_once) {
        let filters = first..plan.filters.min(first + filters_at_once);
        direct.pack(taps, filters.clone(), &mut weights);
        let weights: &[f32] = &weights;
        let panels = filters.len().div_ceil(S::ROWS);
        let cuts = (TASKS * rayon::current_num_threads()).div_ceil(parts.len().max(1)).min(panels);
        (0..parts.len() * cuts).into_par_iter().for_each(|task| {
            let (part, cut) = (parts[task / cuts], task % cuts);
            let (tiles, places) = (direct.tiles(picture, part), direct.places(part));
            for panel in cut * panels / cuts..(cut + 1) * panels / cuts {
                let from = first + panel * S::ROWS;
                let some = from..filters.end.min(from + S::ROWS);
                // SAFETY: the output is whole, and each task writes its own part of its own filters' planes.
                unsafe { direct.multiply(part, some, &weights[panel * direct.panel_len()..], (&tiles, &places), out) };
            }
        });
    }
}

/// A part of the picture, one or two tiles wide.
#[derive(Clone, Copy)]
struct Part {
    top: usize,
    rows: usize,
    /// First tile of its rows.
    left: usize,
    /// Tiles across.
    across: usize,
}

#[derive(Clone, Copy)]
struct Direct<'a, S> {
    simd: S,
    plan: Plan,
    bias: Option<&'a [f32]>,
    /// Blocks of sixteen pairs of channels.
    blocks: usize,
}

impl<S: Simd> Direct<'_, S> {
    fn parts(&self) -> Vec<Part> {
        let Plan { height, width, .. } = self.plan;
        let all = width.div_ceil(LANES);
        let of_column = |left: usize| {
            let across = (all - left).min(2);
            let rows = (PART / (3 * self.blocks * across)).saturating_sub(2).max(FEWEST_ROWS);
            (0..height).step_by(rows).map(move |top| Part { top, rows: rows.min(height - top), left, across })
        };
        (0..all).step_by(2).flat_map(of_column).collect()
    }

    /// Numbers of a panel of weights: `[row of taps][block][tap][ROWS][16]`.
    fn panel_len(&self) -> usize {
        9 * self.blocks * BLOCK * S::ROWS
    }

    /// Packs the filters' weights into panels.
    fn pack(&self, taps: &Taps, filters: Range<usize>, out: &mut [f32]) {
        let (panel, of_block) = (self.panel_len(), 3 * BLOCK * S::ROWS);
        let count = filters.len().div_ceil(S::ROWS);
        let out = Shared::new(&mut out[..count * panel]);
        (0..count * self.blocks).into_par_iter().for_each(|i| {
            // Tasks go along what lies together.
            let (group, block) =
                if self.plan.by_channel { (i % count, i / count) } else { (i / self.blocks, i % self.blocks) };
            let channel = block * 2 * BLOCK;
            let channels = (2 * BLOCK).min(self.plan.channels - channel);
            let mut read = [0.0; 2 * BLOCK * 9 * LANES];
            for half in [0, LANES] {
                let filter = filters.start + group * S::ROWS + half;
                if filter < filters.end {
                    taps([filter, LANES.min(filters.end - filter), channel, channels], &mut read);
                    let place = group * panel + block * of_block + half * BLOCK;
                    self.simd.run(
                        #[inline(always)]
                        || {
                            // SAFETY: each task writes its own blocks.
                            unsafe { self.write_block(&read, out, place) }
                        },
                    );
                }
            }
        });
    }

    /// Writes sixteen filters' weights of a block of channels, from `[channel][tap][filter]`.
    ///
    /// # Safety
    /// `place` is that of a block of a panel in `out`, and ours.
    #[inline(always)]
    unsafe fn write_block(&self, read: &[f32; 2 * BLOCK * 9 * LANES], out: Shared, place: usize) {
        let simd = self.simd;
        for tap in 0..9 {
            let mut entries = [simd.zero(); BLOCK];
            for (i, entry) in entries.iter_mut().enumerate() {
                let at = |channel: usize| read[(channel * 9 + tap) * LANES..][..LANES].as_ptr();
                // SAFETY: sixteen numbers of the array.
                *entry = unsafe { simd.paired(simd.load(at(2 * i)), simd.load(at(2 * i + 1))) };
            }
            let place = place + (tap / 3 * self.blocks * 3 + tap % 3) * BLOCK * S::ROWS;
            for (i, row) in S::Vector::turned(entries).iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { row.store(out.at(place + i * BLOCK)) };
            }
        }
    }

    /// The part's tiles and those of the rows above and below: `[tap of a row][block][row][tile][entry][pixel]`, and as much more as the
    /// last tile's neighbour takes.
    fn tiles(&self, picture: &[f32], part: Part) -> Scratch {
        let Plan { channels, height, width, .. } = self.plan;
        let of_block = (part.rows + 2) * part.across;
        let mut tiles = Scratch::new((3 * self.blocks * of_block + 1) * TILE);
        let out = Shared::new(&mut tiles);
        // Pixels of the part's lines, with one on either side, as far as they are inside of the picture.
        let first = part.left * LANES;
        let inside = first.saturating_sub(1)..width.min(first + part.across * LANES + 1);
        let start = inside.start + 1 - first;
        for entry in 0..self.blocks * BLOCK {
            let mut lines = [[0.0; MOST_COLUMNS + 2]; 2];
            for row in 0..part.rows + 2 {
                let y = (part.top + row).checked_sub(1).filter(|&y| y < height);
                for (channel, line) in (2 * entry..channels).zip(&mut lines) {
                    let line = &mut line[start..start + inside.len()];
                    match y {
                        Some(y) => {
                            let from = (channel * height + y) * width;
                            line.copy_from_slice(&picture[from + inside.start..from + inside.end]);
                        }
                        None => line.fill(0.0),
                    }
                }
                let place = (entry / BLOCK * of_block + row * part.across) * TILE + entry % BLOCK * LANES;
                self.simd.run(
                    #[inline(always)]
                    || {
                        // SAFETY: the places of this entry in three rows of tiles.
                        unsafe { self.write_line(part, &lines, out, place, self.blocks * of_block * TILE) }
                    },
                );
            }
        }
        tiles
    }

    /// Writes pairs of what two lines have in the same places as an entry of a row of tiles, and moved by a pixel and by two, `apart`.
    ///
    /// # Safety
    /// The places are inside of `out`, and ours.
    #[inline(always)]
    unsafe fn write_line(
        &self,
        part: Part,
        [first, second]: &[[f32; MOST_COLUMNS + 2]; 2],
        out: Shared,
        place: usize,
        apart: usize,
    ) {
        for shift in 0..3 {
            for tile in 0..part.across {
                let [first, second] = [first, second].map(|line| line[shift + tile * LANES..][..LANES].as_ptr());
                // SAFETY: sixteen numbers of the arrays; the rest is the caller's promise.
                unsafe {
                    let pairs = self.simd.paired(self.simd.load(first), self.simd.load(second));
                    pairs.store(out.at(place + shift * apart + tile * TILE));
                }
            }
        }
    }

    /// At most [`Simd::ROWS`] filters of a part.
    ///
    /// # Safety
    /// `out` is the whole output, and nobody else writes the part of these filters' planes.
    unsafe fn multiply(
        &self,
        part: Part,
        filters: Range<usize>,
        weights: &[f32],
        (tiles, places): (&[f32], &[usize]),
        out: Shared,
    ) {
        let Plan { height, width, .. } = self.plan;
        let all = part.rows * part.across;
        let is_one_run = width.is_multiple_of(LANES) && (part.across == 2 || width == LANES);
        let mut sums = [[0.0; MOST_COLUMNS]; amx::ROWS];
        for tile in (0..all).step_by(2) {
            let (left, right) = (weights.as_ptr(), tiles[tile * TILE..].as_ptr());
            let (y, x) = (part.top + tile / part.across, (part.left + tile % part.across) * LANES);
            let at = |filter: usize| (filter * height + y) * width + x;
            let start = |filter: usize| self.bias.map_or(0.0, |bias| bias[filter]);
            // SAFETY: the part of these filters' planes is ours, by the caller's promise. The tiles are all that the places say from this
            // one on, and `Simd::TILES` is the token for the unit.
            unsafe {
                if is_one_run {
                    let columns = MOST_COLUMNS.min((all - tile) * LANES);
                    for filter in filters.clone() {
                        out.slice(at(filter), columns).fill(start(filter));
                    }
                    let (out, stride) = (out.at(at(filters.start)), height * width);
                    Blocks::<TILES> { left, right, places, out, stride, add: true }.run(filters.len(), columns);
                    continue;
                }
                let (aside, stride) = (sums.as_mut_ptr().cast(), MOST_COLUMNS);
                Blocks::<TILES> { left, right, places, out: aside, stride, add: false }
                    .run(filters.len(), MOST_COLUMNS);
                for (filter, sums) in filters.clone().zip(&sums) {
                    for (tile, sums) in (tile..all.min(tile + 2)).zip(sums.chunks_exact(LANES)) {
                        let (y, x) = (part.top + tile / part.across, (part.left + tile % part.across) * LANES);
                        let out = out.slice((filter * height + y) * width + x, LANES.min(width - x));
                        for (out, sum) in out.iter_mut().zip(sums) {
                            *out = start(filter) + sum;
                        }
                    }
                }
            }
        }
    }

    /// Where each block of a panel's entries begins, in bytes from a tile on.
    fn places(&self, part: Part) -> Vec<usize> {
        let of_block = (part.rows + 2) * part.across;
        let at = |i: usize| {
            let (row, block, shift) = (i / 3 / self.blocks, i / 3 % self.blocks, i % 3);
            4 * TILE * ((shift * self.blocks + block) * of_block + row * part.across)
        };
        (0..9 * self.blocks).map(at).collect()
    }
}
