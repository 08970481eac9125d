//! Clipping by the norm over all gradients of a step (Pascanu et al. 2013, arXiv 1211.5063), as PyTorch's
//! `clip_grad_norm_` and with it the public training scripts do; the optimiser's own clipping takes each tensor alone.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Scales a module's gradients by one factor, so that the norm over all of them is at most `most`. Says whether it is finite: where
/// not, the step is to be passed over, or it would spoil all weights for good.
#[must_use]
pub(crate) fn clip(module: &impl Module, gradients: &mut GradientsParams, most: f64) -> bool {
    let norm = squared_norm(module, gradients).sqrt();
    if norm.is_finite() && norm > most {
        scale(module, gradients, most / norm);
    }
    norm.is_finite()
}

/// The sum of the squares of a module's gradients.
pub(crate) fn squared_norm(module: &impl Module, gradients: &GradientsParams) -> f64 {
    let mut sum = None;
    module.visit(&mut AddSquares { of: gradients, to: &mut sum });
    sum.map_or(0.0, |sum: Tensor<1>| f64::from(sum.into_scalar::<f32>()))
}

/// Multiplies a module's gradients by `factor`.
pub(crate) fn scale(module: &impl Module, gradients: &mut GradientsParams, factor: f64) {
    module.visit(&mut Scale { gradients, factor });
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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    #[test]
    fn the_norm_over_all_tensors_is_clipped_and_their_direction_stays() {
        let device = Device::flex().autodiff();
        let layer = LinearConfig::new(3, 2).init(&device);
        let loss = layer.forward(Tensor::<2>::ones([1, 3], &device) * 5.0).sum();
        let mut gradients = GradientsParams::from_grads(loss.backward(), &layer);
        // The weight's gradients are six fives, the bias's two ones.
        assert!((squared_norm(&layer, &gradients) - 152.0).abs() < 1e-3);
        assert!(clip(&layer, &mut gradients, 1e3));
        assert!((squared_norm(&layer, &gradients) - 152.0).abs() < 1e-3, "a norm within the limit stays");
        assert!(clip(&layer, &mut gradients, 2.0));
        assert!((squared_norm(&layer, &gradients) - 4.0).abs() < 1e-4);
        let weight = gradients.get::<2>(layer.weight.id).expect("a gradient").max().into_scalar::<f32>();
        assert!((f64::from(weight) - 5.0 * 2.0 / 152f64.sqrt()).abs() < 1e-5);
    }

    #[test]
    fn a_norm_that_is_not_finite_is_told() {
        let device = Device::flex().autodiff();
        let layer = LinearConfig::new(3, 2).init(&device);
        for factor in [f32::NAN, f32::INFINITY] {
            let loss = layer.forward(Tensor::<2>::ones([1, 3], &device) * factor).sum();
            let mut gradients = GradientsParams::from_grads(loss.backward(), &layer);
            assert!(!clip(&layer, &mut gradients, 1.0), "{factor}");
        }
    }
}
