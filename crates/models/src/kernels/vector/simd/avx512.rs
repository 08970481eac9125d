//! AVX-512 (foundation, BW, VL), alone, with its `bf16`, or with products by AMX as well.

use super::super::amx;
use super::{LANES, Simd, Vector, operators};
use crate::kernels::dropout::{MULTIPLIERS, STEP};
use std::arch::x86_64::*;
use std::ops::Range;

/// Leave to use AVX-512. What has `TILES` has `BF16`.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx512<const BF16: bool, const TILES: bool>(());

impl<const BF16: bool, const TILES: bool> Avx512<BF16, TILES> {
    /// Where the processor has it.
    pub fn found() -> Option<Self> {
        let found = [is_x86_feature_detected!("avx512f"), is_x86_feature_detected!("avx512bw")];
        let is_able = found == [true; 2] && is_x86_feature_detected!("avx512vl");
        let has_pairs = BF16 && is_x86_feature_detected!("avx512bf16");
        let has_tiles = has_pairs && TILES && amx::found();
        (is_able && has_pairs == BF16 && has_tiles == TILES).then_some(Self(()))
    }
}

/// One register.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(in super::super) struct Wide(__m512);

/// The first `count` lanes.
#[inline(always)]
fn mask(count: usize) -> __mmask16 {
    if count >= LANES { !0 } else { (1 << count) - 1 }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn run_plain<R>(mut work: impl FnMut() -> R) -> R {
    work()
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn run_bf16<R>(mut work: impl FnMut() -> R) -> R {
    work()
}

// Why the unsafe calls below are sound: a token or a vector exists only where the processor has the instructions.
impl<const BF16: bool, const TILES: bool> Simd for Avx512<BF16, TILES> {
    type Vector = Wide;

    // 28 of the 32 registers hold sums, so that two multiplications with addition a cycle find their operands: 14 broadcasts and
    // 2 loads feed 28 of them.
    const ROWS: usize = if TILES { amx::ROWS } else { 14 };
    const VECTORS: usize = 2;
    const PAIRS: bool = BF16;
    const TILES: bool = TILES;

    #[inline(always)]
    fn run<R>(self, work: impl FnMut() -> R) -> R {
        // SAFETY: the token.
        unsafe { if BF16 { run_bf16(work) } else { run_plain(work) } }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Wide {
        // SAFETY: the token.
        Wide(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Wide {
        // SAFETY: the token, and the caller's promise.
        Wide(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Wide {
        // SAFETY: the token, and the caller's promise.
        Wide(unsafe { _mm512_maskz_loadu_ps(mask(count), from) })
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const u16, count: usize) -> Wide {
        // SAFETY: the token, and the caller's promise.
        Wide(unsafe { _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask(count), from.cast())) })
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16, count: usize) -> Wide {
        // SAFETY: the token, and the caller's promise.
        unsafe {
            let halves = _mm256_maskz_loadu_epi16(mask(count), from.cast());
            Wide(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves))))
        }
    }

    #[inline(always)]
    fn chances(self, key: [u32; 2], column: u32) -> Wide {
        // SAFETY: the token.
        Wide(unsafe { chances(key, column) })
    }

    #[inline(always)]
    fn multiply(self, factor: Wide, entry: Wide, sum: Wide) -> Wide {
        if !BF16 {
            return factor.times_plus(entry, sum);
        }
        // SAFETY: the token; and the same bits, whatever they are called.
        Wide(unsafe {
            let factor = std::mem::transmute::<__m512, __m512bh>(factor.0);
            _mm512_dpbf16_ps(sum.0, factor, std::mem::transmute::<__m512, __m512bh>(entry.0))
        })
    }

    #[inline(always)]
    fn paired(self, first: Wide, second: Wide) -> Wide {
        assert!(BF16, "pairs without bf16");
        // SAFETY: the token.
        Wide(unsafe { paired(first.0, second.0) })
    }

    #[inline(always)]
    fn paired_neighbours(self, low: Wide, high: Wide) -> Wide {
        assert!(BF16, "pairs without bf16");
        // SAFETY: the token; and the same bits, whatever they are called.
        Wide(unsafe { std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high.0, low.0)) })
    }

    #[inline(always)]
    unsafe fn load_pairs(self, from: *const u16, count: usize) -> Wide {
        let mask = if count >= 2 * LANES { !0 } else { (1u32 << count) - 1 };
        // SAFETY: the token, and the caller's promise.
        Wide(unsafe { _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, from.cast())) })
    }
}

operators!(
    Wide,
    |a, b|
    Add add Self(_mm512_add_ps(a.0, b.0)),
    Sub sub Self(_mm512_sub_ps(a.0, b.0)),
    Mul mul Self(_mm512_mul_ps(a.0, b.0)),
    Div div Self(_mm512_div_ps(a.0, b.0))
);

