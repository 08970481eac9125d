//! The residual block that U-Net and VAE share, with its changes of resolution.

use super::layers::{Conv2d, GroupNorm, Linear, double};
use super::weights::Weights;
use crate::lora::Pass;
use burn::tensor::Tensor;

/// Shape of a residual block.
#[derive(Clone, Copy)]
pub(crate) struct ResnetShape {
    pub input: usize,
    pub output: usize,
    /// Width of the timestep's embedding; none in the VAE.
    pub time: Option<usize>,
    pub groups: usize,
    pub epsilon: f64,
}

/// `ResnetBlock2D`.
#[derive(Debug, Clone)]
pub(crate) struct Resnet {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
}

impl Resnet {
    pub fn new(w: Weights, shape: ResnetShape) -> Self {
        let ResnetShape { input, output, time, groups, epsilon } = shape;
        Self {
            norm1: GroupNorm::new(w.at("norm1"), input, groups, epsilon),
            conv1: Conv2d::new(w.at("conv1"), input, output, 3),
            time_emb_proj: time.map(|time| Linear::new(w.at("time_emb_proj"), time, output, true)),
            norm2: GroupNorm::new(w.at("norm2"), output, groups, epsilon),
            conv2: Conv2d::new(w.at("conv2"), output, output, 3),
            conv_shortcut: (input != output).then(|| Conv2d::new(w.at("conv_shortcut"), input, output, 1)),
        }
    }

    /// `time`: the activated embedding of the timestep, `[batch, 1, width]`.
    pub fn forward(&self, x: Tensor<4>, time: Option<&Tensor<3>>, pass: &Pass) -> Tensor<4> {
        let mut hidden = self.conv1.forward(self.norm1.forward_silu(x.clone()));
        if let (Some(project), Some(time)) = (&self.time_emb_proj, time) {
            let [batch, channels, _, _] = hidden.dims();
            hidden = hidden + project.forward(time.clone(), pass).reshape([batch, channels, 1, 1]);
        }
        let hidden = self.conv2.forward(self.norm2.forward_silu(hidden));
        let shortcut = match &self.conv_shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        };
        shortcut + hidden
    }

    pub fn linears(&self) -> Option<&Linear> {
        self.time_emb_proj.as_ref()
    }
}

/// `Upsample2D`: nearest-neighbour doubling to the given size, then a convolution.
#[derive(Debug, Clone)]
pub(crate) struct Upsample(Conv2d);

impl Upsample {
    pub fn new(w: &Weights, channels: usize) -> Self {
        Self(Conv2d::new(w.at("upsamplers.0.conv"), channels, channels, 3))
    }

    pub fn forward(&self, x: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
        self.0.forward(double(x, height, width))
    }
}
