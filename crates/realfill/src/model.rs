//! The one interface behind which both kinds of base model are tuned on a scene and sampled.

use crate::adapter::{AdapterCard, AdapterError};
use crate::samplers::{SampleError, SamplerSettings};
use crate::training::batch::Sample;
use crate::training::checkpoint::{CheckpointError, Checkpoints};
use crate::tuning::TuneConfig;
use image::Rgb32FImage;
use realfill_models::ModelError;
use realfill_vision::{Guide, Mask};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A picture with a hole at the model's own size, and what the references propose for it.
#[derive(Clone, Debug)]
pub struct View {
    /// Colours 0 to 1; those inside the hole are ignored.
    pub picture: Rgb32FImage,
    /// The hole.
    pub mask: Mask,
    /// The proposals; [`Guide::empty`] when there are none.
    pub guide: Guide,
}

/// How far a model's pictures may move what the guide proposes where trust is 0, each from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Influence {
    /// Light and colour over a wide neighbourhood.
    pub tone: f32,
    /// All that is finer.
    pub detail: f32,
}

impl Influence {
    /// The guide stands everywhere.
    pub const NONE: Self = Self { tone: 0.0, detail: 0.0 };

    /// A share of it, 0 to 1.
    pub fn times(self, share: f32) -> Self {
        Self { tone: share * self.tone, detail: share * self.detail }
    }
}

/// Why a model could not be tuned or sampled.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The checkpoint or adapter files.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The card beside an adapter.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// Writing or resuming a training.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The sampler's settings, or a stop asked for.
    #[error(transparent)]
    Sample(#[from] SampleError),
}

/// A base model that can be tuned on a scene and sampled.
pub trait Model {
    /// What reports call it, such as `embedded`.
    fn name(&self) -> String;

    /// A hash of the weights it was loaded from, written beside adapters made on it.
    fn fingerprint(&self) -> String;

    /// Sides of views and samples must be multiples of this many pixels.
    fn stride(&self) -> u32;

    /// Side of the square crops it is tuned on, in pixels.
    fn crop_px(&self) -> u32;

    /// Longest side of a view that is learnt, and drawn first, as a whole.
    fn whole_px(&self) -> u32;

    /// Without a guide, every how many steps whole views are learnt and not crops; at least 1.
    fn whole_every(&self) -> usize {
        2
    }

    /// Longest side of the view it works at by default, in pixels.
    fn view_px(&self) -> u32;

    /// How far its pictures may move the guide; `None` where that has to be measured on the scene's own references.
    fn influence(&self) -> Option<Influence>;

    /// Steps that learn from a sample before another is drawn in its place; more than 1 where samples are dear to encode.
    fn sample_reuse(&self) -> usize {
        1
    }

    /// Sampling steps by default.
    fn sampling_steps(&self) -> usize;

    /// Whether it can be sampled so, to be asked before anything is learnt.
    ///
    /// # Errors
    /// Settings that do not fit the model.
    fn check_sampler(&self, _settings: &SamplerSettings) -> Result<(), SampleError> {
        Ok(())
    }

    /// What the learning rate is multiplied by on a scene with guides.
    fn guided_rate(&self) -> f64 {
        1.0
    }

    /// One optimiser step (number `step`, from 0) on `samples`; returns the loss.
    ///
    /// # Errors
    /// When the model cannot run on the samples.
    fn learn(&mut self, samples: &[Sample], step: usize, config: &TuneConfig) -> Result<f64, StageError>;

    /// Mean squared error of the predicted pictures (x0) where the samples are `unknown`, from four levels of high noise (the same at
    /// every call), without dropout; nothing is learnt. Stable Diffusion bases compare latents.
    ///
    /// # Errors
    /// When the model cannot run on the samples.
    fn validation_loss(&mut self, samples: &[Sample], config: &TuneConfig) -> Result<f64, StageError>;

    /// Writes everything that [`Model::restore`] needs to go on bit for bit.
    ///
    /// # Errors
    /// When the files cannot be written.
    fn save(&self, checkpoints: &Checkpoints, step: usize) -> Result<(), StageError>;

    /// Goes back to a saved step.
    ///
    /// # Errors
    /// When the checkpoint is damaged or of another model.
    fn restore(&mut self, checkpoints: &Checkpoints, step: usize, config: &TuneConfig) -> Result<(), StageError>;

    /// Writes what was learnt on the scene, and the card that says which scene and base it belongs to.
    ///
    /// # Errors
    /// When the files cannot be written.
    fn save_adapter(&self, folder: &Path, card: &AdapterCard) -> Result<(), StageError>;

    /// Takes up what was learnt before; returns its card, `None` where another program made the adapter.
    ///
    /// # Errors
    /// When the files are missing or do not fit, or the card is damaged or of another base.
    fn load_adapter(&mut self, folder: &Path) -> Result<Option<AdapterCard>, StageError>;

    /// Draws to another sentence than the one learnt with; nothing where the model reads none.
    fn set_prompt(&mut self, _prompt: &str) {}

    /// One completed picture of the view's size for each seed; a picture depends on its own seed only.
    ///
    /// `on_step` hears (step, steps) and returns whether to go on.
    ///
    /// # Errors
    /// When the settings do not fit or the caller stopped.
    fn draw(
        &self,
        view: &View,
        seeds: &[u64],
        settings: &SamplerSettings,
        on_step: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Vec<Rgb32FImage>, StageError>;
}
