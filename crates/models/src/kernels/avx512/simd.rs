//! The few vector functions that the kernels share. AVX-512, which every caller has made sure of; with its `bf16` where that is
//! the precision.
//!
//! A panel of a product holds entries: numbers of `f32`, or pairs of `bf16` in the place of one. A pair is two terms of the
//! product, so a panel of `depth` terms has `depth` entries or half as many; an odd last term is paired with 0.

use crate::kernels::Precision;
use std::arch::x86_64::*;

/// Lanes of a vector of `f32`.
pub(super) const LANES: usize = 16;

/// The first `count` lanes.
pub(super) fn first(count: usize) -> __mmask16 {
    if count >= LANES { !0 } else { (1 << count) - 1 }
}

/// Entries of a panel of `depth` terms.
pub(super) fn entries(depth: usize, precision: Precision) -> usize {
    match precision {
        Precision::F32 => depth,
        Precision::Bf16 => depth.div_ceil(2),
    }
}

/// Lanes of two vectors as pairs of `bf16`, the first one's in the lower halves.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
#[inline]
pub(super) fn paired(first: __m512, second: __m512) -> __m512 {
    // SAFETY: the same bits, whatever they are called.
    let [low, high] =
        [first, second].map(|v| unsafe { std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(v)) });
    let high = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(high));
    _mm512_castsi512_ps(_mm512_or_si512(_mm512_cvtepu16_epi32(low), high))
}

/// Makes pairs of `depth` rows of `width` numbers in place; the panel's first half is what it is then.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) fn pair_rows(panel: &mut [f32], depth: usize, width: usize) {
    assert!(depth * width <= panel.len());
    let place = panel.as_mut_ptr();
    for k in (0..depth).step_by(2) {
        for column in (0..width).step_by(LANES) {
            let mask = first(width - column);
            // SAFETY: inside of the panel; rows are read before pairs reach them.
            unsafe {
                let a = _mm512_maskz_loadu_ps(mask, place.add(k * width + column));
                let b = if k + 1 < depth {
                    _mm512_maskz_loadu_ps(mask, place.add((k + 1) * width + column))
                } else {
                    _mm512_setzero_ps()
                };
                _mm512_mask_storeu_ps(place.add(k / 2 * width + column), mask, paired(a, b));
            }
        }
    }
}

/// Numbers as a kernel reads them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numbers<'a> {
    F32(&'a [f32]),
    /// Bits of `f16`.
    F16(&'a [u16]),
    /// Bits of `bf16`.
    Bf16(&'a [u16]),
}

impl Numbers<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) | Self::Bf16(values) => values.len(),
        }
    }
}

/// What is read: a start and a kind, known when compiled.
#[derive(Clone, Copy)]
struct Source<const KIND: u8>(*const u8);

impl<const KIND: u8> Source<KIND> {
    /// # Safety
    /// The masked lanes at `index` are inside of what the source points to.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[inline]
    unsafe fn load(self, index: usize, mask: __mmask16) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe {
            match KIND {
                0 => _mm512_maskz_loadu_ps(mask, self.0.cast::<f32>().add(index)),
                1 => _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, self.0.cast::<i16>().add(index))),
                _ => {
                    let halves = _mm256_maskz_loadu_epi16(mask, self.0.cast::<i16>().add(index));
                    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
                }
            }
        }
    }

    /// The `count` numbers at `index`, at most 32, times `factor`, as pairs of neighbours; 0 past them.
    ///
    /// # Safety
    /// They are inside of what the source points to.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    #[inline]
    unsafe fn load_pairs(self, index: usize, count: usize, factor: f32) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe {
            if KIND == 2 && factor == 1.0 {
                let mask = if count >= 2 * LANES { !0 } else { (1u32 << count) - 1 };
                return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, self.0.cast::<i16>().add(index)));
            }
            let low = self.load(index, first(count));
            let high = if count > LANES { self.load(index + LANES, first(count - LANES)) } else { _mm512_setzero_ps() };
            let [low, high] = [low, high].map(|v| _mm512_mul_ps(v, _mm512_set1_ps(factor)));
            // The same bits, whatever they are called.
            std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low))
        }
    }
}

/// Calls a function of the source with its kind made known to the compiler.
macro_rules! with_kind {
    ($numbers:expr, $call:ident ( $($argument:expr),* )) => {
        match $numbers {
            Numbers::F32(values) => $call::<0>(Source(values.as_ptr().cast()), $($argument),*),
            Numbers::F16(values) => $call::<1>(Source(values.as_ptr().cast()), $($argument),*),
            Numbers::Bf16(values) => $call::<2>(Source(values.as_ptr().cast()), $($argument),*),
        }
    };
}

/// A matrix inside of a slice: where it starts, and from row to row.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub numbers: Numbers<'a>,
    pub start: usize,
    pub stride: usize,
}

impl View<'_> {
    fn check(&self, rows: usize, columns: usize) {
        let end = self.start + rows.saturating_sub(1) * self.stride + columns;
        assert!(rows == 0 || end <= self.numbers.len(), "a view up to {end} of {} numbers", self.numbers.len());
    }
}

