//! One tuning step: noise the latents, predict, go back, update (Tang et al. 2024, section 4.1, equation 2).

use super::adapters::Adapters;
use super::gradients::{StepGradients, Sum};
use super::pool::Encoded;
use super::seeds::{Purpose, seed};
use crate::noise::{NoiseSource, SeededNoise};
use crate::schedule::NoiseSchedule;
use crate::tuning::TuneConfig;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use realfill_models::ModelError;
use realfill_models::lora::{DropRates, LoraDropout, Pass};
use realfill_models::sd::StableDiffusion;
use std::sync::Arc;

/// What a step found out.
pub(super) struct Found {
    /// Mean squared error of the predictions where they are learnt from.
    pub loss: f64,
    pub gradients: StepGradients,
}

/// AdamW with the published betas 0.9 and 0.999 (and PyTorch's epsilon, which diffusers leaves alone).
pub(super) fn optimizer(config: &TuneConfig) -> ModuleOptimizer {
    AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(config.weight_decay as f32).init()
}

/// The adapters after a step, each at its own rate; gradients are clipped by their norm over both. Where that is not finite, the
/// step is passed over: it would spoil all factors for good.
pub(super) fn update(
    optimizer: &mut ModuleOptimizer,
    adapters: Adapters,
    gradients: StepGradients,
    step: usize,
    config: &TuneConfig,
) -> Adapters {
    let Some(StepGradients { unet, text }) = gradients.clipped(&adapters, config.max_gradient_norm) else {
        return adapters;
    };
    let factor = config.rate_factor(step);
    Adapters {
        unet: optimizer.step(config.learning_rate * factor, adapters.unet, unet),
        text: optimizer.step(config.text_learning_rate * factor, adapters.text, text),
    }
}

/// One step of tuning, before its update.
pub(super) struct TuningStep<'a> {
    pub base: &'a StableDiffusion,
    pub schedule: &'a NoiseSchedule,
    pub adapters: &'a Adapters,
    pub config: &'a TuneConfig,
    /// From 0.
    pub number: usize,
}

impl TuningStep<'_> {
    /// The loss on all samples, and its gradients.
    ///
    /// # Errors
    /// A prompt that the vocabulary cannot express.
    pub fn gradients(&self, samples: &[Arc<Encoded>]) -> Result<Found, ModelError> {
        self.in_passes_of(self.base.at_once(self.config.batch.max(1)), samples)
    }

    fn in_passes_of(&self, size: usize, samples: &[Arc<Encoded>]) -> Result<Found, ModelError> {
        let (mut loss, mut sum) = (0.0, Sum::default());
        for (index, chunk) in samples.chunks(size).enumerate() {
            let rows: Vec<Row> = (0..).zip(chunk).map(|(i, sample)| self.row(sample, index * size + i)).collect();
            loss += self.pass(&rows, index, samples.len(), &mut sum)?;
        }
        Ok(Found { loss, gradients: sum.finish() })
    }

    /// The sample of this index in the step, noised.
    fn row(&self, sample: &Encoded, index: usize) -> Row {
        let (base, schedule) = (self.base, self.schedule);
        let seed = seed(self.config.seed, self.number, index, Purpose::Sample);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let timestep = rng.random_range(0..schedule.train_timesteps());
        let prompted = !rng.random_bool(self.config.prompt_dropout.clamp(0.0, 1.0));
        let mut draws = SeededNoise::new([seed]);
        let [noise, for_truth, for_masked] = [0, 1, 2].map(|i| draws.draw(i, &sample.truth.mean));
        let truth = base.scaled_latents(&sample.truth, Some(for_truth));
        let known = sample.known.channels(base, Some(for_masked));
        let noisy = schedule.add_noise(truth.clone(), noise.clone(), &[timestep]);
        Row {
            input: Tensor::cat(vec![noisy, known], 1),
            target: schedule.target(truth, noise, &[timestep]),
            counts: sample.counts.clone(),
            timestep: schedule.level(timestep).timestep,
            prompted,
        }
    }

    /// One way forward and back: adds the rows' gradients and returns their part of the loss on `samples` samples.
    fn pass(&self, rows: &[Row], index: usize, samples: usize, sum: &mut Sum) -> Result<f64, ModelError> {
        let rates = DropRates { layer: self.config.layer_dropout, input: self.config.lora_dropout };
        let dropout = LoraDropout::new(rates, seed(self.config.seed, self.number, index, Purpose::Dropout));
        let context = self.context(rows, &dropout)?;
        let timesteps: Vec<f32> = rows.iter().map(|row| row.timestep).collect();
        let stack = |of: fn(&Row) -> &Tensor<4>| Tensor::cat(rows.iter().map(|row| of(row).clone()).collect(), 0);
        let (input, target, counts) = (stack(|r| &r.input), stack(|r| &r.target), stack(|r| &r.counts));
        let tape = self.base.unet.record(input, &timesteps, context.clone(), &self.adapters.unet, Some(&dropout));
        let error = (tape.prediction.clone() - target) * counts;
        let [_, channels, height, width] = error.dims();
        let weight = 1.0 / (samples * channels * height * width) as f64;
        let loss = f64::from(error.clone().square().sum().into_scalar::<f32>()) * weight;
        let found = tape.backward(error * (2.0 * weight));
        sum.add_unet(self.adapters, found.adapter);
        if context.is_tracked() {
            let gradients = (context * found.context.without_autodiff()).sum().backward();
            sum.add_text(self.adapters, GradientsParams::from_grads(gradients, &self.adapters.text));
        }
        Ok(loss)
    }

    /// The rows' encoded prompts, `[rows, tokens, width]`.
    fn context(&self, rows: &[Row], dropout: &LoraDropout) -> Result<Tensor<3>, ModelError> {
        let pass = Pass::tuning(&self.adapters.text, dropout);
        let encode = |prompted: bool| {
            let text = if prompted { self.config.prompt.as_str() } else { "" };
            let is_wanted = rows.iter().any(|row| row.prompted == prompted);
            is_wanted.then(|| self.base.encode_prompt_with(text, &pass)).transpose()
        };
        let (shown, empty) = (encode(true)?, encode(false)?);
        let of = |row: &Row| if row.prompted { shown.clone() } else { empty.clone() };
        Ok(Tensor::cat(rows.iter().filter_map(of).collect(), 0))
    }
}

