//! The stages of a job, each noting in the report how long it took.

use super::drawn::{DrawnGuides, name_of};
use super::guides::Guides;
use super::influence::measured;
use super::job::checkpoints_in;
use super::view::scene_photos;
use super::{
    Candidate, Completion, Event, Fidelity, FillConfig, FillError, Judgement, Report, Working, complete, finish, rank,
};
use crate::adapter::AdapterCard;
use crate::model::{Draft, Drawn, Influence, Model};
use crate::training::checkpoint::Checkpoints;
use crate::tuning::{ScenePhotos, tune};
use image::Rgb32FImage;
use realfill_vision::{Guide, Scene};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// What a person may want to change about such a target.
const MIXED_RIM: &str = "the pixels beside the hole are mixed with what was painted into it; they stay as they are, but nothing is matched to \
                         them (grow the mask by a pixel or two to fill them too)";

/// A candidate's seed, guide and completed picture.
type Completed = (u64, Arc<Guide>, Rgb32FImage);

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
    /// Where the references land in the target, by the likeliest labels and by those of the candidates.
    #[tracing::instrument(name = "guide", level = "info", skip_all)]
    pub fn guides(&mut self) -> Result<DrawnGuides, FillError> {
        let size = self.working.target.dimensions();
        if self.working.has_mixed_rim && !self.notes(MIXED_RIM) {
            return Err(self.stopped());
        }
        if !self.config.guide {
            return Ok(DrawnGuides::new(vec![Guide::empty(size.0, size.1)], &[]));
        }
        let draws = DrawnGuides::draws(&self.config.seeds());
        let clock = Instant::now();
        let mut go_on = self.begins("guide", 100).is_ok();
        let mut on_share = |_: &str, share: f32| go_on &= (self.on_event)(Event::share(share));
        let names: Vec<String> = draws.iter().map(name_of).collect();
        let guides = self
            .guides
            .get_all_or(&names, size, || self.working.guides(&self.scene.references, &draws, &mut on_share))?;
        let guides = DrawnGuides::new(guides, &draws);
        for (i, reference) in guides.likeliest().references.iter().enumerate() {
            go_on &= (self.on_event)(Event::Note { text: format!("reference {}: {reference}", i + 1) });
        }
        go_on &= (self.on_event)(Event::Preview { seed: None, picture: guides.likeliest().colour.clone() });
        self.report.time("guide", clock);
        if go_on { Ok(guides) } else { Err(self.stopped()) }
    }

    /// The photos as pretended targets, guided by one another: what the model is tuned on, and measured on. `target` are the target's own
    /// guides, which tell what is left out where that is asked for.
    #[tracing::instrument(level = "info", skip_all)]
    pub fn photos(&mut self, target: Option<&DrawnGuides>) -> Result<ScenePhotos, FillError> {
        let clock = Instant::now();
        let guided = self.config.guide && self.config.tune.guided_share > 0.0;
        if guided {
            self.begins("guide the references", 100)?;
        }
        let guides = guided.then_some(&self.guides);
        let mut on_share = |share| (self.on_event)(Event::share(share));
        let photos = scene_photos(&self.working, guides, self.config.tune.validates(), &mut on_share)?;
        self.report.time("guides of the references", clock);
        let mut photos = photos.ok_or_else(|| self.stopped())?;
        if let Some(target) = target.filter(|_| self.config.tune.mask_unseen) {
            photos.mask_unseen(target.likeliest());
        }
        Ok(photos)
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
        guides: DrawnGuides,
        model: &dyn Model,
        influence: Option<Influence>,
    ) -> Result<Completion, FillError> {
        let clock = Instant::now();
        let allowed = influence.unwrap_or(Influence::NONE).times(self.config.model_weight);
        let completed = self.completed(&guides, model, allowed)?;
        self.report.time("sample", clock);

        let clock = Instant::now();
        self.begins("composite", 1)?;
        let candidates = rank(&self.working, guides.likeliest(), completed.into_iter());
        let Candidate { picture, guide, .. } = &candidates[0];
        let photo = finish(self.scene, picture, guide, &self.working.mask, self.config);
        let mut report = self.report;
        report.time("composite", clock);
        report.influence = allowed;
        let fidelity = Fidelity::of(guide, &self.working.mask, &self.working.window, self.scene.frame);
        report.supported_share = fidelity.supported_share;
        report.candidates = candidates.iter().map(Judgement::of).collect();
        let Working { window, mask, .. } = self.working;
        Ok(Completion { photo, candidates, window, mask, fidelity, report })
    }

    /// The candidates that were not dropped, in the order of their seeds.
    fn completed(
        &mut self,
        guides: &DrawnGuides,
        model: &dyn Model,
        allowed: Influence,
    ) -> Result<Vec<Completed>, FillError> {
        let (seeds, sampler) = (self.config.seeds(), self.config.sampler_of(model));
        self.begins("sample", sampler.steps_of(seeds.len()))?;
        let seen = guides.resized(self.working.view_size);
        let view = self.working.view(seen.likeliest().clone());
        let draft = |&seed: &u64| Draft { seed, guide: seen.of_seed(seed).clone() };
        let drafts: Vec<Draft> = seeds.iter().map(draft).collect();
        let mut completed = Vec::with_capacity(seeds.len());
        model.draw(&view, &drafts, &sampler, &mut |told| match told {
            Drawn::Steps(step) => (self.on_event)(Event::Progress { step, loss: None }),
            Drawn::Picture { draft, picture } => {
                let guide = guides.of_seed(seeds[draft]);
                let picture = complete(guide, &picture, allowed, self.config);
                completed.push((seeds[draft], guide.clone(), picture.clone()));
                (self.on_event)(Event::Preview { seed: Some(seeds[draft]), picture })
            }
        })?;
        let go_on = completed.len() == seeds.len() || self.notes(&dropped(&seeds, &completed));
        if go_on { Ok(completed) } else { Err(self.stopped()) }
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

/// Which seeds have no candidate, for people.
fn dropped(seeds: &[u64], completed: &[Completed]) -> String {
    let gone = seeds.iter().filter(|seed| completed.iter().all(|(done, ..)| done != *seed));
    let gone: Vec<String> = gone.map(u64::to_string).collect();
    format!("dropped halfway: the candidates of the seeds {}", gone.join(", "))
}
