//! The stages of a job, each noting in the report how long it took.

use super::drawn::{DrawnGuides, name_of, summaries};
use super::guides::Guides;
use super::influence::measured;
use super::job::checkpoints_in;
use super::view::{hole_shares, scene_photos};
use super::{
    Completion, Event, Fidelity, FillConfig, FillError, Filled, Judgement, Report, Working, complete, finish, rank,
};
use crate::adapter::AdapterCard;
use crate::model::{Influence, Model};
use crate::training::checkpoint::Checkpoints;
use crate::tuning::{ScenePhotos, tune};
use image::Rgb32FImage;
use realfill_vision::{Guide, Scene};
use std::path::Path;
use std::time::Instant;

/// What a person may want to change about such a target.
const MIXED_RIM: &str = "the pixels beside the hole are mixed with what was painted into it; they stay as they are, but nothing is matched to \
                         them (grow the mask by a pixel or two to fill them too)";

/// A job under way.
pub(super) struct Run<'a> {
    pub scene: &'a Scene,
    pub config: &'a FillConfig,
    /// Where checkpoints and the adapter go.
    pub folder: &'a Path,
    pub working: Working,
    pub guides: Guides,
    pub report: Report,
    pub on_event: &'a mut dyn FnMut(Event) -> bool,
}

