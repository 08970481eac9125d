//! The shape of the embedded model, as written in its `config.json`.

use serde::{Deserialize, Serialize};

/// Widths and depths of the patch U-Net.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddedConfig {
    /// Channels at 1/4, 1/8, ... of the picture's size.
    pub widths: Vec<usize>,
    /// Residual blocks a level, on the way down and again on the way up.
    pub blocks: usize,
    /// Levels from this one down have self-attention after each side's blocks.
    pub attention_from: usize,
    /// Channels of one attention head.
    pub head_channels: usize,
    /// Width of the time embedding.
    pub time_width: usize,
}

impl Default for EmbeddedConfig {
    /// 14 M parameters: a forward pass of a 512-px picture costs about 35 GFLOP, under half a second on two cores.
    fn default() -> Self {
        Self { widths: vec![64, 128, 256, 320], blocks: 2, attention_from: 2, head_channels: 64, time_width: 256 }
    }
}

impl EmbeddedConfig {
    /// A model small enough for unit tests.
    pub fn tiny() -> Self {
        Self { widths: vec![8, 16], blocks: 1, attention_from: 1, head_channels: 8, time_width: 16 }
    }

    /// Sides of the picture must be divisible by this many pixels.
    pub fn stride(&self) -> usize {
        super::PATCH << (self.widths.len() - 1)
    }
}
