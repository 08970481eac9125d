//! The kernels for processors with vector instructions, written once for all of them.
//!
//! A product of matrices out of register tiles is at the bottom (`simd`, `tile`, `amx`, `product`); linear layers, convolutions and
//! attention pack their factors for it, from whatever they keep them as.

mod amx;
mod attention;
mod conv;
mod direct;
mod double;
mod frozen;
mod functions;
mod gated;
mod layer_norm;
mod linear;
mod low_rank;
mod map;
mod moments;
mod norm;
mod pack;
mod packed;
mod product;
mod scratch;
mod shared;
mod simd;
mod softmax;
mod tile;
mod winograd;

pub(crate) use frozen::Frozen;

use super::Way;
use simd::{Avx2, Avx512};

/// Evaluates an expression with leave to use a way's instructions.
macro_rules! with_simd {
    ($way:expr, $simd:ident => $value:expr) => {{
        use $crate::kernels::Way;
        use $crate::kernels::vector::simd::{Avx2, Avx512};
        const MADE: &str = "a way that this processor has";
        match $way {
            Way::Avx2 => {
                let $simd = Avx2::found().expect(MADE);
                $value
            }
            Way::Avx512 => {
                let $simd = Avx512::<false, false>::found().expect(MADE);
                $value
            }
            Way::Avx512Bf16 => {
                let $simd = Avx512::<true, false>::found().expect(MADE);
                $value
            }
            Way::Amx => {
                let $simd = Avx512::<true, true>::found().expect(MADE);
                $value
            }
        }
    }};
}
use with_simd;

/// Whether this processor has it.
pub(super) fn is_able(way: Way) -> bool {
    match way {
        Way::Avx2 => Avx2::found().is_some(),
        Way::Avx512 => Avx512::<false, false>::found().is_some(),
        Way::Avx512Bf16 => Avx512::<true, false>::found().is_some(),
        Way::Amx => Avx512::<true, true>::found().is_some(),
    }
}

/// Multiplications and additions of [`run_tiles`].
pub(super) fn tiles_flops(way: Way) -> u64 {
    with_simd!(way, simd => tile::tiles_flops(simd))
}

/// Nothing but tiles: what the multipliers of one core can do at most.
pub(super) fn run_tiles(way: Way) {
    with_simd!(way, simd => tile::run_tiles(simd));
}
