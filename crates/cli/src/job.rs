//! What a checkpoint belongs to: the scene, the base model and the tuning's settings, kept beside it, so that a run
//! is resumed only as what it was.

use anyhow::{Context, Result, bail};
use realfill::fingerprint;
use realfill::model::Model;
use realfill::pipeline::FillConfig;
use realfill_vision::Scene;
use realfill_vision::save::write_whole;
use serde_json::{Map, Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Folder of the checkpoints in an output folder; the pipeline's own name for it.
const CHECKPOINTS: &str = "checkpoints";

const CARD: &str = "job.json";

/// Everything that decides what a tuning does, by name.
pub struct Job(Map<String, Value>);

impl Job {
    /// The job of these inputs.
    pub fn new(scene: &Scene, model: &dyn Model, config: &FillConfig) -> Result<Self> {
        let tune = serde_json::to_value(&config.tune).context("settings as JSON")?;
        let mut values = Map::from_iter([
            ("scene".to_owned(), json!(fingerprint::of_scene(scene))),
            ("model".to_owned(), json!(model.fingerprint())),
            ("guide".to_owned(), json!(config.guide)),
            ("view_px".to_owned(), json!(config.view_px)),
        ]);
        values.extend(tune.as_object().into_iter().flatten().map(|(k, v)| (format!("tune.{k}"), v.clone())));
        values.remove("tune.checkpoint_every");
        Ok(Self(values))
    }

    /// Checks that the checkpoints in `folder`, if there are any, are this job's.
    ///
    /// # Errors
    /// They are another job's, with what differs.
    pub fn check_resumable(&self, folder: &Path) -> Result<()> {
        let path = folder.join(CHECKPOINTS).join(CARD);
        if !path.exists() {
            return Ok(());
        }
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let kept: Map<String, Value> = serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged; leave out --resume to start anew", path.display()))?;
        match self.0.iter().find(|(name, value)| kept.get(*name) != Some(value)) {
            None => Ok(()),
            Some((name, value)) => bail!(
                "the checkpoint in {} was made with another {name} ({}, now {value}); give what it was made with, \
                 or leave out --resume to start anew",
                folder.display(),
                kept.get(name).unwrap_or(&Value::Null)
            ),
        }
    }

    /// Readies the folder for the tuning: keeps the checkpoints with `resume`, else removes them; notes whose they are.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn begin(&self, folder: &Path, resume: bool) -> Result<()> {
        if !resume {
            remove_checkpoints(folder)?;
        }
        let checkpoints = folder.join(CHECKPOINTS);
        fs::create_dir_all(&checkpoints).with_context(|| format!("cannot make {}", checkpoints.display()))?;
        let text = serde_json::to_vec_pretty(&self.0).context("the job as JSON")?;
        Ok(write_whole(checkpoints.join(CARD), |file| file.write_all(&text))?)
    }
}

/// Removes the checkpoints of an output folder: those of another job, or of one that is done.
///
/// # Errors
/// They are there and cannot be removed.
pub fn remove_checkpoints(folder: &Path) -> Result<()> {
    let checkpoints = folder.join(CHECKPOINTS);
    match fs::remove_dir_all(&checkpoints) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", checkpoints.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(scene: &str) -> Job {
        Job(Map::from_iter([("scene".to_owned(), json!(scene))]))
    }

    #[test]
    fn only_the_same_job_is_resumed() {
        let folder = tempfile::tempdir().unwrap();
        job("a").check_resumable(folder.path()).expect("nothing is there yet");
        job("a").begin(folder.path(), false).unwrap();
        job("a").check_resumable(folder.path()).expect("the same job");
        let message = job("b").check_resumable(folder.path()).unwrap_err().to_string();
        assert!(message.contains("another scene") && message.contains("--resume"), "{message}");
    }

    #[test]
    fn without_resume_old_checkpoints_go() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("checkpoints/step-00000007");
        fs::create_dir_all(&old).unwrap();
        job("a").begin(folder.path(), true).unwrap();
        assert!(old.exists());
        job("a").begin(folder.path(), false).unwrap();
        assert!(!old.exists());
    }
}
