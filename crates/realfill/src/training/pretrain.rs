//! Pretraining the embedded model on a folder of photos with simulated guides.

use super::batch::{Batch, Sample};
use super::checkpoint::{CheckpointError, Checkpoints};
use super::ema::Ema;
use super::masks;
use super::photos::{PhotoFolder, PhotoFolderError, random_crop};
use super::simulated_guide::SimulatedGuide;
use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use realfill_models::embedded::{EmbeddedConfig, PatchUNet};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How to pretrain. The same values serve the command line and the checkpoint's `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PretrainConfig {
    /// Steps in all, those of resumed runs included.
    pub steps: usize,
    /// Crops a step.
    pub batch: usize,
    /// Side of a crop in pixels; a multiple of 32.
    pub crop_px: u32,
    /// AdamW's rate.
    pub learning_rate: f64,
    /// Steps over which the rate rises from 0.
    pub warmup_steps: usize,
    /// Decay of the averaged weights.
    pub ema_decay: f32,
    /// Steps between checkpoints (and validations).
    pub checkpoint_every: usize,
    /// Seed of weights, crops, masks, guides and noise.
    pub seed: u64,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self {
            steps: 20_000,
            batch: 12,
            crop_px: 128,
            learning_rate: 3e-4,
            warmup_steps: 200,
            ema_decay: 0.998,
            checkpoint_every: 250,
            seed: 0,
        }
    }
}

/// Why pretraining stopped.
#[derive(Debug, thiserror::Error)]
pub enum PretrainError {
    /// The photos cannot be used.
    #[error(transparent)]
    Photos(#[from] PhotoFolderError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// What one report of the training says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Mean training loss since the last report.
    pub loss: f64,
    /// PSNR in the holes of held-out photos, dB, predicted in one go from noise level 600 of 1000.
    pub validation_psnr: Option<f64>,
}

/// Trains until `config.steps`, resuming from the newest checkpoint in `folder`; returns the averaged weights.
///
/// `on_progress` is called after each step and returns whether to go on; before stopping a checkpoint is written.
///
/// # Errors
/// When the photos cannot be used or a checkpoint cannot be written or read.
pub fn pretrain(
    model: &EmbeddedConfig,
    config: &PretrainConfig,
    photos: &Path,
    folder: &Path,
    device: &Device,
    on_progress: &mut dyn FnMut(&Progress) -> bool,
) -> Result<PatchUNet, PretrainError> {
    let photos = PhotoFolder::open(photos)?;
    let mut run = Run::start_or_resume(model, config, folder, device)?;
    let validation = validation_set(&photos.validation, config, device);
    while run.step < config.steps {
        let samples = random_samples(&photos.training, config, run.step);
        let loss = run.learn(&samples, config, device);
        let is_due = run.step % config.checkpoint_every == 0 || run.step == config.steps;
        let validation_psnr = is_due.then(|| run.validate(&validation, model, device));
        let go_on = on_progress(&Progress { step: run.step, loss, validation_psnr });
        if is_due || !go_on {
            run.save()?;
        }
        if !go_on {
            break;
        }
    }
    Ok(run.averaged(model, device))
}

/// The state of a training between two steps.
struct Run {
    step: usize,
    network: PatchUNet,
    optimizer: ModuleOptimizer,
    ema: Ema,
    checkpoints: Checkpoints,
    averages: Checkpoints,
}

impl Run {
    fn start_or_resume(
        model: &EmbeddedConfig,
        config: &PretrainConfig,
        folder: &Path,
        device: &Device,
    ) -> Result<Self, PretrainError> {
        device.seed(config.seed);
        let network = PatchUNet::new(model, &device.clone().autodiff());
        let clipping = GradientClippingConfig::Norm(1.0);
        let optimizer = AdamWConfig::new().with_weight_decay(1e-2).with_grad_clipping(Some(clipping)).init();
        let checkpoints = Checkpoints::new(folder.join("checkpoints"));
        let averages = Checkpoints::new(folder.join("averages"));
        let Some(step) = checkpoints.newest() else {
            let ema = Ema::new(&network);
            return Ok(Self { step: 0, network, optimizer, ema, checkpoints, averages });
        };
        let averaged = PatchUNet::new(model, device);
        let (averaged, _, ()) = averages.load(step, averaged, AdamWConfig::new().init())?;
        let (network, optimizer, _): (_, _, PretrainConfig) = checkpoints.load(step, network, optimizer)?;
        Ok(Self { step, network, optimizer, ema: Ema::new(&averaged), checkpoints, averages })
    }

    /// One step: rate, loss, backward, step.
    fn learn(&mut self, samples: &[Sample], config: &PretrainConfig, device: &Device) -> f64 {
        let rate = config.learning_rate * ((self.step + 1) as f64 / config.warmup_steps as f64).min(1.0);
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ (self.step as u64).wrapping_mul(0x9e37_79b9));
        let batch = Batch::new(samples, &device.clone().autodiff());
        let timesteps: Vec<usize> = samples.iter().map(|_| rng.random_range(0..TIMESTEPS)).collect();
        let loss = loss(&self.network, &batch, &timesteps, &mut rng);
        let value = loss.clone().into_scalar::<f32>();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        self.step += 1;
        let decay = config.ema_decay.min((self.step as f32 + 1.0) / (self.step as f32 + 10.0));
        self.ema.update(&self.network, decay);
        f64::from(value)
    }

