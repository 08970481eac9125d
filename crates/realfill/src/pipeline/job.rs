//! What the checkpoints in a folder belong to: the scene, the base model and the tuning's settings, kept beside them, so that a
//! job goes on only from its own, and only its own are removed.

use super::FillConfig;
use crate::fingerprint;
use crate::model::Model;
use crate::tuning::TuneConfig;
use realfill_vision::Scene;
use realfill_vision::save::{SaveError, write_whole};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

const CARD: &str = "job.json";

/// What a step's folder is called before its number.
const STEP: &str = "step-";

/// What else a job writes among its checkpoints: a step that is not whole yet, and its guides.
const BESIDE: [&str; 2] = ["writing.tmp", "guides"];

/// Why a job cannot work in a folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// What lies there was made for something else.
    #[error(
        "the checkpoint in {} was made with another {name} ({kept}, now {now}); give what it was made with, or remove it \
         to start anew", .folder.display()
    )]
    AnotherJob {
        /// The job's folder.
        folder: PathBuf,
        /// What differs, as in [`FillConfig`], or `scene` or `model`.
        name: String,
        /// Its value there, as JSON; `null` where it was not known yet.
        kept: String,
        /// Its value now, likewise.
        now: String,
    },
    /// The note of whose checkpoints they are cannot be read.
    #[error("{} is damaged ({source}); remove its folder to start anew", .path.display())]
    Damaged {
        /// The note.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// What lies there is no job's.
    #[error("{} has checkpoints of something else than a job (it has no {CARD}); give another output folder", .folder.display())]
    NoJob {
        /// The checkpoints' folder.
        folder: PathBuf,
    },
    /// The file system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The note cannot be written.
    #[error(transparent)]
    Save(#[from] SaveError),
}

/// Where a job in `folder` keeps what it goes on from.
pub(super) fn checkpoints_in(folder: &Path) -> PathBuf {
    folder.join("checkpoints")
}

/// Removes the checkpoints from a job's folder: those of another job, or of one that is done. What no job has made stays.
///
/// # Errors
/// They are there and cannot be removed.
pub fn remove_checkpoints(folder: &Path) -> Result<(), FolderError> {
    let checkpoints = checkpoints_in(folder);
    let mut names = names_in(&checkpoints)?;
    if !names.iter().any(|name| name == CARD) {
        return Ok(());
    }
    names.retain(|name| is_a_jobs(name));
    names.sort_by_key(|name| name == CARD); // last, since the rest is a job's by it
    names.iter().try_for_each(|name| remove(&checkpoints.join(name)))?;
    let _ = fs::remove_dir(&checkpoints); // where nothing else is in it
    Ok(())
}

/// The names in a folder that can be read as text; none where there is no folder.
fn names_in(folder: &Path) -> Result<Vec<String>, FolderError> {
    let fail = |source| FolderError::Io { path: folder.into(), source };
    let name = |entry: std::io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().into_string().ok());
    match fs::read_dir(folder) {
        Ok(entries) => {
            let names: Vec<Option<String>> = entries.map(name).collect::<Result<_, _>>().map_err(fail)?;
            Ok(names.into_iter().flatten().collect())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(fail(error)),
    }
}

/// Whether a job gives such a name to what it keeps; a card that is being written has its own name in it.
fn is_a_jobs(name: &str) -> bool {
    let is_card = |name: &str| name == CARD || name.starts_with(".job.json.") && name.ends_with(".tmp");
    is_step(name) || is_card(name) || BESIDE.contains(&name)
}

fn is_step(name: &str) -> bool {
    name.strip_prefix(STEP).is_some_and(|number| number.parse::<usize>().is_ok())
}

fn remove(path: &Path) -> Result<(), FolderError> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|about| about.is_dir());
    let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(|source| FolderError::Io { path: path.into(), source })
}

/// Everything that decides what a tuning does, by name.
pub(super) struct Job(Map<String, Value>);

impl Job {
    /// The job of these inputs.
    pub fn new(scene: &Scene, model: &dyn Model, config: &FillConfig) -> Self {
        let tune = serde_json::to_value(&config.tune).expect("settings are plain data");
        let mut values = Map::from_iter([
            ("scene".to_owned(), json!(fingerprint::of_scene(scene))),
            ("model".to_owned(), json!(model.fingerprint())),
            ("guide".to_owned(), json!(config.guide)),
            ("view_px".to_owned(), json!(config.view_px)),
        ]);
        values.extend(tune.as_object().into_iter().flatten().map(|(k, v)| (format!("tune.{k}"), v.clone())));
        values.remove("tune.checkpoint_every");
        if !config.tune.validates() {
            values.remove("tune.patience");
        }
        Self(values)
    }