/// Turns `rows` (at most 16) rows of `columns` numbers: `out[column * out_stride + row]`. Nothing else of `out` is written.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn turn(from: View, rows: usize, columns: usize, out: &mut [f32], out_stride: usize) {
    pack_turned(Precision::F32, from, rows, columns, 1.0, out, out_stride);
}

/// # Safety
/// `rows` rows of `columns` numbers can be read, and written turned.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn turn_from<const KIND: u8>(
    from: Source<KIND>,
    start: usize,
    stride: usize,
    [rows, columns]: [usize; 2],
    factor: f32,
    out: *mut f32,
    out_stride: usize,
) {
    let factor = _mm512_set1_ps(factor);
    for column in (0..columns).step_by(LANES) {
        let count = (columns - column).min(LANES);
        let mut block = [_mm512_setzero_ps(); LANES];
        for (row, vector) in block.iter_mut().enumerate() {
            if row < rows {
                // SAFETY: inside of the source by the caller's promise.
                *vector = unsafe { from.load(start + row * stride + column, first(count)) };
            }
        }
        let turned = transposed(block);
        for (i, vector) in turned.iter().enumerate() {
            if i < count {
                let vector = _mm512_mul_ps(*vector, factor);
                // SAFETY: inside of the output by the caller's promise.
                unsafe { _mm512_mask_storeu_ps(out.add((column + i) * out_stride), first(rows), vector) };
            }
        }
    }
}

/// [`turn`] to a place.
///
/// # Safety
/// What `turn` writes is inside of what `out` points to, and nobody else uses it.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn turn_to(from: View, rows: usize, columns: usize, out: *mut f32, out_stride: usize) {
    from.check(rows, columns);
    assert!(rows <= LANES);
    // SAFETY: what is read was checked above; the rest is the caller's promise.
    unsafe { with_kind!(from.numbers, turn_from(from.start, from.stride, [rows, columns], 1.0, out, out_stride)) }
}

/// As [`turn`], times `factor`, as entries of a panel: `out[entry * out_stride + row]`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn pack_turned(
    precision: Precision,
    from: View,
    rows: usize,
    columns: usize,
    factor: f32,
    out: &mut [f32],
    out_stride: usize,
) {
    from.check(rows, columns);
    let tall = entries(columns, precision);
    assert!(rows <= LANES && (tall == 0 || (tall - 1) * out_stride + rows <= out.len()));
    let (start, stride, size, out) = (from.start, from.stride, [rows, columns], out.as_mut_ptr());
    // SAFETY: what is read and written was checked above; where `bf16` is asked for, the processor has it.
    unsafe {
        match precision {
            Precision::F32 => with_kind!(from.numbers, turn_from(start, stride, size, factor, out, out_stride)),
            Precision::Bf16 => with_kind!(from.numbers, turn_pairs(start, stride, size, factor, out, out_stride)),
        }
    }
}

/// # Safety
/// `rows` rows of `columns` numbers can be read, and written turned in pairs.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn turn_pairs<const KIND: u8>(
    from: Source<KIND>,
    start: usize,
    stride: usize,
    [rows, columns]: [usize; 2],
    factor: f32,
    out: *mut f32,
    out_stride: usize,
) {
    for column in (0..columns).step_by(2 * LANES) {
        let count = (columns - column).min(2 * LANES);
        let mut block = [_mm512_setzero_ps(); LANES];
        for (row, vector) in block.iter_mut().enumerate() {
            if row < rows {
                // SAFETY: inside of the source by the caller's promise.
                *vector = unsafe { from.load_pairs(start + row * stride + column, count, factor) };
            }
        }
        let turned = transposed(block);
        for (i, vector) in turned.iter().enumerate() {
            if i < count.div_ceil(2) {
                // SAFETY: inside of the output by the caller's promise.
                unsafe { _mm512_mask_storeu_ps(out.add((column / 2 + i) * out_stride), first(rows), *vector) };
            }
        }
    }
}

/// Copies `rows` rows of `columns` numbers, times `factor`, as entries of a panel: `out[entry * out_stride + column]`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn pack(
    precision: Precision,
    from: View,
    rows: usize,
    columns: usize,
    factor: f32,
    out: &mut [f32],
    out_stride: usize,
) {
    from.check(rows, columns);
    assert!(rows == 0 || (entries(rows, precision) - 1) * out_stride + columns <= out.len());
    let (start, stride, size, out) = (from.start, from.stride, [rows, columns], out.as_mut_ptr());
    // SAFETY: what is read and written was checked above; where `bf16` is asked for, the processor has it.
    unsafe {
        match precision {
            Precision::F32 => with_kind!(from.numbers, copy_from(start, stride, size, factor, out, out_stride)),
            Precision::Bf16 => with_kind!(from.numbers, pairs_from(start, stride, size, factor, out, out_stride)),
        }
    }
}

