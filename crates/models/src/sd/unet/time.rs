//! The embedding of the timestep.

use crate::lora::Pass;
use crate::sd::config::UNetConfig;
use crate::sd::layers::Linear;
use crate::sd::weights::Weights;
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor, TensorData};

/// Sinusoids of the timestep, then two linear layers.
#[derive(Debug, Clone)]
pub(super) struct TimeEmbedding {
    linear_1: Linear,
    linear_2: Linear,
    width: usize,
    cos_first: bool,
    freq_shift: f64,
}

impl TimeEmbedding {
    pub fn new(config: &UNetConfig, w: Weights) -> Self {
        let width = config.block_out_channels[0];
        Self {
            linear_1: Linear::new(w.at("linear_1"), width, 4 * width, true),
            linear_2: Linear::new(w.at("linear_2"), 4 * width, 4 * width, true),
            width,
            cos_first: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
        }
    }

    /// The embedding `[batch, 1, 4 * width]`, activated as every residual block wants it.
    pub fn forward(&self, timesteps: &[f32], device: &Device, pass: &Pass) -> Tensor<3> {
        let waves: Vec<f32> = timesteps.iter().flat_map(|&t| self.waves(f64::from(t))).collect();
        let waves = Tensor::from_data(TensorData::new(waves, [timesteps.len(), 1, self.width]), device);
        silu(self.linear_2.forward(silu(self.linear_1.forward(waves, pass)), pass))
    }

    /// Sinusoidal position embedding (Vaswani et al. 2017, section 3.5).
    fn waves(&self, timestep: f64) -> Vec<f32> {
        let half = self.width / 2;
        let frequency = |i: usize| (-(10000f64.ln()) * i as f64 / (half as f64 - self.freq_shift)).exp();
        let angles: Vec<f64> = (0..half).map(|i| timestep * frequency(i)).collect();
        let sines = angles.iter().map(|a| a.sin() as f32);
        let cosines = angles.iter().map(|a| a.cos() as f32);
        if self.cos_first { cosines.chain(sines).collect() } else { sines.chain(cosines).collect() }
    }

    pub fn linears(&self) -> [&Linear; 2] {
        [&self.linear_1, &self.linear_2]
    }
}
