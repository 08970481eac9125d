//! `report.json`: what was done, with which settings, and how it went.

use super::{Candidate, FillConfig};
use crate::model::{Influence, Model};
use crate::tuning::Tuned;
use realfill_vision::Scene;
use realfill_vision::rank::RankParts;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Seconds one stage took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The stage.
    pub stage: String,
    /// Wall-clock seconds.
    pub secs: f64,
}

/// How a candidate was judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Its seed.
    pub seed: u64,
    /// Higher is better.
    pub score: f64,
    /// Verified correspondences with the references, as a share: 0 to 1.
    pub correspondences: f64,
    /// How many there are.
    pub verified: usize,
    /// Step across the hole's edge over that beside it; about 1 is invisible.
    pub seam: f64,
    /// Mean difference from what the guide trusts, 0 to 1.
    pub guide: f64,
    /// Root mean square distance from the candidates' mean, 0 to 1.
    pub apart: f64,
}

impl Judgement {
    /// Of a ranked candidate.
    pub fn of(candidate: &Candidate) -> Self {
        let RankParts { correspondences, verified, seam, guide } = candidate.parts;
        let Candidate { seed, score, apart, .. } = *candidate;
        Self { seed, score, correspondences, verified, seam, guide, apart }
    }
}

/// Settings, versions, timings, losses and scores of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The program's version.
    pub version: String,
    /// The scene's name.
    pub scene: String,
    /// The target's width and height in pixels.
    pub size: (u32, u32),
    /// References used.
    pub references: usize,
    /// Share of the photo that was missing, 0 to 1.
    pub hole_share: f64,
    /// The base model.
    pub model: String,
    /// Hash of its weights.
    pub model_fingerprint: String,
    /// Every setting.
    pub config: FillConfig,
    /// Seconds a stage.
    pub timings: Vec<Timing>,
    /// The loss of each tuning step done in this run.
    pub losses: Vec<f64>,
    /// How the tuning ended; `None` where there was none.
    #[serde(default)]
    pub tuned: Option<Tuned>,
    /// How far the model was let move the guide.
    pub influence: Influence,
    /// Share of the hole that a reference supports, 0 to 1.
    pub supported_share: f64,
    /// The candidates, best first.
    pub candidates: Vec<Judgement>,
}

impl Report {
    /// A report of a job that begins.
    pub fn new(scene: &Scene, model: &dyn Model, config: &FillConfig) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            scene: scene.name.clone(),
            size: (scene.target.width(), scene.target.height()),
            references: scene.references.len(),
            hole_share: scene.mask.hole_share(),
            model: model.name(),
            model_fingerprint: model.fingerprint(),
            config: config.clone(),
            timings: Vec::new(),
            losses: Vec::new(),
            tuned: None,
            influence: Influence::NONE,
            supported_share: 0.0,
            candidates: Vec::new(),
        }
    }

    /// Notes how long a stage took that began at `clock`.
    pub fn time(&mut self, stage: &str, clock: Instant) {
        self.timings.push(Timing { stage: stage.into(), secs: clock.elapsed().as_secs_f64() });
    }
}
