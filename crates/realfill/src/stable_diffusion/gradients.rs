//! Gradients of both adapters, gathered over several passes.

use super::adapters::Adapters;
use crate::training::clipping::{scale, squared_norm};
use burn::optim::{GradientsAccumulator, GradientsParams};
use realfill_models::lora::Adapter;

/// The sum of the passes' gradients so far.
#[derive(Default)]
pub(super) struct Sum {
    unet: GradientsAccumulator<Adapter>,
    text: GradientsAccumulator<Adapter>,
}

/// Gradients of a whole step.
pub(super) struct StepGradients {
    /// Of the U-Net's adapter.
    pub unet: GradientsParams,
    /// Of the text encoder's adapter.
    pub text: GradientsParams,
}

impl Sum {
    /// Adds those of the U-Net's adapter.
    pub fn add_unet(&mut self, adapters: &Adapters, gradients: GradientsParams) {
        self.unet.accumulate(&adapters.unet, gradients);
    }

    /// Adds those of the text encoder's adapter.
    pub fn add_text(&mut self, adapters: &Adapters, gradients: GradientsParams) {
        self.text.accumulate(&adapters.text, gradients);
    }

    /// All of them.
    pub fn finish(mut self) -> StepGradients {
        StepGradients { unet: self.unet.grads(), text: self.text.grads() }
    }
}

impl StepGradients {
    /// Scales all gradients by one factor, so that the norm over both adapters is at most `most`; `None` where it is not finite.
    pub fn clipped(mut self, adapters: &Adapters, most: f64) -> Option<Self> {
        let squares = squared_norm(&adapters.unet, &self.unet) + squared_norm(&adapters.text, &self.text);
        if squares.sqrt() > most {
            let factor = most / squares.sqrt();
            scale(&adapters.unet, &mut self.unet, factor);
            scale(&adapters.text, &mut self.text, factor);
        }
        squares.is_finite().then_some(self)
    }
}
