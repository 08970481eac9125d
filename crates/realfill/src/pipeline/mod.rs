//! The order of the stages: the one place that knows it. Each stage reads and writes plain files in the output folder,
//! so that a job can stop after any of them and go on later.

mod apart;
mod config;
mod drawn;
mod fidelity;
mod finish;
mod guides;
mod influence;
mod job;
mod rank;
mod regions;
mod report;
mod stages;
mod validate;
mod view;
mod window;

pub use config::FillConfig;
pub use fidelity::Fidelity;
pub use finish::{complete, finish};
pub use guides::guide_bytes;
pub use job::{FolderError, remove_checkpoints};
pub use rank::{Candidate, Filled, rank};
pub use regions::Region;
pub use report::{Judgement, Report, Timing};
pub use validate::OutOfRange;
pub use view::{Part, Working};
pub use window::{Window, cut_to_frame};

use crate::model::{Influence, Model, StageError};
use image::Rgb32FImage;
use realfill_vision::save::SaveError;
use realfill_vision::{Photo, Scene};

use drawn::DrawnGuides;
use guides::Guides;
use job::Job;
use stages::Run;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// What a job tells while it works.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A stage begins; `steps` is how much it has to do.
    Stage {
        /// `guide`, `guide the references`, `tune`, `measure`, `sample` or `composite`.
        stage: String,
        /// Steps of the stage.
        steps: usize,
    },
    /// Some of it is done.
    Progress {
        /// Steps done.
        step: usize,
        /// The training loss, while tuning, where it is a number.
        #[serde(skip_serializing_if = "Option::is_none")]
        loss: Option<f64>,
    },
    /// Something a person should read.
    Note {
        /// A sentence.
        text: String,
    },
    /// What can be seen already, at working size: the part that is worked on, or, where there are several, all of the photo.
    Preview {
        /// The seed of a candidate that is drawn; `None` for what the references propose.
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
        /// The completed picture, colours 0 to 1; not serialised.
        #[serde(skip)]
        picture: Rgb32FImage,
    },
}

impl Event {
    /// A share of a stage of 100 steps.
    fn share(share: f32) -> Self {
        Self::Progress { step: (100.0 * share) as usize, loss: None }
    }
}

/// Why a job ended without a picture.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// A setting is out of its range.
    #[error(transparent)]
    Settings(#[from] OutOfRange),
    /// A stage of the model failed.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// A file could not be written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The folder cannot be worked in, or holds another job's checkpoints.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The caller asked to stop.
    #[error("stopped; the same job goes on from {}", .folder.display())]
    Stopped {
        /// Where the checkpoint is.
        folder: PathBuf,
    },
}

/// A finished job.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The photo, completed, with all of its canvas: [`Scene::framed`] cuts it to the frame that was asked for.
    pub photo: Photo,
    /// All candidates, best first.
    pub candidates: Vec<Candidate>,
    /// The parts of the photo that were worked on: what candidates fill, in that order.
    pub parts: Vec<Part>,
    /// What of the hole is supported, and by which reference.
    pub fidelity: Fidelity,
    /// What was done and how it went.
    pub report: Report,
}

impl Completion {
    /// The candidate that the photo is completed with.
    pub fn best(&self) -> &Candidate {
        &self.candidates[0]
    }

    /// A candidate laid into the whole `photo`, at the size that would be worked on.
    pub fn in_photo(&self, candidate: &Candidate, photo: &Photo) -> Rgb32FImage {
        let pictures =
            self.parts.iter().map(|part| &part.window).zip(candidate.filled.iter().map(|part| &part.picture));
        window::in_photo(&pictures.collect::<Vec<_>>(), photo)
    }

    /// What a candidate shows as closely as it was worked on: the only part, or, where there are several, all of the photo.
    pub fn closely<'a>(&self, candidate: &'a Candidate, photo: &Photo) -> Cow<'a, Rgb32FImage> {
        match candidate.filled.as_slice() {
            [only] => Cow::Borrowed(&only.picture),
            _ => Cow::Owned(self.in_photo(candidate, photo)),
        }
    }
}

