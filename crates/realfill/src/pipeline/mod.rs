//! The order of the stages: the one place that knows it. Each stage reads and writes plain files in the output folder,
//! so that a job can stop after any of them and go on later.

mod config;
mod fidelity;
mod finish;
mod rank;
mod report;
mod view;

pub use config::FillConfig;
pub use fidelity::Fidelity;
pub use finish::finish;
pub use rank::{Candidate, rank};
pub use report::{Report, Timing};
pub use view::{Working, scene_photos};

use crate::model::{Model, StageError};
use crate::training::checkpoint::Checkpoints;
use crate::tuning::tune;
use realfill_vision::save::SaveError;
use realfill_vision::{Guide, Mask, Photo, Scene};
use std::path::{Path, PathBuf};
use std::time::Instant;

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
    let stopped = || FillError::Stopped { folder: folder.into() };

    let clock = Instant::now();
    let guide = build_guide(&working, config, on_event);
    report.time("guide", clock);

    let clock = Instant::now();
    let guided = config.guide && config.tune.iterations > 0 && config.tune.guided_share > 0.0;
    let photos = scene_photos(&working, guided);
    report.time("guides of the references", clock);

    let clock = Instant::now();
    on_event(Event::Stage { stage: "tune".into(), steps: config.tune.iterations });
    let checkpoints = Checkpoints::new(folder.join("checkpoints"));
    let done = tune(model, &photos, &config.tune, &checkpoints, &mut |step, loss| {
        report.losses.push(loss);
        on_event(Event::Progress { step, loss: Some(loss) })
    })?;
    if done < config.tune.iterations {
        return Err(stopped());
    }
    if config.tune.iterations > 0 {
        model.save_adapter(&folder.join("adapter"))?;
    }
    report.time("tune", clock);

    let clock = Instant::now();
    let view = working.view(&guide);
    let seeds = config.seeds();
    on_event(Event::Stage { stage: "sample".into(), steps: seeds.len() * config.sampler.steps });
    let pictures =
        model.draw(&view, &seeds, &config.sampler, &mut |step, _| on_event(Event::Progress { step, loss: None }))?;
    report.time("sample", clock);

    let clock = Instant::now();
    on_event(Event::Stage { stage: "composite".into(), steps: 1 });
    let candidates = rank(&view, seeds.into_iter().zip(pictures));
    let photo = finish(scene, &working, &guide, &candidates[0].picture, config);
    report.time("composite", clock);
    report.supported_share = Fidelity::of(&guide, &working.mask).supported_share;
    report.candidates = candidates.iter().map(|c| (c.seed, c.score)).collect();
    Ok(Completion { photo, candidates, guide, mask: working.mask, report })
}

fn build_guide(working: &Working, config: &FillConfig, on_event: &mut dyn FnMut(Event) -> bool) -> Guide {
    if !config.guide {
        return Guide::empty(working.target.width(), working.target.height());
    }
    on_event(Event::Stage { stage: "guide".into(), steps: 100 });
    let guide = working.guide(&mut |_, share| {
        on_event(Event::Progress { step: (100.0 * share) as usize, loss: None });
    });
    for (i, reference) in guide.references.iter().enumerate() {
        on_event(Event::Note { text: format!("reference {}: {reference}", i + 1) });
    }
    guide
}