impl Vector for Wide {
    #[inline(always)]
    fn times_plus(self, factor: Self, sum: Self) -> Self {
        // SAFETY: a vector.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, sum.0) })
    }

    #[inline(always)]
    fn times_from(self, factor: Self, sum: Self) -> Self {
        // SAFETY: a vector.
        Self(unsafe { _mm512_fnmadd_ps(self.0, factor.0, sum.0) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: a vector.
        Self(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: a vector.
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: a vector.
        Self(unsafe { _mm512_abs_ps(self.0) })
    }

    #[inline(always)]
    fn rounded(self) -> Self {
        // SAFETY: a vector.
        Self(unsafe { _mm512_roundscale_ps::<0>(self.0) })
    }

    #[inline(always)]
    fn times_power_of_two(self, power: Self) -> Self {
        // SAFETY: a vector.
        Self(unsafe { _mm512_scalef_ps(self.0, power.0) })
    }

    #[inline(always)]
    fn choose(self, negative: Self, other: Self) -> Self {
        // SAFETY: a vector.
        Self(unsafe {
            let is_negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, _mm512_setzero_ps());
            _mm512_mask_blend_ps(is_negative, other.0, negative.0)
        })
    }

    #[inline(always)]
    fn first(self, count: usize) -> Self {
        // SAFETY: a vector.
        Self(unsafe { _mm512_maskz_mov_ps(mask(count), self.0) })
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: a vector.
        unsafe { _mm512_reduce_add_ps(self.0) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: a vector, and the caller's promise.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: a vector, and the caller's promise.
        unsafe { _mm512_mask_storeu_ps(to, mask(count), self.0) }
    }

    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, lanes: Range<usize>) {
        let mask = mask(lanes.end) & !mask(lanes.start);
        // SAFETY: a vector, and the caller's promise; lanes that are masked are not written.
        unsafe { _mm512_mask_storeu_ps(to.wrapping_sub(lanes.start), mask, self.0) }
    }

    #[inline(always)]
    fn parted(self, high: Self) -> [Self; 2] {
        // SAFETY: a vector.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            let even = Self(_mm512_permutex2var_ps(self.0, even, high.0));
            [even, Self(_mm512_permutex2var_ps(self.0, odd, high.0))]
        }
    }

    #[inline(always)]
    fn interleaved(self, odd: Self) -> [Self; 2] {
        // SAFETY: a vector.
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
            let low = Self(_mm512_permutex2var_ps(self.0, low, odd.0));
            [low, Self(_mm512_permutex2var_ps(self.0, high, odd.0))]
        }
    }

    #[inline(always)]
    fn turned(rows: [Self; LANES]) -> [Self; LANES] {
        // SAFETY: vectors, which are registers and nothing else.
        unsafe {
            let rows = std::mem::transmute::<[Self; LANES], [__m512; LANES]>(rows);
            std::mem::transmute::<[__m512; LANES], [Self; LANES]>(turned(rows))
        }
    }
}

/// [`Simd::chances`].
#[target_feature(enable = "avx512f")]
#[inline]
fn chances(key: [u32; 2], column: u32) -> __m512 {
    let splat = |value: u32| _mm512_set1_epi32(value.cast_signed());
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let bits = _mm512_xor_si512(_mm512_add_epi32(splat(column), lanes), splat(key[0]));
    let bits = _mm512_xor_si512(bits, _mm512_srli_epi32::<16>(bits));
    let bits = _mm512_mullo_epi32(bits, splat(MULTIPLIERS[0]));
    let bits = _mm512_xor_si512(_mm512_xor_si512(bits, _mm512_srli_epi32::<15>(bits)), splat(key[1]));
    let bits = _mm512_mullo_epi32(bits, splat(MULTIPLIERS[1]));
    let bits = _mm512_srli_epi32::<8>(_mm512_xor_si512(bits, _mm512_srli_epi32::<16>(bits)));
    _mm512_mul_ps(_mm512_cvtepi32_ps(bits), _mm512_set1_ps(STEP))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
#[inline]
fn paired(first: __m512, second: __m512) -> __m512 {
    // SAFETY: the same bits, whatever they are called.
    let [low, high] =
        [first, second].map(|v| unsafe { std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(v)) });
    let high = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(high));
    _mm512_castsi512_ps(_mm512_or_si512(_mm512_cvtepu16_epi32(low), high))
}

/// The transposed 16x16 block: pairs, then fours, eights and sixteens of rows are interleaved.
#[target_feature(enable = "avx512f")]
#[inline]
fn turned(rows: [__m512; LANES]) -> [__m512; LANES] {
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
