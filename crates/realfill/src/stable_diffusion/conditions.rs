//! What the U-Net is told beside the noisy latent, from the networks' own view of pictures.

use crate::drawing::{Judge, Wanted};
use crate::training::batch::{Batch, Sample, picture_tensor, plane_tensor};
use burn::tensor::Tensor;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use realfill_models::embedded::Conditioning;
use realfill_models::sd::{Moments, StableDiffusion};
use realfill_vision::Guide;

/// Width of the rim of known cells by which candidates are judged: what lies nearest to the hole and still shows a texture.
const RIM_CELLS: usize = 2;

/// One sample as a one-row batch of tensors on the base's device.
pub(super) fn tensors(sample: &Sample, base: &StableDiffusion) -> Batch {
    Batch::new(std::slice::from_ref(sample), base.device())
}

/// What the U-Net is told, encoded.
#[derive(Clone, Debug)]
pub(super) struct Known {
    mask: Tensor<4>,
    masked: Moments,
    /// Zeros where there is no guide.
    guide: Tensor<4>,
    trust: Tensor<4>,
}

impl Known {
    /// Encodes the masked picture, and the guide where there is one.
    pub fn encode(base: &StableDiffusion, known: Conditioning) -> Self {
        let masked = base.encode(known.masked);
        let (guide, trust) = encoded_guide(base, known.guide, known.trust);
        let guide = guide.unwrap_or_else(|| masked.mean.zeros_like());
        Self { mask: base.mask_to_latents(known.mask), masked, guide, trust }
    }

    /// The same picture with another guide of its size, which alone is encoded.
    pub fn guided(&self, base: &StableDiffusion, guide: &Guide) -> Self {
        let trust = plane_tensor(&guide.trust, base.device());
        let colour = picture_tensor(&guide.colour, base.device()) * trust.clone().greater_scalar(0.0).float();
        let (guide, trust) = encoded_guide(base, colour, trust);
        let guide = guide.unwrap_or_else(|| self.masked.mean.zeros_like());
        Self { guide, trust, ..self.clone() }
    }

    /// Judges predicted latents by the guide in the hole, and by the masked picture's around it.
    pub fn judge(&self, base: &StableDiffusion) -> Judge {
        let guide = Wanted { x0: self.guide.clone(), weight: self.trust.clone() * self.mask.clone() };
        let rim = dilated(self.mask.clone(), RIM_CELLS) - self.mask.clone();
        Judge { guide, rim: Wanted { x0: base.scaled_latents(&self.masked, None), weight: rim } }
    }

    /// Channels, height and width of a latent.
    pub fn size(&self) -> [usize; 3] {
        let [_, channels, height, width] = self.masked.mean.dims();
        [channels, height, width]
    }

    /// The channels after the noisy latent: mask, masked picture's latent, guide's latent, trust; `[1, 2 * channels + 2, h, w]`.
    ///
    /// The masked picture's latent is a sample from `noise`, or the mean; the guide's is the mean.
    pub fn channels(&self, base: &StableDiffusion, noise: Option<Tensor<4>>) -> Tensor<4> {
        let masked = base.scaled_latents(&self.masked, noise);
        Tensor::cat(vec![self.mask.clone(), masked, self.guide.clone(), self.trust.clone()], 1)
    }
}

/// The latent of a guide's colours (`[1, 3, height, width]`, -1 to 1), none where nothing is trusted, and its trust in cells.
fn encoded_guide(base: &StableDiffusion, colour: Tensor<4>, trust: Tensor<4>) -> (Option<Tensor<4>>, Tensor<4>) {
    let is_empty = trust.clone().max().into_scalar::<f32>() <= 0.0;
    ((!is_empty).then(|| latents(base, colour)), mean_of_cells(trust, base.config.vae.scale()))
}

/// Pictures `[1, 3, height, width]`, -1 to 1, as the means of their latents `[1, channels, h, w]`.
fn latents(base: &StableDiffusion, pictures: Tensor<4>) -> Tensor<4> {
    base.scaled_latents(&base.encode(pictures), None)
}

/// A mask with all cells that lie within `cells` of it, in both directions.
fn dilated(mask: Tensor<4>, cells: usize) -> Tensor<4> {
    let side = 2 * cells + 1;
    max_pool2d(mask, MaxPoolOptions::new([side, side]).with_stride([1, 1]).with_padding([cells, cells]))
}

/// The mean of each cell of `scale` x `scale` pixels.
fn mean_of_cells(plane: Tensor<4>, scale: usize) -> Tensor<4> {
    let [rows, channels, height, width] = plane.dims();
    let [h, w] = [height / scale, width / scale];
    let cells: Tensor<6> = plane.reshape([rows, channels, h, scale, w, scale]);
    cells.mean_dim(5).mean_dim(3).reshape([rows, channels, h, w])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn a_mask_grows_in_all_directions_and_not_past_the_picture() {
        let mut cells = vec![0.0_f32; 24];
        cells[1] = 1.0; // the second of the first row of six
        let mask = Tensor::<4>::from_data(TensorData::new(cells, [1, 1, 4, 6]), &Device::flex());
        let grown = dilated(mask, 2).into_data().try_to_vec::<f32>().unwrap();
        let row: [f32; 6] = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0];
        assert_eq!(grown, [row, row, row, [0.0; 6]].concat());
    }

    #[test]
    fn trust_is_the_mean_of_each_cell() {
        let values: Vec<f32> = vec![1.0, 0.0, 0.2, 0.2, 0.0, 0.0, 0.2, 0.2];
        let plane = Tensor::<4>::from_data(TensorData::new(values, [1, 1, 2, 4]), &Device::flex());
        let cells = mean_of_cells(plane, 2).into_data().try_to_vec::<f32>().unwrap();
        assert!((cells[0] - 0.25).abs() < 1e-6 && (cells[1] - 0.2).abs() < 1e-6, "{cells:?}");
    }
}
