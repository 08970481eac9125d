//! The embedded model behind the common interface: tuned in full (it is small), sampled in pixel space.

mod sampling;

use crate::adapter::AdapterCard;
use crate::drawing;
use crate::fingerprint;
use crate::model::{Draft, Drawn, Influence, Model, StageError, View};
use crate::samplers::SamplerSettings;
use crate::schedule::NoiseSchedule;
use crate::training::batch::{Batch, Sample};
use crate::training::checkpoint::Checkpoints;
use crate::training::clipping::clip;
use crate::training::objective::{hole_error, loss, predict, sampled_levels, schedule, validation_timesteps};
use crate::tuning::TuneConfig;
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{DType, Device};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use realfill_models::ModelError;
use realfill_models::embedded::{EmbeddedConfig, PatchUNet};
use std::path::Path;

const WEIGHTS: &str = "embedded.safetensors";

/// The embedded model, tuned or not.
pub struct EmbeddedModel {
    /// As it was before any tuning.
    base: PatchUNet,
    network: PatchUNet,
    optimizer: Option<ModuleOptimizer>,
    schedule: NoiseSchedule,
    fingerprint: String,
    stride: u32,
    device: Device,
}

impl EmbeddedModel {
    /// The one that ships with the program.
    ///
    /// # Errors
    /// When the program was built with a damaged checkpoint.
    pub fn built_in(device: &Device) -> Result<Self, ModelError> {
        let network = PatchUNet::built_in(&device.clone().autodiff())?;
        Ok(Self::new(network, &EmbeddedConfig::default(), PatchUNet::built_in_fingerprint(), device))
    }

    /// One of the same shape from a file that pretraining wrote.
    ///
    /// # Errors
    /// When the file cannot be read or holds another network.
    pub fn open(path: &Path, device: &Device) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|error| ModelError::file(path, error))?;
        let config = EmbeddedConfig::default();
        let network = PatchUNet::new(&config, &device.clone().autodiff()).load(path)?;
        Ok(Self::new(network, &config, fingerprint::of_bytes(&bytes), device))
    }

    /// A network on an autodiff device, of the given shape.
    pub fn new(network: PatchUNet, config: &EmbeddedConfig, fingerprint: String, device: &Device) -> Self {
        let stride = config.stride() as u32;
        let base = network.clone();
        Self { base, network, optimizer: None, schedule: schedule(), fingerprint, stride, device: device.clone() }
    }

    fn optimizer(config: &TuneConfig) -> ModuleOptimizer {
        AdamWConfig::new().with_weight_decay(config.weight_decay as f32).init()
    }
}

impl Model for EmbeddedModel {
    fn name(&self) -> String {
        "embedded".into()
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn stride(&self) -> u32 {
        self.stride
    }

    fn crop_px(&self) -> u32 {
        128
    }

    fn whole_px(&self) -> u32 {
        sampling::COARSE_PX
    }

    /// Without a guide all content comes from the whole view, which is drawn first.
    fn whole_every(&self) -> usize {
        1
    }

    fn view_px(&self) -> u32 {
        512
    }

    /// A model this small proves itself on each scene, or the guide stands.
    fn influence(&self) -> Option<Influence> {
        None
    }

    /// Its first prediction is its best: more steps add texture of its own that is not there (docs/notes/embedded.md).
    fn sampling_steps(&self) -> usize {
        2
    }

    /// With a guide there is little left to learn, and a few steps at the full rate learn the references by heart.
    fn guided_rate(&self) -> f64 {
        0.25
    }

    fn begin(&mut self, _config: &TuneConfig) {
        (self.network, self.optimizer) = (self.base.clone(), None);
    }

    fn learn(&mut self, samples: &[Sample], step: usize, config: &TuneConfig) -> Result<f64, StageError> {
        let rate = config.learning_rate * config.rate_factor(step);
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed.rotate_left(20) ^ step as u64);
        let batch = Batch::new(samples, &self.device.clone().autodiff());
        let levels = sampled_levels(&self.schedule, samples.len(), &mut rng);
        let loss = loss(&self.network, &batch, &levels, &mut rng);
        let value = loss.clone().into_scalar::<f32>();
        let mut gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        if clip(&self.network, &mut gradients, config.max_gradient_norm) {
            let optimizer = self.optimizer.get_or_insert_with(|| Self::optimizer(config));
            self.network = optimizer.step(rate, self.network.clone(), gradients);
        }
        Ok(f64::from(value))
    }

    fn validation_loss(&mut self, samples: &[Sample], config: &TuneConfig) -> Result<f64, StageError> {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let (network, batch) = (self.network.valid(), Batch::new(samples, &self.device));
        let levels = validation_timesteps(&self.schedule).map(|timestep| *self.schedule.level(timestep));
        let errors = levels.map(|level| hole_error(predict(&network, &batch, &[level], &mut rng), &batch));
        Ok(errors.iter().sum::<f64>() / errors.len() as f64)
    }

    fn save(&self, checkpoints: &Checkpoints, step: usize) -> Result<(), StageError> {
        let fresh = AdamWConfig::new().init();
        let optimizer = self.optimizer.as_ref().unwrap_or(&fresh);
        Ok(checkpoints.save(step, &self.network, optimizer, &step)?)
    }

    fn restore(&mut self, checkpoints: &Checkpoints, step: usize, config: &TuneConfig) -> Result<(), StageError> {
        let (network, optimizer, _): (_, _, usize) =
            checkpoints.load(step, self.network.clone(), Self::optimizer(config))?;
        (self.network, self.optimizer) = (network, Some(optimizer));
        Ok(())
    }

    fn save_adapter(&self, folder: &Path, card: &AdapterCard) -> Result<(), StageError> {
        std::fs::create_dir_all(folder).map_err(|error| ModelError::file(folder, error))?;
        self.network.valid().save(&folder.join(WEIGHTS), DType::F32)?;
        Ok(card.write(folder)?)
    }

    fn load_adapter(&mut self, folder: &Path) -> Result<Option<AdapterCard>, StageError> {
        let card = AdapterCard::read_for(folder, self)?;
        self.network = self.network.clone().load(&folder.join(WEIGHTS))?;
        Ok(card)
    }

    fn draw(
        &self,
        view: &View,
        drafts: &[Draft],
        settings: &SamplerSettings,
        on_event: &mut dyn FnMut(Drawn) -> bool,
    ) -> Result<(), StageError> {
        let (network, schedule, device) = (&self.network.valid(), &self.schedule, &self.device);
        let mut painter = sampling::PixelPainter { network, schedule, view, settings, device };
        drawing::draw(&mut painter, drafts, settings, on_event)
    }
}
