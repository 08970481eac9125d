//! Attention without the matrix of scores, forward (Dao et al. 2022, arXiv 2205.14135) and backward (Dao 2023, arXiv 2307.08691).
//!
//! Scores are computed for a tile's columns of queries and some keys at a time, one query a lane, so that maxima and sums of the softmax
//! need no way across lanes and the weights lie as the next product wants them.
//!
//! The way back goes by keys, one a lane, in five products: scores, slopes (the gradients of the softmax's weights), and what follows for
//! values, keys and queries. Gradients of keys and values are one thread's alone; those of queries are summed in parts (`attention/parts.rs`).
//! For few keys, as a prompt's, the scores are computed twice, once by queries and once by keys, in seven products.

mod parts;

use super::pack::{Numbers, View, pair_rows, turn, turn_to};
use super::packed::Packed;
use super::scratch::{Scratch, unwritten};
use super::shared::Shared;
use super::simd::{LANES, MOST_COLUMNS, Simd};
use super::softmax::{Running, scale_lanes, weigh_by_columns, weigh_by_rows};
use super::with_simd;
use crate::kernels::{Heads, LogSums};
use parts::Part;
use rayon::prelude::*;

/// Keys at a time, about: their scores take 24 kB at most.
const SPAN: usize = 168;

/// Queries (or keys) that share what is read of the others: a panel or several.
const SHARING: usize = 64;

/// Keys at a time: whole tiles.
fn key_span<S: Simd>() -> usize {
    SPAN.next_multiple_of(S::ROWS)
}

/// Queries at a time on the way back to keys, whole tiles be they rows or lanes: their scores take 28 kB at most.
fn query_span<S: Simd>() -> usize {
    let both = (1..=S::ROWS).map(|i| i * S::COLUMNS).find(|columns| columns.is_multiple_of(S::ROWS));
    SPAN.next_multiple_of(both.expect("their product at the latest"))
}

impl Heads {
    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    fn row(&self) -> usize {
        self.heads * self.width
    }

    /// The output, shaped as the queries, and the sums' logarithms.
    pub fn forward(&self, q: &[f32], k: &[f32], v: &[f32]) -> (Vec<f32>, LogSums) {
        self.check(q, k, v);
        let mut out = unwritten(q.len());
        let mut sums = unwritten(self.batch * self.heads * self.tokens);
        with_simd!(self.way, simd => self.run(simd, q, k, v, &mut out, &mut sums));
        (out, sums)
    }

    /// Gradients of queries, keys and values.
    pub fn backward(&self, [q, k, v, out, gradient]: [&[f32]; 5], sums: &LogSums) -> [Vec<f32>; 3] {
        self.check(q, k, v);
        assert!(out.len() == q.len() && gradient.len() == q.len());
        let (mut dq, mut dk, mut dv) = (unwritten(q.len()), unwritten(k.len()), unwritten(v.len()));
        let found = [&mut dq[..], &mut dk, &mut dv];
        with_simd!(self.way, simd => self.run_back(simd, [q, k, v, out, gradient], sums, found));
        [dq, dk, dv]
    }

    fn check(&self, q: &[f32], k: &[f32], v: &[f32]) {
        assert_eq!(q.len(), self.batch * self.tokens * self.row(), "queries");
        assert!(k.len() == self.batch * self.others * self.row() && k.len() == v.len(), "keys and values");
        assert!(self.others > 0, "nothing to attend on");
    }

    /// Every batch entry and head.
    fn places(&self) -> impl IndexedParallelIterator<Item = [usize; 2]> + use<> {
        let heads = self.heads;
        (0..self.batch * heads).into_par_iter().map(move |i| [i / heads, i % heads])
    }

