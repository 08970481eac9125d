//! Samples to learn from, as tensors.

use super::simulated_guide::SimulatedGuide;
use burn::tensor::{Device, Tensor, TensorData};
use image::Rgb32FImage;
use realfill_models::embedded::Conditioning;
use realfill_vision::{Mask, Plane};

/// One picture with a hole to learn from.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The whole picture, colours 0 to 1.
    pub truth: Rgb32FImage,
    /// What is hidden from the network.
    pub mask: Mask,
    /// Pixels whose truth is unknown (the target's own hole), which are hidden too and not learnt from.
    pub unknown: Option<Mask>,
    /// Pixels outside the target's view, which are shown and not learnt from.
    pub unseen: Option<Mask>,
    /// What the references propose.
    pub guide: SimulatedGuide,
}

/// Several samples of one size on the device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Clean pictures, `[n, 3, h, w]`, -1 to 1.
    pub truth: Tensor<4>,
    /// 1 where it is learnt from: where the truth is known and in the target's view, `[n, 1, h, w]`.
    pub counts: Tensor<4>,
    /// What the network is told.
    pub known: Conditioning,
}

impl Batch {
    /// Stacks samples of one size.
    ///
    /// # Panics
    /// When there are none or their sizes differ.
    pub fn new(samples: &[Sample], device: &Device) -> Self {
        let truth = stack(samples.iter().map(|s| picture_tensor(&s.truth, device)));
        let mask = stack(samples.iter().map(|s| mask_tensor(&s.mask, device)));
        let outside = |of: fn(&Sample) -> Option<&Mask>| {
            stack(samples.iter().map(|s| match of(s) {
                Some(mask) => mask_tensor(mask, device).neg() + 1.0,
                None => Tensor::ones([1, 1, s.mask.height() as usize, s.mask.width() as usize], device),
            }))
        };
        let is_known = outside(|s| s.unknown.as_ref());
        let counts = is_known.clone() * outside(|s| s.unseen.as_ref());
        let guide = stack(samples.iter().map(|s| picture_tensor(&s.guide.colour, device)));
        let trust = stack(samples.iter().map(|s| plane_tensor(&s.guide.trust, device)));
        let is_guided = trust.clone().greater_scalar(0.0).float();
        let mask = mask.max_pair(is_known.neg() + 1.0);
        let masked = truth.clone() * (mask.clone().neg() + 1.0);
        Self { truth, counts, known: Conditioning { mask, masked, guide: guide * is_guided, trust } }
    }
}

fn stack(tensors: impl Iterator<Item = Tensor<4>>) -> Tensor<4> {
    Tensor::cat(tensors.collect(), 0)
}

/// Colours 0 to 1 as `[1, 3, h, w]`, -1 to 1.
pub fn picture_tensor(picture: &Rgb32FImage, device: &Device) -> Tensor<4> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let channels = (0..3).flat_map(|c| picture.pixels().map(move |pixel| pixel[c]));
    let data = TensorData::new(channels.collect::<Vec<f32>>(), [1, 3, height, width]);
    Tensor::<4>::from_data(data, device) * 2.0 - 1.0
}

/// The inverse of [`picture_tensor`], clamped to 0 to 1; of the first picture when there are several.
pub fn picture_from_tensor(tensor: Tensor<4>) -> Rgb32FImage {
    let [_, channels, height, width] = tensor.dims();
    let first = tensor.narrow(0, 0, 1).narrow(1, 0, channels.min(3)).permute([0, 2, 3, 1]);
    let colours = ((first + 1.0) * 0.5).clamp(0.0, 1.0).into_data().try_to_vec::<f32>().expect("f32 colours");
    Rgb32FImage::from_raw(width as u32, height as u32, colours).expect("three channels a pixel")
}

/// 1 in the hole, as `[1, 1, h, w]`.
pub fn mask_tensor(mask: &Mask, device: &Device) -> Tensor<4> {
    let holes: Vec<f32> = mask.holes().iter().map(|&hole| f32::from(u8::from(hole))).collect();
    let shape = [1, 1, mask.height() as usize, mask.width() as usize];
    Tensor::from_data(TensorData::new(holes, shape), device)
}

/// A plane as `[1, 1, h, w]`.
pub fn plane_tensor(plane: &Plane, device: &Device) -> Tensor<4> {
    let shape = [1, 1, plane.height() as usize, plane.width() as usize];
    Tensor::from_data(TensorData::new(plane.as_raw().clone(), shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn what_is_unseen_is_shown_and_does_not_count_and_what_is_unknown_neither() {
        let column = |at: u32| Mask::from_fn(4, 2, |x, _| x == at);
        let sample = Sample {
            truth: Rgb32FImage::from_fn(4, 2, |x, y| Rgb([x as f32 / 4.0, y as f32, 0.5])),
            mask: column(0),
            unknown: Some(column(1)),
            unseen: None,
            guide: SimulatedGuide::none(4, 2),
        };
        let with = |unseen| Batch::new(&[Sample { unseen, ..sample.clone() }], &Device::flex());
        let values = |tensor: &Tensor<4>| tensor.clone().into_data().try_to_vec::<f32>().expect("f32");
        let (all, left_out) = (with(None), with(Some(column(2))));
        assert_eq!(values(&all.counts), [1.0, 0.0, 1.0, 1.0].repeat(2));
        assert_eq!(values(&left_out.counts), [1.0, 0.0, 0.0, 1.0].repeat(2));
        assert_eq!(values(&left_out.known.mask), [1.0, 1.0, 0.0, 0.0].repeat(2));
        assert_eq!(values(&left_out.known.masked), values(&all.known.masked));
        assert_eq!(values(&left_out.truth), values(&all.truth));
    }
}
