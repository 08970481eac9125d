//! Stable Diffusion inpainting checkpoints behind the common interface: low-rank adapters are tuned on the scene
//! (Tang et al. 2024, arXiv 2309.16668), the base stays as it is.

mod adapters;
mod conditions;
mod gradients;
mod learning;
mod pool;
mod sampling;
mod seeds;
mod validation;

use crate::adapter::AdapterCard;
use crate::drawing;
use crate::model::{Draft, Drawn, Influence, Model, StageError, View};
use crate::samplers::{SampleError, SamplerSettings};
use crate::schedule::{NoiseSchedule, ScheduleConfig};
use crate::training::batch::Sample;
use crate::training::checkpoint::Checkpoints;
use crate::tuning::TuneConfig;
use adapters::Adapters;
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use learning::TuningStep;
use pool::Pool;
use realfill_models::sd::{SdConfig, SdFolder, StableDiffusion};
use realfill_models::{ModelError, Precision};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Latent pixels a side that a checkpoint was trained at when its configuration does not say.
const SAMPLE_SIZE: usize = 64;

/// Steps that learn from a sample before another is drawn in its place. Its noise, timestep and the sample of its latents
/// are new in each; encoding takes an eighth of what it would, less than a tenth of a step.
const SAMPLE_REUSE: usize = 8;

/// A Stable Diffusion inpainting checkpoint, tuned or not.
pub struct StableDiffusionModel {
    base: StableDiffusion,
    schedule: NoiseSchedule,
    adapters: Adapters,
    optimizer: Option<ModuleOptimizer>,
    pool: Pool,
    held_out: Pool,
    prompt: String,
    name: String,
    /// What the processor multiplies.
    precision: Precision,
}

/// What a checkpoint of a training says beside weights and optimiser.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    step: usize,
    base: String,
}

impl StableDiffusionModel {
    /// Loads a diffusers folder or a hub's id, with fresh adapters of the configuration's size beside it.
    ///
    /// # Errors
    /// As [`StableDiffusion::load`]; a checkpoint that is not for inpainting, or whose scheduler is not supported.
    pub fn load(source: &str, device: &Device, config: &TuneConfig) -> Result<Self, ModelError> {
        Self::load_in(source, device, Precision::F32, config)
    }

    /// [`StableDiffusionModel::load`], in the precision that the processor is to multiply with.
    ///
    /// # Errors
    /// As [`StableDiffusionModel::load`].
    pub fn load_in(
        source: &str,
        device: &Device,
        precision: Precision,
        config: &TuneConfig,
    ) -> Result<Self, ModelError> {
        let folder = SdFolder::of(source)?;
        check_inpaints(source, &folder.config)?;
        let schedule = schedule_of(source, &folder)?;
        let base = folder.load(device, precision)?;
        Ok(Self {
            schedule,
            adapters: Adapters::fresh(&base, config),
            optimizer: None,
            pool: Pool::default(),
            held_out: Pool::default(),
            prompt: config.prompt.clone(),
            name: name_of(source),
            precision: if precision.is_able() { precision } else { Precision::F32 },
            base,
        })
    }

    /// Pixels a side of what the U-Net was trained on.
    fn trained_px(&self) -> u32 {
        let latents = self.base.config.unet.sample_size.unwrap_or(SAMPLE_SIZE);
        (latents * self.base.config.vae.scale()) as u32
    }
}

fn check_inpaints(source: &str, config: &SdConfig) -> Result<(), ModelError> {
    if config.inpaints() {
        return Ok(());
    }
    let reason = format!(
        "in_channels is {}, but an inpainting checkpoint has {} (noisy latent, mask, masked image's latent); give one made \
         for inpainting",
        config.unet.in_channels,
        2 * config.vae.latent_channels + 1
    );
    Err(ModelError::file(Path::new(source).join("unet/config.json"), reason))
}

/// The noise schedule of a checkpoint; `source` is what errors name.
///
/// # Errors
/// A scheduler that is not supported.
pub fn schedule_of(source: &str, folder: &SdFolder) -> Result<NoiseSchedule, ModelError> {
    let schedule = ScheduleConfig::from_json(&folder.scheduler_config.to_string()).and_then(NoiseSchedule::new);
    schedule.map_err(|e| ModelError::file(Path::new(source).join("scheduler/scheduler_config.json"), e))
}

/// The hub's id, or the folder's own name without the place it lies at.
fn name_of(source: &str) -> String {
    let path = Path::new(source);
    match path.file_name() {
        Some(name) if path.exists() => name.to_string_lossy().into_owned(),
        _ => source.to_owned(),
    }
}

impl Model for StableDiffusionModel {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn fingerprint(&self) -> String {
        self.base.fingerprint().to_owned()
    }

    fn device(&self) -> &Device {
        self.base.device()
    }

