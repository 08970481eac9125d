//! AVX2 with FMA and F16C: Intel since 2013, AMD since 2015. A vector is two registers.

use super::{LANES, Simd, Vector, operators};
use crate::kernels::dropout::{MULTIPLIERS, STEP};
use std::arch::x86_64::*;
use std::ops::Range;

/// Leave to use AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx2(());

impl Avx2 {
    /// Where the processor has them.
    pub fn found() -> Option<Self> {
        let found = [is_x86_feature_detected!("avx2"), is_x86_feature_detected!("fma")];
        (found == [true; 2] && is_x86_feature_detected!("f16c")).then_some(Self(()))
    }
}

/// Lanes of a register.
const HALF: usize = LANES / 2;

/// The lower and the upper lanes.
#[derive(Clone, Copy)]
pub(in super::super) struct Two(__m256, __m256);

/// Ones for the first `count` lanes.
#[target_feature(enable = "avx2")]
#[inline]
fn mask(count: usize) -> [__m256i; 2] {
    const ONES: [[i32; LANES]; 2] = [[-1; LANES], [0; LANES]];
    let from = ONES.as_flattened()[LANES - count.min(LANES)..][..LANES].as_ptr();
    // SAFETY: sixteen numbers of the slice.
    unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(HALF).cast())] }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn run<R>(mut work: impl FnMut() -> R) -> R {
    work()
}

/// The first `count` of sixteen halfwords, the others 0.
///
/// # Safety
/// `count` numbers can be read.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn halfwords(from: *const u16, count: usize) -> [__m128i; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        if count >= LANES {
            [_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(HALF).cast())]
        } else if count >= HALF {
            [_mm_loadu_si128(from.cast()), few_halfwords(from.add(HALF), count - HALF)]
        } else {
            [few_halfwords(from, count), _mm_setzero_si128()]
        }
    }
}

/// The first `count` of eight halfwords, less than all; the others 0.
///
/// # Safety
/// `count` numbers can be read.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn few_halfwords(from: *const u16, count: usize) -> __m128i {
    let (mut bits, mut read) = (0u128, 0);
    // SAFETY: the caller's promise; all bits are numbers.
    unsafe {
        if count & 4 != 0 {
            (bits, read) = (u128::from(from.cast::<u64>().read_unaligned()), 4);
        }
        if count & 2 != 0 {
            bits |= u128::from(from.add(read).cast::<u32>().read_unaligned()) << (16 * read);
            read += 2;
        }
        if count & 1 != 0 {
            bits |= u128::from(from.add(read).read()) << (16 * read);
        }
        std::mem::transmute::<u128, __m128i>(bits)
    }
}

// Why the unsafe calls below are sound: a token or a vector exists only where the processor has the instructions.
impl Simd for Avx2 {
    type Vector = Two;

    // 12 of the 16 registers hold sums; 6 broadcasts and 2 loads feed 12 multiplications with addition.
    const ROWS: usize = 6;
    const VECTORS: usize = 1;
    const PAIRS: bool = false;
    const TILES: bool = false;

    #[inline(always)]
    fn run<R>(self, work: impl FnMut() -> R) -> R {
        // SAFETY: the token.
        unsafe { run(work) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Two {
        // SAFETY: the token.
        unsafe { Two(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Two {
        // SAFETY: the token, and the caller's promise.
        unsafe { Two(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(HALF))) }
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Two {
        // SAFETY: the token, and the caller's promise; lanes that are masked are not read.
        unsafe {
            if count >= LANES {
                return self.load(from);
            }
            let [low, high] = mask(count);
            Two(_mm256_maskload_ps(from, low), _mm256_maskload_ps(from.wrapping_add(HALF), high))
        }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const u16, count: usize) -> Two {
        // SAFETY: the token, and the caller's promise.
        unsafe {
            let [low, high] = halfwords(from, count);
            Two(_mm256_cvtph_ps(low), _mm256_cvtph_ps(high))
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16, count: usize) -> Two {
        // SAFETY: the token, and the caller's promise.
        unsafe {
            let [low, high] = halfwords(from, count);
            let low = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(low));
            let high = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(high));
            Two(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high))
        }
    }

    #[inline(always)]
    fn chances(self, key: [u32; 2], column: u32) -> Two {
        // SAFETY: the token.
        unsafe { Two(chances(key, column), chances(key, column + HALF as u32)) }
    }

    #[inline(always)]
    fn multiply(self, factor: Two, entry: Two, sum: Two) -> Two {
        factor.times_plus(entry, sum)
    }

    fn paired(self, _: Two, _: Two) -> Two {
        unreachable!("{NO_PAIRS}")
    }

    fn paired_neighbours(self, _: Two, _: Two) -> Two {
        unreachable!("{NO_PAIRS}")
    }

    unsafe fn load_pairs(self, _: *const u16, _: usize) -> Two {
        unreachable!("{NO_PAIRS}")
    }
}

const NO_PAIRS: &str = "AVX2 has no bf16";

operators!(
    Two,
    |a, b|
    Add add Self(_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)),
    Sub sub Self(_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)),
    Mul mul Self(_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)),
    Div div Self(_mm256_div_ps(a.0, b.0), _mm256_div_ps(a.1, b.1))
);

