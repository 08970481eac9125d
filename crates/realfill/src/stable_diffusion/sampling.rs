//! Sampling the hole in latent space.

use super::adapters::Adapters;
use super::conditions::{Known, tensors};
use crate::denoiser::{Denoiser, led_by};
use crate::drawing::{Judge, Painter};
use crate::model::{Draft, StageError, View};
use crate::schedule::{NoiseLevel, NoiseSchedule};
use crate::training::batch::{Sample, picture_from_tensor};
use crate::training::simulated_guide::SimulatedGuide;
use burn::tensor::{Device, Tensor};
use image::Rgb32FImage;
use realfill_models::ModelError;
use realfill_models::lora::Pass;
use realfill_models::sd::StableDiffusion;
use realfill_vision::Guide;
use std::sync::Arc;

/// A base in front of a view: what all candidates share is encoded once.
pub(super) struct Inpainter<'a> {
    base: &'a StableDiffusion,
    adapters: &'a Adapters,
    schedule: &'a NoiseSchedule,
    /// By which candidates are compared.
    likeliest: Arc<Guide>,
    /// `[1, tokens, width]`.
    context: Tensor<3>,
    /// The view without a guide.
    unguided: Known,
    /// The view with each guide that was asked for.
    guided: Vec<(Arc<Guide>, Known)>,
}

impl<'a> Inpainter<'a> {
    /// Encodes the prompt and the view without its guide.
    ///
    /// # Errors
    /// A prompt that the vocabulary cannot express.
    pub fn new(
        base: &'a StableDiffusion,
        adapters: &'a Adapters,
        schedule: &'a NoiseSchedule,
        prompt: &str,
        view: &View,
    ) -> Result<Self, ModelError> {
        let (width, height) = view.picture.dimensions();
        let sample = Sample {
            truth: view.picture.clone(),
            mask: view.mask.clone(),
            unknown: None,
            unseen: None,
            guide: SimulatedGuide::none(width, height),
        };
        let context = base.encode_prompt_with(prompt, &Pass::with(&adapters.text))?;
        let unguided = Known::encode(base, tensors(&sample, base).known);
        let likeliest = view.guide.clone();
        Ok(Self { base, adapters, schedule, likeliest, context, unguided, guided: Vec::new() })
    }

    fn known(&mut self, guide: &Arc<Guide>) -> Known {
        if let Some((_, known)) = self.guided.iter().find(|(seen, _)| Arc::ptr_eq(seen, guide)) {
            return known.clone();
        }
        let known = self.unguided.guided(self.base, guide);
        self.guided.push((guide.clone(), known.clone()));
        known
    }
}

impl<'a> Painter for Inpainter<'a> {
    type Denoiser = Inpainting<'a>;

    fn schedule(&self) -> &NoiseSchedule {
        self.schedule
    }

    fn device(&self) -> &Device {
        self.base.device()
    }

    fn size(&self) -> [usize; 3] {
        self.unguided.size()
    }

    /// The latents are the means of their distributions: a candidate's chance is in its own noise only.
    fn denoiser(&mut self, draft: &Draft) -> Result<Inpainting<'a>, StageError> {
        let conditions = self.known(&draft.guide).channels(self.base, None);
        Ok(Inpainting { base: self.base, adapters: self.adapters, conditions, context: self.context.clone() })
    }

    fn judge(&mut self) -> Judge {
        let likeliest = self.likeliest.clone();
        self.known(&likeliest).judge(self.base)
    }

    fn picture(&self, x0: Tensor<4>) -> Rgb32FImage {
        picture_from_tensor(self.base.decode(x0))
    }
}

/// The U-Net with what it is told for one candidate.
pub(super) struct Inpainting<'a> {
    base: &'a StableDiffusion,
    adapters: &'a Adapters,
    /// `[1, channels, h, w]`.
    conditions: Tensor<4>,
    /// `[1, tokens, width]`.
    context: Tensor<3>,
}

impl Denoiser for Inpainting<'_> {
    fn denoise(&self, x: Tensor<4>, timestep: f32) -> Tensor<4> {
        let input = Tensor::cat(vec![x, self.conditions.clone()], 1);
        self.base.denoise(input, &[timestep], self.context.clone(), &Pass::with(&self.adapters.unet))
    }

    fn adjust_x0(&self, x0: Tensor<4>, level: &NoiseLevel) -> Tensor<4> {
        let channels = self.base.config.vae.latent_channels;
        let guide = self.conditions.clone().narrow(1, channels + 1, channels);
        let trust = self.conditions.clone().narrow(1, 2 * channels + 1, 1);
        led_by(&guide, &trust, x0, level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::ScheduleConfig;
    use crate::tuning::TuneConfig;
    use burn::module::Module;
    use realfill_models::sd::{Preset, write_random_checkpoint};
    use realfill_vision::Mask;

    #[test]
    fn a_guide_that_candidates_share_is_encoded_once() {
        let place = tempfile::tempdir().expect("a temporary folder");
        write_random_checkpoint(Preset::Tiny, place.path(), 1).expect("a tiny checkpoint");
        let base = StableDiffusion::load_folder(place.path(), &Device::flex()).expect("loads");
        let adapters = Adapters::fresh(&base, &TuneConfig::default()).valid();
        let schedule = NoiseSchedule::new(ScheduleConfig::default()).expect("a valid schedule");
        let [likeliest, other] = [0, 1].map(|_| Arc::new(Guide::empty(64, 64)));
        let mask = Mask::from_fn(64, 64, |x, _| x < 16);
        let view = View { picture: Rgb32FImage::new(64, 64), mask, guide: likeliest.clone() };
        let mut painter = Inpainter::new(&base, &adapters, &schedule, "a photo", &view).expect("encodes");
        for guide in [&likeliest, &other, &likeliest] {
            painter.denoiser(&Draft { seed: 0, guide: guide.clone() }).expect("encodes");
        }
        painter.judge();
        assert_eq!(painter.guided.len(), 2);
    }
}