    fn precision(&self) -> Option<Precision> {
        (*self.device() == Device::flex()).then_some(self.precision)
    }

    /// That of the autoencoder: the U-Net crops where a level's size is odd, as diffusers does, so coarser steps would
    /// only distort the picture's shape more.
    fn stride(&self) -> u32 {
        self.base.config.vae.scale() as u32
    }

    fn crop_px(&self) -> u32 {
        self.trained_px()
    }

    fn whole_px(&self) -> u32 {
        self.crop_px()
    }

    fn view_px(&self) -> u32 {
        self.trained_px()
    }

    /// It knows what pictures look like: where the references say nothing it decides.
    fn influence(&self) -> Option<Influence> {
        Some(Influence { tone: 1.0, detail: 1.0 })
    }

    fn sample_reuse(&self) -> usize {
        SAMPLE_REUSE
    }

    fn sampling_steps(&self) -> usize {
        SamplerSettings::default().steps
    }

    fn check_sampler(&self, settings: &SamplerSettings) -> Result<(), SampleError> {
        self.schedule.plan(settings.kind, settings.steps)?;
        Ok(())
    }

    fn begin(&mut self, config: &TuneConfig) {
        (self.adapters, self.optimizer) = (Adapters::fresh(&self.base, config), None);
        (self.pool, self.held_out) = (Pool::default(), Pool::default());
        self.prompt.clone_from(&config.prompt);
    }

    fn learn(&mut self, samples: &[Sample], step: usize, config: &TuneConfig) -> Result<f64, StageError> {
        self.prompt.clone_from(&config.prompt);
        let samples = self.pool.encoded(&self.base, samples, step);
        let (base, schedule, adapters) = (&self.base, &self.schedule, &self.adapters);
        let found = TuningStep { base, schedule, adapters, config, number: step }.gradients(&samples)?;
        let optimizer = self.optimizer.get_or_insert_with(|| learning::optimizer(config));
        self.adapters = learning::update(optimizer, self.adapters.clone(), found.gradients, step, config);
        Ok(found.loss)
    }

    fn validation_loss(&mut self, samples: &[Sample], config: &TuneConfig) -> Result<f64, StageError> {
        let samples = self.held_out.encoded(&self.base, samples, 0); // always of one step, so that none is forgotten
        let (base, schedule, adapters) = (&self.base, &self.schedule, &self.adapters.clone().valid());
        Ok(validation::loss(base, schedule, adapters, &samples, config)?)
    }

    fn save(&self, checkpoints: &Checkpoints, step: usize) -> Result<(), StageError> {
        let fresh = learning::optimizer(&TuneConfig::default());
        let progress = Progress { step, base: self.fingerprint() };
        Ok(checkpoints.save(step, &self.adapters, self.optimizer.as_ref().unwrap_or(&fresh), &progress)?)
    }

    fn restore(&mut self, checkpoints: &Checkpoints, step: usize, config: &TuneConfig) -> Result<(), StageError> {
        let fresh = Adapters::fresh(&self.base, config);
        let (adapters, optimizer, progress): (Adapters, _, Progress) =
            checkpoints.load(step, fresh, learning::optimizer(config))?;
        if progress.base != self.fingerprint() {
            let reason = format!(
                "was tuned on the base {}, but this one is {}; delete the checkpoints to start anew",
                progress.base,
                self.fingerprint()
            );
            return Err(ModelError::file(format!("checkpoint of step {step}"), reason).into());
        }
        self.adapters = adapters;
        self.optimizer = Some(optimizer);
        self.prompt.clone_from(&config.prompt);
        Ok(())
    }

    fn save_adapter(&self, folder: &Path, card: &AdapterCard) -> Result<(), StageError> {
        self.adapters.clone().valid().save(folder)?;
        Ok(card.write(folder)?)
    }

    fn load_adapter(&mut self, folder: &Path) -> Result<Option<AdapterCard>, StageError> {
        let card = AdapterCard::read_for(folder, self)?;
        self.adapters = self.adapters.clone().load(folder, &self.base)?;
        self.optimizer = None;
        if let Some(card) = &card {
            self.prompt.clone_from(&card.tune.prompt);
        }
        Ok(card)
    }

    fn set_prompt(&mut self, prompt: &str) {
        self.prompt = prompt.to_owned();
    }

    fn draw(
        &self,
        view: &View,
        drafts: &[Draft],
        settings: &SamplerSettings,
        on_event: &mut dyn FnMut(Drawn) -> bool,
    ) -> Result<(), StageError> {
        let adapters = self.adapters.clone().valid();
        let mut painter = sampling::Inpainter::new(&self.base, &adapters, &self.schedule, &self.prompt, view)?;
        drawing::draw(&mut painter, drafts, settings, on_event)
    }
}
