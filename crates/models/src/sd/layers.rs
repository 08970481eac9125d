//! The few layers that Stable Diffusion is made of, with frozen weights under their checkpoint's names.

use super::weights::Weights;
use crate::attention::attend;
use crate::lora::Pass;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use burn::tensor::module::{attention, conv2d, layer_norm, linear};
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};

/// A linear layer that an adapter may stand beside.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    name: String,
    /// `[in, out]`: a transposed view of the file's `[out, in]`.
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
}

impl Linear {
    pub fn new(w: Weights, input: usize, output: usize, bias: bool) -> Self {
        let weight = w.tensor("weight", [output, input]).transpose();
        let bias = bias.then(|| w.tensor("bias", [output]));
        Self { name: w.name(), weight, bias }
    }

    /// `[batch, tokens, in]` to `[batch, tokens, out]`.
    pub fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let delta = pass.delta(&self.name, &x);
        let y = linear(x, self.weight.clone(), self.bias.clone());
        match delta {
            Some(delta) => y + delta,
            None => y,
        }
    }

    /// Name and `[in, out]`, for whoever wants to attach an adapter.
    pub fn slot(&self) -> LinearSlot {
        let [input, output] = self.weight.dims();
        LinearSlot { name: self.name.clone(), input, output }
    }
}

/// A place where an adapter can be attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearSlot {
    /// The layer's name in the checkpoint, such as `mid_block.attentions.0.transformer_blocks.0.attn1.to_q`.
    pub name: String,
    /// Width in.
    pub input: usize,
    /// Width out.
    pub output: usize,
}

/// A convolution.
#[derive(Debug, Clone)]
pub(crate) struct Conv2d {
    weight: Tensor<4>,
    bias: Tensor<1>,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// A square kernel with "same" padding.
    pub fn new(w: Weights, input: usize, output: usize, kernel: usize) -> Self {
        let weight = w.tensor("weight", [output, input, kernel, kernel]);
        Self { weight, bias: w.tensor("bias", [output]), stride: 1, padding: kernel / 2 }
    }

    pub fn with_stride(self, stride: usize, padding: usize) -> Self {
        Self { stride, padding, ..self }
    }

    pub fn output_channels(&self) -> usize {
        self.weight.dims()[0]
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (s, p) = (self.stride, self.padding);
        conv2d(x, self.weight.clone(), Some(self.bias.clone()), ConvOptions::new([s, s], [p, p], [1, 1], 1))
    }
}

/// Group norm (Wu & He 2018).
#[derive(Debug, Clone)]
pub(crate) struct GroupNorm {
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    epsilon: f64,
}

impl GroupNorm {
    pub fn new(w: Weights, channels: usize, groups: usize, epsilon: f64) -> Self {
        Self { gamma: w.tensor("weight", [channels]), beta: w.tensor("bias", [channels]), groups, epsilon }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let grouped = x.reshape([batch, self.groups, channels / self.groups * height * width]);
        let centred = grouped.clone() - grouped.mean_dim(2);
        let variance = centred.clone().square().mean_dim(2);
        let normed = centred / (variance + self.epsilon).sqrt();
        let affine = |t: &Tensor<1>| t.clone().reshape([1, channels, 1, 1]);
        normed.reshape([batch, channels, height, width]) * affine(&self.gamma) + affine(&self.beta)
    }

    /// Norm, then SiLU.
    pub fn forward_silu(&self, x: Tensor<4>) -> Tensor<4> {
        silu(self.forward(x))
    }
}

/// Layer norm (Ba et al. 2016).
#[derive(Debug, Clone)]
pub(crate) struct LayerNorm {
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
}

impl LayerNorm {
    pub fn new(w: Weights, width: usize, epsilon: f64) -> Self {
        Self { gamma: w.tensor("weight", [width]), beta: w.tensor("bias", [width]), epsilon }
    }

    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        layer_norm(x, self.gamma.clone(), Some(self.beta.clone()), self.epsilon)
    }
}

/// Scaled dot-product attention over heads: `[batch, tokens, heads * d]` queries on `[batch, others, heads * d]` keys, values.
pub(crate) fn multi_head(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize, causal: bool) -> Tensor<3> {
    let [batch, tokens, width] = q.dims();
    let split = |t: Tensor<3>| {
        let [batch, tokens, width] = t.dims();
        t.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2)
    };
    let (q, k, v) = (split(q), split(k), split(v));
    let mixed = if causal {
        let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
        attention(q, k, v, None, None, options)
    } else {
        attend(q, k, v)
    };
    mixed.swap_dims(1, 2).reshape([batch, tokens, width])
}

/// `[batch, channels, height, width]` as `[batch, height * width, channels]`.
pub(crate) fn to_tokens(x: Tensor<4>) -> Tensor<3> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height * width]).swap_dims(1, 2)
}

/// The inverse of [`to_tokens`].
pub(crate) fn from_tokens(x: Tensor<3>, height: usize, width: usize) -> Tensor<4> {
    let [batch, _, channels] = x.dims();
    x.swap_dims(1, 2).reshape([batch, channels, height, width])
}

/// Nearest-neighbour doubling, cropped to `[height, width]`: a level's own size when it was odd.
pub(crate) fn double(x: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
    let [batch, channels, h, w] = x.dims();
    let wide = x.reshape([batch, channels, h, 1, w, 1]).expand([batch, channels, h, 2, w, 2]);
    let doubled: Tensor<4> = wide.reshape([batch, channels, 2 * h, 2 * w]);
    if [2 * h, 2 * w] == [height, width] {
        return doubled;
    }
    doubled.slice([0..batch, 0..channels, 0..height, 0..width])
}
