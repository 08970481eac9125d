//! `UNet2DConditionModel` (Rombach et al. 2022), as Stable Diffusion 1.5 and 2 configure it.

mod graphs;
mod segment;
mod tape;
mod time;
mod transformer;

pub use tape::{Tape, UNetGradients};

use super::config::UNetConfig;
use super::layers::{Conv2d, GroupNorm, Linear, LinearSlot};
use super::weights::Weights;
use crate::lora::Pass;
use burn::tensor::Tensor;
use graphs::GRAPH_BYTES;
use segment::{Given, Input, Segment};
use time::TimeEmbedding;

/// Predicts the noise (or v, or the image: the schedule's matter) in latents.
#[derive(Debug, Clone)]
pub struct UNet {
    conv_in: Conv2d,
    time: TimeEmbedding,
    segments: Vec<Segment>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    input_channels: usize,
    /// Bytes that the graphs kept in a tuning pass stay below (1 GB); what does not fit is computed again on the way back.
    /// They are counted for the processor's kernels. Where those do not run, graphs are many times larger, and the budget is 0:
    /// none is kept.
    pub graph_bytes: usize,
}

impl UNet {
    pub(crate) fn new(config: &UNetConfig, w: Weights) -> Self {
        let finest = config.block_out_channels[0];
        let levels = 0..config.levels();
        let mut segments = Vec::new();
        segments.extend(levels.clone().flat_map(|i| segment::down(config, w.nth("down_blocks", i), i)));
        segments.extend(segment::middle(config, w.at("mid_block")));
        segments.extend(levels.flat_map(|i| segment::up(config, w.nth("up_blocks", i), i)));
        Self {
            conv_in: Conv2d::new(w.at("conv_in"), config.in_channels, finest, 3),
            time: TimeEmbedding::new(config, w.at("time_embedding")),
            segments,
            conv_norm_out: GroupNorm::new(w.at("conv_norm_out"), finest, config.norm_num_groups, config.norm_eps),
            conv_out: Conv2d::new(w.at("conv_out"), finest, config.out_channels, 3),
            input_channels: config.in_channels,
            graph_bytes: if w.way().is_some() { GRAPH_BYTES } else { 0 },
        }
    }

    /// The prediction `[batch, out_channels, h, w]`.
    ///
    /// - `latents`: `[batch, in_channels, h, w]`; with an adapter that has extra input channels, those after the model's own.
    /// - `timesteps`: one for each in the batch.
    /// - `context`: the encoded prompt, `[batch, tokens, cross_attention_dim]`.
    pub fn forward(&self, latents: Tensor<4>, timesteps: &[f32], context: Tensor<3>, pass: &Pass) -> Tensor<4> {
        let time = self.time.forward(timesteps, &latents.device().without_autodiff(), pass);
        let given = Given { time: &time, context: &context, pass };
        let mut x = self.enter(latents, pass);
        let mut kept = vec![x.clone()];
        for segment in &self.segments {
            x = segment.forward(take(segment, x, &mut kept), given);
            if segment.keeps {
                kept.push(x.clone());
            }
        }
        self.leave(x)
    }

    fn enter(&self, latents: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let Some(extra) = pass.extra_input() else {
            return self.conv_in.forward(latents);
        };
        let own = latents.clone().narrow(1, 0, self.input_channels);
        let added = latents.narrow(1, self.input_channels, extra.channels());
        self.conv_in.forward(own) + extra.forward(added)
    }

    fn leave(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv_out.forward(self.conv_norm_out.forward_silu(x))
    }

    /// The linear layers, where adapters can be attached.
    pub fn slots(&self) -> Vec<LinearSlot> {
        let inner = self.segments.iter().flat_map(Segment::linears);
        self.time.linears().into_iter().chain(inner).map(Linear::slot).collect()
    }

    /// Channels of the first convolution's output, and of the model's own input.
    pub fn input_shape(&self) -> [usize; 2] {
        [self.conv_in.output_channels(), self.input_channels]
    }
}

/// What a piece is run on, taken from what was kept where it takes that.
fn take(segment: &Segment, x: Tensor<4>, kept: &mut Vec<Tensor<4>>) -> Input {
    let skip = if segment.takes { kept.pop() } else { None };
    let size = kept.last().map_or([0, 0], |t| {
        let [_, _, height, width] = t.dims();
        [height, width]
    });
    Input { x, skip, size }
}
