//! What the network says about the clean picture: relative to the guide where it follows it, of its own elsewhere.

use super::patches::{PATCH, picture_from_patches};
use burn::tensor::activation::sigmoid;
use burn::tensor::ops::{GridSampleOptions, GridSamplePaddingMode, InterpolateMode};
use burn::tensor::{Device, Tensor};

/// Channels of the head: own colours, whether to follow the guide, its displacement, its gain and offset.
pub(super) const HEAD_CHANNELS: usize = 3 * PATCH * PATCH + PATCH * PATCH + 2 + 3 + 3;

/// Pixels one unit of the displacement channels stands for; keeps their scale beside the colours'.
const DISPLACEMENT_PX: f64 = 4.0;

/// The parts of one x0 prediction, all at the picture's size, colours in -1 to 1.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Colours of the network's own, `[n, 3, h, w]`.
    pub own: Tensor<4>,
    /// How far to follow the guide, 0 to 1, `[n, 1, h, w]`; 0 where the guide's trust is 0.
    pub follow: Tensor<4>,
    /// Where to read the guide, in pixels (x, y) relative to each pixel, `[n, 2, h, w]`.
    pub displacement: Tensor<4>,
    /// Factor on the guide's colours, `[n, 3, h, w]`, near 1.
    pub gain: Tensor<4>,
    /// Added to the guide's colours after the gain, `[n, 3, h, w]`, near 0.
    pub offset: Tensor<4>,
}

impl Prediction {
    /// Splits the head's channels `[n, HEAD_CHANNELS, h/4, w/4]`; `trust` is `[n, 1, h, w]`.
    pub(super) fn from_head(head: Tensor<4>, trust: Tensor<4>) -> Self {
        let pixels = PATCH * PATCH;
        let own = picture_from_patches(head.clone().narrow(1, 0, 3 * pixels));
        let follow = picture_from_patches(head.clone().narrow(1, 3 * pixels, pixels));
        let smooth = upsample(head.narrow(1, 4 * pixels, 8));
        Self {
            own,
            follow: follow_gate(follow, trust),
            displacement: smooth.clone().narrow(1, 0, 2) * DISPLACEMENT_PX,
            gain: smooth.clone().narrow(1, 2, 3) + 1.0,
            offset: smooth.narrow(1, 5, 3),
        }
    }

    /// The clean picture `[n, 3, h, w]` these parts make of a guide of the same size.
    pub fn compose(&self, guide: Tensor<4>) -> Tensor<4> {
        let corrected = displaced(guide, self.displacement.clone()) * self.gain.clone() + self.offset.clone();
        self.own.clone() + (corrected - self.own.clone()) * self.follow.clone()
    }
}

/// An untrained head follows a trusted guide (sigmoid(3) = 0.95) and leaves a distrusted one (0.05).
fn follow_gate(logits: Tensor<4>, trust: Tensor<4>) -> Tensor<4> {
    let is_guided = (trust.clone() * 50.0).clamp_max(1.0);
    sigmoid(logits + trust * 6.0 - 3.0) * is_guided
}

/// Per-patch values to pixels, bilinearly, edges repeated. Written out, because Burn 0.22's GPU kernels cannot go back
/// through bilinear interpolation.
fn upsample(patches: Tensor<4>) -> Tensor<4> {
    stretched(stretched(patches, 2), 3)
}

/// [`PATCH`] values for each one along `axis` (there are at least two): at its pixels' centres, mixed with the neighbours.
fn stretched(x: Tensor<4>, axis: usize) -> Tensor<4> {
    let mut shape = x.dims();
    let length = shape[axis];
    let before = Tensor::cat(vec![x.clone().narrow(axis, 0, 1), x.clone().narrow(axis, 0, length - 1)], axis);
    let after = Tensor::cat(vec![x.clone().narrow(axis, 1, length - 1), x.clone().narrow(axis, length - 1, 1)], axis);
    let phase = |i: usize| {
        let offset = (i as f64 + 0.5) / PATCH as f64 - 0.5;
        let neighbour = if offset < 0.0 { &before } else { &after };
        x.clone() * (1.0 - offset.abs()) + neighbour.clone() * offset.abs()
    };
    let phases: Vec<Tensor<4>> = (0..PATCH).map(phase).collect();
    shape[axis] *= PATCH;
    Tensor::stack::<5>(phases, axis + 1).reshape(shape)
}

