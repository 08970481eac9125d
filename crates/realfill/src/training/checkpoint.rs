//! Checkpoints: a folder a step, written whole or not at all, of which the newest whole one is resumed from.

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const PREFIX: &str = "step-";

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The weights or the optimiser's state do not fit.
    #[error("{}: {message}; delete the folder to start anew", .path.display())]
    Record {
        /// The checkpoint.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
}

/// The checkpoints of one training, as folders `step-00000100` inside `folder`.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    /// By their files' names.
    notes: BTreeMap<&'static str, Vec<u8>>,
    kept: Option<usize>,
}

impl Checkpoints {
    /// Keeps checkpoints in `folder`, which is made when the first is written.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), notes: BTreeMap::new(), kept: None }
    }

    /// The same, where each checkpoint that is written holds `note` too, in a `file` of its own.
    pub fn with_note(&self, file: &'static str, note: &impl Serialize) -> Self {
        let note = serde_json::to_vec_pretty(note).expect("a note is plain data");
        let mut notes = self.notes.clone();
        notes.insert(file, note);
        Self { notes, ..self.clone() }
    }

    /// The same, where a checkpoint that is written does not remove that of step `kept`.
    pub fn keeping(&self, kept: Option<usize>) -> Self {
        Self { kept, ..self.clone() }
    }

    /// The note in a `file` of the checkpoint of `step`; `None` where it holds none.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn note_of<T: DeserializeOwned>(&self, step: usize, file: &str) -> Result<Option<T>, CheckpointError> {
        let path = self.path_of(step).join(file);
        match fs::read(&path) {
            Ok(json) => read(&json, path).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io(&path)(error)),
        }
    }

    /// Writes a checkpoint and removes the others: everything goes to a temporary folder, synced, then renamed.
    ///
    /// # Errors
    /// When a file cannot be written; the previous checkpoint then stays.
    pub fn save<M: Module>(
        &self,
        step: usize,
        module: &M,
        optimizer: &ModuleOptimizer,
        state: &impl Serialize,
    ) -> Result<(), CheckpointError> {
        let (part, whole) = (self.folder.join("writing.tmp"), self.path_of(step));
        let _ = fs::remove_dir_all(&part);
        fs::create_dir_all(&part).map_err(io(&part))?;
        let record = |error: RecordError| CheckpointError::Record { path: part.clone(), message: error.to_string() };
        module.clone().into_record().save(part.join("weights.bpk")).map_err(record)?;
        optimizer.save(part.join("optimizer.bpk")).map_err(record)?;
        let json = serde_json::to_vec_pretty(state).expect("training state is plain data");
        fs::write(part.join("state.json"), json).map_err(io(&part))?;
        for (file, note) in &self.notes {
            fs::write(part.join(file), note).map_err(io(&part))?;
        }
        sync_folder(&part)?;
        let _ = fs::remove_dir_all(&whole);
        fs::rename(&part, &whole).map_err(io(&whole))?;
        self.remove_all_but(step);
        Ok(())
    }

    /// The step of the newest checkpoint, if there is one.
    pub fn newest(&self) -> Option<usize> {
        self.steps().into_iter().max()
    }

    /// Loads the checkpoint of `step` into a module and an optimiser of the same configuration.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another configuration.
    pub fn load<M: Module, S: DeserializeOwned>(
        &self,
        step: usize,
        module: M,
        optimizer: ModuleOptimizer,
    ) -> Result<(M, ModuleOptimizer, S), CheckpointError> {
        let path = self.path_of(step);
        let record = |error: RecordError| CheckpointError::Record { path: path.clone(), message: error.to_string() };
        let weights = ModuleRecord::load(path.join("weights.bpk")).map_err(record)?;
        let module = module.try_load_record(weights).map_err(record)?;
        let optimizer = optimizer.load(path.join("optimizer.bpk")).map_err(record)?;
        let json = fs::read(path.join("state.json")).map_err(io(&path))?;
        Ok((module, optimizer, read(&json, path.join("state.json"))?))
    }

    fn path_of(&self, step: usize) -> PathBuf {
        self.folder.join(format!("{PREFIX}{step:08}"))
    }

    fn steps(&self) -> Vec<usize> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let name = |entry: fs::DirEntry| entry.file_name().into_string().ok();
        entries.flatten().filter_map(|e| name(e)?.strip_prefix(PREFIX)?.parse().ok()).collect()
    }

    fn remove_all_but(&self, step: usize) {
        for old in self.steps().into_iter().filter(|&s| s != step && Some(s) != self.kept) {
            let _ = fs::remove_dir_all(self.path_of(old));
        }
    }
}

fn read<T: DeserializeOwned>(json: &[u8], path: PathBuf) -> Result<T, CheckpointError> {
    serde_json::from_slice(json).map_err(|error| CheckpointError::Record { path, message: error.to_string() })
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.to_path_buf();
    move |source| CheckpointError::Io { path, source }
}

fn sync_folder(folder: &Path) -> Result<(), CheckpointError> {
    for entry in fs::read_dir(folder).map_err(io(folder))?.flatten() {
        let path = entry.path();
        fs::File::open(&path).and_then(|file| file.sync_all()).map_err(io(&path))?;
    }
    Ok(())
}
