//! 3x3 convolutions with fewer multiplications (Lavin and Gray 2016, arXiv 1509.09308): 4 instead of 9 a pixel with tiles
//! of 2x2, 2.25 with tiles of 4x4, in f32.
//!
//! Tiles of the picture are transformed for a few rows of tiles at a time, weights for a few filters at a time, so that
//! neither ever stands whole in memory; between them are 16 or 36 products of matrices.

use super::scratch::Scratch;
use super::simd::{LANES, entries, first, paired};
use super::tile::{COLUMNS, ROWS, Shared, Tile};
use crate::kernels::Precision;
use rayon::prelude::*;
use std::arch::x86_64::*;

/// Tiles that are transformed at a time, about.
const TILES: usize = 256;

/// Filters that a thread works on at a time, at most.
const FILTERS: usize = 56;

/// Entries of transformed weights that a thread holds: 1 MB, about what its second-level cache holds.
const WEIGHTS: usize = 256 << 10;

/// Where nine taps of 14 filters for one channel are read from: first filter, filters, first channel, channels; tap `t` of
/// channel `c` and filter `f` goes to `[(c * 9 + t) * 16 + f]`.
pub(super) type Taps<'a> = dyn Fn([usize; 4], &mut [f32]) + Sync + 'a;

/// A convolution of one picture with padding 1.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub precision: Precision,
    /// Channels in.
    pub channels: usize,
    /// Channels out.
    pub filters: usize,
    pub height: usize,
    pub width: usize,
}

/// `picture` `[channels, height, width]` to `out` `[filters, height, width]`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn convolve(plan: Plan, picture: &[f32], taps: &Taps, bias: Option<&[f32]>, out: &mut [f32]) {
    assert_eq!(picture.len(), plan.channels * plan.height * plan.width);
    assert_eq!(out.len(), plan.filters * plan.height * plan.width);
    // Larger tiles save arithmetic only where there are enough of them to fill the columns of a product. Their factors are too
    // far apart in size for `bf16`.
    if plan.precision == Precision::F32 && plan.height.div_ceil(4) * plan.width.div_ceil(4) >= 128 {
        Tiles::<4, 6>::new(plan).convolve(picture, taps, bias, out);
    } else {
        Tiles::<2, 4>::new(plan).convolve(picture, taps, bias, out);
    }
}

/// Tiles of `M` pixels a side, out of `A = M + 2`.
struct Tiles<const M: usize, const A: usize> {
    plan: Plan,
    /// Tiles in a row of them.
    across: usize,
    /// Rows of tiles.
    down: usize,
}

