//! `AutoencoderKL`, the autoencoder of latent diffusion (Rombach et al. 2022).

use super::config::VaeConfig;
use super::layers::{Conv2d, GroupNorm, Linear, MultiHead, from_tokens, multi_head, to_tokens};
use super::resnet::{Resnet, ResnetShape, Upsample};
use super::weights::Weights;
use crate::lora::Pass;
use burn::tensor::Tensor;

/// Epsilon of every group norm in the autoencoder (diffusers has it fixed, too).
const EPSILON: f64 = 1e-6;

/// Mean and log variance of the latents of images, `[batch, latent_channels, height / scale, width / scale]`, not scaled.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Mean.
    pub mean: Tensor<4>,
    /// Logarithm of the variance, clamped to -30..20.
    pub logvar: Tensor<4>,
}

impl Moments {
    /// A sample from standard normal `noise` of the mean's shape.
    pub fn sample(&self, noise: Tensor<4>) -> Tensor<4> {
        self.mean.clone() + (self.logvar.clone() * 0.5).exp() * noise
    }
}

/// The autoencoder: images in -1..1 to latents and back.
#[derive(Debug, Clone)]
pub struct AutoencoderKl {
    encoder: Encoder,
    quant_conv: Conv2d,
    post_quant_conv: Conv2d,
    decoder: Decoder,
}

impl AutoencoderKl {
    pub(crate) fn new(config: &VaeConfig, w: Weights) -> Self {
        let latent = config.latent_channels;
        Self {
            encoder: Encoder::new(config, w.at("encoder")),
            quant_conv: Conv2d::new(w.at("quant_conv"), 2 * latent, 2 * latent, 1),
            post_quant_conv: Conv2d::new(w.at("post_quant_conv"), latent, latent, 1),
            decoder: Decoder::new(config, w.at("decoder")),
        }
    }

    /// Images `[batch, 3, height, width]` in -1..1, sides divisible by the scale (8), to the latents' distribution.
    pub fn encode(&self, images: Tensor<4>) -> Moments {
        let both = self.quant_conv.forward(self.encoder.forward(images));
        let [mean, logvar]: [Tensor<4>; 2] = both.chunk(2, 1).try_into().expect("two chunks");
        Moments { mean, logvar: logvar.clamp(-30.0, 20.0) }
    }

    /// Latents (not scaled) to images, about -1..1.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        self.decoder.forward(self.post_quant_conv.forward(latents))
    }
}

fn resnet(config: &VaeConfig, w: Weights, input: usize, output: usize) -> Resnet {
    let shape = ResnetShape { input, output, time: None, groups: config.norm_num_groups, epsilon: EPSILON };
    Resnet::new(w, shape)
}

/// Residual blocks at one resolution.
fn run(resnets: &[Resnet], x: Tensor<4>) -> Tensor<4> {
    resnets.iter().fold(x, |x, resnet| resnet.forward(x, None, &Pass::OFF))
}

