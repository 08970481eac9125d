//! When to stop: a photo whose hole is never learnt from tells it by the error there, the validation loss (Prechelt 1998, "Early
//! stopping - but when?").

use super::TuneConfig;
use crate::model::{Model, StageError};
use crate::training::batch::Sample;
use crate::training::checkpoint::{CheckpointError, Checkpoints};
use serde::{Deserialize, Serialize};

/// What checkpoints keep the looks in.
const NOTE: &str = "note.json";

/// Share by which the validation loss has to fall for tuning to go on. All looks share their noise, so less than that is no chance
/// either, but nothing that could be seen.
const LEAST_FALL: f32 = 0.005;

/// A look at the held-out hole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Steps done.
    pub step: usize,
    /// The validation loss, in a precision that comes back from JSON as it was.
    pub loss: f32,
}

/// How a tuning ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// Steps done: fewer than were asked for where it stopped early.
    pub steps: usize,
    /// The step whose weights are used: fewer than were done where an earlier look was the best.
    pub used: usize,
    /// All looks; none where no photo was held out.
    pub looks: Vec<Look>,
}

impl Tuned {
    /// What a person should know of it, where it is not all of `iterations` that is used.
    pub fn note(&self, iterations: usize) -> Option<String> {
        let Self { steps, used, .. } = self;
        let outcome = match used {
            0 => "the model stays as it was".to_owned(),
            _ => format!("the weights of iteration {used} are used"),
        };
        match last_fall(&self.looks) {
            _ if *used == iterations => None,
            Some((_, fall)) if *steps < iterations => Some(format!(
                "stopped after {steps} of {iterations} iterations: the error in the held-out hole has not fallen since {}; {outcome}",
                fall.step
            )),
            _ => Some(format!("the error in the held-out hole was least before iteration {iterations}: {outcome}")),
        }
    }
}

/// The looks of a tuning that is under way.
pub(super) struct Looks<'a> {
    /// What is looked at; nothing where no photo is held out.
    samples: Vec<Sample>,
    config: &'a TuneConfig,
    done: Vec<Look>,
}

impl<'a> Looks<'a> {
    /// Goes on with those that the checkpoint of `step` knows of. One at `step` itself came after it and is repeated.
    ///
    /// # Errors
    /// When its note of them is damaged.
    pub fn resume(
        samples: Vec<Sample>,
        config: &'a TuneConfig,
        checkpoints: &Checkpoints,
        step: usize,
    ) -> Result<Self, CheckpointError> {
        let done = if samples.is_empty() { None } else { checkpoints.note_of(step, NOTE)? };
        Ok(Self { samples, config, done: done.unwrap_or_default() })
    }

    /// Whether there is a look after `step` steps.
    pub fn is_due(&self, step: usize) -> bool {
        !self.samples.is_empty() && self.config.is_look_due(step)
    }

    /// Looks, if it is due after `step` steps.
    ///
    /// # Errors
    /// As [`Model::validation_loss`].
    pub fn look(&mut self, model: &mut dyn Model, step: usize) -> Result<(), StageError> {
        if self.is_due(step) {
            let loss = model.validation_loss(&self.samples, self.config)? as f32;
            // What has no number is no better than anything, and JSON has no word for it.
            self.done.push(Look { step, loss: if loss.is_finite() { loss } else { f32::MAX } });
        }
        Ok(())
    }

    /// Whether there were enough looks without an improvement.
    pub fn say_stop(&self) -> bool {
        last_fall(&self.done).is_some_and(|(index, _)| self.done.len() - 1 - index >= self.config.patience)
    }

    /// Checkpoints that know of these looks, and among which that of the best look stays.
    pub fn kept_in(&self, checkpoints: &Checkpoints) -> Checkpoints {
        match self.samples.is_empty() {
            true => checkpoints.clone(),
            false => checkpoints.with_note(NOTE, &self.done).keeping(best(&self.done).map(|look| look.step)),
        }
    }

    /// The end after `steps` steps.
    pub fn conclude(self, steps: usize) -> Tuned {
        let used = best(&self.done).map_or(steps, |look| look.step);
        Tuned { steps, used, looks: self.done }
    }
}

/// The look with the least loss, the first of equals.
fn best(looks: &[Look]) -> Option<&Look> {
    looks.iter().min_by(|a, b| a.loss.total_cmp(&b.loss))
}

/// The last look at which the loss had fallen by [`LEAST_FALL`], and its place among all. Small falls add up.
fn last_fall(looks: &[Look]) -> Option<(usize, &Look)> {
    looks.iter().enumerate().reduce(|fall, look| match look.1.loss < (1.0 - LEAST_FALL) * fall.1.loss {
        true => look,
        false => fall,
    })
}

#[cfg(test)]
mod tests;
