//! Pretraining the embedded model on a folder of photos with simulated guides.

use super::batch::{Batch, Sample};
use super::checkpoint::{CheckpointError, Checkpoints};
use super::clipping::squared_norm;
use super::ema::Ema;
use super::masks;
use super::objective::{hole_error, loss, predict, random_levels, schedule};
use super::photos::{PhotoFolder, PhotoFolderError, random_crop};
use super::simulated_guide::SimulatedGuide;
use crate::schedule::NoiseSchedule;
use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use realfill_models::ModelError;
use realfill_models::embedded::{EmbeddedConfig, PatchUNet};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Noise level of the validation: little of the structure is left.
const VALIDATION_TIMESTEP: usize = 600;

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
            batch: 8,
            crop_px: 128,
            learning_rate: 3e-4,
            warmup_steps: 200,
            ema_decay: 0.998,
            checkpoint_every: 100,
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
    /// The weights to start from cannot be used.
    #[error(transparent)]
    Weights(#[from] ModelError),
}

/// The files and folders of a training.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Folder of photos to learn from.
    pub photos: &'a Path,
    /// Weights to start from in place of random ones.
    pub start: Option<&'a Path>,
    /// Folder for checkpoints; the newest one there goes before `start`.
    pub output: &'a Path,
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

/// Trains until `config.steps`, resuming from the newest checkpoint; returns the averaged weights.
///
/// `on_progress` is called after each step and returns whether to go on; before stopping a checkpoint is written.
///
/// # Errors
/// When the photos or the weights to start from cannot be used, or a checkpoint cannot be written or read.
pub fn pretrain(
    model: &EmbeddedConfig,
    config: &PretrainConfig,
    places: &Places,
    device: &Device,
    on_progress: &mut dyn FnMut(&Progress) -> bool,
) -> Result<PatchUNet, PretrainError> {
    let photos = PhotoFolder::open(places.photos)?;
    let mut run = Run::start_or_resume(model, config, places, device)?;
    let validation = validation_set(&photos.validation, config, device);
    let mut samples = random_samples(&photos.training, config, run.step);
    while run.step < config.steps {
        let next = run.step + 1;
        let draw_next = || random_samples(&photos.training, config, next);
        let (loss, drawn) = rayon::join(|| run.learn(&samples, config, device), draw_next);
        samples = drawn;
        let is_due = run.step.is_multiple_of(config.checkpoint_every) || run.step == config.steps;
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
    schedule: NoiseSchedule,
}

impl Run {
    fn start_or_resume(
        model: &EmbeddedConfig,
        config: &PretrainConfig,
        places: &Places,
        device: &Device,
    ) -> Result<Self, PretrainError> {
        device.seed(config.seed);
        let network = PatchUNet::new(model, &device.clone().autodiff());
        let clipping = GradientClippingConfig::Norm(1.0);
        let optimizer = AdamWConfig::new().with_weight_decay(1e-2).with_grad_clipping(Some(clipping)).init();
        let checkpoints = Checkpoints::new(places.output.join("checkpoints"));
        let averages = Checkpoints::new(places.output.join("averages"));
        let schedule = schedule();
        let Some(step) = checkpoints.newest() else {
            let network = match places.start {
                Some(weights) => network.load(weights)?,
                None => network,
            };
            let ema = Ema::new(&network);
            return Ok(Self { step: 0, network, optimizer, ema, checkpoints, averages, schedule });
        };
        let averaged = PatchUNet::new(model, device);
        let (averaged, _, ()) = averages.load(step, averaged, AdamWConfig::new().init())?;
        let (network, optimizer, _): (_, _, usize) = checkpoints.load(step, network, optimizer)?;
        Ok(Self { step, network, optimizer, ema: Ema::new(&averaged), checkpoints, averages, schedule })
    }

    /// One step: rate, loss, backward, step. A gradient that is not finite is passed over, or it would spoil all weights for good.
    fn learn(&mut self, samples: &[Sample], config: &PretrainConfig, device: &Device) -> f64 {
        let rate = config.learning_rate * ((self.step + 1) as f64 / config.warmup_steps as f64).min(1.0);
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ (self.step as u64).wrapping_mul(0x9e37_79b9));
        let batch = Batch::new(samples, &device.clone().autodiff());
        let levels = random_levels(&self.schedule, samples.len(), &mut rng);
        let loss = loss(&self.network, &batch, &levels, &mut rng);
        let value = loss.clone().into_scalar::<f32>();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        if squared_norm(&self.network, &gradients).is_finite() {
            self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        }
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
        let level = *self.schedule.level(VALIDATION_TIMESTEP);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let errors = set.iter().map(|batch| hole_error(predict(&network, batch, &[level], &mut rng), batch));
        let mse = errors.sum::<f64>() / set.len() as f64;
        -10.0 * (mse / 4.0).log10()
    }

    /// Averages first; those of the training's checkpoint stay until it has a newer one, since it cannot be gone on from without.
    fn save(&self) -> Result<(), CheckpointError> {
        let averaged = self.ema.apply(self.network.clone().valid());
        let averages = self.averages.keeping(self.checkpoints.newest());
        averages.save(self.step, &averaged, &AdamWConfig::new().init(), &())?;
        self.checkpoints.save(self.step, &self.network, &self.optimizer, &self.step)
    }
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
    Sample { truth, mask, unknown: None, unseen: None, guide }
}

