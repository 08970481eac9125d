//! The kernels for x86-64 with AVX-512 (foundation, BW, VL), in `f32` or `bf16`.
//!
//! A product of matrices out of register tiles is at the bottom (`tile`, `product`); linear layers, convolutions and
//! attention pack their factors for it, from whatever they keep them as.

mod attention;
mod conv;
mod frozen;
mod gated;
mod linear;
mod norm;
mod product;
mod scratch;
mod simd;
mod tile;
mod winograd;

pub(crate) use frozen::Frozen;
pub(super) use tile::{run_tiles, tiles_flops};
