use super::*;
use crate::adapter::AdapterCard;
use crate::embedded::EmbeddedModel;
use crate::tuning::{LearningRate, Role, ScenePhotos, Sides, Turn, tune, tune_saving};
use burn::tensor::Device;
use image::{Rgb, Rgb32FImage};
use realfill_models::embedded::{EmbeddedConfig, PatchUNet};
use realfill_vision::{Guide, Mask};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

const SIDE: u32 = 192;

static NETWORK: LazyLock<PatchUNet> =
    LazyLock::new(|| PatchUNet::new(&EmbeddedConfig::tiny(), &Device::flex().autodiff()));

fn fresh() -> EmbeddedModel {
    EmbeddedModel::new(NETWORK.clone(), &EmbeddedConfig::tiny(), "tiny".into(), &Device::flex())
}

fn config() -> TuneConfig {
    TuneConfig {
        iterations: 7,
        batch: 2,
        warmup_steps: 0,
        schedule: LearningRate::Constant,
        checkpoint_every: 3,
        validate_every: 2,
        ..TuneConfig::default()
    }
}

/// What is in the held-out hole of [`photos`] where nothing else is said.
const INSIDE: [f32; 3] = [0.1, 0.9, 0.2];

/// A target and two references, the last one held out, whose hole shows one colour.
fn photos(is_guided: bool, inside: [f32; 3]) -> ScenePhotos {
    let hole = Mask::from_fn(SIDE, SIDE, |x, y| (50..110).contains(&x) && (60..121).contains(&y));
    let turn = |role: Role| {
        let picture = Rgb32FImage::from_fn(SIDE, SIDE, |x, y| match role == Role::HeldOut && hole.is_hole(x, y) {
            true => Rgb(inside),
            false => Rgb([x as f32 / SIDE as f32, 0.3, y as f32 / SIDE as f32]),
        });
        let mut guide =
            Guide { colour: Rgb32FImage::from_pixel(SIDE, SIDE, Rgb([0.5; 3])), ..Guide::empty(SIDE, SIDE) };
        guide.trust.iter_mut().for_each(|trust| *trust = 0.5);
        let guide = (is_guided && role != Role::Target).then_some(guide);
        Turn { picture, hole: hole.clone(), role, guide, unseen: None }
    };
    ScenePhotos { turns: [Role::Target, Role::Reference, Role::HeldOut].map(turn).to_vec(), witness: None }
}

/// Tunes until `stop_at` steps are done, or to the end.
fn tuned(
    model: &mut EmbeddedModel,
    photos: &ScenePhotos,
    config: &TuneConfig,
    at: &Path,
    stop_at: usize,
) -> Option<Tuned> {
    tune(model, photos, config, &Checkpoints::new(at), &mut |step, _| step != stop_at).expect("tunes")
}

fn weights(model: &EmbeddedModel) -> Vec<u8> {
    let place = tempfile::tempdir().unwrap();
    let card = AdapterCard {
        version: String::new(),
        base: String::new(),
        base_fingerprint: String::new(),
        scene: String::new(),
        scene_fingerprint: String::new(),
        tune: config(),
        influence: None,
    };
    model.save_adapter(place.path(), &card).expect("saves");
    std::fs::read(place.path().join("embedded.safetensors")).unwrap()
}

#[test]
fn the_held_out_hole_is_looked_at_and_never_learnt_from() {
    for is_guided in [false, true] {
        let learnt = |inside| {
            let (place, mut model) = (tempfile::tempdir().unwrap(), fresh());
            let all = TuneConfig { patience: 100, mask_dropout: 0.5, ..config() };
            let found =
                tuned(&mut model, &photos(is_guided, inside), &all, place.path(), 0).expect("goes on to its end");
            model.restore(&Checkpoints::new(place.path()), 7, &all).unwrap();
            (weights(&model), found.looks)
        };
        let ((one, looks), (another, other_looks)) = (learnt(INSIDE), learnt([0.9, 0.1, 0.6]));
        assert!(one == another, "guided: {is_guided}; what is in the hole changed the weights");
        assert_eq!(looks.iter().map(|look| look.step).collect::<Vec<_>>(), [0, 2, 4, 6, 7]);
        assert!(looks.iter().zip(&other_looks).all(|(a, b)| a.loss != b.loss), "{looks:?} whatever is in the hole");
        assert!(weights(&fresh()) != one, "nothing was learnt");
    }
}

#[test]
fn a_tuning_that_gets_worse_stops_and_has_the_best_weights() {
    let too_fast = TuneConfig { iterations: 40, learning_rate: 0.5, patience: 2, ..config() };
    let (place, photos, mut model) = (tempfile::tempdir().unwrap(), photos(false, INSIDE), fresh());
    let found = tuned(&mut model, &photos, &too_fast, place.path(), 0).expect("stops by itself");
    let least = found.looks.iter().map(|look| look.loss).fold(f32::MAX, f32::min);
    assert!(found.steps < 40 && found.used < found.steps, "{found:?}");
    assert_eq!(found.looks.last().map(|look| look.step), Some(found.steps));
    let samples = photos.validation(&too_fast, Sides::of(&model));
    assert_eq!(model.validation_loss(&samples, &too_fast).unwrap() as f32, least, "{found:?}");
}