/// A fixed set of held-out samples, in batches.
fn validation_set(photos: &[PathBuf], config: &PretrainConfig, device: &Device) -> Vec<Batch> {
    let fixed = PretrainConfig { seed: 77, ..config.clone() };
    let samples: Vec<Sample> = (0..32).into_par_iter().map(|i| random_sample(photos, &fixed, i)).collect();
    samples.chunks(8).map(|chunk| Batch::new(chunk, device)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::DType;
    use image::{Rgb, Rgb32FImage};
    use realfill_vision::Mask;

    fn sample(red: f32) -> Sample {
        Sample {
            truth: Rgb32FImage::from_pixel(32, 32, Rgb([red, 0.5, 0.25])),
            mask: Mask::from_fn(32, 32, |x, _| x < 16),
            unknown: None,
            unseen: None,
            guide: SimulatedGuide::none(32, 32),
        }
    }

    fn begun(folder: &Path) -> Run {
        let places = Places { photos: folder, start: None, output: folder };
        Run::start_or_resume(&EmbeddedConfig::tiny(), &PretrainConfig::default(), &places, &Device::flex())
            .expect("starts or goes on")
    }

    fn learn(run: &mut Run, red: f32) {
        run.learn(&[sample(red)], &PretrainConfig::default(), &Device::flex());
    }

    fn weights(run: &Run) -> Vec<u8> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("weights.safetensors");
        run.network.valid().save(&path, DType::F32).expect("saves");
        std::fs::read(path).unwrap()
    }

    #[test]
    fn a_step_whose_gradient_is_not_finite_is_passed_over() {
        let place = tempfile::tempdir().unwrap();
        let mut run = begun(place.path());
        let before = weights(&run);
        learn(&mut run, f32::NAN);
        assert!(run.step == 1 && weights(&run) == before, "learnt from what is no number");
        learn(&mut run, 0.75);
        assert!(weights(&run) != before, "nothing was learnt after it");
    }

    #[test]
    fn a_training_goes_on_where_only_the_averages_could_be_saved() {
        let place = tempfile::tempdir().unwrap();
        let mut run = begun(place.path());
        learn(&mut run, 0.75);
        run.save().expect("saves");
        learn(&mut run, 0.75);
        let in_the_way = place.path().join("checkpoints/writing.tmp");
        std::fs::write(&in_the_way, "").unwrap();
        assert!(run.save().is_err(), "written into a file");
        std::fs::remove_file(&in_the_way).unwrap();
        let mut resumed = begun(place.path());
        assert_eq!(resumed.step, 1);
        learn(&mut resumed, 0.75);
        resumed.save().expect("saves");
        assert_eq!(begun(place.path()).step, 2);
    }
}