    fn averaged(&self, model: &EmbeddedConfig, device: &Device) -> PatchUNet {
        self.ema.apply(PatchUNet::new(model, device))
    }

    fn validate(&self, set: &[Batch], model: &EmbeddedConfig, device: &Device) -> f64 {
        let network = self.averaged(model, device);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let errors = set.iter().map(|batch| {
            let [n, ..] = batch.truth.dims();
            let predicted = predict(&network, batch, &vec![600; n], &mut rng);
            hole_error(predicted, batch)
        });
        let mse = errors.sum::<f64>() / set.len() as f64;
        -10.0 * (mse / 4.0).log10()
    }

    fn save(&self) -> Result<(), CheckpointError> {
        let averaged = self.ema.apply(self.network.clone().valid());
        self.averages.save(self.step, &averaged, &AdamWConfig::new().init(), &())?;
        self.checkpoints.save(self.step, &self.network, &self.optimizer, &self.step)
    }
}

const TIMESTEPS: usize = 1000;

/// Signal share of the squared-cosine schedule (Nichol & Dhariwal 2021, equation 17).
fn alpha_bar(timestep: usize) -> f64 {
    let angle = ((timestep + 1) as f64 / TIMESTEPS as f64 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2;
    angle.cos().powi(2).max(1e-5)
}

/// Weight of a timestep's x0 error: SNR + 1 (what predicting v would give; Salimans & Ho 2022), at most 5.
fn weight(timestep: usize) -> f32 {
    (1.0 / (1.0 - alpha_bar(timestep))).min(5.0) as f32
}

/// Mean squared x0 error, in the hole in full and outside at a tenth, weighted by timestep.
fn loss(network: &PatchUNet, batch: &Batch, timesteps: &[usize], rng: &mut ChaCha8Rng) -> Tensor<1> {
    let error = (predict(network, batch, timesteps, rng) - batch.truth.clone()).square();
    let place = batch.known.mask.clone() * 0.9 + 0.1;
    let [n, ..] = batch.truth.dims();
    let weights: Vec<f32> = timesteps.iter().map(|&t| weight(t)).collect();
    let time = Tensor::<1>::from_floats(weights.as_slice(), &batch.truth.device()).reshape([n, 1, 1, 1]);
    let total = (error * place.clone() * time).sum();
    total / (place.sum() * 3.0)
}

/// The predicted clean picture from a noised one.
fn predict(network: &PatchUNet, batch: &Batch, timesteps: &[usize], rng: &mut ChaCha8Rng) -> Tensor<4> {
    let device = batch.truth.device();
    let [n, c, h, w] = batch.truth.dims();
    let noise: Vec<f32> = (0..n * c * h * w).map(|_| rng.sample(StandardNormal)).collect();
    let noise = Tensor::<4>::from_data(TensorData::new(noise, [n, c, h, w]), &device);
    let scale = |f: fn(f64) -> f64| {
        let values: Vec<f32> = timesteps.iter().map(|&t| f(alpha_bar(t)) as f32).collect();
        Tensor::<1>::from_floats(values.as_slice(), &device).reshape([n, 1, 1, 1])
    };
    let noisy = batch.truth.clone() * scale(f64::sqrt) + noise * scale(|a| (1.0 - a).sqrt());
    let times: Vec<f32> = timesteps.iter().map(|&t| t as f32).collect();
    network.forward(noisy, Tensor::from_floats(times.as_slice(), &device), &batch.known)
}

fn hole_error(predicted: Tensor<4>, batch: &Batch) -> f64 {
    let hole = batch.known.mask.clone();
    let error = ((predicted.clamp(-1.0, 1.0) - batch.truth.clone()).square() * hole.clone()).sum();
    f64::from((error / (hole.sum() * 3.0)).into_scalar::<f32>())
}

/// The samples of one step, each from its own seed, so that a resumed run sees the same ones.
fn random_samples(photos: &[PathBuf], config: &PretrainConfig, step: usize) -> Vec<Sample> {
    let first = (step * config.batch) as u64;
    (0..config.batch as u64).into_par_iter().map(|i| random_sample(photos, config, first + i)).collect()
}

fn random_sample(photos: &[PathBuf], config: &PretrainConfig, index: u64) -> Sample {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed.rotate_left(32) ^ index);
    let side = config.crop_px;
    let truth = random_crop(photos, side, &mut rng);
    let other = random_crop(photos, side, &mut rng);
    let mask = if rng.random_bool(0.5) {
        masks::rectangles(side, side, &mut rng)
    } else {
        masks::like_a_users(side, side, &mut rng)
    };
    let guide = SimulatedGuide::random(&truth, &other, &mask, &mut rng);
    Sample { truth, mask, guide }
}

/// A fixed set of held-out samples, in batches.
fn validation_set(photos: &[PathBuf], config: &PretrainConfig, device: &Device) -> Vec<Batch> {
    let fixed = PretrainConfig { seed: 77, ..config.clone() };
    let samples: Vec<Sample> = (0..48).into_par_iter().map(|i| random_sample(photos, &fixed, i)).collect();
    samples.chunks(12).map(|chunk| Batch::new(chunk, device)).collect()
}
