//! The error where nothing is learnt, by which tuning stops (Prechelt 1998, "Early stopping - but when?").

use super::adapters::Adapters;
use super::pool::Encoded;
use super::seeds::{Purpose, seed};
use crate::noise::{NoiseSource, SeededNoise};
use crate::schedule::NoiseSchedule;
use crate::training::objective::validation_timesteps;
use crate::tuning::TuneConfig;
use burn::tensor::Tensor;
use realfill_models::ModelError;
use realfill_models::lora::Pass;
use realfill_models::sd::StableDiffusion;
use std::sync::Arc;

/// Mean squared error of the predicted latents where the truth is not learnt, over all samples and noise levels. The adapters
/// are those of inference; latents are the means of their distributions.
///
/// # Errors
/// A prompt that the vocabulary cannot express.
pub(super) fn loss(
    base: &StableDiffusion,
    schedule: &NoiseSchedule,
    adapters: &Adapters,
    samples: &[Arc<Encoded>],
    config: &TuneConfig,
) -> Result<f64, ModelError> {
    let context = base.encode_prompt_with(&config.prompt, &Pass::with(&adapters.text))?;
    let (mut sum, mut count) = (0.0, 0.0);
    for (index, sample) in samples.iter().enumerate() {
        let truth = base.scaled_latents(&sample.truth, None);
        let known = sample.known.channels(base, None);
        let hole = sample.counts.clone().neg() + 1.0;
        let mut noise = SeededNoise::new([seed(config.seed, 0, index, Purpose::Validation)]);
        for (draw, timestep) in (0..).zip(validation_timesteps(schedule)) {
            let noisy = schedule.add_noise(truth.clone(), noise.draw(draw, &truth), &[timestep]);
            let input = Tensor::cat(vec![noisy.clone(), known.clone()], 1);
            let time = [schedule.level(timestep).timestep];
            let raw = base.denoise(input, &time, context.clone(), &Pass::with(&adapters.unet));
            let error = (schedule.predicted_x0(noisy, raw, &[timestep]) - truth.clone()).square() * hole.clone();
            sum += f64::from(error.sum().into_scalar::<f32>());
            count += f64::from(hole.clone().sum().into_scalar::<f32>()) * truth.dims()[1] as f64;
        }
    }
    Ok(sum / count)
}
