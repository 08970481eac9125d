//! Tuning a base model on one scene: the paper's random masks on every photo (Tang et al. 2023, section 4.1), and each
//! photo in turn as a pretended target whose guide comes from the others.

mod config;
mod past;
mod samples;
mod stopping;

pub use config::{LearningRate, Preset, TuneConfig};
pub use past::Past;
pub(crate) use samples::whole_size;
pub use samples::{Role, ScenePhotos, Sides, Turn, Witness};
pub use stopping::{Look, Tuned};

use crate::model::{Model, StageError};
use crate::training::checkpoint::Checkpoints;
use std::time::{Duration, Instant};
use stopping::Looks;

/// Time after which the end of a step is saved, whatever its number: a tuning that is killed loses no more than that and a step.
const SAVED_EVERY: Duration = Duration::from_secs(60);

/// Tunes `model` until `config.iterations`, or until the photo that is held out gets no better, going on from the newest of
/// `checkpoints`, or from the base where there is none, whatever the model was tuned on before. The model then has the weights that did
/// best on that photo, or the last where none is held out.
///
/// `on_step` hears (steps done, loss) and returns whether to go on; when not, a checkpoint is written, and there is no result yet.
/// Others are written every `config.checkpoint_every` steps, and at the first end of a step that comes a minute after the last. Each knows
/// of all steps before it ([`Past`]).
/// Every step draws from its own seed, so that an interrupted run ends with the same weights as an uninterrupted one.
///
/// # Errors
/// When a checkpoint cannot be written or read, or the model cannot run.
pub fn tune(
    model: &mut dyn Model,
    photos: &ScenePhotos,
    config: &TuneConfig,
    checkpoints: &Checkpoints,
    on_step: &mut dyn FnMut(usize, f64) -> bool,
) -> Result<Option<Tuned>, StageError> {
    tune_saving(model, photos, config, checkpoints, SAVED_EVERY, on_step)
}

/// [`tune`], where a step's end is saved once the last checkpoint is `interval` old.
fn tune_saving(
    model: &mut dyn Model,
    photos: &ScenePhotos,
    config: &TuneConfig,
    checkpoints: &Checkpoints,
    interval: Duration,
    on_step: &mut dyn FnMut(usize, f64) -> bool,
) -> Result<Option<Tuned>, StageError> {
    let rate = if photos.is_guided() { model.guided_rate() } else { 1.0 };
    let config = &TuneConfig { learning_rate: rate * config.learning_rate, ..config.clone() };
    let mut step = checkpoints.newest().unwrap_or(0);
    let (mut past, clock) = (Past::of(checkpoints)?, Instant::now());
    let mut looks = Looks::resume(photos.validation(config, Sides::of(model)), config, checkpoints, step)?;
    if step > 0 {
        model.restore(checkpoints, step, config)?;
    } else if config.iterations > 0 {
        model.begin(config);
    }
    if step == 0 && looks.is_due(0) {
        model.save(&looks.kept_in(checkpoints), 0)?;
    }
    looks.look(model, step)?;
    let mut saved = Instant::now();
    while step < config.iterations && !looks.say_stop() {
        let samples = photos.samples(config, Sides::of(model), step);
        let loss = model.learn(&samples, step, config)?;
        past.add(loss);
        step += 1;
        let go_on = on_step(step, loss);
        let is_last = step == config.iterations;
        let is_old = saved.elapsed() >= interval;
        if !go_on || is_last || is_old || step.is_multiple_of(config.checkpoint_every) || looks.is_due(step) {
            model.save(&past.kept_in(&looks.kept_in(checkpoints), clock), step)?;
            saved = Instant::now();
        }
        if !go_on && !is_last {
            return Ok(None);
        }
        looks.look(model, step)?;
    }
    let tuned = looks.conclude(step);
    if tuned.used < step {
        model.restore(checkpoints, tuned.used, config)?;
    }
    Ok(Some(tuned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::EmbeddedModel;
    use burn::tensor::Device;
    use image::{Rgb, Rgb32FImage};
    use realfill_models::embedded::{EmbeddedConfig, PatchUNet};
    use realfill_vision::{Guide, Mask};

    /// A target and its guide, which shows something everywhere.
    fn photos() -> ScenePhotos {
        let colour = |x: u32, y: u32| Rgb([x as f32 / 64.0, y as f32 / 64.0, 0.5]);
        let picture = Rgb32FImage::from_fn(64, 64, colour);
        let hole = Mask::from_fn(64, 64, |x, y| (16..40).contains(&x) && (16..40).contains(&y));
        let mut guide = Guide { colour: picture.clone(), ..Guide::empty(64, 64) };
        guide.trust.iter_mut().for_each(|trust| *trust = 0.9);
        let turn = Turn { picture, hole, role: Role::Reference, guide: Some(guide), unseen: None };
        ScenePhotos { turns: vec![turn], witness: None }
    }

    #[test]
    fn a_scene_with_guides_is_learnt_at_the_models_own_share_of_the_rate() {
        let (device, shape) = (Device::flex(), EmbeddedConfig::tiny());
        let network = PatchUNet::new(&shape, &device.clone().autodiff());
        let fresh = || EmbeddedModel::new(network.clone(), &shape, "tiny".into(), &device);
        let (photos, folder) = (photos(), tempfile::tempdir().unwrap());
        let config = TuneConfig { iterations: 1, warmup_steps: 0, ..TuneConfig::default() };
        let samples = photos.samples(&config, Sides::of(&fresh()), 0);
        let next_loss = |mut model: EmbeddedModel| model.learn(&samples, 1, &config).unwrap();

        let mut tuned = fresh();
        tune(&mut tuned, &photos, &config, &Checkpoints::new(folder.path()), &mut |_, _| true).unwrap();
        let at_rate = |share: f64| {
            let mut model = fresh();
            let config = TuneConfig { learning_rate: share * config.learning_rate, ..config.clone() };
            model.learn(&samples, 0, &config).unwrap();
            next_loss(model)
        };
        let (found, full) = (next_loss(tuned), at_rate(1.0));
        assert_eq!(found, at_rate(fresh().guided_rate()));
        assert!(found != full, "{found} at either rate");
    }
}
