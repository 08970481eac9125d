//! The order of the stages: the one place that knows it. Each stage reads and writes plain files in the output folder,
//! so that a job can stop after any of them and go on later.

mod config;
mod fidelity;
mod finish;
mod guides;
mod rank;
mod report;
mod stages;
mod view;

pub use config::FillConfig;
pub use fidelity::Fidelity;
pub use finish::{complete, finish};
pub use rank::{Candidate, rank};
pub use report::{Judgement, Report, Timing};
pub use view::Working;

use crate::model::{Model, StageError};
use realfill_vision::save::SaveError;
use realfill_vision::{Guide, Mask, Photo, Scene};

use guides::Guides;
use stages::{guide_stage, sample_stage, stopped, tune_stage};
use std::path::{Path, PathBuf};

/// What a job tells while it works.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A stage begins; `steps` is how much it has to do.
    Stage {
        /// `guide`, `tune`, `sample` or `composite`.
        stage: String,
        /// Steps of the stage.
        steps: usize,
    },
    /// Some of it is done.
    Progress {
        /// Steps done.
        step: usize,
        /// The training loss, while tuning.
        #[serde(skip_serializing_if = "Option::is_none")]
        loss: Option<f64>,
    },
    /// Something a person should read.
    Note {
        /// A sentence.
        text: String,
    },
}

/// Why a job ended without a picture.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// A stage of the model failed.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// A file could not be written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The caller asked to stop.
    #[error("stopped; run the same command with --resume to go on from {}", .folder.display())]
    Stopped {
        /// Where the checkpoint is.
        folder: PathBuf,
    },
}

/// A finished job.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The photo, completed.
    pub photo: Photo,
    /// All candidates, best first.
    pub candidates: Vec<Candidate>,
    /// What the references proposed, at working size.
    pub guide: Guide,
    /// The hole at the same size.
    pub mask: Mask,
    /// What was done and how it went.
    pub report: Report,
}

/// Does the whole job: guide, tuning, sampling, ranking, composite. Intermediate files go to `folder`.
///
/// `on_event` returns whether to go on; a stop leaves a checkpoint behind.
///
/// # Errors
/// When a stage fails, a file cannot be written, or the caller stopped the job.
pub fn fill(
    scene: &Scene,
    model: &mut dyn Model,
    config: &FillConfig,
    folder: &Path,
    on_event: &mut dyn FnMut(Event) -> bool,
) -> Result<Completion, FillError> {
    let mut report = Report::new(scene, model, config);
    let working = Working::of(scene, model, config);
    let guides = Guides::of_job(folder);
    let guide = guide_stage(&working, config, &guides, &mut report, on_event)?.ok_or_else(|| stopped(folder))?;
    tune_stage(scene, &working, model, config, folder, &mut report, on_event)?;
    sample_stage(scene, working, guide, model, config, report, on_event)
}

/// Tunes on the scene and saves the adapter, nothing else.
///
/// # Errors
/// As [`fill`].
pub fn tune_scene(
    scene: &Scene,
    model: &mut dyn Model,
    config: &FillConfig,
    folder: &Path,
    on_event: &mut dyn FnMut(Event) -> bool,
) -> Result<Report, FillError> {
    let mut report = Report::new(scene, model, config);
    let working = Working::of(scene, model, config);
    tune_stage(scene, &working, model, config, folder, &mut report, on_event)?;
    Ok(report)
}

/// Samples, ranks and composites with the model as it is: an adapter is loaded before.
///
/// # Errors
/// As [`fill`]; there is no checkpoint to go on from.
pub fn sample_scene(
    scene: &Scene,
    model: &dyn Model,
    config: &FillConfig,
    folder: &Path,
    on_event: &mut dyn FnMut(Event) -> bool,
) -> Result<Completion, FillError> {
    let mut report = Report::new(scene, model, config);
    let working = Working::of(scene, model, config);
    let guides = Guides::not_kept();
    let guide = guide_stage(&working, config, &guides, &mut report, on_event)?.ok_or_else(|| stopped(folder))?;
    sample_stage(scene, working, guide, model, config, report, on_event)
}
