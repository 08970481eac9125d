//! Sampling the hole with the patch U-Net, one candidate after another so that memory stays that of one.

use crate::denoiser::Denoiser;
use crate::model::{StageError, View};
use crate::noise::SeededNoise;
use crate::samplers::{Next, SamplerSettings, Start, sample};
use crate::schedule::{NoiseLevel, NoiseSchedule};
use crate::training::batch::{mask_tensor, picture_from_tensor, picture_tensor, plane_tensor};
use burn::tensor::{Device, Tensor};
use image::Rgb32FImage;
use realfill_models::embedded::{Conditioning, PatchUNet};

/// The network with what it is told of the view; known pixels have the last word on every prediction.
struct KnownPixels<'a> {
    network: &'a PatchUNet,
    known: Conditioning,
}

impl Denoiser for KnownPixels<'_> {
    fn denoise(&self, x: Tensor<4>, timestep: f32) -> Tensor<4> {
        let times = Tensor::full([x.dims()[0]], timestep, &x.device());
        self.network.forward(x, times, &self.known)
    }

    fn adjust_x0(&self, x0: Tensor<4>, _level: &NoiseLevel) -> Tensor<4> {
        x0.clamp(-1.0, 1.0) * self.known.mask.clone() + self.known.masked.clone()
    }
}

/// One completed picture a seed.
pub(super) fn draw(
    network: &PatchUNet,
    schedule: &NoiseSchedule,
    view: &View,
    seeds: &[u64],
    settings: &SamplerSettings,
    device: &Device,
    on_step: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Vec<Rgb32FImage>, StageError> {
    let denoiser = KnownPixels { network, known: conditioning(view, device) };
    let size = [3, view.picture.height() as usize, view.picture.width() as usize];
    let steps = settings.steps * seeds.len();
    let mut pictures = Vec::with_capacity(seeds.len());
    for (i, &seed) in seeds.iter().enumerate() {
        let mut noise = SeededNoise::new([seed]);
        let start = Start::Noise(noise.initial(size, device));
        let mut report = |index: usize| match on_step(i * settings.steps + index + 1, steps) {
            true => Next::Continue,
            false => Next::Stop,
        };
        let x0 = sample(settings, &denoiser, schedule, start, &mut noise, &mut |step| report(step.index))?;
        pictures.push(picture_from_tensor(x0));
    }
    Ok(pictures)
}

fn conditioning(view: &View, device: &Device) -> Conditioning {
    let mask = mask_tensor(&view.mask, device);
    let masked = picture_tensor(&view.picture, device) * (mask.clone().neg() + 1.0);
    let trust = plane_tensor(&view.guide.trust, device);
    let guide = picture_tensor(&view.guide.colour, device) * trust.clone().greater_scalar(0.0).float();
    Conditioning { mask, masked, guide, trust }
}
