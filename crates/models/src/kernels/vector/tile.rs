//! The innermost loop of every product: a tile's rows and columns in registers, sums in `f32`.

use super::scratch::Scratch;
use super::simd::{LANES, Simd, Vector};

/// The right and left panel and the place of the product.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// As [`super::pack::left`] packs it.
    pub left: *const f32,
    /// `[entry][COLUMNS]`.
    pub right: *const f32,
    pub out: *mut f32,
    /// From row to row of the product.
    pub stride: usize,
    /// How many there are.
    pub entries: usize,
    /// Whether to add to what is there.
    pub add: bool,
}

impl Tile {
    /// The product of the first `rows` rows and `columns` columns.
    ///
    /// # Safety
    /// The panels have as many entries, the output `rows` rows of `columns`, and nobody else uses it.
    #[inline]
    pub unsafe fn run<S: Simd>(self, simd: S, rows: usize, columns: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if S::TILES {
                self.run_in_blocks(rows, columns);
            } else if S::VECTORS == 2 && columns > LANES {
                self.of_width::<S, 2>(simd, rows, columns);
            } else {
                self.of_width::<S, 1>(simd, rows, columns);
            }
        }
    }

    /// Tiles of at most `V` vectors.
    ///
    /// # Safety
    /// As [`Tile::run`].
    unsafe fn of_width<S: Simd, const V: usize>(self, simd: S, rows: usize, columns: usize) {
        assert!(rows <= S::ROWS);
        // SAFETY: the caller's promise.
        unsafe {
            match rows.div_ceil(2).min(S::ROWS / 2) {
                0 => (),
                1 => self.of::<S, 2, V>(simd, rows, columns),
                2 => self.of::<S, 4, V>(simd, rows, columns),
                3 => self.of::<S, 6, V>(simd, rows, columns),
                4 => self.of::<S, 8, V>(simd, rows, columns),
                5 => self.of::<S, 10, V>(simd, rows, columns),
                6 => self.of::<S, 12, V>(simd, rows, columns),
                _ => self.of::<S, 14, V>(simd, rows, columns),
            }
        }
    }

    /// # Safety
    /// As [`Tile::run`]; `rows` is `R` or one less, `columns` at most `V` vectors.
    unsafe fn of<S: Simd, const R: usize, const V: usize>(self, simd: S, rows: usize, columns: usize) {
        simd.run(
            #[inline(always)]
            || {
                // SAFETY: the caller's promise.
                unsafe { self.write(simd, self.sums::<S, R, V>(simd), rows, columns) }
            },
        );
    }

    /// # Safety
    /// The panels have as many entries.
    #[inline(always)]
    unsafe fn sums<S: Simd, const R: usize, const V: usize>(self, simd: S) -> [[S::Vector; V]; R] {
        let mut sums = [[simd.zero(); V]; R];
        let (mut left, mut right) = (self.left, self.right);
        for _ in 0..self.entries {
            // SAFETY: both panels have as many entries.
            unsafe {
                let mut entry = [simd.zero(); V];
                for v in 0..V {
                    entry[v] = simd.load(right.add(v * LANES));
                }
                for r in 0..R {
                    let factor = simd.splat(*left.add(r));
                    for v in 0..V {
                        sums[r][v] = simd.multiply(factor, entry[v], sums[r][v]);
                    }
                }
                left = left.add(S::ROWS);
                right = right.add(S::COLUMNS);
            }
        }
        sums
    }

    /// # Safety
    /// The output has these rows and columns.
    #[inline(always)]
    unsafe fn write<S: Simd, const R: usize, const V: usize>(
        self,
        simd: S,
        sums: [[S::Vector; V]; R],
        rows: usize,
        columns: usize,
    ) {
        for r in 0..R {
            for v in 0..V {
                let count = columns.saturating_sub(v * LANES);
                if r < rows {
                    // SAFETY: the output has these rows and columns.
                    unsafe {
                        let place = self.out.add(r * self.stride + v * LANES);
                        let before = if self.add { simd.load_first(place, count) } else { simd.zero() };
                        (before + sums[r][v]).store_first(place, count);
                    }
                }
            }
        }
    }
}

/// Entries of the panels of [`run_tiles`], which fit in the first-level cache, and how often they are gone through.
const MEASURED: [usize; 2] = [128, 3000];

/// Multiplications and additions of [`run_tiles`].
pub(super) fn tiles_flops<S: Simd>(_: S) -> u64 {
    let terms = if S::PAIRS { 2 } else { 1 };
    (2 * terms * S::ROWS * S::COLUMNS * MEASURED[0] * MEASURED[1]) as u64
}

/// Nothing but tiles: what the multipliers of one core can do at most.
pub(super) fn run_tiles<S: Simd>(simd: S) {
    let [entries, times] = MEASURED;
    let [mut left, mut right, mut out] =
        [entries * S::ROWS, entries * S::COLUMNS, S::ROWS * S::COLUMNS].map(Scratch::new);
    for values in [&mut left, &mut right, &mut out] {
        values.fill(0.0);
    }
    let (left, right, out) = (left.as_ptr(), right.as_ptr(), out.as_mut_ptr());
    for _ in 0..times {
        // SAFETY: the panels and the output have these sizes.
        unsafe { Tile { left, right, out, stride: S::COLUMNS, entries, add: true }.run(simd, S::ROWS, S::COLUMNS) };
    }
}