impl Vector for Two {
    #[inline(always)]
    fn times_plus(self, factor: Self, sum: Self) -> Self {
        // SAFETY: a vector.
        unsafe { Self(_mm256_fmadd_ps(self.0, factor.0, sum.0), _mm256_fmadd_ps(self.1, factor.1, sum.1)) }
    }

    #[inline(always)]
    fn times_from(self, factor: Self, sum: Self) -> Self {
        // SAFETY: a vector.
        unsafe { Self(_mm256_fnmadd_ps(self.0, factor.0, sum.0), _mm256_fnmadd_ps(self.1, factor.1, sum.1)) }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: a vector.
        unsafe { Self(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1)) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: a vector.
        unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }

    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: a vector.
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            Self(_mm256_andnot_ps(sign, self.0), _mm256_andnot_ps(sign, self.1))
        }
    }

    #[inline(always)]
    fn rounded(self) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: a vector.
        unsafe { Self(_mm256_round_ps::<NEAREST>(self.0), _mm256_round_ps::<NEAREST>(self.1)) }
    }

    #[inline(always)]
    fn times_power_of_two(self, power: Self) -> Self {
        // SAFETY: a vector.
        unsafe { Self(times_power_of_two(self.0, power.0), times_power_of_two(self.1, power.1)) }
    }

    #[inline(always)]
    fn choose(self, negative: Self, other: Self) -> Self {
        // SAFETY: a vector.
        unsafe {
            let zero = _mm256_setzero_ps();
            Self(
                _mm256_blendv_ps(other.0, negative.0, _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, zero)),
                _mm256_blendv_ps(other.1, negative.1, _mm256_cmp_ps::<_CMP_LT_OQ>(self.1, zero)),
            )
        }
    }

    #[inline(always)]
    fn first(self, count: usize) -> Self {
        // SAFETY: a vector.
        unsafe {
            let [low, high] = mask(count);
            Self(_mm256_and_ps(self.0, _mm256_castsi256_ps(low)), _mm256_and_ps(self.1, _mm256_castsi256_ps(high)))
        }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: a vector.
        unsafe {
            let eight = _mm256_add_ps(self.0, self.1);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: a vector, and the caller's promise.
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(HALF), self.1);
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: a vector, and the caller's promise.
        unsafe {
            if count >= LANES {
                self.store(to);
            } else if count >= HALF {
                _mm256_storeu_ps(to, self.0);
                store_part(self.1, to.add(HALF), count - HALF);
            } else {
                store_part(self.0, to, count);
            }
        }
    }

    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, lanes: Range<usize>) {
        // SAFETY: a vector, and the caller's promise.
        unsafe {
            if lanes.start.is_multiple_of(2) && lanes.end.is_multiple_of(2) {
                return store_pairs([self.0, self.1], to, lanes);
            }
            let mut all = [0.0; LANES];
            self.store(all.as_mut_ptr());
            std::ptr::copy_nonoverlapping(all[lanes.clone()].as_ptr(), to, lanes.len());
        }
    }

    #[inline(always)]
    fn parted(self, high: Self) -> [Self; 2] {
        // SAFETY: a vector.
        unsafe {
            let ([a, b], [c, d]) = (parted(self.0, self.1), parted(high.0, high.1));
            [Self(a, c), Self(b, d)]
        }
    }

    #[inline(always)]
    fn interleaved(self, odd: Self) -> [Self; 2] {
        // SAFETY: a vector.
        unsafe {
            let ([a, b], [c, d]) = (interleaved(self.0, odd.0), interleaved(self.1, odd.1));
            [Self(a, b), Self(c, d)]
        }
    }

    #[inline(always)]
    fn turned(rows: [Self; LANES]) -> [Self; LANES] {
        // SAFETY: vectors.
        unsafe { turned(&rows) }
    }
}

/// [`Simd::chances`] of eight columns.
#[target_feature(enable = "avx2")]
#[inline]
fn chances(key: [u32; 2], column: u32) -> __m256 {
    let splat = |value: u32| _mm256_set1_epi32(value.cast_signed());
    let place = _mm256_add_epi32(splat(column), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    let bits = _mm256_xor_si256(place, splat(key[0]));
    let bits = _mm256_xor_si256(bits, _mm256_srli_epi32::<16>(bits));
    let bits = _mm256_mullo_epi32(bits, splat(MULTIPLIERS[0]));
    let bits = _mm256_xor_si256(_mm256_xor_si256(bits, _mm256_srli_epi32::<15>(bits)), splat(key[1]));
    let bits = _mm256_mullo_epi32(bits, splat(MULTIPLIERS[1]));
    let bits = _mm256_srli_epi32::<8>(_mm256_xor_si256(bits, _mm256_srli_epi32::<16>(bits)));
    _mm256_mul_ps(_mm256_cvtepi32_ps(bits), _mm256_set1_ps(STEP))
}

/// In two steps, since one of them alone may be too large or small for a number.
#[target_feature(enable = "avx2")]
#[inline]
fn times_power_of_two(x: __m256, power: __m256) -> __m256 {
    let power = _mm256_cvtps_epi32(power);
    let half = _mm256_srai_epi32::<1>(power);
    let two_to = |n| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(n, _mm256_set1_epi32(127))));
    let (a, b) = (two_to(half), two_to(_mm256_sub_epi32(power, half)));
    _mm256_mul_ps(_mm256_mul_ps(x, a), b)
}

