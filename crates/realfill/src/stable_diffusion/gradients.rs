//! Gradients of both adapters, gathered over several passes.

use super::adapters::Adapters;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
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
    /// Scales all gradients by one factor, so that the norm over all of them is at most `most` (Pascanu et al. 2013).
    pub fn clipped(mut self, adapters: &Adapters, most: f64) -> Self {
        let mut squares = None;
        adapters.unet.visit(&mut AddSquares { of: &self.unet, to: &mut squares });
        adapters.text.visit(&mut AddSquares { of: &self.text, to: &mut squares });
        let norm = squares.map_or(0.0, |sum: Tensor<1>| f64::from(sum.into_scalar::<f32>()).sqrt());
        if norm > most {
            let factor = most / norm;
            adapters.unet.visit(&mut Scale { gradients: &mut self.unet, factor });
            adapters.text.visit(&mut Scale { gradients: &mut self.text, factor });
        }
        self
    }
}

struct AddSquares<'a> {
    of: &'a GradientsParams,
    to: &'a mut Option<Tensor<1>>,
}

impl ModuleVisitor for AddSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.of.get::<D>(param.id) else { return };
        let squares = gradient.square().sum();
        *self.to = Some(match self.to.take() {
            Some(sum) => sum + squares,
            None => squares,
        });
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor);
        }
    }
}