impl<const M: usize, const A: usize> Tiles<M, A> {
    fn new(plan: Plan) -> Self {
        Self { plan, across: plan.width.div_ceil(M), down: plan.height.div_ceil(M) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn convolve(&self, picture: &[f32], taps: &Taps, bias: Option<&[f32]>, out: &mut [f32]) {
        let Plan { precision, channels, filters, .. } = self.plan;
        let rows_at_once = (TILES / self.across).max(1);
        let blocks = 2 * filters.div_ceil(2 * FILTERS);
        let filters_at_once = filters.div_ceil(blocks).next_multiple_of(2);
        let out = Shared::new(out);
        for top in (0..self.down).step_by(rows_at_once) {
            let strip = Strip { top, rows: rows_at_once.min(self.down - top), across: self.across };
            let tall = entries(channels, precision);
            let mut transformed = Scratch::new(A * A * strip.panels() * tall * COLUMNS);
            let shared = Shared::new(&mut transformed);
            (0..tall).into_par_iter().with_min_len(4).for_each(|entry| {
                // SAFETY: each thread writes its entries' places, which lie inside.
                unsafe { self.transform(strip, picture, entry, shared) };
            });
            let transformed: &[f32] = &transformed;
            (0..filters.div_ceil(filters_at_once)).into_par_iter().for_each(|i| {
                let from = i * filters_at_once;
                let some = from..filters.min(from + filters_at_once);
                // SAFETY: each thread writes its filters' rows.
                unsafe { self.multiply(strip, transformed, taps, bias, some, out) };
            });
        }
    }

    /// Transforms the tiles of a channel, or of a pair of them: position `p` of tile `t` goes to
    /// `[p][t / 32][entry][t % 32]`.
    ///
    /// # Safety
    /// `out` holds the strip's tiles, and nobody else uses this entry's.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn transform(&self, strip: Strip, picture: &[f32], entry: usize, out: Shared) {
        let Plan { precision, channels, height, width, .. } = self.plan;
        let tall = entries(channels, precision);
        let some = match precision {
            Precision::F32 => entry..entry + 1,
            Precision::Bf16 => 2 * entry..channels.min(2 * entry + 2),
        };
        let padded = self.across * M + 2 + 5 * LANES;
        // The lines of one channel, then those of the other, which stay 0 where there is none.
        let mut lines = Scratch::new(2 * A * padded);
        lines.fill(0.0);
        for row in 0..strip.rows {
            for (channel, lines) in some.clone().zip(lines.chunks_exact_mut(A * padded)) {
                let plane = &picture[channel * height * width..][..height * width];
                self.read(plane, (strip.top + row) * M, lines.chunks_exact_mut(padded));
            }
            for left in (0..self.across).step_by(LANES) {
                let at = |channel: usize| lines[channel * A * padded..].chunks_exact(padded);
                let mut tile = pixels::<A>(at(0), left * M);
                if precision == Precision::Bf16 {
                    // SAFETY: where `bf16` is asked for, the processor has it.
                    unsafe { pair_tiles(&mut tile, &pixels::<A>(at(1), left * M)) };
                }
                let lanes = LANES.min(self.across - left);
                let t = row * self.across + left;
                let [panel, at] = [t / COLUMNS, t % COLUMNS];
                let here = lanes.min(COLUMNS - at);
                for (p, vector) in tile.iter().flatten().enumerate() {
                    let base = (p * strip.panels() + panel) * tall + entry;
                    // SAFETY: inside of `out` by the caller's promise; what does not fit goes to the next panel.
                    unsafe {
                        _mm512_mask_storeu_ps(out.at(base * COLUMNS + at), first(here), *vector);
                        if here < lanes {
                            let rest = first(lanes) & !first(here);
                            let next = out.at((base + tall) * COLUMNS).wrapping_sub(here);
                            _mm512_mask_storeu_ps(next, rest, *vector);
                        }
                    }
                }
            }
        }
    }

    /// The lines of a row of tiles that begins above line `top + 1` of the picture; 0 outside of it.
    fn read<'a>(&self, plane: &[f32], top: usize, lines: impl Iterator<Item = &'a mut [f32]>) {
        let Plan { height, width, .. } = self.plan;
        for (i, line) in lines.enumerate() {
            match (top + i).checked_sub(1).filter(|&y| y < height) {
                Some(y) => line[1..=width].copy_from_slice(&plane[y * width..][..width]),
                None => line[1..=width].fill(0.0),
            }
        }
    }