    /// Takes the folder: checks that what lies there is this job's, or notes that it is from now on.
    ///
    /// # Errors
    /// It is another job's or no job's, or the folder cannot be read or written to.
    pub fn begin_in(&self, folder: &Path) -> Result<(), FolderError> {
        let checkpoints = checkpoints_in(folder);
        let path = checkpoints.join(CARD);
        match fs::read(&path) {
            Ok(text) => self.check(folder, &path, &text),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(FolderError::Io { path, source: error }),
            Err(_) if names_in(&checkpoints)?.iter().any(|name| is_step(name)) => {
                Err(FolderError::NoJob { folder: checkpoints })
            }
            Err(_) => self.note(path),
        }
    }

    fn check(&self, folder: &Path, path: &Path, text: &[u8]) -> Result<(), FolderError> {
        let kept: Map<String, Value> =
            serde_json::from_slice(text).map_err(|source| FolderError::Damaged { path: path.into(), source })?;
        let settings = serde_json::to_value(TuneConfig::default()).expect("settings are plain data");
        // What the card of an older version does not know had its default.
        let known = |name: &str| kept.get(name).or_else(|| settings.get(name.strip_prefix("tune.")?));
        match self.0.iter().find(|(name, value)| known(name) != Some(value)) {
            None => Ok(()),
            Some((name, now)) => Err(FolderError::AnotherJob {
                folder: folder.into(),
                name: name.clone(),
                kept: known(name).unwrap_or(&Value::Null).to_string(),
                now: now.to_string(),
            }),
        }
    }

    fn note(&self, path: PathBuf) -> Result<(), FolderError> {
        let folder = path.parent().expect("the card lies in a folder");
        fs::create_dir_all(folder).map_err(|source| FolderError::Io { path: folder.into(), source })?;
        let text = serde_json::to_vec_pretty(&self.0).expect("plain data");
        Ok(write_whole(path, |file| file.write_all(&text))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(scene: &str) -> Job {
        Job(Map::from_iter([("scene".to_owned(), json!(scene))]))
    }

    #[test]
    fn a_job_goes_on_only_from_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let step = folder.path().join("checkpoints/step-00000007");
        job("a").begin_in(folder.path()).expect("nothing is there yet");
        fs::create_dir(&step).unwrap();
        job("a").begin_in(folder.path()).expect("the same job");
        assert!(step.exists());
        let message = job("b").begin_in(folder.path()).unwrap_err().to_string();
        assert!(message.contains("another scene (\"a\", now \"b\")") && message.contains("remove it"), "{message}");
        remove_checkpoints(folder.path()).unwrap();
        job("b").begin_in(folder.path()).expect("a folder of its own again");
    }

    #[test]
    fn a_job_goes_on_from_a_card_that_knows_no_newer_setting() {
        let folder = tempfile::tempdir().unwrap();
        let with = |value: usize| {
            let mut job = job("a");
            job.0.insert("tune.validate_every".to_owned(), json!(value));
            job
        };
        job("a").begin_in(folder.path()).expect("nothing is there yet");
        with(0).begin_in(folder.path()).expect("as it was before there was a choice");
        let message = with(25).begin_in(folder.path()).unwrap_err().to_string();
        assert!(message.contains("another tune.validate_every (0, now 25)"), "{message}");
    }

    #[test]
    fn only_what_a_job_made_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = folder.path().join("checkpoints");
        job("a").begin_in(folder.path()).unwrap();
        for part in ["step-00000007", "writing.tmp", "guides", "step-by-step"] {
            fs::create_dir(checkpoints.join(part)).unwrap();
            fs::write(checkpoints.join(part).join("weights.bpk"), "numbers").unwrap();
        }
        for part in ["notes.txt", ".job.json.7-0.tmp"] {
            fs::write(checkpoints.join(part), "words").unwrap();
        }
        remove_checkpoints(folder.path()).unwrap();
        let mut left = names_in(&checkpoints).unwrap();
        left.sort();
        assert_eq!(left, ["notes.txt", "step-by-step"]);
        fs::remove_dir_all(&checkpoints).unwrap();
        remove_checkpoints(folder.path()).expect("nothing is there");
        job("a").begin_in(folder.path()).unwrap();
        remove_checkpoints(folder.path()).unwrap();
        assert!(!checkpoints.exists(), "the empty folder stays");
    }

    #[test]
    fn checkpoints_of_something_else_stay_and_are_not_gone_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let step = folder.path().join("checkpoints/step-00000007");
        fs::create_dir_all(&step).unwrap();
        remove_checkpoints(folder.path()).unwrap();
        assert!(step.exists());
        let message = job("a").begin_in(folder.path()).unwrap_err().to_string();
        assert!(message.contains("no job.json") && message.contains("another output folder"), "{message}");
    }

    #[test]
    fn a_damaged_note_is_named() {
        let folder = tempfile::tempdir().unwrap();
        job("a").begin_in(folder.path()).unwrap();
        fs::write(folder.path().join("checkpoints/job.json"), "{").unwrap();
        let message = job("a").begin_in(folder.path()).unwrap_err().to_string();
        assert!(message.contains("job.json is damaged"), "{message}");
    }
}