/// Writes the first `count` lanes, less than all: masked stores are slow on AMD's processors.
///
/// # Safety
/// They can be written.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn store_part(from: __m256, mut to: *mut f32, count: usize) {
    let mut part = _mm256_castps256_ps128(from);
    // SAFETY: the caller's promise.
    unsafe {
        if count & 4 != 0 {
            _mm_storeu_ps(to, part);
            (part, to) = (_mm256_extractf128_ps::<1>(from), to.add(4));
        }
        if count & 2 != 0 {
            _mm_storel_epi64(to.cast(), _mm_castps_si128(part));
            (part, to) = (_mm_movehl_ps(part, part), to.add(2));
        }
        if count & 1 != 0 {
            _mm_store_ss(to, part);
        }
    }
}

/// Writes lanes from an even one to an even one.
///
/// # Safety
/// They can be written.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn store_pairs(from: [__m256; 2], to: *mut f32, lanes: Range<usize>) {
    for quarter in 0..4 {
        let half = from[quarter / 2];
        let four = if quarter % 2 == 0 { _mm256_castps256_ps128(half) } else { _mm256_extractf128_ps::<1>(half) };
        let first = 4 * quarter;
        let has = |lane: usize| lanes.contains(&lane);
        // SAFETY: the caller's promise; a place is only made use of where its lane is among them.
        unsafe {
            let place = to.wrapping_add(first).wrapping_sub(lanes.start);
            match (has(first), has(first + 2)) {
                (true, true) => _mm_storeu_ps(place, four),
                (true, false) => _mm_storel_epi64(place.cast(), _mm_castps_si128(four)),
                (false, true) => {
                    let upper = _mm_castps_si128(_mm_movehl_ps(four, four));
                    _mm_storel_epi64(place.wrapping_add(2).cast(), upper);
                }
                (false, false) => (),
            }
        }
    }
}

/// The lanes of even and of odd places among sixteen.
#[target_feature(enable = "avx2")]
#[inline]
fn parted(low: __m256, high: __m256) -> [__m256; 2] {
    let (even, odd) = (_mm256_shuffle_ps::<0x88>(low, high), _mm256_shuffle_ps::<0xdd>(low, high));
    let in_turn = |v| _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(v)));
    [in_turn(even), in_turn(odd)]
}

/// Lanes of both in turn.
#[target_feature(enable = "avx2")]
#[inline]
fn interleaved(even: __m256, odd: __m256) -> [__m256; 2] {
    let (low, high) = (_mm256_unpacklo_ps(even, odd), _mm256_unpackhi_ps(even, odd));
    [_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high)]
}

/// The transposed 16x16 block, of four of 8x8.
#[target_feature(enable = "avx2")]
#[inline]
fn turned(rows: &[Two; LANES]) -> [Two; LANES] {
    let mut blocks = [[_mm256_setzero_ps(); HALF]; 4];
    for i in 0..HALF {
        (blocks[0][i], blocks[1][i]) = (rows[i].0, rows[HALF + i].0);
        (blocks[2][i], blocks[3][i]) = (rows[i].1, rows[HALF + i].1);
    }
    let [a, b, c, d] = blocks;
    let (a, b, c, d) = (turned_block(a), turned_block(b), turned_block(c), turned_block(d));
    let mut done = *rows;
    for i in 0..HALF {
        done[i] = Two(a[i], b[i]);
        done[HALF + i] = Two(c[i], d[i]);
    }
    done
}

/// The transposed 8x8 block: pairs, then fours and eights of rows are interleaved.
#[target_feature(enable = "avx2")]
#[inline]
fn turned_block(rows: [__m256; HALF]) -> [__m256; HALF] {
    let mut a = rows;
    for i in 0..4 {
        a[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
    }
    let mut b = a;
    for i in 0..2 {
        let [p, q, r, s] = [a[4 * i], a[4 * i + 1], a[4 * i + 2], a[4 * i + 3]];
        b[4 * i] = _mm256_shuffle_ps::<0x44>(p, r);
        b[4 * i + 1] = _mm256_shuffle_ps::<0xee>(p, r);
        b[4 * i + 2] = _mm256_shuffle_ps::<0x44>(q, s);
        b[4 * i + 3] = _mm256_shuffle_ps::<0xee>(q, s);
    }
    let mut c = b;
    for i in 0..4 {
        c[i] = _mm256_permute2f128_ps::<0x20>(b[i], b[4 + i]);
        c[4 + i] = _mm256_permute2f128_ps::<0x31>(b[i], b[4 + i]);
    }
    c
}