/// A sample, noised.
struct Row {
    /// Noisy latent and conditions.
    input: Tensor<4>,
    /// What is to be predicted.
    target: Tensor<4>,
    /// 1 where it is learnt from.
    counts: Tensor<4>,
    timestep: f32,
    /// Whether the prompt is shown, or an empty one.
    prompted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::ScheduleConfig;
    use crate::training::batch::Sample;
    use crate::training::simulated_guide::SimulatedGuide;
    use burn::tensor::{Device, TensorData};
    use image::{Rgb, Rgb32FImage};
    use realfill_models::Precision;
    use realfill_models::sd::{Preset, write_random_checkpoint};
    use realfill_vision::Mask;

    fn sample(shift: u32) -> Sample {
        let wave = |a: u32, b: u32| 0.5 + 0.5 * ((a + shift) as f32 * 0.3 + b as f32 * 0.1).sin();
        Sample {
            truth: Rgb32FImage::from_fn(64, 64, |x, y| Rgb([wave(x, y), wave(y, x), 0.5])),
            mask: Mask::from_fn(64, 64, |x, y| x < 32 + shift && y > 16),
            unknown: None,
            unseen: None,
            guide: SimulatedGuide::none(64, 64),
        }
    }

    fn values(gradients: Vec<(String, TensorData)>) -> Vec<f32> {
        gradients.into_iter().flat_map(|(_, data)| data.try_to_vec::<f32>().expect("f32")).collect()
    }

    /// The processor's passes of one sample are those of an accelerator, whose batches are larger.
    #[test]
    fn one_pass_has_the_gradients_of_several() {
        let place = tempfile::tempdir().expect("a temporary folder");
        write_random_checkpoint(Preset::Tiny, place.path(), 3).expect("a tiny checkpoint");
        let base = StableDiffusion::load_folder(place.path(), &Device::flex()).expect("loads");
        let schedule = NoiseSchedule::new(ScheduleConfig::default()).expect("valid");
        let config = TuneConfig { layer_dropout: 0.0, lora_dropout: 0.0, prompt_dropout: 0.5, ..TuneConfig::default() };
        let mut adapters = Adapters::fresh(&base, &config);
        let samples: Vec<_> = (0..4).map(|i| Arc::new(Encoded::new(&base, &sample(i)))).collect();
        let found = |adapters: &Adapters, size| {
            let step = TuningStep { base: &base, schedule: &schedule, adapters, config: &config, number: 1 };
            step.in_passes_of(size, &samples).expect("learns")
        };
        // Where B is zero, A has no gradient yet.
        let first = found(&adapters, 4).gradients;
        adapters = update(&mut optimizer(&config), adapters, first, 20, &config);
        let (once, often) = (found(&adapters, 4), found(&adapters, 1));
        assert!((once.loss - often.loss).abs() < 1e-5 * once.loss, "{} and {}", once.loss, often.loss);
        let all = |found: Found| {
            let unet = values(adapters.unet.named_gradients(&found.gradients.unet));
            [unet, values(adapters.text.named_gradients(&found.gradients.text))]
        };
        for (a, b) in all(once).iter().zip(&all(often)) {
            let largest = a.iter().fold(0f32, |m, v| m.max(v.abs()));
            let error = a.iter().zip(b).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(a.len() == b.len() && largest > 0.0 && error < 1e-3 * largest, "{error} of {largest}");
        }
    }

