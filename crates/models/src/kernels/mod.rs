//! Kernels for the processor (Burn backend extensions on Flex), each beside Burn's own operation, which stays in use on
//! every other device and on processors without AVX-512.
//!
//! Weights that are frozen stay in the precision of their file and are unpacked a tile at a time. Products are of `f32`, or of
//! numbers rounded to `bf16` where that is asked for; sums and all else are `f32`. Every value is summed by one thread in one
//! order, so results are the same to the bit every time.

#[cfg(not(target_arch = "x86_64"))]
mod absent;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod cases;
mod layers;
mod ops;
mod precision;
#[cfg(test)]
mod tests;

#[cfg(not(target_arch = "x86_64"))]
use absent as kind;
#[cfg(target_arch = "x86_64")]
use avx512 as kind;

pub use cases::cases;
pub(crate) use kind::Frozen;
pub(crate) use layers::{Convolution, Geglu, Heads, LinearMap, LogSums, Norm};
pub(crate) use ops::{Split, apply, attend};
pub use precision::Precision;

use std::fmt::Debug;
use std::sync::OnceLock;

/// Set to `off`, this variable keeps Burn's own operations in use everywhere.
const SWITCH: &str = "REALFILL_KERNELS";

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

/// Whether this processor runs the kernels, and they are not switched off.
pub(crate) fn are_on() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let is_off = std::env::var_os(SWITCH).is_some_and(|value| value.eq_ignore_ascii_case("off"));
        !is_off && is_able()
    })
}

#[cfg(target_arch = "x86_64")]
fn is_able() -> bool {
    let found = [is_x86_feature_detected!("avx512f"), is_x86_feature_detected!("avx512bw")];
    found == [true; 2] && is_x86_feature_detected!("avx512vl")
}

#[cfg(not(target_arch = "x86_64"))]
fn is_able() -> bool {
    false
}