#[derive(Debug, Clone)]
struct Encoder {
    conv_in: Conv2d,
    levels: Vec<(Vec<Resnet>, Option<Conv2d>)>,
    mid: Mid,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Encoder {
    fn new(config: &VaeConfig, w: Weights) -> Self {
        let widths = &config.block_out_channels;
        let last = widths.len() - 1;
        let level = |i: usize| {
            let w = w.nth("down_blocks", i);
            let width = |j: usize| if j == 0 { widths[i.saturating_sub(1)] } else { widths[i] };
            let resnets =
                (0..config.layers_per_block).map(|j| resnet(config, w.nth("resnets", j), width(j), widths[i]));
            // One row and column of zeros at the far sides only.
            let down = || Conv2d::strided(w.at("downsamplers.0.conv"), [widths[i]; 2], 3, 2, [0, 1]);
            (resnets.collect(), (i < last).then(down))
        };
        Self {
            conv_in: Conv2d::new(w.at("conv_in"), config.in_channels, widths[0], 3),
            levels: (0..=last).map(level).collect(),
            mid: Mid::new(config, w.at("mid_block")),
            norm_out: GroupNorm::new(w.at("conv_norm_out"), widths[last], config.norm_num_groups, EPSILON),
            conv_out: Conv2d::new(w.at("conv_out"), widths[last], 2 * config.latent_channels, 3),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let mut x = self.conv_in.forward(images);
        for (resnets, down) in &self.levels {
            x = run(resnets, x);
            if let Some(down) = down {
                x = down.forward(x);
            }
        }
        self.conv_out.forward(self.norm_out.forward_silu(self.mid.forward(x)))
    }
}

#[derive(Debug, Clone)]
struct Decoder {
    conv_in: Conv2d,
    mid: Mid,
    levels: Vec<(Vec<Resnet>, Option<Upsample>)>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    fn new(config: &VaeConfig, w: Weights) -> Self {
        let widths: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let last = widths.len() - 1;
        let level = |i: usize| {
            let w = w.nth("up_blocks", i);
            let width = |j: usize| if j == 0 { widths[i.saturating_sub(1)] } else { widths[i] };
            let resnets =
                (0..=config.layers_per_block).map(|j| resnet(config, w.nth("resnets", j), width(j), widths[i]));
            (resnets.collect(), (i < last).then(|| Upsample::new(&w, widths[i])))
        };
        Self {
            conv_in: Conv2d::new(w.at("conv_in"), config.latent_channels, widths[0], 3),
            mid: Mid::new(config, w.at("mid_block")),
            levels: (0..=last).map(level).collect(),
            norm_out: GroupNorm::new(w.at("conv_norm_out"), widths[last], config.norm_num_groups, EPSILON),
            conv_out: Conv2d::new(w.at("conv_out"), widths[last], config.out_channels, 3),
        }
    }

    fn forward(&self, latents: Tensor<4>) -> Tensor<4> {
        let mut x = self.mid.forward(self.conv_in.forward(latents));
        for (resnets, up) in &self.levels {
            x = run(resnets, x);
            if let Some(up) = up {
                let [_, _, height, width] = x.dims();
                x = up.forward(x, 2 * height, 2 * width);
            }
        }
        self.conv_out.forward(self.norm_out.forward_silu(x))
    }
}

/// `UNetMidBlock2D`: residual block, attention, residual block.
#[derive(Debug, Clone)]
struct Mid {
    first: Resnet,
    attention: Attention,
    second: Resnet,
}

impl Mid {
    fn new(config: &VaeConfig, w: Weights) -> Self {
        let width = *config.block_out_channels.last().expect("checked when read");
        Self {
            first: resnet(config, w.nth("resnets", 0), width, width),
            attention: Attention::new(w.nth("attentions", 0), width, config.norm_num_groups),
            second: resnet(config, w.nth("resnets", 1), width, width),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.first.forward(x, None, &Pass::OFF);
        self.second.forward(self.attention.forward(x), None, &Pass::OFF)
    }
}

/// One-headed attention between all pixels.
#[derive(Debug, Clone)]
struct Attention {
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    how: MultiHead,
}

impl Attention {
    fn new(w: Weights, width: usize, groups: usize) -> Self {
        let linear = |name: &str| Linear::new(w.at(name), width, width, true);
        let group_norm = GroupNorm::new(w.at("group_norm"), width, groups, EPSILON);
        let (to_q, to_k, to_v, to_out) = (linear("to_q"), linear("to_k"), linear("to_v"), linear("to_out.0"));
        Self { group_norm, to_q, to_k, to_v, to_out, how: MultiHead { heads: 1, way: w.way() } }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let tokens = to_tokens(self.group_norm.forward(x.clone()));
        let [q, k, v] = [&self.to_q, &self.to_k, &self.to_v].map(|l| l.forward(tokens.clone(), &Pass::OFF));
        let mixed = self.to_out.forward(multi_head(q, k, v, self.how, false), &Pass::OFF);
        x + from_tokens(mixed, height, width)
    }
}

/// The names of the attention's layers since diffusers 0.18, for those of the checkpoints published before.
pub(crate) fn rename(name: &str) -> Option<String> {
    let parts = [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")];
    let renamed = parts.iter().find_map(|(old, new)| {
        let (head, tail) = name.split_once(&format!("mid_block.attentions.0.{old}."))?;
        Some(format!("{head}mid_block.attentions.0.{new}.{tail}"))
    });
    Some(renamed.unwrap_or_else(|| name.to_owned()))
}