/// # Safety
/// The rows can be read and written.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn copy_from<const KIND: u8>(
    from: Source<KIND>,
    start: usize,
    stride: usize,
    [rows, columns]: [usize; 2],
    factor: f32,
    out: *mut f32,
    out_stride: usize,
) {
    let factor = _mm512_set1_ps(factor);
    for row in 0..rows {
        for column in (0..columns).step_by(LANES) {
            let mask = first(columns - column);
            // SAFETY: inside of source and output by the caller's promise.
            unsafe {
                let vector = _mm512_mul_ps(from.load(start + row * stride + column, mask), factor);
                _mm512_mask_storeu_ps(out.add(row * out_stride + column), mask, vector);
            }
        }
    }
}

/// # Safety
/// The rows can be read, and written in pairs.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn pairs_from<const KIND: u8>(
    from: Source<KIND>,
    start: usize,
    stride: usize,
    [rows, columns]: [usize; 2],
    factor: f32,
    out: *mut f32,
    out_stride: usize,
) {
    let factor = _mm512_set1_ps(factor);
    for row in (0..rows).step_by(2) {
        for column in (0..columns).step_by(LANES) {
            let mask = first(columns - column);
            let at = start + row * stride + column;
            // SAFETY: inside of source and output by the caller's promise.
            unsafe {
                let a = from.load(at, mask);
                let b = if row + 1 < rows { from.load(at + stride, mask) } else { _mm512_setzero_ps() };
                let pairs = paired(_mm512_mul_ps(a, factor), _mm512_mul_ps(b, factor));
                _mm512_mask_storeu_ps(out.add(row / 2 * out_stride + column), mask, pairs);
            }
        }
    }
}

/// The transposed 16x16 block: pairs, then fours, eights and sixteens of rows are interleaved.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn transposed(rows: [__m512; LANES]) -> [__m512; LANES] {
    let mut a = rows;
    for i in 0..8 {
        a[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
    }
    let mut b = a;
    for i in 0..4 {
        let [p, q, r, s] = [a[4 * i], a[4 * i + 1], a[4 * i + 2], a[4 * i + 3]].map(|v| _mm512_castps_pd(v));
        b[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(p, r));
        b[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(p, r));
        b[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(q, s));
        b[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(q, s));
    }
    let mut c = b;
    for i in 0..4 {
        c[i] = _mm512_shuffle_f32x4::<0x88>(b[i], b[4 + i]);
        c[4 + i] = _mm512_shuffle_f32x4::<0xdd>(b[i], b[4 + i]);
        c[8 + i] = _mm512_shuffle_f32x4::<0x88>(b[8 + i], b[12 + i]);
        c[12 + i] = _mm512_shuffle_f32x4::<0xdd>(b[8 + i], b[12 + i]);
    }
    let mut d = c;
    for i in 0..4 {
        d[i] = _mm512_shuffle_f32x4::<0x88>(c[i], c[8 + i]);
        d[8 + i] = _mm512_shuffle_f32x4::<0xdd>(c[i], c[8 + i]);
        d[4 + i] = _mm512_shuffle_f32x4::<0x88>(c[4 + i], c[12 + i]);
        d[12 + i] = _mm512_shuffle_f32x4::<0xdd>(c[4 + i], c[12 + i]);
    }
    d
}

/// e to the power of each lane, to 2 units in the last place; 0 below -87.3, infinite above 88.7.
///
/// Taylor's polynomial of order 7 on half of an octave to each side of a power of two.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn exp(x: __m512) -> __m512 {
    let x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(89.0)), _mm512_set1_ps(-104.0));
    let octaves = _mm512_roundscale_ps::<0>(_mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E)));
    // ln 2 in two parts, so that the rest keeps its digits (Cody and Waite).
    let rest = _mm512_fnmadd_ps(octaves, _mm512_set1_ps(0.693_359_4), x);
    let rest = _mm512_fnmadd_ps(octaves, _mm512_set1_ps(-2.121_944_4e-4), rest);
    let mut sum = _mm512_set1_ps(1.0 / 5040.0);
    for term in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(term));
    }
    _mm512_scalef_ps(sum, octaves)
}

/// The logistic function of each lane.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn sigmoid(x: __m512) -> __m512 {
    let one = _mm512_set1_ps(1.0);
    _mm512_div_ps(one, _mm512_add_ps(one, exp(_mm512_sub_ps(_mm512_setzero_ps(), x))))
}

/// The share of a normal distribution below each lane, and its density there.
///
/// Abramowitz and Stegun 7.1.26: off by 1.5e-7 at most.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn normal(x: __m512) -> [__m512; 2] {
    let one = _mm512_set1_ps(1.0);
    let size = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(std::f32::consts::FRAC_1_SQRT_2));
    let t = _mm512_div_ps(one, _mm512_fmadd_ps(size, _mm512_set1_ps(0.327_591_1), one));
    let mut sum = _mm512_set1_ps(1.061_405_4);
    for term in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6, 0.0] {
        sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(term));
    }
    let bell = exp(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(size, size)));
    let tail = _mm512_mul_ps(_mm512_mul_ps(sum, bell), _mm512_set1_ps(0.5));
    let is_negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_setzero_ps());
    let below = _mm512_mask_blend_ps(is_negative, _mm512_sub_ps(one, tail), tail);
    [below, _mm512_mul_ps(bell, _mm512_set1_ps(0.398_942_3))]
}