    /// The tokens of a batch entry and head.
    fn of<'a>(&self, values: &'a [f32], count: usize, [batch, head]: [usize; 2]) -> View<'a> {
        let start = batch * count * self.row() + head * self.width;
        View { numbers: Numbers::F32(values), start, stride: self.row() }
    }

    /// Which place it is.
    fn index(&self, [batch, head]: [usize; 2]) -> usize {
        batch * self.heads + head
    }

    /// The tokens of every place as left panels.
    fn packed<S: Simd>(&self, simd: S, values: &[f32], count: usize, factor: f32) -> Vec<Packed<S>> {
        self.places().map(|p| Packed::new(simd, self.of(values, count, p), count, self.width, factor)).collect()
    }

    /// Cuts `count` tokens into what threads do at a time, for each place.
    fn tasks(&self, count: usize) -> impl ParallelIterator<Item = ([usize; 2], usize)> + use<> {
        let (heads, each) = (self.heads, count.div_ceil(SHARING));
        (0..self.batch * heads * each).into_par_iter().map(move |i| {
            let place = i / each;
            ([place / heads, place % heads], i % each * SHARING)
        })
    }

    fn run<S: Simd>(&self, simd: S, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], sums: &mut [f32]) {
        let (keys, values) = (self.packed(simd, k, self.others, 1.0), self.packed(simd, v, self.others, 1.0));
        let (out, sums) = (Shared::new(out), Shared::new(sums));
        self.tasks(self.tokens).for_each(|(place, from)| {
            let i = self.index(place);
            let count = SHARING.min(self.tokens - from);
            // SAFETY: each task writes its own queries' rows.
            unsafe { self.some_queries(simd, q, &keys[i], &values[i], place, from, count, out, sums) };
        });
    }

    /// # Safety
    /// `out` and `sums` are whole, and nobody else writes these queries' places.
    #[allow(clippy::too_many_arguments)]
    unsafe fn some_queries<S: Simd>(
        &self,
        simd: S,
        q: &[f32],
        keys: &Packed<S>,
        values: &Packed<S>,
        place: [usize; 2],
        from: usize,
        count: usize,
        out: Shared,
        sums: Shared,
    ) {
        let width = self.width;
        let queries = self.of(q, self.tokens, place);
        let size = width * S::COLUMNS;
        let (mut left, mut mixed) = (Scratch::new(SHARING * width), Scratch::new(SHARING * width));
        let most = key_span::<S>();
        let mut scores = Scratch::new(most * S::COLUMNS);
        mixed.fill(0.0);
        let mut state = [Running::new(); SHARING / LANES];
        for (panel, here) in panels::<S>(count) {
            let left = &mut left[panel * size..];
            columns(simd, queries, from + panel * S::COLUMNS, here, width, self.scale(), left);
        }
        for span in (0..self.others).step_by(most) {
            let here = most.min(self.others - span);
            for (panel, _) in panels::<S>(count) {
                let mixed = &mut mixed[panel * size..(panel + 1) * size];
                keys.by_rows(span, here, &left[panel * size..(panel + 1) * size], &mut scores);
                state[panel].add(simd, &mut scores[..here * S::COLUMNS], mixed);
                pair_rows(simd, &mut scores, here, S::COLUMNS);
                values.by_columns(span, here, &scores, mixed);
            }
        }
        for (panel, here) in panels::<S>(count) {
            let first = from + panel * S::COLUMNS;
            let mixed = &mut mixed[panel * size..(panel + 1) * size];
            scale_lanes(simd, mixed, &state[panel].shares());
            let logs = state[panel].logs();
            let start = (place[0] * self.tokens + first) * self.row() + place[1] * width;
            let row = self.index(place) * self.tokens + first;
            // SAFETY: these queries' places are ours.
            unsafe {
                restore(simd, mixed, width, here, out, start, self.row());
                sums.slice(row, here).copy_from_slice(&logs[..here]);
            }
        }
    }

    fn run_back<S: Simd>(
        &self,
        simd: S,
        [q, k, v, out, gradient]: [&[f32]; 5],
        sums: &[f32],
        [dq, dk, dv]: [&mut [f32]; 3],
    ) {
        let means = self.means(out, gradient);
        let (inputs, known) = ([q, k, v, gradient], Known { heads: self, sums, means: &means });
        let found = [dq, dk, dv].map(Shared::new);
        match self.parts() {
            0 => self.run_back_twice(simd, inputs, known, found),
            parts => self.run_back_by_keys(simd, inputs, known, parts, found),
        }
    }

    /// By keys for all gradients, those of queries in parts.
    fn run_back_by_keys<S: Simd>(
        &self,
        simd: S,
        [q, k, v, gradient]: [&[f32]; 4],
        known: Known,
        parts: usize,
        [dq, dk, dv]: [Shared; 3],
    ) {
        let (tokens, others) = (self.tokens, self.others);
        let (queries, keys) = (self.packed(simd, q, tokens, self.scale()), self.packed(simd, k, others, 1.0));
        let gradients = self.packed(simd, gradient, tokens, 1.0);
        let (size, blocks) = (self.part_size::<S>(), others.div_ceil(SHARING));
        let mut partial = unwritten(self.batch * self.heads * parts * size);
        let shared = Shared::new(&mut partial);
        (0..self.batch * self.heads * parts).into_par_iter().with_max_len(1).for_each(|task| {
            let (i, nth) = (task / parts, task % parts);
            let place = [i / self.heads, i % self.heads];
            // SAFETY: each task has a part of its own.
            let mut part = Part::new(&keys[i], self.scale(), unsafe { shared.slice(task * size, size) });
            for block in nth * blocks / parts..(nth + 1) * blocks / parts {
                let from = block * SHARING;
                let back = Back { simd, heads: self, place, from, count: SHARING.min(others - from) };
                // SAFETY: each block is in one part and writes its own keys' rows.
                unsafe {
                    back.to_keys([k, v], [&queries[i], &gradients[i]], known.of(i), Some(&mut part), [dk, dv]);
                }
            }
        });
        self.add_parts(simd, &partial, parts, dq);
    }

    /// By queries for their gradients, then by keys for all others.
    fn run_back_twice<S: Simd>(
        &self,
        simd: S,
        [q, k, v, gradient]: [&[f32]; 4],
        known: Known,
        [dq, dk, dv]: [Shared; 3],
    ) {
        let (tokens, others) = (self.tokens, self.others);
        let (queries, keys) = (self.packed(simd, q, tokens, self.scale()), self.packed(simd, k, others, 1.0));
        let (values, gradients) = (self.packed(simd, v, others, 1.0), self.packed(simd, gradient, tokens, 1.0));
        self.tasks(tokens).for_each(|(place, from)| {
            let i = self.index(place);
            let back = Back { simd, heads: self, place, from, count: SHARING.min(tokens - from) };
            // SAFETY: each task writes its own queries' rows.
            unsafe { back.to_queries([q, gradient], [&keys[i], &values[i]], known.of(i), dq) };
        });
        self.tasks(others).for_each(|(place, from)| {
            let i = self.index(place);
            let back = Back { simd, heads: self, place, from, count: SHARING.min(others - from) };
            // SAFETY: each task writes its own keys' rows.
            unsafe { back.to_keys([k, v], [&queries[i], &gradients[i]], known.of(i), None, [dk, dv]) };
        });
    }

    /// The product of output and gradient for each query: `[batch, heads, tokens]`.
    fn means(&self, out: &[f32], gradient: &[f32]) -> Vec<f32> {
        let each = |i: usize| {
            let (place, token) = (i / self.tokens, i % self.tokens);
            let start = (place / self.heads * self.tokens + token) * self.row() + place % self.heads * self.width;
            let pairs = out[start..][..self.width].iter().zip(&gradient[start..]);
            pairs.map(|(a, b)| a * b).sum()
        };
        (0..self.batch * self.heads * self.tokens).into_par_iter().with_min_len(256).map(each).collect()
    }
}

