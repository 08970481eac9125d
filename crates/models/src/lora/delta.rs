//! What a layer's factors add to its output.

use super::LoraLayer;
use crate::kernels::{Dropout, Kernel, LowRank, Way, adapt};
use burn::tensor::module::linear;
use burn::tensor::{Tensor, TensorData};
use std::sync::Arc;

/// The factors of one layer in one pass.
pub(crate) struct Delta<'a> {
    pub(super) layer: &'a LoraLayer,
    /// Of the input that they see.
    pub(super) dropout: Dropout,
}

impl Delta<'_> {
    /// What is to be added to the layer's output, by Burn's operations.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        low_rank(x, self.factors(), self.layer.scale, self.dropout)
    }

    /// The output of a kernel's layer with it, in one operation.
    pub fn beside(&self, kernel: &Arc<dyn Kernel>, way: Way, x: Tensor<3>) -> Tensor<3> {
        let (factors, scale) = (self.factors(), self.layer.scale as f32);
        let [rank, _] = factors[0].dims();
        adapt(kernel, LowRank { way, rank, scale, dropout: self.dropout }, x, factors)
    }

    fn factors(&self) -> [Tensor<2>; 2] {
        [self.layer.a.val(), self.layer.b.val()]
    }
}

/// `scale * B(A(dropout(x)))` by Burn's operations, where A is `[rank, in]` and B `[out, rank]`.
pub(crate) fn low_rank(x: Tensor<3>, [a, b]: [Tensor<2>; 2], scale: f64, dropout: Dropout) -> Tensor<3> {
    // Scaled between the factors, where it is narrow.
    let narrow = linear(dropped(x, dropout), a.transpose(), None) * scale;
    linear(narrow, b.transpose(), None)
}

fn dropped(x: Tensor<3>, dropout: Dropout) -> Tensor<3> {
    if !dropout.is_on() {
        return x;
    }
    let [batch, tokens, width] = x.dims();
    let factors = TensorData::new(dropout.factors(batch * tokens, width), [batch, tokens, width]);
    let factors = Tensor::from_data(factors, &x.device().without_autodiff());
    x * factors
}
