//! The U-Net's parts: residual block, self-attention, time embedding.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{GroupNorm, GroupNormConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::{relu, silu};
use burn::tensor::module::attention;
use burn::tensor::{Device, Tensor};

/// A 3×3 convolution that keeps the size.
pub(super) fn conv3x3(from: usize, to: usize) -> Conv2dConfig {
    Conv2dConfig::new([from, to], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
}

/// A 1×1 convolution: a linear map of the channels.
pub(super) fn conv1x1(from: usize, to: usize) -> Conv2dConfig {
    Conv2dConfig::new([from, to], [1, 1])
}

/// A layer that starts as the zero function, so that a residual branch starts as the identity. It is made so, since a weight that
/// is set to zero afterwards is one that Burn does not train until it is loaded from a file.
pub(super) fn zeroed(config: Conv2dConfig, device: &Device) -> Conv2d {
    config.with_initializer(Initializer::Zeros).init(device)
}

/// `x + conv(relu(conv(norm(x) · (1 + scale) + shift)))`, scale and shift from the time.
#[derive(Module, Debug)]
pub(super) struct ResBlock {
    norm: GroupNorm,
    time: Linear,
    first: Conv2d,
    second: Conv2d,
}

impl ResBlock {
    pub(super) fn new(width: usize, time_width: usize, device: &Device) -> Self {
        Self {
            norm: GroupNormConfig::new(8, width).init(device),
            time: LinearConfig::new(time_width, 2 * width).with_initializer(Initializer::Zeros).init(device),
            first: conv3x3(width, width).init(device),
            second: zeroed(conv3x3(width, width), device),
        }
    }

    /// `x` is `[n, width, h, w]`, `time` `[n, time_width]`.
    pub(super) fn forward(&self, x: Tensor<4>, time: &Tensor<2>) -> Tensor<4> {
        let [n, width, _, _] = x.dims();
        let modulation = self.time.forward(time.clone()).reshape([n, 2 * width, 1, 1]);
        let scale = modulation.clone().narrow(1, 0, width) + 1.0;
        let shift = modulation.narrow(1, width, width);
        let h = self.norm.forward(x.clone()) * scale + shift;
        x + self.second.forward(relu(self.first.forward(h)))
    }
}

/// Multi-head self-attention over all positions, added to its input.
#[derive(Module, Debug)]
pub(super) struct SelfAttention {
    norm: GroupNorm,
    qkv: Conv2d,
    out: Conv2d,
    heads: usize,
}

impl SelfAttention {
    pub(super) fn new(width: usize, head_channels: usize, device: &Device) -> Self {
        Self {
            norm: GroupNormConfig::new(8, width).init(device),
            qkv: conv1x1(width, 3 * width).init(device),
            out: zeroed(conv1x1(width, width), device),
            heads: width / head_channels,
        }
    }

    /// `x` is `[n, width, h, w]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [n, width, h, w] = x.dims();
        let qkv = self.qkv.forward(self.norm.forward(x.clone()));
        let part = |i: usize| {
            let channels = qkv.clone().narrow(1, i * width, width);
            channels.reshape([n, self.heads, width / self.heads, h * w]).swap_dims(2, 3)
        };
        let mixed = attention(part(0), part(1), part(2), None, None, Default::default());
        x + self.out.forward(mixed.swap_dims(2, 3).reshape([n, width, h, w]))
    }
}

/// Sinusoidal features of the timestep and two linear layers (Ho et al. 2020, appendix B).
#[derive(Module, Debug)]
pub(super) struct TimeEmbedding {
    first: Linear,
    second: Linear,
    frequencies: Param<Tensor<1>>,
}

impl TimeEmbedding {
    const FEATURES: usize = 64;

    pub(super) fn new(width: usize, device: &Device) -> Self {
        let half = Self::FEATURES / 2;
        let frequencies: Vec<f32> = (0..half).map(|i| (-(10_000f32.ln()) * i as f32 / half as f32).exp()).collect();
        Self {
            first: LinearConfig::new(Self::FEATURES, width).init(device),
            second: LinearConfig::new(width, width).init(device),
            frequencies: Param::from_tensor(Tensor::from_floats(frequencies.as_slice(), device))
                .set_require_grad(false),
        }
    }

    /// `timesteps` is `[n]`, 0 to 999; the result `[n, width]`.
    pub(super) fn forward(&self, timesteps: Tensor<1>) -> Tensor<2> {
        let angles = timesteps.unsqueeze_dim::<2>(1) * self.frequencies.val().unsqueeze_dim::<2>(0);
        let features = Tensor::cat(vec![angles.clone().sin(), angles.cos()], 1);
        silu(self.second.forward(silu(self.first.forward(features))))
    }
}
