//! The innermost loop of every product: 14 rows by 32 columns in registers, sums in `f32`.
//!
//! 28 of the 32 vector registers hold sums, so that two multiplications with addition a cycle find their operands: 14
//! broadcasts and 2 loads feed 28 of them. With `bf16` each of them takes two terms.

use super::simd::{LANES, first};
use crate::kernels::Precision;
use std::arch::x86_64::*;

/// Rows of a tile; the left factor is packed in panels of as many, `[entry][ROWS]`.
pub(super) const ROWS: usize = 14;

/// Columns of a tile; the right factor is packed in panels of as many, `[entry][COLUMNS]`.
pub(super) const COLUMNS: usize = 32;

/// The right and left panel and the place of the product.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub precision: Precision,
    /// `[entry][ROWS]`.
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

/// The loop in one precision: tiles of at most this many columns, then those of `R` rows and `V` vectors.
macro_rules! tiles {
    ($of_width:ident, $of:ident, $features:literal, $multiply:expr) => {
        /// # Safety
        /// As [`Tile::run`].
        #[target_feature(enable = $features)]
        unsafe fn $of_width<const V: usize>(self, rows: usize, columns: usize) {
            // SAFETY: the caller's promise.
            unsafe {
                match rows.div_ceil(2) {
                    0 => (),
                    1 => self.$of::<2, V>(rows, columns),
                    2 => self.$of::<4, V>(rows, columns),
                    3 => self.$of::<6, V>(rows, columns),
                    4 => self.$of::<8, V>(rows, columns),
                    5 => self.$of::<10, V>(rows, columns),
                    6 => self.$of::<12, V>(rows, columns),
                    _ => self.$of::<14, V>(rows, columns),
                }
            }
        }

        /// # Safety
        /// As [`Tile::run`]; `rows` is `R` or one less, `columns` at most `V` vectors.
        #[target_feature(enable = $features)]
        unsafe fn $of<const R: usize, const V: usize>(self, rows: usize, columns: usize) {
            let mut sums = [[_mm512_setzero_ps(); V]; R];
            let (mut left, mut right) = (self.left, self.right);
            for _ in 0..self.entries {
                // SAFETY: both panels have as many entries.
                unsafe {
                    let mut entry = [_mm512_setzero_ps(); V];
                    for v in 0..V {
                        entry[v] = _mm512_loadu_ps(right.add(v * LANES));
                    }
                    for r in 0..R {
                        let factor = _mm512_set1_ps(*left.add(r));
                        for v in 0..V {
                            sums[r][v] = $multiply(factor, entry[v], sums[r][v]);
                        }
                    }
                    left = left.add(ROWS);
                    right = right.add(COLUMNS);
                }
            }
            for r in 0..R {
                for v in 0..V {
                    let mask = first(columns.saturating_sub(v * LANES));
                    if r < rows {
                        // SAFETY: the output has these rows and columns.
                        unsafe {
                            let place = self.out.add(r * self.stride + v * LANES);
                            let before =
                                if self.add { _mm512_maskz_loadu_ps(mask, place) } else { _mm512_setzero_ps() };
                            _mm512_mask_storeu_ps(place, mask, _mm512_add_ps(before, sums[r][v]));
                        }
                    }
                }
            }
        }
    };
}

impl Tile {
    /// The product of the first `rows` rows and `columns` columns.
    ///
    /// # Safety
    /// The panels have as many entries, the output `rows` rows of `columns`, nobody else uses it, and AVX-512 is there, with
    /// its `bf16` where that is the precision.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub unsafe fn run(self, rows: usize, columns: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.precision, columns > LANES) {
                (Precision::F32, true) => self.wide::<2>(rows, columns),
                (Precision::F32, false) => self.wide::<1>(rows, columns),
                (Precision::Bf16, true) => self.narrow::<2>(rows, columns),
                (Precision::Bf16, false) => self.narrow::<1>(rows, columns),
            }
        }
    }

    tiles!(wide, of_wide, "avx512f", |factor, entry, sum| _mm512_fmadd_ps(factor, entry, sum));
    tiles!(narrow, of_narrow, "avx512f,avx512bf16", |factor, entry, sum| {
        let [factor, entry] = [factor, entry].map(|v: __m512| std::mem::transmute::<__m512, __m512bh>(v));
        _mm512_dpbf16_ps(sum, factor, entry)
    });
}

/// Entries of the panels of [`run_tiles`], which fit in the first-level cache, and how often they are gone through.
const MEASURED: [usize; 2] = [128, 3000];

/// Multiplications and additions of [`run_tiles`].
pub(in crate::kernels) fn tiles_flops(precision: Precision) -> u64 {
    let terms = if precision == Precision::Bf16 { 2 } else { 1 };
    (2 * terms * ROWS * COLUMNS * MEASURED[0] * MEASURED[1]) as u64
}

/// Nothing but tiles: what the multipliers of one core can do at most.
pub(in crate::kernels) fn run_tiles(precision: Precision) {
    let [entries, times] = MEASURED;
    let (left, right) = (vec![0.0; entries * ROWS], vec![0.0; entries * COLUMNS]);
    let mut out = vec![0.0; ROWS * COLUMNS];
    let (left, right, out) = (left.as_ptr(), right.as_ptr(), out.as_mut_ptr());
    for _ in 0..times {
        // SAFETY: the panels and the output have these sizes; kernels are only asked for where they run.
        unsafe { Tile { precision, left, right, out, stride: COLUMNS, entries, add: true }.run(ROWS, COLUMNS) };
    }
}

/// A pointer that threads may share, because each writes elsewhere.
#[derive(Clone, Copy)]
pub(super) struct Shared(*mut f32);

// SAFETY: whoever makes one gives each thread a part of its own (see the uses).
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr())
    }

    /// The place at `index`.
    ///
    /// # Safety
    /// It is inside of the slice.
    pub unsafe fn at(self, index: usize) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(index) }
    }

    /// `len` values at `index`.
    ///
    /// # Safety
    /// They are inside of the slice, which lives on, and nobody else uses them meanwhile.
    pub unsafe fn slice<'a>(self, index: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(index), len) }
    }
}
