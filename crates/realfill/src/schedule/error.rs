//! What can be wrong with a schedule.

use std::path::PathBuf;

use thiserror::Error;

use crate::samplers::SamplerKind;

/// A schedule that cannot be read, or that a run does not fit.
#[derive(Debug, Error)]
pub enum ScheduleError {
    /// The file cannot be opened.
    #[error("cannot read the scheduler configuration {}: {source}", path.display())]
    Read {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file's content is wrong.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: Box<ScheduleError>,
    },
    /// Not JSON, or a value that is not known.
    #[error("the scheduler configuration is not one that can be used: {0}")]
    Parse(#[from] serde_json::Error),
    /// An option of diffusers that would change the sampler's result and is not there.
    #[error(
        "the scheduler configuration has {field} = {found}, which the sampler {sampler} does not have here; choose another \
         sampler ({others}), or set it to {accepted}"
    )]
    Unsupported {
        /// The sampler that was to run.
        sampler: SamplerKind,
        /// The field.
        field: &'static str,
        /// Its value, as JSON.
        found: String,
        /// Values that are supported, as JSON.
        accepted: String,
        /// The samplers that the file says nothing unsupported for.
        others: String,
    },
    /// The betas do not belong to the timesteps.
    #[error(
        "the schedule has {timesteps} training timesteps and {betas} betas; it needs at least one timestep and a beta for each"
    )]
    TrainTimesteps {
        /// `num_train_timesteps`.
        timesteps: usize,
        /// Betas found.
        betas: usize,
    },
    /// A beta that adds no noise, or more than all.
    #[error("beta is {beta} at training timestep {timestep}; betas must be above 0 and at most 1")]
    Beta {
        /// Where.
        timestep: usize,
        /// Its value.
        beta: f64,
    },
    /// More steps than there are places for.
    #[error("{steps} sampling steps do not fit on the {train} training timesteps; use 1 to {most}")]
    Steps {
        /// Steps asked for.
        steps: usize,
        /// Training timesteps.
        train: usize,
        /// Most steps that fit with this sampler and spacing.
        most: usize,
    },
}
