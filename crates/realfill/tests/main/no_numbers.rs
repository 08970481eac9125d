//! A job whose model learns and draws what is no number, once each.

use crate::told::Told;
use crate::untuned::scene;
use image::Rgb32FImage;
use realfill::model::{Influence, View};
use realfill::pipeline::{FillConfig, Report, fill};
use realfill::tuning::TuneConfig;

/// The view, a little brighter with every seed; without numbers for seed 0.
fn broken_at_0(view: &View, seed: u64) -> Rgb32FImage {
    let mut picture = view.picture.clone();
    picture.iter_mut().for_each(|value| *value = if seed == 0 { f32::NAN } else { *value + 0.01 * seed as f32 });
    picture
}

#[test]
fn what_is_no_number_comes_last_and_the_report_is_read_all_the_same() {
    let tune = TuneConfig { iterations: 3, batch: 1, ..TuneConfig::default() };
    let config = FillConfig { guide: false, candidates: 4, tune, ..FillConfig::default() };
    let mut model = Told { influence: Some(Influence { tone: 1.0, detail: 1.0 }), draws: broken_at_0 };
    let folder = tempfile::tempdir().unwrap();
    let done = fill(&scene(), &mut model, &config, folder.path(), &mut |_| true).expect("a photo");
    assert_eq!(done.candidates.last().map(|candidate| candidate.seed), Some(0));
    let others: Vec<_> = done.candidates[..3].iter().map(|candidate| (candidate.score, candidate.apart)).collect();
    assert!(others.iter().all(|(score, apart)| score.is_finite() && *apart < 0.02), "{others:?}");

    let read: Report = serde_json::from_slice(&serde_json::to_vec(&done.report).unwrap()).expect("what was written");
    assert_eq!(read.losses, [Some(0.5), None, Some(0.5)]);
    let has_score: Vec<bool> = read.candidates.iter().map(|judged| judged.score.is_some()).collect();
    assert_eq!(has_score, [true, true, true, false]);
}
