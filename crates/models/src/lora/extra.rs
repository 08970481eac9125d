//! Input channels added to a U-Net that was trained without them.

use super::trainable;
use burn::module::{Module, Param};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};

/// What the weight is called in files.
pub(crate) const KEY: &str = "conv_in.extra.weight";

/// The part of the first convolution's kernel that sees the added channels; zero until it is tuned.
#[derive(Module, Debug)]
pub struct ExtraInput {
    /// `[channels out, added channels, 3, 3]`.
    pub weight: Param<Tensor<4>>,
}

impl ExtraInput {
    pub(crate) fn zeros(output: usize, channels: usize, device: &Device) -> Self {
        Self::from_data(TensorData::zeros::<f32, _>([output, channels, 3, 3]), device)
    }

    pub(crate) fn from_data(data: TensorData, device: &Device) -> Self {
        Self { weight: trainable(KEY, data, device) }
    }

    /// How many channels were added.
    pub fn channels(&self) -> usize {
        self.weight.dims()[1]
    }

    pub(crate) fn forward(&self, added: Tensor<4>) -> Tensor<4> {
        conv2d(added, self.weight.val(), None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1))
    }
}
