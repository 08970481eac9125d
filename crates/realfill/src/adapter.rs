//! The card beside an adapter: which base it was tuned on, and which scene it learnt.

use crate::fingerprint;
use crate::model::{Influence, Model};
use crate::tuning::TuneConfig;
use realfill_vision::Scene;
use realfill_vision::save::{SaveError, write_whole};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

const CARD: &str = "realfill.json";

/// What an adapter was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdapterCard {
    /// The program's version.
    pub version: String,
    /// The base model's name.
    pub base: String,
    /// Fingerprint of its weights.
    pub base_fingerprint: String,
    /// The scene's name.
    pub scene: String,
    /// Fingerprint of its photos.
    pub scene_fingerprint: String,
    /// How it was tuned.
    pub tune: TuneConfig,
    /// How far the tuned model may move the guide; `None` where that was not measured.
    #[serde(default)]
    pub influence: Option<Influence>,
}

/// Why an adapter cannot be used, or its card not be written.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// The card cannot be written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The card is damaged.
    #[error("{}: {reason}; give the adapter/ folder that `tune` or `fill` wrote", path.display())]
    Unreadable {
        /// The card.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It was tuned on another base.
    #[error(
        "{} was tuned on the model {base} ({base_fingerprint}), and this one is {found} ({found_fingerprint}); \
         give the same --model", path.display()
    )]
    Base {
        /// The adapter's folder.
        path: PathBuf,
        /// The base it was tuned on.
        base: String,
        /// That one's fingerprint.
        base_fingerprint: String,
        /// The base now.
        found: String,
        /// Its fingerprint.
        found_fingerprint: String,
    },
}

impl AdapterCard {
    /// The card of an adapter tuned now.
    pub fn new(scene: &Scene, model: &dyn Model, tune: &TuneConfig, influence: Option<Influence>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            base: model.name(),
            base_fingerprint: model.fingerprint(),
            scene: scene.name.clone(),
            scene_fingerprint: fingerprint::of_scene(scene),
            tune: tune.clone(),
            influence,
        }
    }

    /// Writes the card into the adapter's folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), AdapterError> {
        let text = serde_json::to_vec_pretty(self).expect("a card is plain data");
        Ok(write_whole(folder.join(CARD), |file| file.write_all(&text))?)
    }

    /// Reads the card of an adapter's folder and checks that `model` is its base; `None` where another program made the
    /// adapter.
    ///
    /// # Errors
    /// When it is damaged, or of another base.
    pub fn read_for(folder: &Path, model: &dyn Model) -> Result<Option<Self>, AdapterError> {
        let path = folder.join(CARD);
        if !path.is_file() {
            return Ok(None);
        }
        let unreadable = |reason: String| AdapterError::Unreadable { path: path.clone(), reason };
        let text = std::fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
        let card: Self = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if card.base_fingerprint == model.fingerprint() {
            return Ok(Some(card));
        }
        Err(AdapterError::Base {
            path: folder.into(),
            base: card.base,
            base_fingerprint: card.base_fingerprint,
            found: model.name(),
            found_fingerprint: model.fingerprint(),
        })
    }
}
