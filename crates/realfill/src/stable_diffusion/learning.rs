//! One tuning step: noise the latents, predict, go back, update (Tang et al. 2024, section 4.1, equation 2).

use super::adapters::Adapters;
use super::conditions::{conditions, tensors};
use super::gradients::{StepGradients, Sum};
use super::seeds::{Purpose, seed};
use crate::noise::{NoiseSource, SeededNoise};
use crate::schedule::NoiseSchedule;
use crate::training::batch::Sample;
use crate::tuning::TuneConfig;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use realfill_models::ModelError;
use realfill_models::lora::{DropRates, LoraDropout, Pass};
use realfill_models::sd::{StableDiffusion, mask_to_latents};

/// What a step found out.
pub(super) struct Found {
    /// Mean squared error of the predictions where the truth is known.
    pub loss: f64,
    pub gradients: StepGradients,
}

/// AdamW with the published betas 0.9 and 0.999 (and PyTorch's epsilon, which diffusers leaves alone).
pub(super) fn optimizer(config: &TuneConfig) -> ModuleOptimizer {
    AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(config.weight_decay as f32).init()
}

/// The adapters after a step, each at its own rate; gradients are clipped by their norm over both.
pub(super) fn update(
    optimizer: &mut ModuleOptimizer,
    adapters: Adapters,
    gradients: StepGradients,
    step: usize,
    config: &TuneConfig,
) -> Adapters {
    let StepGradients { unet, text } = gradients.clipped(&adapters, config.max_gradient_norm);
    let factor = config.rate_factor(step);
    Adapters {
        unet: optimizer.step(config.learning_rate * factor, adapters.unet, unet),
        text: optimizer.step(config.text_learning_rate * factor, adapters.text, text),
    }
}

/// The loss on all samples, and its gradients, in passes of at most [`pass_size`] samples.
pub(super) fn gradients(
    base: &StableDiffusion,
    schedule: &NoiseSchedule,
    adapters: &Adapters,
    samples: &[Sample],
    step: usize,
    config: &TuneConfig,
) -> Result<Found, ModelError> {
    let size = pass_size(base.device(), config);
    let (mut loss, mut sum) = (0.0, Sum::default());
    for (number, chunk) in samples.chunks(size).enumerate() {
        let row = |(i, sample)| {
            let seed = seed(config.seed, step, number * size + i, Purpose::Sample);
            Row::new(base, schedule, sample, seed, config.prompt_dropout)
        };
        let rows = chunk.iter().enumerate().map(row).collect();
        let rates = DropRates { layer: config.layer_dropout, input: config.lora_dropout };
        let dropout = LoraDropout::new(rates, seed(config.seed, step, number, Purpose::Dropout));
        let pass = TuningPass { base, adapters, dropout, share: 1.0 / samples.len() as f64 };
        loss += pass.run(rows, &config.prompt, &mut sum)?;
    }
    Ok(Found { loss, gradients: sum.finish() })
}

/// Samples a pass. A processor gains nothing from several at once and would need the memory of all of them.
fn pass_size(device: &Device, config: &TuneConfig) -> usize {
    if *device == Device::flex() { 1 } else { config.batch.max(1) }
}

/// A sample, noised.
struct Row {
    /// Noisy latent and conditions.
    input: Tensor<4>,
    /// What is to be predicted.
    target: Tensor<4>,
    /// 1 where the truth is known.
    counts: Tensor<4>,
    timestep: f32,
    /// Whether the prompt is shown, or an empty one.
    prompted: bool,
}

impl Row {
    fn new(base: &StableDiffusion, schedule: &NoiseSchedule, sample: &Sample, seed: u64, unprompted: f64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let timestep = rng.random_range(0..schedule.train_timesteps());
        let prompted = !rng.random_bool(unprompted.clamp(0.0, 1.0));
        let batch = tensors(sample, base);
        let moments = base.encode(batch.truth);
        let mut draws = SeededNoise::new([seed]);
        let [noise, for_truth, for_masked] = [0, 1, 2].map(|i| draws.draw(i, &moments.mean));
        let truth = base.scaled_latents(&moments, Some(for_truth));
        let known = conditions(base, batch.known, Some(for_masked));
        let noisy = schedule.add_noise(truth.clone(), noise.clone(), &[timestep]);
        let unknown = mask_to_latents(batch.counts.neg() + 1.0, base.config.vae.scale());
        Self {
            input: Tensor::cat(vec![noisy, known], 1),
            target: schedule.target(truth, noise, &[timestep]),
            counts: unknown.neg() + 1.0,
            timestep: schedule.level(timestep).timestep,
            prompted,
        }
    }
}

/// One way forward and back.
struct TuningPass<'a> {
    base: &'a StableDiffusion,
    adapters: &'a Adapters,
    dropout: LoraDropout,
    /// Of one sample in the step's loss.
    share: f64,
}

impl TuningPass<'_> {
    /// Adds the rows' gradients and returns their part of the loss.
    fn run(&self, rows: Vec<Row>, prompt: &str, sum: &mut Sum) -> Result<f64, ModelError> {
        let context = self.context(&rows, prompt)?;
        let timesteps: Vec<f32> = rows.iter().map(|row| row.timestep).collect();
        let stack = |of: fn(&Row) -> &Tensor<4>| Tensor::cat(rows.iter().map(|row| of(row).clone()).collect(), 0);
        let (input, target, counts) = (stack(|r| &r.input), stack(|r| &r.target), stack(|r| &r.counts));
        let unet = &self.adapters.unet;
        let tape = self.base.unet.record(input, &timesteps, context.clone(), unet, Some(&self.dropout));
        let error = (tape.prediction.clone() - target) * counts;
        let [_, channels, height, width] = error.dims();
        let weight = self.share / (channels * height * width) as f64;
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
    fn context(&self, rows: &[Row], prompt: &str) -> Result<Tensor<3>, ModelError> {
        let pass = Pass::tuning(&self.adapters.text, &self.dropout);
        let wanted = [prompt, ""].map(|text| (text, rows.iter().any(|row| row.prompted != text.is_empty())));
        let encode =
            |(text, wanted): (&str, bool)| wanted.then(|| self.base.encode_prompt_with(text, &pass)).transpose();
        let [shown, empty] = [encode(wanted[0])?, encode(wanted[1])?];
        let of = |row: &Row| if row.prompted { shown.clone() } else { empty.clone() };
        Ok(Tensor::cat(rows.iter().filter_map(of).collect(), 0))
    }
}
