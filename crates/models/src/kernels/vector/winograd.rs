//! 3x3 convolutions with fewer multiplications (Lavin and Gray 2016, arXiv 1509.09308): 4 instead of 9 a pixel with tiles
//! of 2x2, 2.25 with tiles of 4x4, in f32.
//!
//! Tiles of the picture are transformed for a few rows of tiles at a time, weights for a few filters at a time, so that
//! neither ever stands whole in memory; between them are 16 or 36 products of matrices.

use super::conv::{Plan, Taps};
use super::scratch::Scratch;
use super::shared::Shared;
use super::simd::{LANES, Simd, Vector};
use super::tile::Tile;
use rayon::prelude::*;

/// Tiles that are transformed at a time, about.
const TILES: usize = 256;

/// Filters that a thread works on at a time, at most.
const FILTERS: usize = 56;

/// Entries of transformed weights that a thread holds: 1 MB, about what its second-level cache holds.
const WEIGHTS: usize = 256 << 10;

/// `picture` `[channels, height, width]` to `out` `[filters, height, width]`.
pub(super) fn convolve<S: Simd>(
    simd: S,
    plan: Plan,
    picture: &[f32],
    taps: &Taps,
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    assert_eq!(picture.len(), plan.channels * plan.height * plan.width);
    assert_eq!(out.len(), plan.filters * plan.height * plan.width);
    // Larger tiles save arithmetic only where there are enough of them to fill the columns of a product. Their factors are too
    // far apart in size for `bf16`.
    if !S::PAIRS && plan.height.div_ceil(4) * plan.width.div_ceil(4) >= 128 {
        Tiles::<4, 6>::new(plan).convolve(simd, picture, taps, bias, out);
    } else {
        Tiles::<2, 4>::new(plan).convolve(simd, picture, taps, bias, out);
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

    fn convolve<S: Simd>(&self, simd: S, picture: &[f32], taps: &Taps, bias: Option<&[f32]>, out: &mut [f32]) {
        let Plan { channels, filters, .. } = self.plan;
        let rows_at_once = (TILES / self.across).max(1);
        let blocks = 2 * filters.div_ceil(2 * FILTERS);
        let filters_at_once = filters.div_ceil(blocks).next_multiple_of(2);
        let out = Shared::new(out);
        for top in (0..self.down).step_by(rows_at_once) {
            let strip = Strip { top, rows: rows_at_once.min(self.down - top), across: self.across };
            let tall = S::entries(channels);
            let mut transformed = Scratch::new(A * A * strip.panels::<S>() * tall * S::COLUMNS);
            let shared = Shared::new(&mut transformed);
            (0..tall).into_par_iter().with_min_len(4).for_each(|entry| {
                simd.run(
                    #[inline(always)]
                    || {
                        // SAFETY: each thread writes its entries' places, which lie inside.
                        unsafe { self.transform(simd, strip, picture, entry, shared) }
                    },
                );
            });
            let transformed: &[f32] = &transformed;
            (0..filters.div_ceil(filters_at_once)).into_par_iter().for_each(|i| {
                let from = i * filters_at_once;
                let some = from..filters.min(from + filters_at_once);
                // SAFETY: each thread writes its filters' rows.
                unsafe { self.multiply(simd, strip, transformed, taps, bias, some, out) };
            });
        }
    }

    /// Transforms the tiles of a channel, or of a pair of them: position `p` of tile `t` goes to
    /// `[p][t / COLUMNS][entry][t % COLUMNS]`.
    ///
    /// # Safety
    /// `out` holds the strip's tiles, and nobody else uses this entry's.
    #[inline(always)]
    unsafe fn transform<S: Simd>(&self, simd: S, strip: Strip, picture: &[f32], entry: usize, out: Shared) {
        let Plan { channels, height, width, .. } = self.plan;
        let tall = S::entries(channels);
        let some = if S::PAIRS { 2 * entry..channels.min(2 * entry + 2) } else { entry..entry + 1 };
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
                let mut tile = pixels::<S, A>(simd, at(0), left * M);
                if S::PAIRS {
                    pair_tiles(simd, &mut tile, &pixels::<S, A>(simd, at(1), left * M));
                }
                let lanes = LANES.min(self.across - left);
                let t = row * self.across + left;
                let [panel, at] = [t / S::COLUMNS, t % S::COLUMNS];
                let here = lanes.min(S::COLUMNS - at);
                for (p, vector) in tile.iter().flatten().enumerate() {
                    let base = (p * strip.panels::<S>() + panel) * tall + entry;
                    // SAFETY: inside of `out` by the caller's promise; what does not fit goes to the next panel.
                    unsafe {
                        vector.store_first(out.at(base * S::COLUMNS + at), here);
                        if here < lanes {
                            vector.store_some(out.at((base + tall) * S::COLUMNS), here..lanes);
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
    #[allow(clippy::too_many_arguments)]
    unsafe fn multiply<S: Simd>(
        &self,
        simd: S,
        strip: Strip,
        transformed: &[f32],
        taps: &Taps,
        bias: Option<&[f32]>,
        filters: std::ops::Range<usize>,
        out: Shared,
    ) {
        let channels = self.plan.channels;
        let (panels, tall) = (strip.panels::<S>(), S::entries(channels));
        let (count, stride) = (filters.len(), panels * S::COLUMNS);
        let groups = count.div_ceil(S::ROWS);
        // An even number of terms, of which the last ones alone may be fewer.
        let depth = (channels * WEIGHTS / (tall * A * A * groups * S::ROWS)).next_multiple_of(LANES).min(channels);
        let of_group = S::entries(depth) * S::ROWS;
        let mut weights = Scratch::new(A * A * groups * of_group);
        // One vector more, since tiles are read a vector at a time.
        let mut sums = Scratch::new(A * A * count * stride + LANES);
        for k in (0..channels).step_by(depth) {
            let here = depth.min(channels - k);
            for group in (0..groups).step_by(groups_at_once::<S>()) {
                let filter = filters.start + group * S::ROWS;
                let some = (groups_at_once::<S>() * S::ROWS).min(filters.end - filter);
                let some = Weights { filter, filters: some, channel: k, channels: here };
                some.transform::<S, A>(simd, taps, &mut weights[group * of_group..], [groups * of_group, of_group]);
            }
            for p in 0..A * A {
                for panel in 0..panels {
                    let right = &transformed[((p * panels + panel) * tall + S::entries(k)) * S::COLUMNS..];
                    let columns = S::COLUMNS.min(strip.tiles() - panel * S::COLUMNS);
                    for group in 0..groups {
                        let left = &weights[(p * groups + group) * of_group..];
                        let sums = &mut sums[(p * count + group * S::ROWS) * stride + panel * S::COLUMNS..];
                        let (left, right, out) = (left.as_ptr(), right.as_ptr(), sums.as_mut_ptr());
                        let tile = Tile { left, right, out, stride, entries: S::entries(here), add: k > 0 };
                        // SAFETY: the panels hold as many entries, the sums these rows and columns.
                        unsafe { tile.run(simd, S::ROWS.min(count - group * S::ROWS), columns) };
                    }
                }
            }
        }
        for (i, filter) in filters.enumerate() {
            let start = bias.map_or(0.0, |bias| bias[filter]);
            let sums = &sums[i * stride..];
            let plane = filter * self.plan.height * self.plan.width;
            simd.run(
                #[inline(always)]
                || {
                    // SAFETY: this filter's plane is ours.
                    unsafe { self.restore(simd, strip, sums, count * stride, start, out, plane) }
                },
            );
        }
    }

    /// Turns a filter's sums, `apart` from position to position, into pixels.
    ///
    /// # Safety
    /// The plane is inside of `out`, and ours.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    unsafe fn restore<S: Simd>(
        &self,
        simd: S,
        strip: Strip,
        sums: &[f32],
        apart: usize,
        start: f32,
        out: Shared,
        plane: usize,
    ) {
        let Plan { height, width, .. } = self.plan;
        for row in 0..strip.rows {
            for left in (0..self.across).step_by(LANES) {
                let t = row * self.across + left;
                let mut tile = [[simd.zero(); A]; A];
                for (p, vector) in tile.iter_mut().flatten().enumerate() {
                    // SAFETY: the slice has a vector more than its tiles.
                    *vector = unsafe { simd.load(sums[p * apart + t..][..LANES].as_ptr()) };
                }
                let tile = both_ways::<S, A, SUMS>(simd, tile);
                let y = (strip.top + row) * M;
                for (i, values) in tile.iter().take(M.min(height - y)).enumerate() {
                    let mut line = [simd.zero(); M];
                    for (to, from) in line.iter_mut().zip(values) {
                        *to = *from + simd.splat(start);
                    }
                    let line = interleaved::<S, M>(line);
                    for (v, vector) in line.iter().enumerate() {
                        let x = left * M + v * LANES;
                        if x < width {
                            // SAFETY: as much as is inside of the plane.
                            unsafe {
                                let place = out.at(plane + (y + i) * width + x);
                                vector.store_first(place, width - x);
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

    fn panels<S: Simd>(self) -> usize {
        self.tiles().div_ceil(S::COLUMNS)
    }
}

/// Groups of filters that a vector holds, side by side.
fn groups_at_once<S: Simd>() -> usize {
    LANES / S::ROWS
}

/// Weights of as many groups of filters as a vector holds, for some channels.
struct Weights {
    filter: usize,
    filters: usize,
    channel: usize,
    channels: usize,
}

impl Weights {
    /// Transforms them: position `p` of entry `e` of group `g` goes to `[p * of_position + g * of_group + e * ROWS]`.
    fn transform<S: Simd, const A: usize>(
        &self,
        simd: S,
        taps: &Taps,
        out: &mut [f32],
        [of_position, of_group]: [usize; 2],
    ) {
        let mut read = [0.0; LANES * 9 * LANES];
        for c in (0..self.channels).step_by(LANES) {
            let here = LANES.min(self.channels - c);
            taps([self.filter, self.filters, self.channel + c, here], &mut read);
            simd.run(
                #[inline(always)]
                || {
                    for entry in 0..S::entries(here) {
                        let kernel = entry_of::<S, A>(simd, &read, entry, here);
                        for (p, vector) in kernel.iter().flatten().enumerate() {
                            let at = p * of_position + (S::entries(c) + entry) * S::ROWS;
                            self.write::<S>(*vector, &mut out[at..], of_group);
                        }
                    }
                },
            );
        }
    }

    /// Writes the groups' lanes, `apart` from group to group.
    #[inline(always)]
    fn write<S: Simd>(&self, vector: S::Vector, out: &mut [f32], apart: usize) {
        for group in 0..groups_at_once::<S>() {
            let first = group * S::ROWS;
            if first < self.filters {
                let place = &mut out[group * apart..][..S::ROWS];
                // SAFETY: the slice has as many.
                unsafe { vector.store_some(place.as_mut_ptr(), first..first + S::ROWS) };
            }
        }
    }
}

/// The transformed taps of one channel, or of a pair of them; the second may be past the end.
#[inline(always)]
fn entry_of<S: Simd, const A: usize>(simd: S, taps: &[f32], entry: usize, channels: usize) -> [[S::Vector; A]; A] {
    if !S::PAIRS {
        return kernel_of(simd, taps, entry);
    }
    let mut kernel = kernel_of(simd, taps, 2 * entry);
    let is_pair = 2 * entry + 1 < channels;
    let second = if is_pair { kernel_of(simd, taps, 2 * entry + 1) } else { [[simd.zero(); A]; A] };
    pair_tiles(simd, &mut kernel, &second);
    kernel
}

/// The transformed taps of one channel.
#[inline(always)]
fn kernel_of<S: Simd, const A: usize>(simd: S, taps: &[f32], channel: usize) -> [[S::Vector; A]; A] {
    let mut kernel = [[simd.zero(); A]; A];
    for t in 0..9 {
        // SAFETY: sixteen numbers of the slice.
        kernel[t / 3][t % 3] = unsafe { simd.load(taps[(channel * 9 + t) * LANES..][..LANES].as_ptr()) };
    }
    both_ways::<S, A, KERNEL>(simd, kernel)
}

/// The transformed tiles from `left` on, one a lane.
#[inline(always)]
fn pixels<'a, S: Simd, const A: usize>(
    simd: S,
    lines: impl Iterator<Item = &'a [f32]>,
    left: usize,
) -> [[S::Vector; A]; A] {
    let mut tile = [[simd.zero(); A]; A];
    for (line, values) in lines.zip(&mut tile) {
        *values = spread(simd, &line[left..]);
    }
    both_ways::<S, A, PIXELS>(simd, tile)
}

/// Pairs of `bf16` of what two channels have in the same places.
#[inline(always)]
fn pair_tiles<S: Simd, const A: usize>(simd: S, tile: &mut [[S::Vector; A]; A], second: &[[S::Vector; A]; A]) {
    for (first, second) in tile.iter_mut().flatten().zip(second.iter().flatten()) {
        *first = simd.paired(*first, *second);
    }
}

/// Every `M`-th number from each of the first `A = M + 2` on.
#[inline(always)]
fn spread<S: Simd, const A: usize>(simd: S, line: &[f32]) -> [S::Vector; A] {
    // A - 2 columns lie in the first numbers, the other two in those one tile further.
    let mut columns = [simd.zero(); A];
    if A == 4 {
        [columns[0], columns[1]] = every_second(simd, line);
        [columns[2], columns[3]] = every_second(simd, &line[2..]);
    } else {
        [columns[0], columns[1], columns[2], columns[3]] = every_fourth(simd, line);
        [columns[4], columns[5], _, _] = every_fourth(simd, &line[4..]);
    }
    columns
}

#[inline(always)]
fn every_second<S: Simd>(simd: S, line: &[f32]) -> [S::Vector; 2] {
    let line = line[..2 * LANES].as_ptr();
    // SAFETY: two vectors of the slice.
    unsafe { simd.load(line).parted(simd.load(line.add(LANES))) }
}

#[inline(always)]
fn every_fourth<S: Simd>(simd: S, line: &[f32]) -> [S::Vector; 4] {
    let [even, odd] = every_second(simd, line);
    let [even_2, odd_2] = every_second(simd, &line[2 * LANES..]);
    let ([a, c], [b, d]) = (even.parted(even_2), odd.parted(odd_2));
    [a, b, c, d]
}

/// The lanes of `M` vectors, in turn.
#[inline(always)]
fn interleaved<S: Simd, const M: usize>(v: [S::Vector; M]) -> [S::Vector; M] {
    let mut all = v;
    if M == 2 {
        [all[0], all[1]] = v[0].interleaved(v[1]);
    } else {
        let (even, odd) = (v[0].interleaved(v[2]), v[1].interleaved(v[3]));
        [all[0], all[1]] = even[0].interleaved(odd[0]);
        [all[2], all[3]] = even[1].interleaved(odd[1]);
    }
    all
}

/// The three transforms of the method.
const PIXELS: u8 = 0;
const KERNEL: u8 = 1;
const SUMS: u8 = 2;

/// A transform along the rows, then along the columns.
#[inline(always)]
fn both_ways<S: Simd, const A: usize, const WHICH: u8>(simd: S, tile: [[S::Vector; A]; A]) -> [[S::Vector; A]; A] {
    let mut turned = tile;
    for (r, row) in tile.iter().enumerate() {
        let row = transform::<S, A, WHICH>(simd, *row);
        for c in 0..A {
            turned[c][r] = row[c];
        }
    }
    let mut done = turned;
    for (c, column) in turned.iter().enumerate() {
        let column = transform::<S, A, WHICH>(simd, *column);
        for r in 0..A {
            done[r][c] = column[r];
        }
    }
    done
}

/// Lavin and Gray's matrices times a line: of pixels, of a kernel's taps, or of sums.
#[inline(always)]
fn transform<S: Simd, const A: usize, const WHICH: u8>(simd: S, line: [S::Vector; A]) -> [S::Vector; A] {
    let mut all = [simd.zero(); 6];
    all[..A].copy_from_slice(&line);
    let all = match (A, WHICH) {
        (4, PIXELS) => two_of_pixels(simd, all),
        (4, KERNEL) => two_of_kernel(simd, all),
        (4, _) => two_of_sums(simd, all),
        (_, PIXELS) => four_of_pixels(simd, all),
        (_, KERNEL) => four_of_kernel(simd, all),
        (_, _) => four_of_sums(simd, all),
    };
    let mut line = line;
    line.copy_from_slice(&all[..A]);
    line
}

/// `factor * a + b`.
#[inline(always)]
fn more<S: Simd>(simd: S, factor: f32, a: S::Vector, b: S::Vector) -> S::Vector {
    simd.splat(factor).times_plus(a, b)
}

#[inline(always)]
fn two_of_pixels<S: Simd>(_: S, [a, b, c, d, e, f]: [S::Vector; 6]) -> [S::Vector; 6] {
    [a - c, b + c, c - b, b - d, e, f]
}

#[inline(always)]
fn two_of_kernel<S: Simd>(simd: S, [a, b, c, _, e, f]: [S::Vector; 6]) -> [S::Vector; 6] {
    let half = simd.splat(0.5);
    let (ends, middle) = ((a + c) * half, b * half);
    [a, ends + middle, ends - middle, c, e, f]
}

#[inline(always)]
fn two_of_sums<S: Simd>(_: S, [a, b, c, d, e, f]: [S::Vector; 6]) -> [S::Vector; 6] {
    [a + (b + c), (b - c) - d, c, d, e, f]
}

#[inline(always)]
fn four_of_pixels<S: Simd>(simd: S, [a, b, c, d, e, f]: [S::Vector; 6]) -> [S::Vector; 6] {
    let (even, odd) = (more(simd, -4.0, c, e), more(simd, -4.0, b, d));
    let (even_2, odd_2) = (e - c, simd.splat(2.0) * (d - b));
    [
        more(simd, 4.0, a, more(simd, -5.0, c, e)),
        even + odd,
        even - odd,
        even_2 + odd_2,
        even_2 - odd_2,
        more(simd, 4.0, b, more(simd, -5.0, d, f)),
    ]
}

#[inline(always)]
fn four_of_kernel<S: Simd>(simd: S, [a, b, c, ..]: [S::Vector; 6]) -> [S::Vector; 6] {
    let (sixth, twelfth) = (simd.splat(1.0 / 6.0), simd.splat(1.0 / 12.0));
    let (ends, middle) = (simd.splat(-1.0 / 6.0) * (a + c), sixth * b);
    let (ends_2, middle_2) = (more(simd, 1.0 / 24.0, a, sixth * c), twelfth * b);
    [simd.splat(0.25) * a, ends - middle, ends + middle, ends_2 + middle_2, ends_2 - middle_2, c]
}

#[inline(always)]
fn four_of_sums<S: Simd>(simd: S, [a, b, c, d, e, f]: [S::Vector; 6]) -> [S::Vector; 6] {
    let (sum, difference, sum_2, difference_2) = (b + c, b - c, d + e, d - e);
    [
        a + (sum + sum_2),
        more(simd, 2.0, difference_2, difference),
        more(simd, 4.0, sum_2, sum),
        more(simd, 8.0, difference_2, difference + f),
        e,
        f,
    ]
}
