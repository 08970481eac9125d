//! An exponential moving average of the weights: what is validated and shipped, steadier than the last step's.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

/// The averaged weights, in the module's own order.
#[derive(Clone, Debug)]
pub struct Ema {
    weights: Vec<Vec<f32>>,
}

impl Ema {
    /// Starts at the module's present weights.
    pub fn new<M: Module>(module: &M) -> Self {
        Self { weights: weights(module) }
    }

    /// `average = decay · average + (1 - decay) · weight`.
    pub fn update<M: Module>(&mut self, module: &M, decay: f32) {
        let current = weights(module);
        self.weights.par_iter_mut().zip(&current).for_each(|(average, now)| {
            average.iter_mut().zip(now).for_each(|(a, n)| *a += (1.0 - decay) * (n - *a));
        });
    }

    /// `module` with the averaged weights.
    pub fn apply<M: Module>(&self, module: M) -> M {
        module.map(&mut Replace { weights: self.weights.iter() })
    }
}

fn weights<M: Module>(module: &M) -> Vec<Vec<f32>> {
    let mut collect = Collect { weights: Vec::new() };
    module.visit(&mut collect);
    collect.weights
}

struct Collect {
    weights: Vec<Vec<f32>>,
}

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.weights.push(param.val().into_data().try_to_vec::<f32>().expect("f32 weights"));
    }
}

struct Replace<'a> {
    weights: std::slice::Iter<'a, Vec<f32>>,
}

impl ModuleMapper for Replace<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let weights = self.weights.next().expect("as many weights as the module has").clone();
        param.map(|tensor| {
            let data = TensorData::new(weights, tensor.shape());
            Tensor::from_data(data, &tensor.device()).set_require_grad(tensor.is_require_grad())
        })
    }
}
