//! Sampling with a tiny embedded model of random weights.

use burn::tensor::Device;
use image::{Luma, Rgb, Rgb32FImage};
use realfill::embedded::EmbeddedModel;
use realfill::model::{Draft, Drawn, Model, View};
use realfill::pipeline::{FillConfig, FillError, fill, sample_scene, tune_scene};
use realfill::samplers::SamplerSettings;
use realfill::training::batch::Sample;
use realfill::training::simulated_guide::SimulatedGuide;
use realfill::tuning::{LearningRate, TuneConfig};
use realfill_models::embedded::{EmbeddedConfig, PatchUNet};
use realfill_vision::{Guide, Mask, Photo, Plane, Scene};
use std::sync::Arc;

/// Wide enough to be seen as a whole first where the guide says nothing.
const SIZE: (u32, u32) = (192, 32);

fn picture() -> Rgb32FImage {
    let wave = |a: u32, b: u32| 0.5 + 0.5 * (a as f32 * 0.3 + b as f32 * 0.1).sin();
    Rgb32FImage::from_fn(SIZE.0, SIZE.1, |x, y| Rgb([wave(x, y), wave(y, x), x as f32 / SIZE.0 as f32]))
}

fn hole() -> Mask {
    Mask::from_fn(SIZE.0, SIZE.1, |x, y| (40..160).contains(&x) && (8..24).contains(&y))
}

/// Trusted on the left, silent on the right.
fn guide(colour: Rgb32FImage) -> Arc<Guide> {
    let trust = Plane::from_fn(SIZE.0, SIZE.1, |x, _| Luma([if x < 120 { 0.6 } else { 0.0 }]));
    Arc::new(Guide { colour, trust, ..Guide::empty(SIZE.0, SIZE.1) })
}

fn tune() -> TuneConfig {
    TuneConfig { learning_rate: 5e-3, warmup_steps: 0, schedule: LearningRate::Constant, ..TuneConfig::default() }
}

fn sample(truth: Rgb32FImage) -> Sample {
    let guide = guide(picture());
    let guide = SimulatedGuide { colour: guide.colour.clone(), trust: guide.trust.clone() };
    Sample { truth, mask: hole(), unknown: None, unseen: None, guide }
}

/// A model that has learnt a little, so that what it draws depends on its noise.
fn model() -> EmbeddedModel {
    let (config, device) = (EmbeddedConfig::tiny(), Device::flex());
    let network = PatchUNet::new(&config, &device.clone().autodiff());
    let mut model = EmbeddedModel::new(network, &config, "tiny".into(), &device);
    for step in 0..3 {
        model.learn(&[sample(picture())], step, &tune()).expect("learns");
    }
    model
}

fn drawn(model: &EmbeddedModel, view: &View, drafts: &[Draft], settings: SamplerSettings) -> Vec<(usize, Rgb32FImage)> {
    let mut pictures = Vec::new();
    let mut listen = |told| {
        if let Drawn::Picture { draft, picture } = told {
            pictures.push((draft, picture));
        }
        true
    };
    model.draw(view, drafts, &settings, &mut listen).expect("draws");
    pictures
}

#[test]
fn a_candidate_is_the_same_alone_beside_others_and_where_others_are_dropped() {
    let (model, likeliest) = (model(), guide(picture()));
    let mut negative = picture();
    negative.iter_mut().for_each(|value| *value = 1.0 - *value);
    let other = guide(negative);
    let view = View { picture: picture(), mask: hole(), guide: likeliest.clone() };
    let guides = [&likeliest, &other, &other, &likeliest];
    let drafts: Vec<Draft> =
        guides.iter().zip(0..).map(|(guide, seed)| Draft { seed, guide: (*guide).clone() }).collect();
    let settings = SamplerSettings { steps: 3, ..SamplerSettings::default() };
    let together = drawn(&model, &view, &drafts, settings);
    for (i, draft) in drafts.iter().enumerate() {
        let alone = drawn(&model, &view, std::slice::from_ref(draft), settings);
        assert!(together[i] == (i, alone[0].1.clone()), "candidate {i} is another one alone");
    }
    assert!(together[0].1 != together[3].1, "the seed counts");

    let kept = drawn(&model, &view, &drafts, SamplerSettings { drop_halfway: true, ..settings });
    let nearest: Vec<usize> = kept.iter().map(|(draft, _)| *draft).collect();
    assert_eq!(nearest, [0, 3], "not those nearest to the likeliest guide");
    assert!(kept.iter().all(|(draft, picture)| *picture == together[*draft].1), "dropping changes the others");
}

#[test]
fn a_step_whose_gradient_is_not_finite_is_passed_over() {
    let (mut model, guide) = (model(), guide(picture()));
    let view = View { picture: picture(), mask: hole(), guide: guide.clone() };
    let (draft, settings) = (Draft { seed: 1, guide }, SamplerSettings { steps: 2, ..SamplerSettings::default() });
    let draw = |model: &EmbeddedModel| drawn(model, &view, std::slice::from_ref(&draft), settings);
    let before = draw(&model);
    let mut broken = picture();
    broken.pixels_mut().for_each(|pixel| pixel.0[0] = f32::NAN);
    assert!(!model.learn(&[sample(broken)], 3, &tune()).expect("learns nothing").is_finite());
    assert!(draw(&model) == before, "learnt from what is no number");
    model.learn(&[sample(picture())], 4, &tune()).expect("learns");
    assert!(draw(&model) != before, "nothing was learnt after it");
}

#[test]
fn settings_out_of_their_range_are_refused_before_any_work() {
    let photo = || Photo::from_pixels(picture());
    let scene = Scene::new("waves", photo(), hole(), vec![photo()]).unwrap();
    let (mut model, folder) = (model(), tempfile::tempdir().unwrap());
    let config = FillConfig { candidates: 0, ..FillConfig::default() };
    let refused = [
        fill(&scene, &mut model, &config, folder.path(), &mut |_| true).err(),
        tune_scene(&scene, &mut model, &config, folder.path(), &mut |_| true).err(),
        sample_scene(&scene, &model, None, &config, folder.path(), &mut |_| true).err(),
    ];
    assert!(refused.iter().all(|error| matches!(error, Some(FillError::Settings(_)))), "{refused:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something was written");
}
