//! Vectors of 16 lanes, whatever the processor's own are.
//!
//! Kernels are written once, for any [`Simd`]. Its methods are all inlined, down from a closure that [`Simd::run`] compiles for
//! the instructions; so whatever computes with vectors is `#[inline(always)]` up to such a closure, and that too.
//!
//! A panel of a product holds entries: numbers of `f32`, or pairs of `bf16` in the place of one. A pair is two terms of the
//! product, so a panel of `depth` terms has `depth` entries or half as many; an odd last term is paired with 0.

mod avx2;
mod avx512;

pub(super) use avx2::Avx2;
pub(super) use avx512::Avx512;

use std::ops::{Add, Div, Mul, Sub};

/// Lanes of a vector of `f32`.
pub(super) const LANES: usize = 16;

/// Columns of a tile, at most.
pub(super) const MOST_COLUMNS: usize = 2 * LANES;

/// Leave to use some instructions: a value exists only where the processor has them.
pub(super) trait Simd: Copy + Send + Sync {
    type Vector: Vector;

    /// Rows of a tile, an even number; the left factor of a product is packed in panels of as many (`pack::left`).
    const ROWS: usize;

    /// Vectors in a row of a tile, at most two.
    const VECTORS: usize;

    /// Columns of a tile; the right factor is packed in panels of as many, `[entry][COLUMNS]`.
    const COLUMNS: usize = Self::VECTORS * LANES;

    /// Whether an entry is a pair of `bf16`. If not, the methods that make pairs are never called.
    const PAIRS: bool;

    /// Whether the processor has a unit for products of whole tiles (`amx.rs`), whose entries are pairs.
    const TILES: bool;

    /// Entries of a panel of `depth` terms.
    fn entries(depth: usize) -> usize {
        if Self::PAIRS { depth.div_ceil(2) } else { depth }
    }

    /// Runs `work`, and what is inlined into it, compiled for these instructions.
    fn run<R>(self, work: impl FnMut() -> R) -> R;

    fn splat(self, value: f32) -> Self::Vector;

    #[inline(always)]
    fn zero(self) -> Self::Vector {
        self.splat(0.0)
    }

    /// # Safety
    /// Sixteen numbers can be read.
    unsafe fn load(self, from: *const f32) -> Self::Vector;

    /// The first `count` lanes, the others 0.
    ///
    /// # Safety
    /// `count` numbers can be read.
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::Vector;

    /// Likewise from the bits of `f16`.
    ///
    /// # Safety
    /// `count` numbers can be read.
    unsafe fn load_f16(self, from: *const u16, count: usize) -> Self::Vector;

    /// Likewise from the bits of `bf16`.
    ///
    /// # Safety
    /// `count` numbers can be read.
    unsafe fn load_bf16(self, from: *const u16, count: usize) -> Self::Vector;

    /// The chances of [`Dropout`](crate::kernels::Dropout) for a row's key and sixteen columns from this one on.
    fn chances(self, key: [u32; 2], column: u32) -> Self::Vector;

    /// The product of two entries, added to a sum.
    fn multiply(self, factor: Self::Vector, entry: Self::Vector, sum: Self::Vector) -> Self::Vector;

    /// Lanes of two vectors as pairs of `bf16`, the first one's in the lower halves.
    fn paired(self, first: Self::Vector, second: Self::Vector) -> Self::Vector;

    /// Neighbours among 32 numbers as pairs of `bf16`.
    fn paired_neighbours(self, low: Self::Vector, high: Self::Vector) -> Self::Vector;

    /// As many of 32 numbers of `bf16` as pairs of neighbours, the others 0.
    ///
    /// # Safety
    /// `count` numbers can be read.
    unsafe fn load_pairs(self, from: *const u16, count: usize) -> Self::Vector;
}

/// Sixteen numbers. One exists only where the processor has the instructions.
pub(super) trait Vector:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// `self * factor + sum`, rounded once.
    fn times_plus(self, factor: Self, sum: Self) -> Self;

    /// `sum - self * factor`, rounded once.
    fn times_from(self, factor: Self, sum: Self) -> Self;

    /// The smaller ones; the other's where one is not a number.
    fn min(self, other: Self) -> Self;

    /// The larger ones; the other's where one is not a number.
    fn max(self, other: Self) -> Self;

    fn abs(self) -> Self;

    /// To the nearest integers.
    fn rounded(self) -> Self;

    /// Times two to the power of integers from -150 to 128.
    fn times_power_of_two(self, power: Self) -> Self;

    /// `negative` where this is below 0, otherwise `other`.
    fn choose(self, negative: Self, other: Self) -> Self;

    /// The first `count` lanes, the others 0.
    fn first(self, count: usize) -> Self;

    /// Of all lanes.
    fn sum(self) -> f32;

    /// # Safety
    /// Sixteen numbers can be written.
    unsafe fn store(self, to: *mut f32);

    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// `count` numbers can be written.
    unsafe fn store_first(self, to: *mut f32, count: usize);

    /// Writes these lanes to where they begin.
    ///
    /// # Safety
    /// As many numbers can be written.
    unsafe fn store_some(self, to: *mut f32, lanes: std::ops::Range<usize>);

    /// The lanes of even and those of odd places among 32.
    fn parted(self, high: Self) -> [Self; 2];

    /// The inverse of [`Vector::parted`]: lanes of both in turn.
    fn interleaved(self, odd: Self) -> [Self; 2];

    /// Rows to columns.
    fn turned(rows: [Self; LANES]) -> [Self; LANES];
}

/// The operators of a vector.
macro_rules! operators {
    ($vector:ty, |$a:ident, $b:ident| $($operator:ident $method:ident $value:expr),*) => {
        $(impl std::ops::$operator for $vector {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                // SAFETY: a vector exists only where the processor has these instructions.
                unsafe { $value }
            }
        })*
    };
}
use operators;