/// What the way back knows of each query.
#[derive(Clone, Copy)]
struct Known<'a> {
    heads: &'a Heads,
    /// The logarithm of its sum: `[batch, heads, tokens]`.
    sums: &'a [f32],
    /// The product of its output and gradient, likewise.
    means: &'a [f32],
}

impl<'a> Known<'a> {
    /// Sums and means of a place.
    fn of(&self, index: usize) -> [&'a [f32]; 2] {
        let tokens = self.heads.tokens;
        [self.sums, self.means].map(|values| &values[index * tokens..(index + 1) * tokens])
    }
}

/// Some queries or some keys of a place on the way back.
struct Back<'a, S> {
    simd: S,
    heads: &'a Heads,
    place: [usize; 2],
    from: usize,
    count: usize,
}

impl<S: Simd> Back<'_, S> {
    /// Panels of `[width][COLUMNS]` of these tokens.
    fn columns(&self, values: &[f32], total: usize, factor: f32) -> Scratch {
        let width = self.heads.width;
        let mut packed = Scratch::new(SHARING * width);
        for (panel, here) in panels::<S>(self.count) {
            let view = self.heads.of(values, total, self.place);
            let (first, packed) = (self.from + panel * S::COLUMNS, &mut packed[panel * width * S::COLUMNS..]);
            columns(self.simd, view, first, here, width, factor, packed);
        }
        packed
    }

    /// # Safety
    /// `dq` is whole, and nobody else writes these queries' places.
    unsafe fn to_queries(
        &self,
        [q, gradient]: [&[f32]; 2],
        [keys, values]: [&Packed<S>; 2],
        [sums, means]: [&[f32]; 2],
        dq: Shared,
    ) {
        let Heads { tokens, others, width, .. } = *self.heads;
        let size = width * S::COLUMNS;
        let q = self.columns(q, tokens, self.heads.scale());
        let gradient = self.columns(gradient, tokens, 1.0);
        let mut found = Scratch::new(SHARING * width);
        let most = key_span::<S>();
        let (mut scores, mut slopes) = (Scratch::new(most * S::COLUMNS), Scratch::new(most * S::COLUMNS));
        found.fill(0.0);
        for span in (0..others).step_by(most) {
            let here = most.min(others - span);
            for (panel, count) in panels::<S>(self.count) {
                let range = panel * size..(panel + 1) * size;
                keys.by_rows(span, here, &q[range.clone()], &mut scores);
                values.by_rows(span, here, &gradient[range.clone()], &mut slopes);
                let first = self.from + panel * S::COLUMNS;
                let known = [sums, means].map(|values| &values[first..first + count]);
                weigh_by_columns(self.simd, [&mut scores, &mut slopes], here, known);
                pair_rows(self.simd, &mut slopes, here, S::COLUMNS);
                keys.by_columns(span, here, &slopes, &mut found[range]);
            }
        }
        for (panel, count) in panels::<S>(self.count) {
            let found = &mut found[panel * size..(panel + 1) * size];
            scale_lanes(self.simd, found, &[self.heads.scale(); MOST_COLUMNS]);
            // SAFETY: these queries' places are ours.
            unsafe { self.restore(found, panel, count, tokens, dq) };
        }
    }

    /// The gradients of these keys and values, and what the queries' get of them where a part is to have it.
    ///
    /// # Safety
    /// `dk` and `dv` are whole, and nobody else writes these keys' places.
    unsafe fn to_keys(
        &self,
        [k, v]: [&[f32]; 2],
        [queries, gradients]: [&Packed<S>; 2],
        [sums, means]: [&[f32]; 2],
        mut part: Option<&mut Part<S>>,
        [dk, dv]: [Shared; 2],
    ) {
        let Heads { tokens, others, width, .. } = *self.heads;
        let size = width * S::COLUMNS;
        let (k, v) = (self.columns(k, others, 1.0), self.columns(v, others, 1.0));
        let (mut of_keys, mut of_values) = (Scratch::new(SHARING * width), Scratch::new(SHARING * width));
        let most = query_span::<S>();
        let (mut scores, mut slopes) = (Scratch::new(most * S::COLUMNS), Scratch::new(most * S::COLUMNS));
        of_keys.fill(0.0);
        of_values.fill(0.0);
        for span in (0..tokens).step_by(most) {
            let here = most.min(tokens - span);
            for (panel, count) in panels::<S>(self.count) {
                let range = panel * size..(panel + 1) * size;
                queries.by_rows(span, here, &k[range.clone()], &mut scores);
                gradients.by_rows(span, here, &v[range.clone()], &mut slopes);
                let known = [sums, means].map(|values| &values[span..span + here]);
                weigh_by_rows(self.simd, [&mut scores, &mut slopes], known);
                if let Some(part) = &mut part {
                    part.gather(self.simd, &slopes, here, panel, count);
                }
                pair_rows(self.simd, &mut scores, here, S::COLUMNS);
                pair_rows(self.simd, &mut slopes, here, S::COLUMNS);
                gradients.by_columns(span, here, &scores, &mut of_values[range.clone()]);
                queries.by_columns(span, here, &slopes, &mut of_keys[range]);
            }
            if let Some(part) = &mut part {
                part.add([span, here], [self.from, self.count], width);
            }
        }
        for (panel, count) in panels::<S>(self.count) {
            let range = panel * size..(panel + 1) * size;
            // SAFETY: these keys' places are ours.
            unsafe {
                self.restore(&of_keys[range.clone()], panel, count, others, dk);
                self.restore(&of_values[range], panel, count, others, dv);
            }
        }
    }

    /// # Safety
    /// `out` is whole, and nobody else writes these tokens' places.
    unsafe fn restore(&self, values: &[f32], panel: usize, count: usize, total: usize, out: Shared) {
        let (row, width) = (self.heads.row(), self.heads.width);
        let token = self.place[0] * total + self.from + panel * S::COLUMNS;
        // SAFETY: the caller's promise.
        unsafe { restore(self.simd, values, width, count, out, token * row + self.place[1] * width, row) };
    }
}

