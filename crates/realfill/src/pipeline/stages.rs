//! The stages of a job, each noting in the report how long it took.

use super::{Completion, Event, Fidelity, FillConfig, FillError, Report, Working, finish, rank, scene_photos};
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
    report: &mut Report,
    on_event: &mut dyn FnMut(Event) -> bool,
) -> Option<Guide> {
    if !config.guide {
        return Some(Guide::empty(working.target.width(), working.target.height()));
    }
    let clock = Instant::now();
    let mut go_on = on_event(Event::Stage { stage: "guide".into(), steps: 100 });
    let guide = working.guide(&mut |_, share| {
        go_on &= on_event(Event::Progress { step: (100.0 * share) as usize, loss: None });
    });
    for (i, reference) in guide.references.iter().enumerate() {
        go_on &= on_event(Event::Note { text: format!("reference {}: {reference}", i + 1) });
    }
    report.time("guide", clock);
    go_on.then_some(guide)
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
    if guided && !on_event(Event::Note { text: "guiding each reference by the others, to tune on".into() }) {
        return Err(stopped(folder));
    }
    let photos = scene_photos(working, guided);
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
    let candidates = rank(&view, seeds.into_iter().zip(pictures));
    let photo = finish(scene, &working, &guide, &candidates[0].picture, config);
    report.time("composite", clock);
    report.supported_share = Fidelity::of(&guide, &working.mask).supported_share;
    report.candidates = candidates.iter().map(|c| (c.seed, c.score)).collect();
    Ok(Completion { photo, candidates, guide, mask: working.mask, report })
}
