//! The stages of a job, each noting in the report how long it took.

use super::guides::Guides;
use super::view::scene_photos;
use super::{
    Completion, Event, Fidelity, FillConfig, FillError, Judgement, Report, Working, complete, finish, rank,
};
use crate::adapter::AdapterCard;
use crate::model::Model;
use crate::training::checkpoint::Checkpoints;
use crate::tuning::tune;
use realfill_vision::{Guide, Scene};
use std::path::Path;
use std::time::Instant;

pub(super) fn stopped(folder: &Path) -> FillError {
    FillError::Stopped { folder: folder.into() }
}

/// Where the references land in the target; `None` when the caller stopped.
pub(super) fn guide_stage(
    working: &Working,
    config: &FillConfig,
    guides: &Guides,
    report: &mut Report,
    on_event: &mut dyn FnMut(Event) -> bool,
) -> Result<Option<Guide>, FillError> {
    let size = working.target.dimensions();
    if !config.guide {
        return Ok(Some(Guide::empty(size.0, size.1)));
    }
    let clock = Instant::now();
    let mut go_on = on_event(Event::Stage { stage: "guide".into(), steps: 100 });
    let mut on_share = |_: &str, share: f32| {
        go_on &= on_event(Event::Progress { step: (100.0 * share) as usize, loss: None });
    };
    let guide = guides.get_or("target", size, || working.guide(&mut on_share))?;
    for (i, reference) in guide.references.iter().enumerate() {
        go_on &= on_event(Event::Note { text: format!("reference {}: {reference}", i + 1) });
    }
    report.time("guide", clock);
    Ok(go_on.then_some(guide))
}

/// Tunes, going on from the checkpoint in `folder`, and saves `folder/adapter`.
pub(super) fn tune_stage(
    scene: &Scene,
    working: &Working,
    model: &mut dyn Model,
    config: &FillConfig,
    folder: &Path,
    report: &mut Report,
    on_event: &mut dyn FnMut(Event) -> bool,
) -> Result<(), FillError> {
    if config.tune.iterations == 0 {
        return Ok(());
    }
    let clock = Instant::now();
    let guided = config.guide && config.tune.guided_share > 0.0;
    let guides = guided.then(|| Guides::of_job(folder));
    if guided && !on_event(Event::Stage { stage: "guide the references".into(), steps: 100 }) {
        return Err(stopped(folder));
    }
    let mut on_share = |share: f32| on_event(Event::Progress { step: (100.0 * share) as usize, loss: None });
    let photos = scene_photos(working, guides.as_ref(), &mut on_share)?.ok_or_else(|| stopped(folder))?;
    report.time("guides of the references", clock);

    let clock = Instant::now();
    if !on_event(Event::Stage { stage: "tune".into(), steps: config.tune.iterations }) {
        return Err(stopped(folder));
    }
    let checkpoints = Checkpoints::new(folder.join("checkpoints"));
    let done = tune(model, &photos, &config.tune, &checkpoints, &mut |step, loss| {
        report.losses.push(loss);
        on_event(Event::Progress { step, loss: Some(loss) })
    })?;
    if done < config.tune.iterations {
        return Err(stopped(folder));
    }
    model.save_adapter(&folder.join("adapter"), &AdapterCard::new(scene, model, &config.tune))?;
    report.time("tune", clock);
    Ok(())
}

/// Candidates, the best of them, and the photo it makes.
pub(super) fn sample_stage(
    scene: &Scene,
    working: Working,
    guide: Guide,
    model: &dyn Model,
    config: &FillConfig,
    mut report: Report,
    on_event: &mut dyn FnMut(Event) -> bool,
) -> Result<Completion, FillError> {
    let clock = Instant::now();
    let (view, seeds) = (working.view(&guide), config.seeds());
    on_event(Event::Stage { stage: "sample".into(), steps: seeds.len() * config.sampler.steps });
    let pictures =
        model.draw(&view, &seeds, &config.sampler, &mut |step, _| on_event(Event::Progress { step, loss: None }))?;
    report.time("sample", clock);

    let clock = Instant::now();
    on_event(Event::Stage { stage: "composite".into(), steps: 1 });
    let influence = model.influence().times(config.model_weight);
    let completed = pictures.iter().map(|picture| complete(&guide, picture, influence, config));
    let candidates = rank(&working, &guide, seeds.into_iter().zip(completed));
    let photo = finish(scene, &candidates[0].picture, config);
    report.time("composite", clock);
    report.supported_share = Fidelity::of(&guide, &working.mask).supported_share;
    report.candidates = candidates.iter().map(Judgement::of).collect();
    Ok(Completion { photo, candidates, guide, mask: working.mask, report })
}