/// The panels of `count` columns, and how many of each there are.
fn panels<S: Simd>(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count.div_ceil(S::COLUMNS)).map(move |panel| (panel, S::COLUMNS.min(count - panel * S::COLUMNS)))
}

/// Tokens as a right panel `[entry of the width][COLUMNS]`; lanes without a token are 0, so that nothing strange comes of them.
fn columns<S: Simd>(simd: S, view: View, first: usize, count: usize, width: usize, factor: f32, out: &mut [f32]) {
    let out = &mut out[..width * S::COLUMNS];
    if count < S::COLUMNS {
        out.fill(0.0);
    }
    for half in (0..count).step_by(LANES) {
        let view = View { start: view.start + (first + half) * view.stride, ..view };
        turn(simd, view, LANES.min(count - half), width, &mut out[half..], S::COLUMNS);
    }
    if factor != 1.0 {
        scale_lanes(simd, out, &[factor; MOST_COLUMNS]);
    }
    pair_rows(simd, out, width, S::COLUMNS);
}

/// Writes `[width][COLUMNS]` as rows of tokens.
///
/// # Safety
/// `count` rows of `width`, `stride` apart, can be written from `start` on, by nobody else.
unsafe fn restore<S: Simd>(
    simd: S,
    values: &[f32],
    width: usize,
    count: usize,
    out: Shared,
    start: usize,
    stride: usize,
) {
    for row in (0..width).step_by(LANES) {
        let view = View { numbers: Numbers::F32(values), start: row * S::COLUMNS, stride: S::COLUMNS };
        // SAFETY: the caller's promise; rows of other heads lie between ours and are not touched.
        unsafe { turn_to(simd, view, LANES.min(width - row), count, out.at(start + row), stride) };
    }
}
