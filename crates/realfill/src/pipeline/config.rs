//! The settings of a whole job: one struct for the command line, the API and the file.

use crate::model::Model;
use crate::samplers::SamplerSettings;
use crate::tuning::TuneConfig;
use serde::{Deserialize, Serialize};

/// How to complete a photo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FillConfig {
    /// Whether to work out where the references land in the target.
    pub guide: bool,
    /// Longest side the model works at, in pixels; 0 for the model's own default.
    pub view_px: u32,
    /// Pictures to sample and rank.
    pub candidates: usize,
    /// Seed of the first candidate; the others follow.
    pub seed: u64,
    /// Width of the blend inside the hole's edge, in pixels of the photo.
    pub feather_px: f32,
    /// Share of the model's influence on what the guide proposes where trust is low, from 0 (the guide stands) to 1.
    pub model_weight: f32,
    /// How to tune.
    pub tune: TuneConfig,
    /// How to sample; 0 steps for the model's own default.
    pub sampler: SamplerSettings,
}

impl Default for FillConfig {
    fn default() -> Self {
        Self {
            guide: true,
            view_px: 0,
            candidates: 4,
            seed: 0,
            feather_px: 8.0,
            model_weight: 1.0,
            tune: TuneConfig::default(),
            sampler: SamplerSettings { steps: 0, ..SamplerSettings::default() },
        }
    }
}

impl FillConfig {
    /// How `model` is sampled.
    pub fn sampler_of(&self, model: &dyn Model) -> SamplerSettings {
        let steps = if self.sampler.steps == 0 { model.sampling_steps() } else { self.sampler.steps };
        SamplerSettings { steps, ..self.sampler }
    }

    /// Whether the model may move what the guide proposes.
    pub(super) fn moves_guide(&self) -> bool {
        self.guide && self.model_weight > 0.0
    }

    /// The candidates' seeds.
    pub fn seeds(&self) -> Vec<u64> {
        (0..self.candidates.max(1) as u64).map(|i| self.seed.wrapping_add(i)).collect()
    }
}
