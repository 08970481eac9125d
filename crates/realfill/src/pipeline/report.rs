//! `report.json`: what was done, with which settings, and how it went.

use super::{Candidate, FillConfig};
use crate::model::{Influence, Model};
use crate::tuning::Tuned;
use burn::tensor::Device;
use realfill_models::Precision;
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

/// How a candidate was judged: `None`, which is null in JSON, stands for what is no number, where the model drew none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Its seed.
    pub seed: u64,
    /// Higher is better.
    pub score: Option<f64>,
    /// Verified correspondences with the references, as a share: 0 to 1.
    pub correspondences: f64,
    /// How many there are.
    pub verified: usize,
    /// Step across the hole's edge over that beside it; about 1 is invisible.
    pub seam: Option<f64>,
    /// Mean difference from what the guide trusts, 0 to 1.
    pub guide: Option<f64>,
    /// Root mean square distance from the candidates' mean, 0 to 1.
    pub apart: Option<f64>,
}

impl Judgement {
    /// Of a ranked candidate.
    pub fn of(candidate: &Candidate) -> Self {
        let RankParts { correspondences, verified, seam, guide } = candidate.parts;
        let [score, seam, guide, apart] = [candidate.score, seam, guide, candidate.apart].map(number);
        Self { seed: candidate.seed, score, correspondences, verified, seam, guide, apart }
    }
}

/// What can be written down: JSON has no word for what is no number.
pub(super) fn number(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Settings of the model, what it ran on, versions, timings, losses and scores of a job.
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
    /// What it ran on: `cpu`, or what a GPU calls itself and what its kernels are built for. Older versions did not tell.
    #[serde(default)]
    pub device: Option<String>,
    /// What the processor multiplied; `None` on other devices. Older versions did not tell.
    #[serde(default)]
    pub precision: Option<Precision>,
    /// Every setting of guide, tuning and sampling.
    pub config: FillConfig,
    /// Seconds a stage, with those of earlier runs that this one went on from.
    pub timings: Vec<Timing>,
    /// The loss of each tuning step, with those of earlier runs that this one went on from; `None` where it was no number and the step was
    /// passed over.
    pub losses: Vec<Option<f64>>,
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
            device: Some(name_of(model.device())),
            precision: model.precision(),
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
        self.add_secs(stage, clock.elapsed().as_secs_f64());
    }

    /// Adds seconds to those of a stage.
    pub fn add_secs(&mut self, stage: &str, secs: f64) {
        match self.timings.iter_mut().find(|timing| timing.stage == stage) {
            Some(timing) => timing.secs += secs,
            None => self.timings.push(Timing { stage: stage.into(), secs }),
        }
    }
}

/// A GPU's own name and what its kernels are built for.
#[cfg(any(feature = "cuda", feature = "rocm", feature = "wgpu"))]
fn name_of(device: &Device) -> String {
    device.identity().map_or_else(|| "cpu".into(), |gpu| format!("{} ({})", gpu.name, gpu.fingerprint))
}

/// Without a GPU built in there is one device.
#[cfg(not(any(feature = "cuda", feature = "rocm", feature = "wgpu")))]
fn name_of(_device: &Device) -> String {
    "cpu".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::EmbeddedModel;
    use image::RgbImage;
    use realfill_models::embedded::{EmbeddedConfig, PatchUNet};
    use realfill_vision::{Mask, Photo};
    use serde_json::json;

    fn report() -> Report {
        let photo = || Photo::from_pixels(RgbImage::new(8, 8));
        let scene = Scene::new("black", photo(), Mask::from_fn(8, 8, |x, _| x < 4), vec![photo()]).unwrap();
        let (shape, device) = (EmbeddedConfig::tiny(), Device::flex());
        let network = PatchUNet::new(&shape, &device.clone().autodiff());
        let model = EmbeddedModel::new(network, &shape, "tiny".into(), &device);
        Report::new(&scene, &model, &FillConfig::default())
    }

    #[test]
    fn a_stage_has_the_seconds_of_all_runs() {
        let mut report = report();
        for (stage, secs) in [("guide", 2.0), ("tune", 8.0), ("guide", 0.5)] {
            report.add_secs(stage, secs);
        }
        let timings: Vec<_> = report.timings.iter().map(|timing| (timing.stage.as_str(), timing.secs)).collect();
        assert_eq!(timings, [("guide", 2.5), ("tune", 8.0)]);
    }

    #[test]
    fn what_is_no_number_is_written_and_read_as_none() {
        let parts = RankParts { correspondences: 0.0, verified: 0, seam: f64::NAN, guide: f64::NAN };
        let drawn = Candidate { seed: 7, filled: Vec::new(), parts, apart: f64::NAN, score: f64::NEG_INFINITY };
        let losses = [0.5, f64::NAN].map(number).to_vec();
        let written = Report { losses, candidates: vec![Judgement::of(&drawn)], ..report() };
        let read: Report = serde_json::from_slice(&serde_json::to_vec(&written).unwrap()).unwrap();
        assert_eq!(read.losses, [Some(0.5), None]);
        assert_eq!(read.candidates, [Judgement { seed: 7, ..Judgement::default() }]);
    }

    #[test]
    fn a_report_of_an_older_version_is_read() {
        let mut older = serde_json::to_value(report()).unwrap();
        assert_eq!((&older["device"], &older["precision"]), (&json!("cpu"), &json!("f32")));
        for name in ["device", "precision", "tuned"] {
            older.as_object_mut().unwrap().remove(name);
        }
        older["losses"] = json!([0.5]);
        older["candidates"] = json!([{
            "seed": 7, "score": 0.25, "correspondences": 0.5, "verified": 9, "seam": 1.5, "guide": 0.125, "apart": 0.25
        }]);
        let read: Report = serde_json::from_value(older).unwrap();
        assert_eq!((read.device, read.precision, read.losses), (None, None, vec![Some(0.5)]));
        assert_eq!((read.candidates[0].score, read.candidates[0].apart), (Some(0.25), Some(0.25)));
    }
}