impl Run<'_> {
    /// Where the references land in each part of the target, by the likeliest labels and by those of the candidates.
    #[tracing::instrument(name = "guide", level = "info", skip_all)]
    pub fn guides(&mut self) -> Result<Vec<DrawnGuides>, FillError> {
        if self.working.parts.iter().any(|part| part.has_mixed_rim) && !self.notes(MIXED_RIM) {
            return Err(self.stopped());
        }
        let sizes: Vec<(u32, u32)> = self.working.parts.iter().map(|part| part.target.dimensions()).collect();
        if !self.config.guide {
            let empty = |size: (u32, u32)| DrawnGuides::new(vec![Guide::empty(size.0, size.1)], &[]);
            return Ok(sizes.into_iter().map(empty).collect());
        }
        let draws = DrawnGuides::draws(&self.config.seeds());
        let clock = Instant::now();
        let mut go_on = self.begins("guide", 100).is_ok();
        let mut on_share = |_: &str, share: f32| go_on &= (self.on_event)(Event::share(share));
        let parts = sizes.iter().enumerate();
        let wanted = parts.flat_map(|(i, &size)| draws.iter().map(move |draw| (name_of(i, draw), size)));
        let build =
            || self.working.guides(&self.scene.references, &draws, &mut on_share).into_iter().flatten().collect();
        let mut guides = self.guides.get_all_or(&wanted.collect::<Vec<_>>(), build)?.into_iter();
        let of_part = |_| DrawnGuides::new(guides.by_ref().take(draws.len()).collect(), &draws);
        let guides: Vec<DrawnGuides> = sizes.iter().map(of_part).collect();
        for (i, reference) in summaries(&guides, &hole_shares(&self.working.parts)).iter().enumerate() {
            go_on &= (self.on_event)(Event::Note { text: format!("reference {}: {reference}", i + 1) });
        }
        let proposed: Vec<&Rgb32FImage> = guides.iter().map(|guides| &guides.likeliest().colour).collect();
        go_on &= (self.on_event)(Event::Preview { seed: None, picture: self.working.shown(&proposed) });
        self.report.time("guide", clock);
        if go_on { Ok(guides) } else { Err(self.stopped()) }
    }

    /// The photos as pretended targets, guided by one another: what the model is tuned on, and measured on.
    #[tracing::instrument(level = "info", skip_all)]
    pub fn photos(&mut self) -> Result<ScenePhotos, FillError> {
        let clock = Instant::now();
        let guided = self.config.guide && self.config.tune.guided_share > 0.0;
        if guided {
            self.begins("guide the references", 100)?;
        }
        let guides = guided.then_some(&self.guides);
        let mut on_share = |share| (self.on_event)(Event::share(share));
        let photos = scene_photos(&self.working, guides, self.config.tune.validates(), &mut on_share)?;
        self.report.time("guides of the references", clock);
        photos.ok_or_else(|| self.stopped())
    }

    /// Tunes, going on from the newest checkpoint.
    #[tracing::instrument(level = "info", skip_all)]
    pub fn tune(&mut self, model: &mut dyn Model, photos: &ScenePhotos) -> Result<(), FillError> {
        let clock = Instant::now();
        let config = &self.config.tune;
        self.begins("tune", config.iterations)?;
        let checkpoints = Checkpoints::new(checkpoints_in(self.folder));
        let tuned = tune(model, photos, config, &checkpoints, &mut |step, loss| {
            self.report.losses.push(loss);
            (self.on_event)(Event::Progress { step, loss: Some(loss) })
        })?;
        self.report.time("tune", clock);
        let tuned = tuned.ok_or_else(|| self.stopped())?;
        let go_on = tuned.note(config.iterations).is_none_or(|text| self.notes(&text));
        self.report.tuned = Some(tuned);
        if go_on { Ok(()) } else { Err(self.stopped()) }
    }

    /// How far the model may move the guide, measured on the scene's photos.
    #[tracing::instrument(level = "info", skip_all)]
    pub fn influence(&mut self, model: &dyn Model, photos: &ScenePhotos) -> Result<Influence, FillError> {
        let clock = Instant::now();
        self.begins("measure", photos.turns.len())?;
        let mut on_turn = |turn| (self.on_event)(Event::Progress { step: turn, loss: None });
        let influence = measured(model, photos, self.config, &mut on_turn)?;
        self.report.time("measure", clock);
        Ok(influence)
    }

    /// Saves what was learnt on the scene.
    pub fn save(&self, model: &dyn Model, influence: Option<Influence>) -> Result<(), FillError> {
        let card = AdapterCard::new(self.scene, model, &self.config.tune, influence);
        Ok(model.save_adapter(&self.folder.join("adapter"), &card)?)
    }

    /// Candidates, the best of them, and the photo it makes.
    #[tracing::instrument(level = "info", skip_all)]
    pub fn sample(
        mut self,
        guides: Vec<DrawnGuides>,
        model: &dyn Model,
        influence: Option<Influence>,
    ) -> Result<Completion, FillError> {
        let clock = Instant::now();
        let (seeds, sampler) = (self.config.seeds(), self.config.sampler_of(model));
        self.begins("sample", seeds.len() * guides.len() * sampler.steps)?;
        let allowed = influence.unwrap_or(Influence::NONE).times(self.config.model_weight);
        let mut completed = Vec::with_capacity(seeds.len());
        for &seed in &seeds {
            let mut filled = Vec::with_capacity(guides.len());
            for (part, guides) in self.working.parts.iter().zip(&guides) {
                let before = (completed.len() * self.working.parts.len() + filled.len()) * sampler.steps;
                let mut on_step = |step, _| (self.on_event)(Event::Progress { step: before + step, loss: None });
                let guide = guides.of_seed(seed);
                let pictures = model.draw(&part.view(guide), &[seed], &sampler, &mut on_step)?;
                let picture = complete(guide, &pictures[0], allowed, self.config);
                filled.push(Filled { picture, guide: guide.clone() });
            }
            self.shows(seed, &filled)?;
            completed.push((seed, filled));
        }
        self.report.time("sample", clock);

        let clock = Instant::now();
        self.begins("composite", 1)?;
        let likeliest: Vec<&Guide> = guides.iter().map(|guides| &**guides.likeliest()).collect();
        let candidates = rank(&self.working, &likeliest, completed);
        let (filled, parts) = (&candidates[0].filled, self.working.parts);
        let photo = finish(self.scene, filled, &parts, self.config);
        let mut report = self.report;
        report.time("composite", clock);
        report.influence = allowed;
        let fidelity = Fidelity::of(filled, &parts, self.scene.frame);
        report.supported_share = fidelity.supported_share;
        report.candidates = candidates.iter().map(Judgement::of).collect();
        Ok(Completion { photo, candidates, parts, fidelity, report })
    }

    fn shows(&mut self, seed: u64, filled: &[Filled]) -> Result<(), FillError> {
        let pictures: Vec<&Rgb32FImage> = filled.iter().map(|filled| &filled.picture).collect();
        let go_on = (self.on_event)(Event::Preview { seed: Some(seed), picture: self.working.shown(&pictures) });
        if go_on { Ok(()) } else { Err(self.stopped()) }
    }

    fn begins(&mut self, stage: &str, steps: usize) -> Result<(), FillError> {
        let go_on = (self.on_event)(Event::Stage { stage: stage.into(), steps });
        if go_on { Ok(()) } else { Err(self.stopped()) }
    }

    fn notes(&mut self, text: &str) -> bool {
        (self.on_event)(Event::Note { text: text.into() })
    }

    fn stopped(&self) -> FillError {
        FillError::Stopped { folder: self.folder.into() }
    }
}
