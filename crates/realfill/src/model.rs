//! The one interface behind which both kinds of base model are tuned on a scene and sampled.

use crate::adapter::{AdapterCard, AdapterError};
use crate::samplers::{SampleError, SamplerSettings};
use crate::training::batch::Sample;
use crate::training::checkpoint::{CheckpointError, Checkpoints};
use crate::tuning::TuneConfig;
use burn::tensor::Device;
use image::Rgb32FImage;
use realfill_models::{ModelError, Precision};
use realfill_vision::{Guide, Mask};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// A picture with a hole at the model's own size, and what the references propose for it.
#[derive(Clone, Debug)]
pub struct View {
    /// Colours 0 to 1; those inside the hole are ignored.
    pub picture: Rgb32FImage,
    /// The hole.
    pub mask: Mask,
    /// What the references most likely show, by which candidates are compared; [`Guide::empty`] when there is nothing.
    pub guide: Arc<Guide>,
}

/// A candidate that is to be drawn.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The seed of its noise.
    pub seed: u64,
    /// What the references propose to it, of the view's size. What candidates share (`Arc::ptr_eq`) is encoded once.
    pub guide: Arc<Guide>,
}

/// What a model tells while it draws.
#[derive(Clone, Debug, PartialEq)]
pub enum Drawn {
    /// So many sampling steps are done, of all candidates together.
    Steps(usize),
    /// A candidate is done.
    Picture {
        /// Its place among the drafts.
        draft: usize,
        /// The completed picture, of the view's size, colours 0 to 1.
        picture: Rgb32FImage,
    },
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

    /// What it runs on.
    fn device(&self) -> &Device;

    /// What it multiplies on the processor; `None` on other devices, which have their own.
    fn precision(&self) -> Option<Precision> {
        (*self.device() == Device::flex()).then_some(Precision::F32)
    }

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

    /// Forgets what was tuned or taken up before: a tuning with `config` begins from the base.
    fn begin(&mut self, config: &TuneConfig);

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

    /// Takes up what was learnt before, to draw with: a tuning begins from the base all the same. Returns its card, `None` where another
    /// program made the adapter.
    ///
    /// # Errors
    /// When the files are missing or do not fit, or the card is damaged or of another base.
    fn load_adapter(&mut self, folder: &Path) -> Result<Option<AdapterCard>, StageError>;

    /// Draws to another sentence than the one learnt with; nothing where the model reads none.
    fn set_prompt(&mut self, _prompt: &str) {}

    /// Draws a picture for each draft, which depends on the view's picture and mask and its own draft only. With
    /// [`SamplerSettings::drop_halfway`] the worse half, measured by the view's guide, gets none.
    ///
    /// `on_event` hears of the steps and of each picture as soon as it is done, in the order of the drafts, and returns whether to go on.
    ///
    /// # Errors
    /// When the settings do not fit or the caller stopped.
    fn draw(
        &self,
        view: &View,
        drafts: &[Draft],
        settings: &SamplerSettings,
        on_event: &mut dyn FnMut(Drawn) -> bool,
    ) -> Result<(), StageError>;

    /// The picture of one seed, with the view's guide. `on_step` hears the steps done and returns whether to go on.
    ///
    /// # Errors
    /// As [`Model::draw`].
    fn draw_one(
        &self,
        view: &View,
        seed: u64,
        settings: &SamplerSettings,
        on_step: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Rgb32FImage, StageError> {
        let mut drawn = None;
        let draft = Draft { seed, guide: view.guide.clone() };
        self.draw(view, &[draft], settings, &mut |told| match told {
            Drawn::Steps(done) => on_step(done),
            Drawn::Picture { picture, .. } => {
                drawn = Some(picture);
                true
            }
        })?;
        Ok(drawn.expect("a single draft is never dropped"))
    }
}