/// Stopped after each step in turn, also where there was a look, and where the best one is not the newest.
#[test]
fn an_interrupted_tuning_ends_as_an_uninterrupted_one() {
    for learning_rate in [1e-3, 0.5] {
        let config = TuneConfig { learning_rate, patience: 2, ..config() };
        let (place, photos, mut whole) = (tempfile::tempdir().unwrap(), photos(false, INSIDE), fresh());
        let found = tuned(&mut whole, &photos, &config, place.path(), 0).expect("goes on to its end");
        let place = tempfile::tempdir().unwrap();
        for stop_at in 1..config.iterations.min(found.steps + 1) {
            assert_eq!(tuned(&mut fresh(), &photos, &config, place.path(), stop_at), None);
        }
        let mut resumed = fresh();
        assert_eq!(tuned(&mut resumed, &photos, &config, place.path(), 0).as_ref(), Some(&found));
        assert!(weights(&resumed) == weights(&whole), "{found:?}");
        assert_eq!(
            tuned(&mut fresh(), &photos, &config, place.path(), 0).as_ref(),
            Some(&found),
            "the end is found again"
        );
    }
}

/// Steps that take longer than the interval, and a process that ends before a checkpoint is due by its number.
#[test]
fn a_killed_tuning_goes_on_from_what_was_saved_by_time() {
    let config = TuneConfig { iterations: 9, checkpoint_every: 1000, validate_every: 0, ..config() };
    let (place, photos, mut whole) = (tempfile::tempdir().unwrap(), photos(false, INSIDE), fresh());
    let found = tuned(&mut whole, &photos, &config, place.path(), 0).expect("goes on to its end");
    let (place, mut killed) = (tempfile::tempdir().unwrap(), fresh());
    let checkpoints = Checkpoints::new(place.path());
    let mut die_at_4 = |step: usize, _: f64| {
        if step == 4 {
            resume_unwind(Box::new("killed"));
        }
        true
    };
    let run = || tune_saving(&mut killed, &photos, &config, &checkpoints, Duration::ZERO, &mut die_at_4);
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    assert_eq!(checkpoints.newest(), Some(3));
    let mut resumed = fresh();
    assert_eq!(tuned(&mut resumed, &photos, &config, place.path(), 0), Some(found));
    assert!(weights(&resumed) == weights(&whole));
}

#[test]
fn a_tuning_begins_from_the_base_whatever_the_model_learnt_before() {
    let config = TuneConfig { validate_every: 0, ..config() };
    let learnt = |model: &mut EmbeddedModel, is_guided| {
        let place = tempfile::tempdir().unwrap();
        tuned(model, &photos(is_guided, INSIDE), &config, place.path(), 0).expect("goes on to its end");
        weights(model)
    };
    let mut model = fresh();
    let (first, second) = (learnt(&mut model, false), learnt(&mut model, true));
    assert!(first != second && second == learnt(&mut fresh(), true), "a scene before it");

    let (place, mut model) = (tempfile::tempdir().unwrap(), fresh());
    std::fs::write(place.path().join("embedded.safetensors"), &first).unwrap();
    model.load_adapter(place.path()).unwrap();
    assert!(weights(&model) == first && learnt(&mut model, true) == second, "an adapter before it");
}

#[test]
fn without_a_look_nothing_is_held_back_or_kept() {
    let never = TuneConfig { validate_every: 0, ..config() };
    let (place, mut model) = (tempfile::tempdir().unwrap(), fresh());
    let found = tuned(&mut model, &photos(false, INSIDE), &never, place.path(), 0);
    assert_eq!(found, Some(Tuned { steps: 7, used: 7, looks: Vec::new() }));
    let names =
        |folder: &Path| -> Vec<_> { std::fs::read_dir(folder).unwrap().flatten().map(|e| e.file_name()).collect() };
    assert_eq!(names(place.path()), ["step-00000007"]);
}

fn looks(losses: &[f32]) -> Vec<Look> {
    losses.iter().enumerate().map(|(i, &loss)| Look { step: 25 * i, loss }).collect()
}

fn stops(losses: &[f32], patience: usize) -> bool {
    Looks { samples: Vec::new(), config: &TuneConfig { patience, ..config() }, done: looks(losses) }.say_stop()
}

#[test]
fn patience_ends_after_looks_without_an_improvement() {
    assert!(!stops(&[], 1) && !stops(&[1.0], 1) && !stops(&[1.0, 0.9], 1));
    assert!(stops(&[1.0, 0.9, 0.899], 1) && !stops(&[1.0, 0.9, 0.899], 2));
    assert!(stops(&[1.0, 0.9, 0.95, 0.96], 2) && !stops(&[1.0, 0.9, 0.95, 0.8], 2));
    assert!(!stops(&[1.0, 0.998, 0.996, 0.994], 2), "small falls add up");
}

#[test]
fn the_note_says_why_it_stopped_and_what_is_used() {
    let note = |losses: &[f32], iterations| {
        let looks = looks(losses);
        let used = best(&looks).unwrap().step;
        Tuned { steps: 25 * (losses.len() - 1), used, looks }.note(iterations)
    };
    assert_eq!(
        note(&[1.0, 0.8, 0.9, 0.799], 400).unwrap(),
        "stopped after 75 of 400 iterations: the error in the held-out hole has not fallen since 25; the weights of iteration 75 are used"
    );
    assert!(note(&[1.0, 1.1], 400).unwrap().ends_with("since 0; the model stays as it was"));
    assert_eq!(note(&[1.0, 0.8, 0.7], 50), None);
    assert!(note(&[1.0, 0.8, 0.9], 50).unwrap().ends_with("the weights of iteration 25 are used"));
    assert_eq!(Tuned { steps: 32, used: 32, looks: Vec::new() }.note(32), None);
}
