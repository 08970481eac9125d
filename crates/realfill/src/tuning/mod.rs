//! Tuning a base model on one scene: the paper's random masks on every photo (Tang et al. 2023, section 4.1), and each
//! photo in turn as a pretended target whose guide comes from the others.

mod config;
mod samples;

pub use config::{LearningRate, Preset, TuneConfig};
pub(crate) use samples::whole_size;
pub use samples::{ScenePhotos, Sides, Turn};

use crate::model::{Model, StageError};
use crate::training::checkpoint::Checkpoints;

/// Tunes `model` until `config.iterations`, going on from the newest of `checkpoints`.
///
/// `on_step` hears (steps done, loss) and returns whether to go on; before stopping early a checkpoint is written.
/// Every step draws from its own seed, so that an interrupted run ends with the same weights as an uninterrupted one.
///
/// # Errors
/// When a checkpoint cannot be written or read, or the model cannot run.
pub fn tune(
    model: &mut dyn Model,
    photos: &ScenePhotos,
    config: &TuneConfig,
    checkpoints: &Checkpoints,
    on_step: &mut dyn FnMut(usize, f64) -> bool,
) -> Result<usize, StageError> {
    let mut step = checkpoints.newest().unwrap_or(0);
    if step > 0 {
        model.restore(checkpoints, step, config)?;
    }
    while step < config.iterations {
        let samples = photos.samples(config, Sides::of(model), step);
        let loss = model.learn(&samples, step, config)?;
        step += 1;
        let go_on = on_step(step, loss);
        if !go_on || step.is_multiple_of(config.checkpoint_every) || step == config.iterations {
            model.save(checkpoints, step)?;
        }
        if !go_on {
            break;
        }
    }
    Ok(step)
}
