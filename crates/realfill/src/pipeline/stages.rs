//! The stages of a job, each noting in the report how long it took.

use super::drawn::{DrawnGuides, name_of, summaries};
use super::guides::Guides;
use super::influence::measured;
use super::job::checkpoints_in;
use super::report::number;
use super::view::{hole_shares, scene_photos};
use super::{
    Completion, Event, Fidelity, FillConfig, FillError, Filled, Judgement, Report, Working, complete, finish, rank,
};
use crate::adapter::AdapterCard;
use crate::model::{Draft, Drawn, Influence, Model, StageError};
use crate::samplers::{SampleError, SamplerSettings};
use crate::training::checkpoint::Checkpoints;
use crate::tuning::{Past, ScenePhotos, tune};
use image::Rgb32FImage;
use realfill_vision::{Guide, Scene};
use std::path::Path;
use std::time::Instant;

/// What a person may want to change about such a target.
const MIXED_RIM: &str = "the pixels beside the hole are mixed with what was painted into it; they stay as they are, but nothing is matched to \
                         them (grow the mask by a pixel or two to fill them too)";

/// A candidate's seed and what fills the parts.
type Completed = (u64, Vec<Filled>);

/// A job under way.
pub(super) struct Run<'a> {
    pub scene: &'a Scene,
    pub config: &'a FillConfig,
    /// Where checkpoints and the adapter go.
    pub folder: &'a Path,
    pub working: Working,
    pub guides: Guides,
    /// Whether the model may move the guide and cannot say how far: what no adapter tells is measured.
    pub measures: bool,
    pub report: Report,
    pub on_event: &'a mut dyn FnMut(Event) -> bool,
}

impl Run<'_> {
    /// Where the references land in each part of the target, by the likeliest labels and by those of the candidates of these seeds.
    #[tracing::instrument(name = "guide", level = "info", skip_all)]
    pub fn guides(&mut self, seeds: &[u64]) -> Result<Vec<DrawnGuides>, FillError> {
        if self.working.parts.iter().any(|part| part.has_mixed_rim) && !self.notes(MIXED_RIM) {
            return Err(self.stopped());
        }
        let sizes: Vec<(u32, u32)> = self.working.parts.iter().map(|part| part.target.dimensions()).collect();
        if !self.config.guide {
            let empty = |size: (u32, u32)| DrawnGuides::new(vec![Guide::empty(size.0, size.1)], &[]);
            return Ok(sizes.into_iter().map(empty).collect());
        }
        let draws = DrawnGuides::draws(seeds);
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
        self.guides.keep_timings(&self.report.timings)?;
        if go_on { Ok(guides) } else { Err(self.stopped()) }
    }

    /// The photos as pretended targets, guided by one another: what the model is tuned on, and measured on. `target` are the target's own
    /// guides, which tell what is left out where that is asked for.
    #[tracing::instrument(level = "info", skip_all)]
    pub fn photos(&mut self, target: &[DrawnGuides]) -> Result<ScenePhotos, FillError> {
        let clock = Instant::now();
        let guided = self.measures || self.config.guide && self.config.tune.guided_share > 0.0;
        if guided {
            self.begins("guide the references", 100)?;
        }
        let guides = guided.then_some(&self.guides);
        let mut on_share = |share| (self.on_event)(Event::share(share));
        let photos = scene_photos(&self.working, guides, self.config.tune.validates(), self.measures, &mut on_share)?;
        self.report.time("guides of the references", clock);
        if guided {
            self.guides.keep_timings(&self.report.timings)?;
        }
        let mut photos = photos.ok_or_else(|| self.stopped())?;
        if self.config.tune.mask_unseen {
            target.iter().for_each(|part| photos.mask_unseen(part.likeliest()));
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
        let past = Past::of(&checkpoints).map_err(StageError::from)?;
        self.report.losses = past.losses;
        self.report.add_secs("tune", past.secs);
        let tuned = tune(model, photos, config, &checkpoints, &mut |step, loss| {
            let loss = number(loss);
            self.report.losses.push(loss);
            (self.on_event)(Event::Progress { step, loss })
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
        self.begins("measure", photos.turns.len() + usize::from(photos.witness.is_some()))?;
        let mut on_turn = |turn| (self.on_event)(Event::Progress { step: turn, loss: None });
        let influence = measured(model, photos, self.config, &mut on_turn).map_err(|error| self.stopped_or(error))?;
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
        let allowed = influence.unwrap_or(Influence::NONE).times(self.config.model_weight);
        let completed = self.completed(&guides, model, allowed)?;
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

    /// The candidates that were not dropped, in the order of their seeds. Where there are several parts, the first decides who is.
    fn completed(
        &mut self,
        guides: &[DrawnGuides],
        model: &dyn Model,
        allowed: Influence,
    ) -> Result<Vec<Completed>, FillError> {
        let (seeds, sampler) = (self.config.seeds(), self.config.sampler_of(model));
        let whole = SamplerSettings { drop_halfway: false, ..sampler };
        let later = (guides.len() - 1) * whole.steps_of(sampler.kept_of(seeds.len()));
        self.begins("sample", sampler.steps_of(seeds.len()) + later)?;
        let mut completed: Vec<Completed> = seeds.iter().map(|&seed| (seed, Vec::new())).collect();
        let mut before = 0;
        for (i, (part, guides)) in self.working.parts.iter().zip(guides).enumerate() {
            let settings = if i == 0 { sampler } else { whole };
            let seen = guides.resized(part.view_size);
            let view = part.view(seen.likeliest().clone());
            let draft = |&(seed, _): &Completed| Draft { seed, guide: seen.of_seed(seed).clone() };
            let drafts: Vec<Draft> = completed.iter().map(draft).collect();
            let is_last = i + 1 == self.working.parts.len();
            let drawn = model.draw(&view, &drafts, &settings, &mut |told| match told {
                Drawn::Steps(step) => (self.on_event)(Event::Progress { step: before + step, loss: None }),
                Drawn::Picture { draft, picture } => {
                    let (seed, filled) = &mut completed[draft];
                    let guide = guides.of_seed(*seed);
                    let picture = complete(guide, &picture, allowed, self.config);
                    filled.push(Filled { picture, guide: guide.clone() });
                    let shown: Vec<&Rgb32FImage> = filled.iter().map(|filled| &filled.picture).collect();
                    let preview = || Event::Preview { seed: Some(*seed), picture: self.working.shown(&shown) };
                    !is_last || (self.on_event)(preview())
                }
            });
            drawn.map_err(|error| self.stopped_or(error))?;
            before += settings.steps_of(drafts.len());
            completed.retain(|(_, filled)| filled.len() > i);
        }
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

    fn stopped_or(&self, error: StageError) -> FillError {
        if matches!(error, StageError::Sample(SampleError::Stopped { .. })) { self.stopped() } else { error.into() }
    }
}

/// Which seeds have no candidate, for people.
fn dropped(seeds: &[u64], completed: &[Completed]) -> String {
    let gone = seeds.iter().filter(|seed| completed.iter().all(|(done, ..)| done != *seed));
    let gone: Vec<String> = gone.map(u64::to_string).collect();
    format!("dropped halfway: the candidates of the seeds {}", gone.join(", "))
}
