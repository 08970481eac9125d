//! Attention without the matrix of scores, forward and backward (Dao et al. 2022, arXiv 2205.14135).
//!
//! Scores are computed for 32 queries and some keys at a time, one query a lane, so that maxima and sums of the softmax
//! need no way across lanes and the weights lie as the next product wants them. The way back computes the scores twice:
//! once by queries, for their gradient, and once by keys, for those of keys and values. So no two threads add to one value.

use super::scratch::{Scratch, unwritten};
use super::simd::{LANES, Numbers, View, entries, exp, pack, pack_turned, pair_rows, turn, turn_to};
use super::tile::{COLUMNS, ROWS, Shared, Tile};
use crate::kernels::{Heads, LogSums, Precision};
use rayon::prelude::*;
use std::arch::x86_64::*;

/// Keys (or queries, on the way back to keys) at a time: their scores take 21 kB.
const SPAN: usize = 12 * ROWS;

/// Panels of 32 that share what is read of the others.
const PANELS: usize = 2;

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
        // SAFETY: only called where AVX-512 was found.
        unsafe { self.run(q, k, v, &mut out, &mut sums) };
        (out, sums)
    }

    /// Gradients of queries, keys and values.
    pub fn backward(&self, [q, k, v, out, gradient]: [&[f32]; 5], sums: &LogSums) -> [Vec<f32>; 3] {
        self.check(q, k, v);
        assert!(out.len() == q.len() && gradient.len() == q.len());
        let (mut dq, mut dk, mut dv) = (unwritten(q.len()), unwritten(k.len()), unwritten(v.len()));
        // SAFETY: only called where AVX-512 was found.
        unsafe { self.run_back([q, k, v, out, gradient], sums, [&mut dq, &mut dk, &mut dv]) };
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

    /// The tokens of every place as left panels.
    fn packed(&self, values: &[f32], count: usize, factor: f32) -> Vec<Packed> {
        self.places()
            .map(|p| Packed::new(self.precision, self.of(values, count, p), count, self.width, factor))
            .collect()
    }

    /// Cuts `count` tokens into what threads do at a time, for each place.
    fn tasks(&self, count: usize) -> impl ParallelIterator<Item = ([usize; 2], usize)> + use<> {
        let (heads, step) = (self.heads, PANELS * COLUMNS);
        let each = count.div_ceil(step);
        (0..self.batch * heads * each).into_par_iter().map(move |i| {
            let place = i / each;
            ([place / heads, place % heads], i % each * step)
        })
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn run(&self, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], sums: &mut [f32]) {
        let (keys, values) = (self.packed(k, self.others, 1.0), self.packed(v, self.others, 1.0));
        let (out, sums) = (Shared::new(out), Shared::new(sums));
        self.tasks(self.tokens).for_each(|(place, from)| {
            let i = place[0] * self.heads + place[1];
            let count = (PANELS * COLUMNS).min(self.tokens - from);
            // SAFETY: each task writes its own queries' rows.
            unsafe { self.some_queries(q, &keys[i], &values[i], place, from, count, out, sums) };
        });
    }

    /// # Safety
    /// AVX-512 is there; `out` and `sums` are whole, and nobody else writes these queries' places.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[allow(clippy::too_many_arguments)]
    unsafe fn some_queries(
        &self,
        q: &[f32],
        keys: &Packed,
        values: &Packed,
        place: [usize; 2],
        from: usize,
        count: usize,
        out: Shared,
        sums: Shared,
    ) {
        let width = self.width;
        let queries = self.of(q, self.tokens, place);
        let mut left = Scratch::new(PANELS * width * COLUMNS);
        let mut mixed = Scratch::new(PANELS * width * COLUMNS);
        let mut scores = Scratch::new(SPAN * COLUMNS);
        mixed.fill(0.0);
        let mut state = [[[_mm512_set1_ps(f32::NEG_INFINITY), _mm512_setzero_ps()]; 2]; PANELS];
        for panel in 0..count.div_ceil(COLUMNS) {
            let here = COLUMNS.min(count - panel * COLUMNS);
            let left = &mut left[panel * width * COLUMNS..];
            columns(self.precision, queries, from + panel * COLUMNS, here, width, self.scale(), left);
        }
        for span in (0..self.others).step_by(SPAN) {
            let here = SPAN.min(self.others - span);
            for panel in 0..count.div_ceil(COLUMNS) {
                let of_panel = panel * width * COLUMNS..(panel + 1) * width * COLUMNS;
                keys.by_rows(span, here, &left[of_panel.clone()], &mut scores);
                softmax(&mut scores[..here * COLUMNS], &mut state[panel], &mut mixed[of_panel.clone()]);
                pair(self.precision, &mut scores, here);
                values.by_columns(span, here, &scores, &mut mixed[of_panel]);
            }
        }
        for (panel, state) in state.iter().enumerate().take(count.div_ceil(COLUMNS)) {
            let (first, here) = (from + panel * COLUMNS, COLUMNS.min(count - panel * COLUMNS));
            let mixed = &mut mixed[panel * width * COLUMNS..(panel + 1) * width * COLUMNS];
            scale_lanes(mixed, state.map(|[_, sum]| _mm512_div_ps(_mm512_set1_ps(1.0), sum)));
            let mut logs = [0.0; COLUMNS];
            for (lane, log) in logs.iter_mut().enumerate() {
                let [most, sum] = state[lane / LANES].map(|v| lanes_of(v)[lane % LANES]);
                *log = most + sum.ln();
            }
            let start = (place[0] * self.tokens + first) * self.row() + place[1] * width;
            let row = (place[0] * self.heads + place[1]) * self.tokens + first;
            // SAFETY: these queries' places are ours.
            unsafe {
                restore(mixed, width, here, out, start, self.row());
                sums.slice(row, here).copy_from_slice(&logs[..here]);
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn run_back(&self, [q, k, v, out, gradient]: [&[f32]; 5], sums: &[f32], [dq, dk, dv]: [&mut [f32]; 3]) {
        let (tokens, others) = (self.tokens, self.others);
        let (queries, keys) = (self.packed(q, tokens, self.scale()), self.packed(k, others, 1.0));
        let (values, gradients) = (self.packed(v, others, 1.0), self.packed(gradient, tokens, 1.0));
        let means: Vec<f32> = self.means(out, gradient);
        let (dq, dk, dv) = (Shared::new(dq), Shared::new(dk), Shared::new(dv));
        let index = |place: [usize; 2]| place[0] * self.heads + place[1];
        self.tasks(tokens).for_each(|(place, from)| {
            let i = index(place);
            let count = (PANELS * COLUMNS).min(tokens - from);
            let rows = i * tokens..(i + 1) * tokens;
            let known = [&sums[rows.clone()], &means[rows]];
            let back = Back { heads: self, place, from, count };
            // SAFETY: each task writes its own queries' rows.
            unsafe { back.to_queries([q, gradient], [&keys[i], &values[i]], known, dq) };
        });
        self.tasks(others).for_each(|(place, from)| {
            let i = index(place);
            let count = (PANELS * COLUMNS).min(others - from);
            let rows = i * tokens..(i + 1) * tokens;
            let known = [&sums[rows.clone()], &means[rows]];
            let back = Back { heads: self, place, from, count };
            // SAFETY: each task writes its own keys' rows.
            unsafe { back.to_keys([k, v], [&queries[i], &gradients[i]], known, [dk, dv]) };
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

/// One task of the way back: some queries or some keys of a place.
struct Back<'a> {
    heads: &'a Heads,
    place: [usize; 2],
    from: usize,
    count: usize,
}

impl Back<'_> {
    fn panels(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let count = self.count;
        (0..count.div_ceil(COLUMNS)).map(move |panel| (panel, COLUMNS.min(count - panel * COLUMNS)))
    }

    /// Panels of `[width][32]` of these tokens.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn columns(&self, values: &[f32], total: usize, factor: f32) -> Scratch {
        let size = self.heads.width * COLUMNS;
        let mut packed = Scratch::new(PANELS * size);
        for (panel, here) in self.panels() {
            let view = self.heads.of(values, total, self.place);
            let (first, packed) = (self.from + panel * COLUMNS, &mut packed[panel * size..]);
            columns(self.heads.precision, view, first, here, self.heads.width, factor, packed);
        }
        packed
    }

    /// # Safety
    /// AVX-512 is there; `dq` is whole, and nobody else writes these queries' places.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn to_queries(
        &self,
        [q, gradient]: [&[f32]; 2],
        [keys, values]: [&Packed; 2],
        [sums, means]: [&[f32]; 2],
        dq: Shared,
    ) {
        let Heads { tokens, others, width, .. } = *self.heads;
        let size = width * COLUMNS;
        let q = self.columns(q, tokens, self.heads.scale());
        let gradient = self.columns(gradient, tokens, 1.0);
        let mut found = Scratch::new(PANELS * size);
        let (mut scores, mut slopes) = (Scratch::new(SPAN * COLUMNS), Scratch::new(SPAN * COLUMNS));
        found.fill(0.0);
        for span in (0..others).step_by(SPAN) {
            let here = SPAN.min(others - span);
            for (panel, count) in self.panels() {
                let range = panel * size..(panel + 1) * size;
                keys.by_rows(span, here, &q[range.clone()], &mut scores);
                values.by_rows(span, here, &gradient[range.clone()], &mut slopes);
                let first = self.from + panel * COLUMNS;
                let [sums, means] = [sums, means].map(|values| lanes(&values[first..first + count]));
                for row in 0..here {
                    for half in 0..2 {
                        let at = row * COLUMNS + half * LANES;
                        weigh(&mut scores[at..], &mut slopes[at..], sums[half], means[half]);
                    }
                }
                pair(self.heads.precision, &mut slopes, here);
                keys.by_columns(span, here, &slopes, &mut found[range]);
            }
        }
        let scale = _mm512_set1_ps(self.heads.scale());
        for (panel, count) in self.panels() {
            let found = &mut found[panel * size..(panel + 1) * size];
            scale_lanes(found, [scale; 2]);
            // SAFETY: these queries' places are ours.
            unsafe { self.restore(found, panel, count, tokens, dq) };
        }
    }

    /// # Safety
    /// AVX-512 is there; `dk` and `dv` are whole, and nobody else writes these keys' places.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn to_keys(
        &self,
        [k, v]: [&[f32]; 2],
        [queries, gradients]: [&Packed; 2],
        [sums, means]: [&[f32]; 2],
        [dk, dv]: [Shared; 2],
    ) {
        let Heads { tokens, others, width, .. } = *self.heads;
        let size = width * COLUMNS;
        let (k, v) = (self.columns(k, others, 1.0), self.columns(v, others, 1.0));
        let (mut of_keys, mut of_values) = (Scratch::new(PANELS * size), Scratch::new(PANELS * size));
        let (mut scores, mut slopes) = (Scratch::new(SPAN * COLUMNS), Scratch::new(SPAN * COLUMNS));
        of_keys.fill(0.0);
        of_values.fill(0.0);
        for span in (0..tokens).step_by(SPAN) {
            let here = SPAN.min(tokens - span);
            for (panel, _) in self.panels() {
                let range = panel * size..(panel + 1) * size;
                queries.by_rows(span, here, &k[range.clone()], &mut scores);
                gradients.by_rows(span, here, &v[range.clone()], &mut slopes);
                for row in 0..here {
                    let [sum, mean] = [sums, means].map(|values| _mm512_set1_ps(values[span + row]));
                    for half in 0..2 {
                        let at = row * COLUMNS + half * LANES;
                        weigh(&mut scores[at..], &mut slopes[at..], sum, mean);
                    }
                }
                pair(self.heads.precision, &mut scores, here);
                pair(self.heads.precision, &mut slopes, here);
                gradients.by_columns(span, here, &scores, &mut of_values[range.clone()]);
                queries.by_columns(span, here, &slopes, &mut of_keys[range]);
            }
        }
        for (panel, count) in self.panels() {
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
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn restore(&self, values: &[f32], panel: usize, count: usize, total: usize, out: Shared) {
        let row = self.heads.row();
        let token = self.place[0] * total + self.from + panel * COLUMNS;
        // SAFETY: the caller's promise.
        unsafe { restore(values, self.heads.width, count, out, token * row + self.place[1] * self.heads.width, row) };
    }
}

/// The softmax's weight of a score, and the gradient of the score: `weight * (slope - mean)`.
#[target_feature(enable = "avx512f")]
#[inline]
fn weigh(score: &mut [f32], slope: &mut [f32], sum: __m512, mean: __m512) {
    assert!(score.len() >= LANES && slope.len() >= LANES);
    // SAFETY: both have a vector's length.
    unsafe {
        let weight = exp(_mm512_sub_ps(_mm512_loadu_ps(score.as_ptr()), sum));
        let slopes = _mm512_mul_ps(weight, _mm512_sub_ps(_mm512_loadu_ps(slope.as_ptr()), mean));
        _mm512_storeu_ps(score.as_mut_ptr(), weight);
        _mm512_storeu_ps(slope.as_mut_ptr(), slopes);
    }
}

/// Scores to weights of a running softmax; what was mixed so far is scaled to the new maxima.
///
/// `state`: maximum and sum of each lane's scores so far.
#[target_feature(enable = "avx512f")]
fn softmax(scores: &mut [f32], state: &mut [[__m512; 2]; 2], mixed: &mut [f32]) {
    let before = state.map(|[most, _]| most);
    for row in scores.chunks_exact(COLUMNS) {
        for (half, state) in state.iter_mut().enumerate() {
            state[0] = _mm512_max_ps(state[0], load(row, half));
        }
    }
    let scale = [0, 1].map(|half| exp(_mm512_sub_ps(before[half], state[half][0])));
    for (state, scale) in state.iter_mut().zip(scale) {
        state[1] = _mm512_mul_ps(state[1], scale);
    }
    scale_lanes(mixed, scale);
    for row in scores.chunks_exact_mut(COLUMNS) {
        for (half, state) in state.iter_mut().enumerate() {
            let weight = exp(_mm512_sub_ps(load(row, half), state[0]));
            state[1] = _mm512_add_ps(state[1], weight);
            // SAFETY: a row has two vectors.
            unsafe { _mm512_storeu_ps(row[half * LANES..].as_mut_ptr(), weight) };
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(row: &[f32], half: usize) -> __m512 {
    // SAFETY: sixteen numbers of the slice.
    unsafe { _mm512_loadu_ps(row[half * LANES..][..LANES].as_ptr()) }
}

/// Multiplies the lanes of all rows.
#[target_feature(enable = "avx512f")]
fn scale_lanes(rows: &mut [f32], by: [__m512; 2]) {
    for row in rows.chunks_exact_mut(COLUMNS) {
        for (half, by) in by.iter().enumerate() {
            let product = _mm512_mul_ps(load(row, half), *by);
            // SAFETY: a row has two vectors.
            unsafe { _mm512_storeu_ps(row[half * LANES..].as_mut_ptr(), product) };
        }
    }
}

/// Up to 32 numbers as lanes, 0 past the end.
#[target_feature(enable = "avx512f")]
fn lanes(values: &[f32]) -> [__m512; 2] {
    let mut all = [0.0; COLUMNS];
    all[..values.len()].copy_from_slice(values);
    [load(&all, 0), load(&all, 1)]
}

#[target_feature(enable = "avx512f")]
fn lanes_of(vector: __m512) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    // SAFETY: a vector's length.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), vector) };
    lanes
}

/// Makes a right panel's `depth` terms of 32 columns its entries, in place.
fn pair(precision: Precision, panel: &mut [f32], depth: usize) {
    if precision == Precision::Bf16 {
        // SAFETY: where `bf16` is asked for, the processor has it.
        unsafe { pair_rows(panel, depth, COLUMNS) };
    }
}

/// Tokens as a right panel `[entry of the width][32]`; lanes without a token are 0, so that nothing strange comes of them.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn columns(precision: Precision, view: View, first: usize, count: usize, width: usize, factor: f32, out: &mut [f32]) {
    let out = &mut out[..width * COLUMNS];
    if count < COLUMNS {
        out.fill(0.0);
    }
    for half in (0..count).step_by(LANES) {
        let view = View { start: view.start + (first + half) * view.stride, ..view };
        turn(view, LANES.min(count - half), width, &mut out[half..], COLUMNS);
    }
    if factor != 1.0 {
        scale_lanes(out, [_mm512_set1_ps(factor); 2]);
    }
    pair(precision, out, width);
}

/// Writes `[width][32]` as rows of tokens.
///
/// # Safety
/// `count` rows of `width`, `stride` apart, can be written from `start` on, by nobody else.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn restore(values: &[f32], width: usize, count: usize, out: Shared, start: usize, stride: usize) {
    for row in (0..width).step_by(LANES) {
        let view = View { numbers: Numbers::F32(values), start: row * COLUMNS, stride: COLUMNS };
        // SAFETY: the caller's promise; rows of other heads lie between ours and are not touched.
        unsafe { turn_to(view, LANES.min(width - row), count, out.at(start + row), stride) };
    }
}

/// The tokens of a head as left panels, both ways.
struct Packed {
    precision: Precision,
    /// For products over the width: `[token / 14][entry of the width][14]`.
    rows: Scratch,
    /// For products over tokens: `[width / 14][entry of the tokens][14]`.
    columns: Scratch,
    count: usize,
    width: usize,
}

impl Packed {
    fn new(precision: Precision, view: View, count: usize, width: usize, factor: f32) -> Self {
        let mut packed = Self {
            precision,
            rows: Scratch::new(count.div_ceil(ROWS) * entries(width, precision) * ROWS),
            columns: Scratch::new(width.div_ceil(ROWS) * entries(count, precision) * ROWS),
            count,
            width,
        };
        // SAFETY: only called where AVX-512 was found.
        unsafe { packed.fill(view, factor) };
        packed
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn fill(&mut self, view: View, factor: f32) {
        let Self { precision, count, width, .. } = *self;
        let panels = self.columns.chunks_exact_mut(entries(count, precision) * ROWS);
        for (column, panel) in (0..width).step_by(ROWS).zip(panels) {
            let view = View { start: view.start + column, ..view };
            pack(precision, view, count, ROWS.min(width - column), factor, panel, ROWS);
        }
        let panels = self.rows.chunks_exact_mut(entries(width, precision) * ROWS);
        for (token, panel) in (0..count).step_by(ROWS).zip(panels) {
            let view = View { start: view.start + token * view.stride, ..view };
            pack_turned(precision, view, ROWS.min(count - token), width, factor, panel, ROWS);
        }
    }

    /// `out[token][32]`: these tokens times the right panel of the width. `first` is a multiple of 14.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn by_rows(&self, first: usize, count: usize, right: &[f32], out: &mut [f32]) {
        let (precision, entries) = (self.precision, entries(self.width, self.precision));
        assert!(first.is_multiple_of(ROWS) && first + count <= self.count);
        assert!(right.len() >= entries * COLUMNS && out.len() >= count * COLUMNS);
        for row in (0..count).step_by(ROWS) {
            let left = self.rows[(first + row) * entries..].as_ptr();
            let out = out[row * COLUMNS..].as_mut_ptr();
            let tile = Tile { precision, left, right: right.as_ptr(), out, stride: COLUMNS, entries, add: false };
            // SAFETY: the lengths were checked above.
            unsafe { tile.run(ROWS.min(count - row), COLUMNS) };
        }
    }

    /// Adds to `out[width][32]`: the sum of these tokens, weighted by a right panel of them. `first` is even.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn by_columns(&self, first: usize, count: usize, weights: &[f32], out: &mut [f32]) {
        let precision = self.precision;
        let [before, entries, all] = [first, count, self.count].map(|depth| entries(depth, precision));
        assert!(first.is_multiple_of(2) && first + count <= self.count);
        assert!(weights.len() >= entries * COLUMNS && out.len() >= self.width * COLUMNS);
        for row in (0..self.width).step_by(ROWS) {
            let left = self.columns[(row / ROWS * all + before) * ROWS..].as_ptr();
            let out = out[row * COLUMNS..].as_mut_ptr();
            let tile = Tile { precision, left, right: weights.as_ptr(), out, stride: COLUMNS, entries, add: true };
            // SAFETY: the lengths were checked above.
            unsafe { tile.run(ROWS.min(self.width - row), COLUMNS) };
        }
    }
}
