//! Sampling the hole in latent space, one candidate after another so that memory stays that of one.

use super::adapters::Adapters;
use super::conditions::{Known, tensors};
use crate::denoiser::{Denoiser, led_by};
use crate::model::{StageError, View};
use crate::noise::SeededNoise;
use crate::samplers::{Next, SamplerSettings, Start, sample};
use crate::schedule::{NoiseLevel, NoiseSchedule};
use crate::training::batch::{Sample, picture_from_tensor};
use crate::training::simulated_guide::SimulatedGuide;
use burn::tensor::Tensor;
use image::Rgb32FImage;
use realfill_models::ModelError;
use realfill_models::lora::Pass;
use realfill_models::sd::StableDiffusion;

/// The U-Net with what it is told of a view, encoded once for all candidates.
pub(super) struct Inpainting<'a> {
    base: &'a StableDiffusion,
    adapters: &'a Adapters,
    /// `[1, channels, h, w]`.
    conditions: Tensor<4>,
    /// `[1, tokens, width]`.
    context: Tensor<3>,
}

impl<'a> Inpainting<'a> {
    /// Encodes the prompt and the view. The latents are the means of their distributions: a candidate's chance is in
    /// its own noise only.
    ///
    /// # Errors
    /// A prompt that the vocabulary cannot express.
    pub fn new(
        base: &'a StableDiffusion,
        adapters: &'a Adapters,
        prompt: &str,
        view: &View,
    ) -> Result<Self, ModelError> {
        let sample = Sample {
            truth: view.picture.clone(),
            mask: view.mask.clone(),
            unknown: None,
            unseen: None,
            guide: SimulatedGuide { colour: view.guide.colour.clone(), trust: view.guide.trust.clone() },
        };
        let context = base.encode_prompt_with(prompt, &Pass::with(&adapters.text))?;
        let known = Known::encode(base, tensors(&sample, base).known);
        Ok(Self { conditions: known.channels(base, None), base, adapters, context })
    }
}

impl Denoiser for Inpainting<'_> {
    fn denoise(&self, x: Tensor<4>, timestep: f32) -> Tensor<4> {
        let [rows, ..] = x.dims();
        let input = Tensor::cat(vec![x, self.conditions.clone().repeat_dim(0, rows)], 1);
        let context = self.context.clone().repeat_dim(0, rows);
        self.base.denoise(input, &vec![timestep; rows], context, &Pass::with(&self.adapters.unet))
    }

    fn adjust_x0(&self, x0: Tensor<4>, level: &NoiseLevel) -> Tensor<4> {
        let channels = self.base.config.vae.latent_channels;
        let guide = self.conditions.clone().narrow(1, channels + 1, channels);
        let trust = self.conditions.clone().narrow(1, 2 * channels + 1, 1);
        led_by(&guide, &trust, x0, level)
    }
}

/// One completed picture a seed.
pub(super) fn draw(
    denoiser: &Inpainting,
    schedule: &NoiseSchedule,
    seeds: &[u64],
    settings: &SamplerSettings,
    on_step: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Vec<Rgb32FImage>, StageError> {
    let [_, _, height, width] = denoiser.conditions.dims();
    let size = [denoiser.base.config.vae.latent_channels, height, width];
    let steps = settings.steps * seeds.len();
    let mut pictures = Vec::with_capacity(seeds.len());
    for (i, &seed) in seeds.iter().enumerate() {
        let mut noise = SeededNoise::new([seed]);
        let start = Start::Noise(noise.initial(size, denoiser.base.device()));
        let mut report = |index: usize| match on_step(i * settings.steps + index + 1, steps) {
            true => Next::Continue,
            false => Next::Stop,
        };
        let latents = sample(settings, denoiser, schedule, start, &mut noise, &mut |step| report(step.index))?;
        pictures.push(picture_from_tensor(denoiser.base.decode(latents)));
    }
    Ok(pictures)
}