    /// # Safety
    /// `out` is the whole output, and nobody else writes these filters' strip.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn multiply(
        &self,
        strip: Strip,
        transformed: &[f32],
        taps: &Taps,
        bias: Option<&[f32]>,
        filters: std::ops::Range<usize>,
        out: Shared,
    ) {
        let Plan { precision, channels, .. } = self.plan;
        let (panels, tall) = (strip.panels(), entries(channels, precision));
        let (count, stride) = (filters.len(), panels * COLUMNS);
        let groups = count.div_ceil(ROWS);
        // An even number of terms, of which the last ones alone may be fewer.
        let depth = (channels * WEIGHTS / (tall * A * A * groups * ROWS)).next_multiple_of(LANES).min(channels);
        let held = entries(depth, precision);
        let mut weights = Scratch::new(A * A * groups * held * ROWS);
        // One vector more, since tiles are read a vector at a time.
        let mut sums = Scratch::new(A * A * count * stride + LANES);
        for k in (0..channels).step_by(depth) {
            let here = depth.min(channels - k);
            for group in 0..groups {
                let from = filters.start + group * ROWS;
                let some = [from, ROWS.min(filters.end - from), k, here];
                let weights = &mut weights[group * held * ROWS..];
                weigh::<A>(precision, taps, some, weights, groups * held * ROWS);
            }
            for p in 0..A * A {
                for panel in 0..panels {
                    let right = &transformed[((p * panels + panel) * tall + entries(k, precision)) * COLUMNS..];
                    let columns = COLUMNS.min(strip.tiles() - panel * COLUMNS);
                    for group in 0..groups {
                        let left = &weights[(p * groups + group) * held * ROWS..];
                        let sums = &mut sums[(p * count + group * ROWS) * stride + panel * COLUMNS..];
                        let (left, right, out) = (left.as_ptr(), right.as_ptr(), sums.as_mut_ptr());
                        let entries = entries(here, precision);
                        let tile = Tile { precision, left, right, out, stride, entries, add: k > 0 };
                        // SAFETY: the panels hold as many entries, the sums these rows and columns.
                        unsafe { tile.run(ROWS.min(count - group * ROWS), columns) };
                    }
                }
            }
        }
        for (i, filter) in filters.enumerate() {
            let start = bias.map_or(0.0, |bias| bias[filter]);
            let sums = &sums[i * stride..];
            let plane = filter * self.plan.height * self.plan.width;
            // SAFETY: this filter's plane is ours.
            unsafe { self.restore(strip, sums, count * stride, start, out, plane) };
        }
    }

    /// Turns a filter's sums, `apart` from position to position, into pixels.
    ///
    /// # Safety
    /// The plane is inside of `out`, and ours.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn restore(&self, strip: Strip, sums: &[f32], apart: usize, start: f32, out: Shared, plane: usize) {
        let Plan { height, width, .. } = self.plan;
        for row in 0..strip.rows {
            for left in (0..self.across).step_by(LANES) {
                let t = row * self.across + left;
                let mut tile = [[_mm512_setzero_ps(); A]; A];
                for (p, vector) in tile.iter_mut().flatten().enumerate() {
                    // SAFETY: the slice has a vector more than its tiles.
                    *vector = unsafe { _mm512_loadu_ps(sums[p * apart + t..][..LANES].as_ptr()) };
                }
                let tile = both_ways::<A, SUMS>(tile);
                let y = (strip.top + row) * M;
                for (i, values) in tile.iter().take(M.min(height - y)).enumerate() {
                    let mut line = [_mm512_setzero_ps(); M];
                    for (to, from) in line.iter_mut().zip(values) {
                        *to = _mm512_add_ps(*from, _mm512_set1_ps(start));
                    }
                    let line = interleaved(line);
                    for (v, vector) in line.iter().enumerate() {
                        let x = left * M + v * LANES;
                        if x < width {
                            // SAFETY: masked to what is inside of the plane.
                            unsafe {
                                let place = out.at(plane + (y + i) * width + x);
                                _mm512_mask_storeu_ps(place, first(width - x), *vector);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Some rows of tiles.
#[derive(Clone, Copy)]
struct Strip {
    top: usize,
    rows: usize,
    across: usize,
}

impl Strip {
    fn tiles(self) -> usize {
        self.rows * self.across
    }

    fn panels(self) -> usize {
        self.tiles().div_ceil(COLUMNS)
    }
}

/// Transforms the weights of a group of filters: position `p` of entry `e` goes to `[p * apart + e * ROWS]`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn weigh<const A: usize>(
    precision: Precision,
    taps: &Taps,
    [from, count, k, depth]: [usize; 4],
    out: &mut [f32],
    apart: usize,
) {
    let mut read = [0.0; LANES * 9 * LANES];
    for c in (0..depth).step_by(LANES) {
        let here = LANES.min(depth - c);
        taps([from, count, k + c, here], &mut read);
        for entry in 0..entries(here, precision) {
            let mut kernel;
            match precision {
                Precision::F32 => kernel = kernel_of::<A>(&read, entry),
                Precision::Bf16 => {
                    kernel = kernel_of::<A>(&read, 2 * entry);
                    let is_pair = 2 * entry + 1 < here;
                    let second =
                        if is_pair { kernel_of::<A>(&read, 2 * entry + 1) } else { [[_mm512_setzero_ps(); A]; A] };
                    // SAFETY: where `bf16` is asked for, the processor has it.
                    unsafe { pair_tiles(&mut kernel, &second) };
                }
            }
            for (p, vector) in kernel.iter().flatten().enumerate() {
                let place = &mut out[p * apart + (entries(c, precision) + entry) * ROWS..][..ROWS];
                // SAFETY: masked to the slice.
                unsafe { _mm512_mask_storeu_ps(place.as_mut_ptr(), first(ROWS), *vector) };
            }
        }
    }
}

/// The transformed taps of one channel.
#[target_feature(enable = "avx512f")]
#[inline]
fn kernel_of<const A: usize>(taps: &[f32], channel: usize) -> [[__m512; A]; A] {
    let mut kernel = [[_mm512_setzero_ps(); A]; A];
    for t in 0..9 {
        // SAFETY: sixteen numbers of the slice.
        kernel[t / 3][t % 3] = unsafe { _mm512_loadu_ps(taps[(channel * 9 + t) * LANES..][..LANES].as_ptr()) };
    }
    both_ways::<A, KERNEL>(kernel)
}

/// The transformed tiles from `left` on, one a lane.
#[target_feature(enable = "avx512f")]
#[inline]
fn pixels<'a, const A: usize>(lines: impl Iterator<Item = &'a [f32]>, left: usize) -> [[__m512; A]; A] {
    let mut tile = [[_mm512_setzero_ps(); A]; A];
    for (line, values) in lines.zip(&mut tile) {
        *values = spread(&line[left..]);
    }
    both_ways::<A, PIXELS>(tile)
}

/// Pairs of `bf16` of what two channels have in the same places.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn pair_tiles<const A: usize>(tile: &mut [[__m512; A]; A], second: &[[__m512; A]; A]) {
    for (first, second) in tile.iter_mut().flatten().zip(second.iter().flatten()) {
        *first = paired(*first, *second);
    }
}

/// Every `M`-th number from each of the first `A = M + 2` on.
#[target_feature(enable = "avx512f")]
#[inline]
fn spread<const A: usize>(line: &[f32]) -> [__m512; A] {
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut columns = [_mm512_setzero_ps(); A];
    for (c, column) in columns.iter_mut().enumerate() {
        // A - 2 columns lie in the first numbers, the other two in those one tile further.
        let (start, shift) = if c < A - 2 { (0, c) } else { (A - 2, c - (A - 2)) };
        // SAFETY: at most six vectors of the slice, checked by slicing.
        let at = |v: usize| unsafe { _mm512_loadu_ps(line[start + v * LANES..][..LANES].as_ptr()) };
        let shift = _mm512_set1_epi32(shift as i32);
        *column = if A == 4 {
            let index = _mm512_add_epi32(_mm512_slli_epi32::<1>(lanes), shift);
            _mm512_permutex2var_ps(at(0), index, at(1))
        } else {
            let index = _mm512_add_epi32(_mm512_slli_epi32::<2>(lanes), shift);
            let (low, high) =
                (_mm512_permutex2var_ps(at(0), index, at(1)), _mm512_permutex2var_ps(at(2), index, at(3)));
            _mm512_mask_blend_ps(0xff00, low, high)
        };
    }
    columns
}

/// The lanes of `M` vectors, in turn.
#[target_feature(enable = "avx512f")]
#[inline]
fn interleaved<const M: usize>(v: [__m512; M]) -> [__m512; M] {
    let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    let two = |a, b| [_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b)];
    let mut all = v;
    if M == 2 {
        [all[0], all[1]] = two(v[0], v[1]);
    } else {
        let (even, odd) = (two(v[0], v[2]), two(v[1], v[3]));
        [all[0], all[1]] = two(even[0], odd[0]);
        [all[2], all[3]] = two(even[1], odd[1]);
    }
    all
}

/// The three transforms of the method.
const PIXELS: u8 = 0;
const KERNEL: u8 = 1;
const SUMS: u8 = 2;

/// A transform along the rows, then along the columns.
#[target_feature(enable = "avx512f")]
#[inline]
fn both_ways<const A: usize, const WHICH: u8>(tile: [[__m512; A]; A]) -> [[__m512; A]; A] {
    let mut turned = tile;
    for (r, row) in tile.iter().enumerate() {
        let row = transform::<A, WHICH>(*row);
        for c in 0..A {
            turned[c][r] = row[c];
        }
    }
    let mut done = turned;
    for (c, column) in turned.iter().enumerate() {
        let column = transform::<A, WHICH>(*column);
        for r in 0..A {
            done[r][c] = column[r];
        }
    }
    done
}

/// Lavin and Gray's matrices times a line: of pixels, of a kernel's taps, or of sums.
#[target_feature(enable = "avx512f")]
#[inline]
fn transform<const A: usize, const WHICH: u8>(line: [__m512; A]) -> [__m512; A] {
    let mut all = [_mm512_setzero_ps(); 6];
    all[..A].copy_from_slice(&line);
    let all = match (A, WHICH) {
        (4, PIXELS) => two_of_pixels(all),
        (4, KERNEL) => two_of_kernel(all),
        (4, _) => two_of_sums(all),
        (_, PIXELS) => four_of_pixels(all),
        (_, KERNEL) => four_of_kernel(all),
        (_, _) => four_of_sums(all),
    };
    let mut line = line;
    line.copy_from_slice(&all[..A]);
    line
}

#[target_feature(enable = "avx512f")]
#[inline]
fn plus(a: __m512, b: __m512) -> __m512 {
    _mm512_add_ps(a, b)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn minus(a: __m512, b: __m512) -> __m512 {
    _mm512_sub_ps(a, b)
}

/// `factor * a + b`.
#[target_feature(enable = "avx512f")]
#[inline]
fn more(factor: f32, a: __m512, b: __m512) -> __m512 {
    _mm512_fmadd_ps(_mm512_set1_ps(factor), a, b)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn times(factor: f32, a: __m512) -> __m512 {
    _mm512_mul_ps(_mm512_set1_ps(factor), a)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn two_of_pixels([a, b, c, d, e, f]: [__m512; 6]) -> [__m512; 6] {
    [minus(a, c), plus(b, c), minus(c, b), minus(b, d), e, f]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn two_of_kernel([a, b, c, _, e, f]: [__m512; 6]) -> [__m512; 6] {
    let (ends, half) = (times(0.5, plus(a, c)), times(0.5, b));
    [a, plus(ends, half), minus(ends, half), c, e, f]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn two_of_sums([a, b, c, d, e, f]: [__m512; 6]) -> [__m512; 6] {
    [plus(a, plus(b, c)), minus(minus(b, c), d), c, d, e, f]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn four_of_pixels([a, b, c, d, e, f]: [__m512; 6]) -> [__m512; 6] {
    let (even, odd) = (more(-4.0, c, e), more(-4.0, b, d));
    let (even_2, odd_2) = (minus(e, c), times(2.0, minus(d, b)));
    [
        more(4.0, a, more(-5.0, c, e)),
        plus(even, odd),
        minus(even, odd),
        plus(even_2, odd_2),
        minus(even_2, odd_2),
        more(4.0, b, more(-5.0, d, f)),
    ]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn four_of_kernel([a, b, c, ..]: [__m512; 6]) -> [__m512; 6] {
    let (ends, middle) = (times(-1.0 / 6.0, plus(a, c)), times(1.0 / 6.0, b));
    let (ends_2, middle_2) = (more(1.0 / 24.0, a, times(1.0 / 6.0, c)), times(1.0 / 12.0, b));
    [times(0.25, a), minus(ends, middle), plus(ends, middle), plus(ends_2, middle_2), minus(ends_2, middle_2), c]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn four_of_sums([a, b, c, d, e, f]: [__m512; 6]) -> [__m512; 6] {
    let (sum, difference, sum_2, difference_2) = (plus(b, c), minus(b, c), plus(d, e), minus(d, e));
    [
        plus(a, plus(sum, sum_2)),
        more(2.0, difference_2, difference),
        more(4.0, sum_2, sum),
        more(8.0, difference_2, plus(difference, f)),
        e,
        f,
    ]
}
