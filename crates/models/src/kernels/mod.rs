//! Kernels for the processor (Burn backend extensions on Flex), each beside Burn's own operation, which stays in use on
//! every other device and on processors without AVX2.
//!
//! Weights that are frozen stay in the precision of their file and are unpacked a tile at a time. Products are of `f32`, or of
//! numbers rounded to `bf16` where that is asked for; sums and all else are `f32`. Every value is summed in one order, whatever
//! the number of threads, so results are the same to the bit every time.

#[cfg(not(target_arch = "x86_64"))]
mod absent;
mod cases;
mod dropout;
mod layers;
mod ops;
mod precision;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vector;
mod way;

#[cfg(not(target_arch = "x86_64"))]
use absent as kind;
#[cfg(target_arch = "x86_64")]
use vector as kind;

pub use cases::cases;
pub(crate) use dropout::Dropout;
pub(crate) use kind::Frozen;
pub(crate) use layers::{Convolution, Double, Geglu, Gelu, Heads, LayerNorm, LinearMap, LogSums, LowRank, Norm};
pub(crate) use ops::{Split, adapt, apply, attend};
pub use precision::Precision;
pub(crate) use way::Way;
pub use way::check_kernels;

use std::fmt::Debug;

/// A function of one tensor, with its gradient.
pub(crate) trait Kernel: Debug + Send + Sync {
    /// Values and shape of the output, given those of the input.
    fn forward(&self, x: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>);

    /// The input's gradient, given input, its shape and the output's gradient; `x` is empty where it is not needed.
    fn backward(&self, x: &[f32], shape: &[usize], gradient: &[f32]) -> Vec<f32>;

    /// Whether the gradient depends on the input.
    fn needs_input(&self) -> bool {
        true
    }
}