/// Does the whole job: guide, tuning, sampling, ranking, composite. Intermediate files go to `folder`; checkpoints of the same job
/// there are gone on from, those of another are an error. They stay until [`remove_checkpoints`] takes them away, which is for the caller to do
/// once the result is written.
///
/// `on_event` returns whether to go on; a stop leaves a checkpoint behind.
///
/// # Errors
/// When a setting is out of its range, a stage fails, a file cannot be written, `folder` is another job's, or the caller stopped the job.
pub fn fill(
    scene: &Scene,
    model: &mut dyn Model,
    config: &FillConfig,
    folder: &Path,
    on_event: &mut dyn FnMut(Event) -> bool,
) -> Result<Completion, FillError> {
    config.check()?;
    model.check_sampler(&config.sampler_of(model)).map_err(StageError::from)?;
    let mut run = begun(scene, model, config, folder, on_event)?;
    let guides = run.guides(&config.seeds())?;
    let influence = learnt(&mut run, model, &guides)?;
    run.sample(guides, model, influence)
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
    config.check()?;
    let mut run = begun(scene, model, config, folder, on_event)?;
    let guides = if config.tune.mask_unseen { run.guides(&[])? } else { Vec::new() };
    learnt(&mut run, model, &guides)?;
    Ok(run.report)
}

/// Samples, ranks and composites with the model as it is: an adapter is loaded before, and `influence` is its card's. Where nothing is known
/// of that, it is measured, as by [`fill`].
///
/// # Errors
/// As [`fill`]; there is no checkpoint to go on from.
pub fn sample_scene(
    scene: &Scene,
    model: &dyn Model,
    influence: Option<Influence>,
    config: &FillConfig,
    folder: &Path,
    on_event: &mut dyn FnMut(Event) -> bool,
) -> Result<Completion, FillError> {
    config.check()?;
    model.check_sampler(&config.sampler_of(model)).map_err(StageError::from)?;
    let mut run = prepared(scene, model, config, folder, on_event);
    let guides = run.guides(&config.seeds())?;
    let influence = match influence.or(model.influence()) {
        None if config.moves_guide() => {
            let photos = run.photos(&guides)?;
            Some(run.influence(model, &photos)?)
        }
        known => known,
    };
    run.sample(guides, model, influence)
}

/// A job in a folder of its own, where it keeps its guides and checkpoints.
fn begun<'a>(
    scene: &'a Scene,
    model: &dyn Model,
    config: &'a FillConfig,
    folder: &'a Path,
    on_event: &'a mut dyn FnMut(Event) -> bool,
) -> Result<Run<'a>, FolderError> {
    Job::new(scene, model, config).begin_in(folder)?;
    let mut run = Run { guides: Guides::of_job(folder), ..prepared(scene, model, config, folder, on_event) };
    run.report.timings = run.guides.timings();
    Ok(run)
}

fn prepared<'a>(
    scene: &'a Scene,
    model: &dyn Model,
    config: &'a FillConfig,
    folder: &'a Path,
    on_event: &'a mut dyn FnMut(Event) -> bool,
) -> Run<'a> {
    let report = Report::new(scene, model, config);
    let working = Working::of(scene, model, config);
    let measures = config.moves_guide() && model.influence().is_none();
    Run { scene, config, folder, working, guides: Guides::not_kept(), measures, report, on_event }
}

/// Tunes, if asked to, and says how far the model may then move the guide; `None` where nobody wants to know.
fn learnt(run: &mut Run, model: &mut dyn Model, guides: &[DrawnGuides]) -> Result<Option<Influence>, FillError> {
    let is_tuned = run.config.tune.iterations > 0;
    if !is_tuned && !run.measures {
        return Ok(model.influence());
    }
    let photos = run.photos(guides)?;
    if is_tuned {
        run.tune(model, &photos)?;
    }
    let influence = if run.measures { Some(run.influence(model, &photos)?) } else { model.influence() };
    if is_tuned {
        run.save(model, influence)?;
    }
    Ok(influence)
}
