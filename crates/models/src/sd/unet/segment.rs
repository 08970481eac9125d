//! The pieces that the U-Net's passes run one after the other.
//!
//! They are a flat list of small ones, so that a tuning pass can choose of which it forgets what is inside and computes it
//! again (`tape.rs`).

use super::graphs::Held;
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

/// One piece.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    layer: Layer,
    /// Whether it takes what was kept last.
    pub takes: bool,
    /// Whether the output is kept for the way up.
    pub keeps: bool,
    /// What its graph holds.
    pub held: Held,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one a piece, made once")]
enum Layer {
    Resnet(Resnet),
    Transformer(Transformer),
    /// To half the resolution.
    Halve(Conv2d),
    /// To the resolution of what was kept last.
    Double(Upsample),
}

/// What a piece is run on.
#[derive(Clone)]
pub(super) struct Input {
    pub x: Tensor<4>,
    /// What the way down has kept for it.
    pub skip: Option<Tensor<4>>,
    /// Height and width of what was kept last.
    pub size: [usize; 2],
}

impl Segment {
    pub fn forward(&self, input: Input, given: Given) -> Tensor<4> {
        let Input { x, skip, size: [height, width] } = input;
        let x = match skip {
            Some(skip) => Tensor::cat(vec![x, skip], 1),
            None => x,
        };
        match &self.layer {
            Layer::Resnet(resnet) => resnet.forward(x, Some(given.time), given.pass),
            Layer::Transformer(transformer) => transformer.forward(x, given.context, given.pass),
            Layer::Halve(conv) => conv.forward(x),
            Layer::Double(upsample) => upsample.forward(x, height, width),
        }
    }

    pub fn linears(&self) -> Vec<&Linear> {
        match &self.layer {
            Layer::Resnet(resnet) => resnet.linears().into_iter().collect(),
            Layer::Transformer(transformer) => transformer.linears().collect(),
            Layer::Halve(_) | Layer::Double(_) => Vec::new(),
        }
    }
}

fn resnet(config: &UNetConfig, w: Weights, input: usize, output: usize) -> Resnet {
    let time = Some(4 * config.block_out_channels[0]);
    Resnet::new(w, ResnetShape { input, output, time, groups: config.norm_num_groups, epsilon: config.norm_eps })
}

fn transformer_shape(config: &UNetConfig, level: usize) -> TransformerShape {
    TransformerShape {
        width: config.block_out_channels[level],
        context: config.cross_attention_dim.at(level),
        heads: config.attention_head_dim.at(level),
        blocks: config.transformer_layers_per_block.at(level),
        groups: config.norm_num_groups,
        linear: config.use_linear_projection,
    }
}

/// Where a residual block stands.
struct Place {
    level: usize,
    /// Channels in, with those that it takes.
    input: usize,
    /// Whether a transformer follows.
    crossed: bool,
    takes: bool,
    keeps: bool,
}

/// A residual block, then a transformer where the level has them.
fn step(config: &UNetConfig, w: &Weights, i: usize, place: Place) -> Vec<Segment> {
    let Place { level, input, crossed, takes, keeps } = place;
    let output = config.block_out_channels[level];
    let block = Segment {
        layer: Layer::Resnet(resnet(config, w.nth("resnets", i), input, output)),
        takes,
        keeps: keeps && !crossed,
        held: Held::resnet(level, input, output, takes),
    };
    let transformer = crossed.then(|| {
        let shape = transformer_shape(config, level);
        let layer = Layer::Transformer(Transformer::new(w.nth("attentions", i), shape));
        Segment { layer, takes: false, keeps, held: Held::transformer(level, shape) }
    });
    std::iter::once(block).chain(transformer).collect()
}

/// `DownBlock2D` or `CrossAttnDownBlock2D`.
pub(super) fn down(config: &UNetConfig, w: Weights, level: usize) -> Vec<Segment> {
    let widths = &config.block_out_channels;
    let crossed = config.down_block_types[level] == "CrossAttnDownBlock2D";
    let place = |i: usize| {
        let input = widths[if i == 0 { level.saturating_sub(1) } else { level }];
        Place { level, input, crossed, takes: false, keeps: true }
    };
    let layers = 0..config.layers_per_block.at(level);
    let mut segments: Vec<_> = layers.flat_map(|i| step(config, &w, i, place(i))).collect();
    if level + 1 < widths.len() {
        let channels = [widths[level]; 2];
        let layer = Layer::Halve(Conv2d::strided(w.at("downsamplers.0.conv"), channels, 3, 2, [1; 2]));
        segments.push(Segment { layer, takes: false, keeps: true, held: Held::NOTHING });
    }
    segments
}

/// `UNetMidBlock2DCrossAttn`.
pub(super) fn middle(config: &UNetConfig, w: Weights) -> Vec<Segment> {
    let level = config.levels() - 1;
    let input = config.block_out_channels[level];
    let place = |crossed| Place { level, input, crossed, takes: false, keeps: false };
    [true, false].into_iter().enumerate().flat_map(|(i, crossed)| step(config, &w, i, place(crossed))).collect()
}

/// `UpBlock2D` or `CrossAttnUpBlock2D`; `index` counts from the coarsest level.
pub(super) fn up(config: &UNetConfig, w: Weights, index: usize) -> Vec<Segment> {
    let widths = &config.block_out_channels;
    let level = widths.len() - 1 - index;
    let crossed = config.up_block_types[index] == "CrossAttnUpBlock2D";
    let layers = config.layers_per_block.at(level) + 1;
    let below = widths[(level + 1).min(widths.len() - 1)];
    let place = |i: usize| {
        let before = if i == 0 { below } else { widths[level] };
        let skip = if i + 1 == layers { widths[level.saturating_sub(1)] } else { widths[level] };
        Place { level, input: before + skip, crossed, takes: true, keeps: false }
    };
    let steps = (0..layers).flat_map(|i| step(config, &w, i, place(i)));
    let double = (level > 0).then(|| {
        let layer = Layer::Double(Upsample::new(&w, widths[level]));
        Segment { layer, takes: false, keeps: false, held: Held::NOTHING }
    });
    steps.chain(double).collect()
}