    /// What is unseen adds nothing: the losses and gradients of two parts are those of the whole.
    #[test]
    fn a_part_that_is_unseen_has_no_loss_and_no_gradient() {
        let place = tempfile::tempdir().expect("a temporary folder");
        write_random_checkpoint(Preset::Tiny, place.path(), 3).expect("a tiny checkpoint");
        let base = StableDiffusion::load_folder(place.path(), &Device::flex()).expect("loads");
        let schedule = NoiseSchedule::new(ScheduleConfig::default()).expect("valid");
        let config = TuneConfig { layer_dropout: 0.0, lora_dropout: 0.0, prompt_dropout: 0.0, ..TuneConfig::default() };
        let adapters = Adapters::fresh(&base, &config);
        let found = |unseen: Option<Mask>| {
            let sample = Encoded::new(&base, &Sample { unseen, ..sample(0) });
            let step = TuningStep { base: &base, schedule: &schedule, adapters: &adapters, config: &config, number: 1 };
            let Found { loss, gradients } = step.in_passes_of(1, &[Arc::new(sample)]).expect("learns");
            (loss, values(adapters.unet.named_gradients(&gradients.unet)))
        };
        let part = |is_right: bool| Some(Mask::from_fn(64, 64, |x, _| (x >= 24) == is_right));
        let (whole, left, right) = (found(None), found(part(true)), found(part(false)));
        assert!(left.0 > 0.0 && right.0 > 0.0);
        assert!((left.0 + right.0 - whole.0).abs() < 1e-5 * whole.0, "{} + {} for {}", left.0, right.0, whole.0);
        let largest = whole.1.iter().fold(0f32, |m, v| m.max(v.abs()));
        let parts = left.1.iter().zip(&right.1).map(|(a, b)| a + b);
        let error = parts.zip(&whole.1).fold(0f32, |m, (sum, all)| m.max((sum - all).abs()));
        assert!(largest > 0.0 && error < 1e-3 * largest, "{error} of {largest}");
        let nothing = found(Some(Mask::from_fn(64, 64, |_, _| true)));
        assert!(nothing.0 == 0.0 && nothing.1.iter().all(|v| *v == 0.0));
    }

    /// A step's gradients by factors rounded to `bf16` are those by `f32`, but for the rounding: up to 1 % a layer (see the
    /// kernels' tests), 1.6 % through this whole network and back.
    #[test]
    fn a_step_in_bf16_has_the_gradients_of_one_in_f32() {
        let place = tempfile::tempdir().expect("a temporary folder");
        write_random_checkpoint(Preset::Tiny, place.path(), 3).expect("a tiny checkpoint");
        let source = place.path().to_str().expect("a plain path");
        let schedule = NoiseSchedule::new(ScheduleConfig::default()).expect("valid");
        let config = TuneConfig { layer_dropout: 0.0, lora_dropout: 0.0, prompt_dropout: 0.0, ..TuneConfig::default() };
        let load = |precision| StableDiffusion::load_in(source, &Device::flex(), precision).expect("loads");
        let exact = load(Precision::F32);
        let samples: Vec<_> = (0..2).map(|i| Arc::new(Encoded::new(&exact, &sample(i)))).collect();
        let found = |base: &StableDiffusion, adapters: &Adapters| {
            let step = TuningStep { base, schedule: &schedule, adapters, config: &config, number: 1 };
            step.in_passes_of(2, &samples).expect("learns").gradients
        };
        // Where B is zero, A has no gradient yet.
        let fresh = Adapters::fresh(&exact, &config);
        let first = found(&exact, &fresh);
        let adapters = update(&mut optimizer(&config), fresh, first, 20, &config);
        let all = |base: &StableDiffusion| {
            let gradients = found(base, &adapters);
            [adapters.unet.named_gradients(&gradients.unet), adapters.text.named_gradients(&gradients.text)].map(values)
        };
        for (exact, rounded) in all(&exact).iter().zip(&all(&load(Precision::Bf16))) {
            let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            let size = norm(&mut exact.iter().copied());
            let error = norm(&mut exact.iter().zip(rounded).map(|(a, b)| a - b)) / size;
            assert!(size > 0.0 && error <= 2e-2, "relative error {error:.1e}");
        }
    }
}
