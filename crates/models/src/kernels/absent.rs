//! Stand-ins for processors without kernels. They have no [`Way`], so nobody ever runs one.

use super::{Convolution, Double, Geglu, Gelu, Heads, Kernel, LayerNorm, LinearMap, LogSums, LowRank, Norm, Way};
use crate::sd::Stored;

const NEVER: &str = "kernels are off on this processor";

#[derive(Debug, Clone)]
pub(crate) struct Frozen;

impl Frozen {
    pub fn new(_: Stored, _: usize, _: usize) -> Self {
        Self
    }
}

pub(super) fn is_able(_: Way) -> bool {
    false
}

pub(super) fn tiles_flops(_: Way) -> u64 {
    unreachable!("{NEVER}")
}

pub(super) fn run_tiles(_: Way) {
    unreachable!("{NEVER}")
}

macro_rules! never {
    ($($kernel:ty),*) => {
        $(impl Kernel for $kernel {
            fn forward(&self, _: &[f32], _: &[usize]) -> (Vec<f32>, Vec<usize>) {
                unreachable!("{NEVER}")
            }

            fn backward(&self, _: &[f32], _: &[usize], _: &[f32]) -> Vec<f32> {
                unreachable!("{NEVER}")
            }
        })*
    };
}

never!(LinearMap, Convolution, Norm, LayerNorm, Double, Gelu, Geglu);

impl Heads {
    pub fn forward(&self, _: &[f32], _: &[f32], _: &[f32]) -> (Vec<f32>, LogSums) {
        unreachable!("{NEVER}")
    }

    pub fn backward(&self, _: [&[f32]; 5], _: &LogSums) -> [Vec<f32>; 3] {
        unreachable!("{NEVER}")
    }
}

impl LowRank {
    pub fn forward(&self, _: &[f32], _: [&[f32]; 2], _: &mut [f32]) -> Vec<f32> {
        unreachable!("{NEVER}")
    }

    pub fn backward(&self, _: &[f32], _: [&[f32]; 2], _: &[f32], _: &[f32], _: Option<&mut [f32]>) -> [Vec<f32>; 2] {
        unreachable!("{NEVER}")
    }
}
