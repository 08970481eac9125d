//! What is known of the steps before a checkpoint, kept in it: the report of a resumed tuning is of all of it.

use crate::training::checkpoint::{CheckpointError, Checkpoints};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What checkpoints keep it in.
const NOTE: &str = "past.json";

/// The steps of a tuning so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// The loss of each step; `None` where it was no number, or an older version did not keep it.
    pub losses: Vec<Option<f64>>,
    /// Seconds that they took, in all runs together.
    pub secs: f64,
}

impl Past {
    /// Of the steps before the newest checkpoint; of none where there is no checkpoint.
    ///
    /// # Errors
    /// When the checkpoint's note of them is damaged.
    pub fn of(checkpoints: &Checkpoints) -> Result<Self, CheckpointError> {
        let Some(step) = checkpoints.newest() else { return Ok(Self::default()) };
        let mut past: Self = checkpoints.note_of(step, NOTE)?.unwrap_or_default();
        past.losses.resize(step, None);
        Ok(past)
    }

    /// Adds a step.
    pub(super) fn add(&mut self, loss: f64) {
        self.losses.push(Some(loss).filter(|loss| loss.is_finite()));
    }

    /// Checkpoints that know of these steps; those of this run began at `clock`.
    pub(super) fn kept_in(&self, checkpoints: &Checkpoints, clock: Instant) -> Checkpoints {
        let secs = self.secs + clock.elapsed().as_secs_f64();
        checkpoints.with_note(NOTE, &Self { losses: self.losses.clone(), secs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_of_an_older_version_tells_how_many_steps_there_were() {
        let place = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(place.path());
        assert_eq!(Past::of(&checkpoints).unwrap(), Past::default());
        std::fs::create_dir(place.path().join("step-00000003")).unwrap();
        assert_eq!(Past::of(&checkpoints).unwrap(), Past { losses: vec![None; 3], secs: 0.0 });
    }
}
