//! What the kernels compute: layers with their frozen weights, and attention. How is for each kind of processor.

#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only kernels read it"))]

use super::{Dropout, Frozen, Way};
use std::sync::Arc;

/// `y = W x + b` for each row of the input.
#[derive(Debug, Clone)]
pub(crate) struct LinearMap {
    pub way: Way,
    /// `[out, in]`.
    pub weights: Frozen,
    pub bias: Option<Arc<Vec<f32>>>,
}

/// What two factors beside a linear layer add to its output: `scale * B(A(dropout(x)))`, A `[rank, in]` and B `[out, rank]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LowRank {
    pub way: Way,
    /// Width between the factors.
    pub rank: usize,
    pub scale: f32,
    pub dropout: Dropout,
}

/// A square convolution: 1x1, or 3x3 with any stride.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    pub way: Way,
    /// `[filters, channels * size * size]`.
    pub weights: Frozen,
    pub bias: Arc<Vec<f32>>,
    pub size: usize,
    pub stride: usize,
    /// Zeros before and after the picture, along both of its sides.
    pub padding: [usize; 2],
}

/// Group norm of `[batch, channels, ...]`.
#[derive(Debug, Clone)]
pub(crate) struct Norm {
    pub way: Way,
    pub gamma: Arc<Vec<f32>>,
    pub beta: Arc<Vec<f32>>,
    pub groups: usize,
    pub epsilon: f32,
    /// Whether SiLU follows.
    pub silu: bool,
}

/// Layer norm of `[..., channels]`.
#[derive(Debug, Clone)]
pub(crate) struct LayerNorm {
    pub way: Way,
    pub gamma: Arc<Vec<f32>>,
    pub beta: Arc<Vec<f32>>,
    pub epsilon: f32,
}

/// Nearest-neighbour doubling of `[batch, channels, ...]` to this size, which may be a line or a column less than double.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Double {
    pub height: usize,
    pub width: usize,
}

/// GELU (Hendrycks and Gimpel 2016) of each number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gelu {
    pub way: Way,
}

/// `[..., 2 * width]`, values before gates, to `[..., width]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geglu {
    pub way: Way,
}

/// Heads side by side: `[batch, tokens, heads * width]` queries on `[batch, others, heads * width]` keys and values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub way: Way,
    pub batch: usize,
    pub tokens: usize,
    pub others: usize,
    pub heads: usize,
    pub width: usize,
}

/// What the way back of attention needs beside the output: the logarithm of each query's sum, `[batch, heads, tokens]`.
pub(crate) type LogSums = Vec<f32>;
