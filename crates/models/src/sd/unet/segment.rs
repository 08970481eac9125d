//! The pieces that the U-Net's passes run one after the other.
//!
//! They are a flat list, so that a tuning pass can forget what is inside a piece and compute it again (`tape.rs`).

use super::transformer::{Transformer, TransformerShape};
use crate::lora::Pass;
use crate::sd::config::UNetConfig;
use crate::sd::layers::{Conv2d, Linear};
use crate::sd::resnet::{Resnet, ResnetShape, Upsample};
use crate::sd::weights::Weights;
use burn::tensor::Tensor;

/// What every piece of a pass is given beside its input.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    /// Activated embedding of the timestep, `[batch, 1, 4 * width]`.
    pub time: &'a Tensor<3>,
    /// The encoded prompt, `[batch, tokens, context]`.
    pub context: &'a Tensor<3>,
    pub pass: &'a Pass<'a>,
}

/// A residual block, then a transformer where the level has them.
#[derive(Debug, Clone)]
pub(super) struct Step {
    resnet: Resnet,
    transformer: Option<Transformer>,
}

impl Step {
    fn forward(&self, x: Tensor<4>, given: Given) -> Tensor<4> {
        let x = self.resnet.forward(x, Some(given.time), given.pass);
        match &self.transformer {
            Some(transformer) => transformer.forward(x, given.context, given.pass),
            None => x,
        }
    }

    fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.resnet.linears().into_iter().chain(self.transformer.iter().flat_map(Transformer::linears))
    }
}

/// One piece; `skip` is what the way down has kept for it.
#[derive(Debug, Clone)]
pub(super) enum Segment {
    /// On the way down: kept for the way up.
    Down(Step),
    /// To half the resolution: kept as well.
    Halve(Conv2d),
    /// At the bottom.
    Middle(Step),
    /// On the way up: takes what was kept last.
    Up(Step),
    /// To the resolution of what was kept last.
    Double(Upsample),
}

impl Segment {
    /// Whether the output is kept for the way up.
    pub fn keeps(&self) -> bool {
        matches!(self, Self::Down(_) | Self::Halve(_))
    }

    /// Whether it takes what was kept last.
    pub fn takes(&self) -> bool {
        matches!(self, Self::Up(_))
    }

    /// `size` is the height and width of what was kept last.
    pub fn forward(&self, x: Tensor<4>, skip: Option<Tensor<4>>, size: [usize; 2], given: Given) -> Tensor<4> {
        let x = match skip {
            Some(skip) => Tensor::cat(vec![x, skip], 1),
            None => x,
        };
        match self {
            Self::Down(step) | Self::Middle(step) | Self::Up(step) => step.forward(x, given),
            Self::Halve(conv) => conv.forward(x),
            Self::Double(upsample) => upsample.forward(x, size[0], size[1]),
        }
    }

    pub fn linears(&self) -> impl Iterator<Item = &Linear> {
        let step = match self {
            Self::Down(step) | Self::Middle(step) | Self::Up(step) => Some(step),
            Self::Halve(_) | Self::Double(_) => None,
        };
        step.into_iter().flat_map(Step::linears)
    }
}

fn resnet(config: &UNetConfig, w: Weights, input: usize, output: usize) -> Resnet {
    let time = Some(4 * config.block_out_channels[0]);
    Resnet::new(w, ResnetShape { input, output, time, groups: config.norm_num_groups, epsilon: config.norm_eps })
}

fn transformer(config: &UNetConfig, w: Weights, level: usize) -> Transformer {
    let shape = TransformerShape {
        width: config.block_out_channels[level],
        context: config.cross_attention_dim.at(level),
        heads: config.attention_head_dim.at(level),
        blocks: config.transformer_layers_per_block.at(level),
        groups: config.norm_num_groups,
        linear: config.use_linear_projection,
    };
    Transformer::new(w, shape)
}

fn step(config: &UNetConfig, w: &Weights, i: usize, level: usize, input: usize, crossed: bool) -> Step {
    let output = config.block_out_channels[level];
    Step {
        resnet: resnet(config, w.nth("resnets", i), input, output),
        transformer: crossed.then(|| transformer(config, w.nth("attentions", i), level)),
    }
}

/// `DownBlock2D` or `CrossAttnDownBlock2D`.
pub(super) fn down(config: &UNetConfig, w: Weights, level: usize) -> Vec<Segment> {
    let widths = &config.block_out_channels;
    let crossed = config.down_block_types[level] == "CrossAttnDownBlock2D";
    let input = |i: usize| widths[if i == 0 { level.saturating_sub(1) } else { level }];
    let layers = 0..config.layers_per_block.at(level);
    let mut segments: Vec<_> = layers.map(|i| Segment::Down(step(config, &w, i, level, input(i), crossed))).collect();
    if level + 1 < widths.len() {
        let channels = [widths[level]; 2];
        segments.push(Segment::Halve(Conv2d::strided(w.at("downsamplers.0.conv"), channels, 3, 2, 1)));
    }
    segments
}

/// `UNetMidBlock2DCrossAttn`.
pub(super) fn middle(config: &UNetConfig, w: Weights) -> [Segment; 2] {
    let level = config.levels() - 1;
    let width = config.block_out_channels[level];
    let first = step(config, &w, 0, level, width, true);
    let second = Step { resnet: resnet(config, w.nth("resnets", 1), width, width), transformer: None };
    [Segment::Middle(first), Segment::Middle(second)]
}

/// `UpBlock2D` or `CrossAttnUpBlock2D`; `index` counts from the coarsest level.
pub(super) fn up(config: &UNetConfig, w: Weights, index: usize) -> Vec<Segment> {
    let widths = &config.block_out_channels;
    let level = widths.len() - 1 - index;
    let crossed = config.up_block_types[index] == "CrossAttnUpBlock2D";
    let layers = config.layers_per_block.at(level) + 1;
    let below = widths[(level + 1).min(widths.len() - 1)];
    let input = |i: usize| {
        let before = if i == 0 { below } else { widths[level] };
        let skip = if i + 1 == layers { widths[level.saturating_sub(1)] } else { widths[level] };
        before + skip
    };
    let steps = (0..layers).map(|i| Segment::Up(step(config, &w, i, level, input(i), crossed)));
    let double = (level > 0).then(|| Segment::Double(Upsample::new(&w, widths[level])));
    steps.chain(double).collect()
}
