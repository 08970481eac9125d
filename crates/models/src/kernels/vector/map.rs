//! Loops over slices, a vector at a time.

use super::simd::{LANES, Simd, Vector};

/// `out` of slices of one length; past the end they are 0.
#[inline(always)]
pub(super) fn map<S: Simd, const N: usize>(
    simd: S,
    from: [&[f32]; N],
    out: &mut [f32],
    mut of: impl FnMut([S::Vector; N]) -> S::Vector,
) {
    assert!(from.iter().all(|slice| slice.len() == out.len()));
    for at in (0..out.len()).step_by(LANES) {
        let count = out.len() - at;
        let mut vectors = [simd.zero(); N];
        for (vector, slice) in vectors.iter_mut().zip(&from) {
            // SAFETY: as many numbers as the slice has.
            *vector = unsafe { simd.load_first(slice.as_ptr().add(at), count) };
        }
        let value = of(vectors);
        // SAFETY: as many numbers as the slice has.
        unsafe { value.store_first(out.as_mut_ptr().add(at), count) };
    }
}

/// The sum of a function of all values, in four strands; the function is told how many lanes are values.
#[inline(always)]
pub(super) fn sum<S: Simd>(simd: S, x: &[f32], of: impl Fn(S::Vector, usize) -> S::Vector) -> f32 {
    let mut sums = [simd.zero(); 4];
    for (i, at) in (0..x.len()).step_by(LANES).enumerate() {
        let count = x.len() - at;
        // SAFETY: as many numbers as the slice has.
        let v = unsafe { simd.load_first(x.as_ptr().add(at), count) };
        sums[i % 4] = sums[i % 4] + of(v, count);
    }
    let [a, b, c, d] = sums;
    ((a + b) + (c + d)).sum()
}
