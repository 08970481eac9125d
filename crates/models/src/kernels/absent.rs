//! Stand-ins for processors without kernels. [`are_on`](super::are_on) is false there, so nobody ever runs one.

use super::Kernel;
use crate::sd::Stored;
use std::sync::Arc;

const NEVER: &str = "kernels are off on this processor";

#[derive(Debug, Clone)]
pub(crate) struct Frozen;

impl Frozen {
    pub fn new(_: Stored, _: usize, _: usize) -> Self {
        Self
    }
}

#[derive(Debug, Clone)]
pub(crate) struct LinearMap {
    pub weights: Frozen,
    pub bias: Option<Arc<Vec<f32>>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    pub weights: Frozen,
    pub bias: Arc<Vec<f32>>,
    pub size: usize,
    pub stride: usize,
    pub padding: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Norm {
    pub gamma: Arc<Vec<f32>>,
    pub beta: Arc<Vec<f32>>,
    pub groups: usize,
    pub epsilon: f32,
    pub silu: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Geglu;

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

never!(LinearMap, Convolution, Norm, Geglu);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub batch: usize,
    pub tokens: usize,
    pub others: usize,
    pub heads: usize,
    pub width: usize,
}

pub(crate) type LogSums = Vec<f32>;

impl Heads {
    pub fn forward(&self, _: &[f32], _: &[f32], _: &[f32]) -> (Vec<f32>, LogSums) {
        unreachable!("{NEVER}")
    }

    pub fn backward(&self, _: [&[f32]; 5], _: &LogSums) -> [Vec<f32>; 3] {
        unreachable!("{NEVER}")
    }
}
