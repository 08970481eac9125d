//! The patch U-Net itself.

use super::EmbeddedConfig;
use super::blocks::{ResBlock, SelfAttention, TimeEmbedding, conv1x1, conv3x3, zeroed};
use super::patches::{PATCH, patches_from_picture};
use super::prediction::{HEAD_CHANNELS, Prediction};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::interpolate::{Interpolate2d, Interpolate2dConfig, InterpolateMode};
use burn::tensor::{Device, Tensor};

/// Channels of a picture given to the network: noisy (3), mask (1), masked picture (3), guide (3), trust (1).
const INPUT_CHANNELS: usize = 11;

/// What the network knows beside the noisy picture. All `[n, c, h, w]`, colours in -1 to 1.
#[derive(Clone, Debug)]
pub struct Conditioning {
    /// 1 where the picture is to be filled, one channel.
    pub mask: Tensor<4>,
    /// The picture with the hole zeroed, three channels.
    pub masked: Tensor<4>,
    /// Proposed colours, three channels; zero where there are none.
    pub guide: Tensor<4>,
    /// Trust in the proposal, 0 to 1, one channel; zero where there is none.
    pub trust: Tensor<4>,
}

/// One level of one side: residual blocks and, at the deep levels, attention.
#[derive(Module, Debug)]
struct Stage {
    blocks: Vec<ResBlock>,
    attention: Option<SelfAttention>,
}

impl Stage {
    fn new(config: &EmbeddedConfig, level: usize, device: &Device) -> Self {
        let width = config.widths[level];
        let block = |_| ResBlock::new(width, config.time_width, device);
        let attention =
            (level >= config.attention_from).then(|| SelfAttention::new(width, config.head_channels, device));
        Self { blocks: (0..config.blocks).map(block).collect(), attention }
    }

    fn forward(&self, x: Tensor<4>, time: &Tensor<2>) -> Tensor<4> {
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x, time));
        match &self.attention {
            Some(attention) => attention.forward(x),
            None => x,
        }
    }
}

/// A U-Net over 4×4 patches that predicts the clean picture relative to the guide.
#[derive(Module, Debug)]
pub struct PatchUNet {
    time: TimeEmbedding,
    input: Conv2d,
    down: Vec<Stage>,
    shrink: Vec<Conv2d>,
    middle: Stage,
    grow: Vec<Conv2d>,
    up: Vec<Stage>,
    double: Interpolate2d,
    head: Conv2d,
}

impl PatchUNet {
    /// A randomly initialised network.
    pub fn new(config: &EmbeddedConfig, device: &Device) -> Self {
        let widths = &config.widths;
        let levels = widths.len();
        let pairs = || widths.windows(2);
        let shrink = |pair: &[usize]| Conv2dConfig::new([pair[0], pair[1]], [2, 2]).with_stride([2, 2]).init(device);
        Self {
            time: TimeEmbedding::new(config.time_width, device),
            input: conv1x1(INPUT_CHANNELS * PATCH * PATCH, widths[0]).init(device),
            down: (0..levels - 1).map(|level| Stage::new(config, level, device)).collect(),
            shrink: pairs().map(shrink).collect(),
            middle: Stage::new(config, levels - 1, device),
            grow: pairs().map(|pair| conv1x1(pair[1], pair[0]).init(device)).collect(),
            up: (0..levels - 1).map(|level| Stage::new(config, level, device)).collect(),
            double: Interpolate2dConfig::new()
                .with_scale_factor(Some([2.0, 2.0]))
                .with_mode(InterpolateMode::Nearest)
                .init(),
            head: zeroed(conv3x3(widths[0], HEAD_CHANNELS), device),
        }
    }

    /// The prediction for `noisy` (`[n, 3, h, w]`) at `timesteps` (`[n]`, 0 to 999).
    ///
    /// # Panics
    /// When a side is not divisible by [`EmbeddedConfig::stride`].
    pub fn predict(&self, noisy: Tensor<4>, timesteps: Tensor<1>, known: &Conditioning) -> Prediction {
        let Conditioning { mask, masked, guide, trust } = known.clone();
        let picture = Tensor::cat(vec![noisy, mask, masked, guide, trust], 1);
        let time = self.time.forward(timesteps);
        let features = self.features(self.input.forward(patches_from_picture(picture)), &time);
        Prediction::from_head(self.head.forward(features), known.trust.clone())
    }

    /// The clean picture `[n, 3, h, w]`.
    pub fn forward(&self, noisy: Tensor<4>, timesteps: Tensor<1>, known: &Conditioning) -> Tensor<4> {
        self.predict(noisy, timesteps, known).compose(known.guide.clone())
    }

    fn features(&self, mut x: Tensor<4>, time: &Tensor<2>) -> Tensor<4> {
        let mut skips = Vec::with_capacity(self.down.len());
        for (stage, shrink) in self.down.iter().zip(&self.shrink) {
            x = stage.forward(x, time);
            skips.push(x.clone());
            x = shrink.forward(x);
        }
        x = self.middle.forward(x, time);
        for ((stage, grow), skip) in self.up.iter().zip(&self.grow).zip(skips).rev() {
            x = self.double.forward(grow.forward(x)) + skip;
            x = stage.forward(x, time);
        }
        x
    }
}
