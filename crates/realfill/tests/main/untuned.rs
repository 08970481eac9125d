//! A small model that nothing was learnt with: how far it may move the guide is measured all the same.

use crate::told::Told;
use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use realfill::model::Influence;
use realfill::pipeline::{Completion, FillConfig, Timing, fill, sample_scene};
use realfill::tuning::TuneConfig;
use realfill_vision::{Mask, Photo, Scene};
use std::path::Path;

const SIZE: (u32, u32) = (96, 72);

/// Draws what it is shown, hole and all: of a reference that pretends, the truth; of the target, black.
fn repeating() -> Told {
    Told { influence: None, draws: |view, _| view.picture.clone() }
}

/// Squares of 6 pixels whose colours are chance.
fn photo(seed: u64) -> Photo {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut colour = || [0; 3].map(|_| rng.random_range(20..235u8));
    let across = SIZE.0.div_ceil(6);
    let colours: Vec<[u8; 3]> = (0..across * SIZE.1.div_ceil(6)).map(|_| colour()).collect();
    Photo::from_pixels(RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| Rgb(colours[(y / 6 * across + x / 6) as usize])))
}

/// Photos that have nothing in common, so that every guide errs.
pub fn scene() -> Scene {
    with_references(3)
}

fn with_references(count: u64) -> Scene {
    let hole = Mask::from_fn(SIZE.0, SIZE.1, |x, y| (30..60).contains(&x) && (24..48).contains(&y));
    Scene::new("squares", photo(1), hole, (2..2 + count).map(photo).collect()).expect("a scene")
}

fn config() -> FillConfig {
    FillConfig { candidates: 2, tune: TuneConfig { iterations: 0, ..TuneConfig::default() }, ..FillConfig::default() }
}

fn sampled(config: &FillConfig, influence: Option<Influence>) -> Completion {
    sampled_of(&scene(), config, influence)
}

fn sampled_of(scene: &Scene, config: &FillConfig, influence: Option<Influence>) -> Completion {
    sample_scene(scene, &repeating(), influence, config, Path::new("unused"), &mut |_| true).expect("a photo")
}

#[test]
fn two_references_cannot_say_how_far_it_may_move_the_guide() {
    let influence = |count| sampled_of(&with_references(count), &config(), None).report.influence;
    assert_eq!(influence(2), Influence::NONE, "each guide is made from one other photo");
    assert!(influence(3).tone > 0.1);
}

#[test]
fn sampling_without_an_adapter_is_filling_without_tuning() {
    let folder = tempfile::tempdir().unwrap();
    let filled = fill(&scene(), &mut repeating(), &config(), folder.path(), &mut |_| true).expect("a photo");
    assert!(filled.report.influence.tone > 0.1, "{:?}", filled.report.influence);
    let drawn = sampled(&config(), None);
    assert_eq!(drawn.report.influence, filled.report.influence);
    assert!(drawn.photo.pixels == filled.photo.pixels, "the photos differ");
}

#[test]
fn what_an_adapters_card_knows_is_not_measured_anew_nor_what_nobody_asks_for() {
    let known = Influence { tone: 0.25, detail: 0.0 };
    assert_eq!(sampled(&config(), Some(known)).report.influence, known);
    let weightless = sampled(&FillConfig { model_weight: 0.0, ..config() }, None);
    assert_eq!(weightless.report.influence, Influence::NONE);
    let is_measure = |timing: &Timing| timing.stage == "measure";
    assert!(!weightless.report.timings.iter().any(is_measure), "{:?}", weightless.report.timings);
}

#[test]
fn how_far_it_may_move_the_guide_is_measured_whatever_share_of_guided_samples_is_tuned_with() {
    let influence = |guided_share| {
        let folder = tempfile::tempdir().unwrap();
        let tune = TuneConfig { guided_share, ..config().tune };
        let config = FillConfig { tune, ..config() };
        let filled = fill(&scene(), &mut repeating(), &config, folder.path(), &mut |_| true).expect("a photo");
        filled.report.influence
    };
    let usual = influence(0.75);
    assert!(usual.tone > 0.1, "{usual:?}");
    assert_eq!(influence(0.0), usual);
}
