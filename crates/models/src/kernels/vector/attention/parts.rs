//! Gradients of attention's queries, summed over parts of the keys.
//!
//! Every query's gradient is a sum over all keys, and the way back goes by keys. So these are cut into parts, by the shapes and not by
//! the number of threads; each part sums gradients of its own for all queries, and these are added in the parts' order.

use super::{Back, SHARING, panels, query_span};
use crate::kernels::Heads;
use crate::kernels::vector::pack::{Numbers, View, pack_turned};
use crate::kernels::vector::packed::Packed;
use crate::kernels::vector::scratch::Scratch;
use crate::kernels::vector::shared::Shared;
use crate::kernels::vector::simd::{LANES, Simd};
use rayon::prelude::*;

/// Keys of a part, at least: a number of such a part is read or written six times, for 256 multiplications that two products less save.
/// Counted, not measured.
const FEWEST: usize = 128;

/// Parts of a head's keys, at most: each takes as much memory as the queries' gradients.
const PARTS: usize = 6;

/// Parts of all heads together, if they may be so many: sixteen threads have work for 15/16 of the time then.
const TASKS: usize = 30;

impl Heads {
    /// Parts that the keys of each batch entry and head are cut into; none where they are few.
    pub(super) fn parts(&self) -> usize {
        TASKS.div_ceil((self.batch * self.heads).max(1)).min(PARTS).min(self.others / FEWEST)
    }

    /// Numbers of a part's gradients: `[query / COLUMNS][width][COLUMNS]`.
    pub(super) fn part_size<S: Simd>(&self) -> usize {
        self.tokens.next_multiple_of(S::COLUMNS) * self.width
    }

    /// The queries' gradients out of those of all parts: `[batch, heads, parts]` of them.
    pub(super) fn add_parts<S: Simd>(&self, simd: S, partial: &[f32], parts: usize, dq: Shared) {
        let (size, panel_size) = (self.part_size::<S>(), self.width * S::COLUMNS);
        self.tasks(self.tokens).for_each(|(place, from)| {
            let count = SHARING.min(self.tokens - from);
            let len = count.next_multiple_of(S::COLUMNS) * self.width;
            let of = |part: usize| &partial[(self.index(place) * parts + part) * size + from * self.width..][..len];
            let mut found = Scratch::new(len);
            found.copy_from_slice(of(0));
            for part in 1..parts {
                for (sum, more) in found.iter_mut().zip(of(part)) {
                    *sum += more;
                }
            }
            let back = Back { simd, heads: self, place, from, count };
            for (panel, count) in panels::<S>(count) {
                let found = &found[panel * panel_size..(panel + 1) * panel_size];
                // SAFETY: each task writes its own queries' rows.
                unsafe { back.restore(found, panel, count, self.tokens, dq) };
            }
        });
    }
}

/// Gradients of all queries of a batch entry and head by a part of its keys.
pub(super) struct Part<'a, S> {
    keys: &'a Packed<S>,
    /// What scores were scaled by.
    scale: f32,
    /// `[query / COLUMNS][width][COLUMNS]`.
    found: &'a mut [f32],
    /// The scores' gradients of a span of queries and a block of keys as right panels: `[query / COLUMNS][entry of the keys][COLUMNS]`.
    slopes: Scratch,
}

impl<'a, S: Simd> Part<'a, S> {
    /// Of no keys so far.
    pub fn new(keys: &'a Packed<S>, scale: f32, found: &'a mut [f32]) -> Self {
        found.fill(0.0);
        Self { keys, scale, found, slopes: Scratch::new(query_span::<S>() * S::entries(SHARING)) }
    }

    /// Takes the scores' gradients `[query][COLUMNS]` of a panel of the block, which has `keys` keys.
    pub fn gather(&mut self, simd: S, slopes: &[f32], queries: usize, panel: usize, keys: usize) {
        for (group, count) in panels::<S>(queries) {
            let first = group * S::entries(SHARING) + S::entries(panel * S::COLUMNS);
            let turned = &mut self.slopes[first * S::COLUMNS..][..S::entries(keys) * S::COLUMNS];
            if count < S::COLUMNS {
                turned.fill(0.0); // lanes without a query
            }
            for half in (0..count).step_by(LANES) {
                let start = (group * S::COLUMNS + half) * S::COLUMNS;
                let view = View { numbers: Numbers::F32(slopes), start, stride: S::COLUMNS };
                let (rows, turned) = (LANES.min(count - half), &mut turned[half..]);
                pack_turned(simd, view, rows, keys, self.scale, turned, S::COLUMNS);
            }
        }
    }

    /// Adds what was gathered of the `queries` from `span` on and the block's `keys` from `from` on.
    pub fn add(&mut self, [span, queries]: [usize; 2], [from, keys]: [usize; 2], width: usize) {
        let (size, panel_size) = (S::entries(SHARING) * S::COLUMNS, width * S::COLUMNS);
        for (group, _) in panels::<S>(queries) {
            let found = &mut self.found[span * width + group * panel_size..][..panel_size];
            self.keys.by_columns(from, keys, &self.slopes[group * size..], found);
        }
    }
}