/// `picture` read at each pixel's own place plus `displacement` (pixels), bilinearly, edges repeated.
pub fn displaced(picture: Tensor<4>, displacement: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = picture.dims();
    let device = displacement.device();
    let part = |channel: usize, scale: f64| displacement.clone().narrow(1, channel, 1).squeeze_dim::<3>(1) * scale;
    let x = axis(w, &device).reshape([1, 1, w]) + part(0, 2.0 / w as f64);
    let y = axis(h, &device).reshape([1, h, 1]) + part(1, 2.0 / h as f64);
    // Laid out as it is read: Burn 0.22's GPU kernel takes a permuted grid for a contiguous one.
    let grid = Tensor::stack::<4>(vec![x, y], 3);
    let options = GridSampleOptions::new(InterpolateMode::Bilinear).with_padding_mode(GridSamplePaddingMode::Border);
    picture.grid_sample_2d(grid, options)
}

/// Pixel centres in -1 to 1 (`align_corners = false`).
fn axis(length: usize, device: &Device) -> Tensor<1> {
    let centres: Vec<f32> = (0..length).map(|i| (2 * i + 1) as f32 / length as f32 - 1.0).collect();
    Tensor::from_floats(centres.as_slice(), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use burn::tensor::module::interpolate;
    use burn::tensor::ops::InterpolateOptions;

    #[test]
    fn no_displacement_is_the_identity() {
        let device = Device::flex();
        let picture = Tensor::<4>::random([1, 3, 8, 12], Distribution::Default, &device);
        let same = displaced(picture.clone(), Tensor::zeros([1, 2, 8, 12], &device));
        assert!((same - picture).abs().max().into_scalar::<f32>() < 1e-5);
    }

    #[test]
    fn upsampling_is_bilinear_interpolation() {
        let device = Device::flex();
        for [h, w] in [[3, 5], [2, 2]] {
            let patches = Tensor::<4>::random([2, 3, h, w], Distribution::Default, &device);
            let options = InterpolateOptions::new(InterpolateMode::Bilinear).with_align_corners(false);
            let expected = interpolate(patches.clone(), options.with_output_size([h * PATCH, w * PATCH]));
            assert!((upsample(patches) - expected).abs().max().into_scalar::<f32>() < 1e-5);
        }
    }

    #[test]
    fn a_displacement_of_one_pixel_reads_the_neighbour() {
        let device = Device::flex();
        let picture = Tensor::<4>::random([1, 1, 8, 8], Distribution::Default, &device);
        let right = Tensor::cat(vec![Tensor::ones([1, 1, 8, 8], &device), Tensor::zeros([1, 1, 8, 8], &device)], 1);
        let moved = displaced(picture.clone(), right).narrow(3, 0, 7);
        assert!((moved - picture.narrow(3, 1, 7)).abs().max().into_scalar::<f32>() < 1e-5);
    }

    #[test]
    fn an_untrained_head_is_the_guide_where_trusted_and_not_where_there_is_none() {
        let device = Device::flex();
        let guide = Tensor::<4>::random([1, 3, 8, 8], Distribution::Uniform(-1.0, 1.0), &device);
        let head = Tensor::zeros([1, HEAD_CHANNELS, 2, 2], &device);
        let trusted = Prediction::from_head(head.clone(), Tensor::ones([1, 1, 8, 8], &device)).compose(guide.clone());
        assert!((trusted - guide.clone()).abs().max().into_scalar::<f32>() < 0.06);
        let alone = Prediction::from_head(head, Tensor::zeros([1, 1, 8, 8], &device)).compose(guide);
        assert!(alone.abs().max().into_scalar::<f32>() < 1e-6);
    }
}
