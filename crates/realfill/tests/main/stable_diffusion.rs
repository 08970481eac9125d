//! Tuning and sampling Stable Diffusion, on a tiny checkpoint of random weights.

use burn::tensor::Device;
use image::{Luma, Rgb, Rgb32FImage};
use realfill::adapter::AdapterCard;
use realfill::fingerprint;
use realfill::model::{Draft, Drawn, Model, StageError, View};
use realfill::samplers::{SampleError, SamplerKind, SamplerSettings};
use realfill::stable_diffusion::StableDiffusionModel;
use realfill::training::batch::Sample;
use realfill::training::checkpoint::Checkpoints;
use realfill::training::simulated_guide::SimulatedGuide;
use realfill::tuning::{LearningRate, Role, ScenePhotos, TuneConfig, Turn, tune};
use realfill_models::Precision;
use realfill_models::sd::{Preset, write_random_checkpoint};
use realfill_vision::{Guide, Mask, Photo, Plane, Scene};
use safetensors::SafeTensors;
use safetensors::tensor::serialize;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;

const SIDE: u32 = 64;

static BASE: LazyLock<TempDir> = LazyLock::new(|| checkpoint(1));

fn checkpoint(seed: u64) -> TempDir {
    let place = tempfile::tempdir().expect("a temporary folder");
    write_random_checkpoint(Preset::Tiny, place.path(), seed).expect("a tiny checkpoint");
    place
}

fn config() -> TuneConfig {
    TuneConfig {
        batch: 2,
        learning_rate: 5e-3,
        text_learning_rate: 1e-3,
        warmup_steps: 0,
        schedule: LearningRate::Constant,
        ..TuneConfig::default()
    }
}

fn load_with(folder: &Path, config: &TuneConfig) -> StableDiffusionModel {
    StableDiffusionModel::load(folder.to_str().expect("a plain path"), &Device::flex(), config).expect("loads")
}

fn load_from(folder: &Path) -> StableDiffusionModel {
    load_with(folder, &config())
}

fn load() -> StableDiffusionModel {
    load_from(BASE.path())
}

fn picture() -> Rgb32FImage {
    let wave = |a: u32, b: u32| 0.5 + 0.5 * (a as f32 * 0.3 + b as f32 * 0.1).sin();
    Rgb32FImage::from_fn(SIDE, SIDE, |x, y| Rgb([wave(x, y), wave(y, x), x as f32 / SIDE as f32]))
}

fn hole() -> Mask {
    Mask::from_fn(SIDE, SIDE, |x, y| (16..48).contains(&x) && (16..40).contains(&y))
}

fn guide() -> SimulatedGuide {
    SimulatedGuide { colour: picture(), trust: Plane::from_pixel(SIDE, SIDE, Luma([0.7])) }
}

/// A guided sample and one of the target, whose lower right is unknown.
fn samples() -> Vec<Sample> {
    let corner = Mask::from_fn(SIDE, SIDE, |x, y| x >= 32 && y >= 32);
    vec![
        Sample { truth: picture(), mask: hole(), unknown: None, unseen: None, guide: guide() },
        Sample {
            truth: picture(),
            mask: hole(),
            unknown: Some(corner),
            unseen: None,
            guide: SimulatedGuide::none(SIDE, SIDE),
        },
    ]
}

fn tuned(model: &mut StableDiffusionModel, steps: std::ops::Range<usize>) {
    for step in steps {
        model.learn(&samples(), step, &config()).expect("learns");
    }
}

fn view(guided: bool) -> View {
    let mut empty = Guide::empty(SIDE, SIDE);
    if guided {
        (empty.colour, empty.trust) = (guide().colour, guide().trust);
    }
    View { picture: picture(), mask: hole(), guide: Arc::new(empty) }
}

fn settings() -> SamplerSettings {
    SamplerSettings { steps: 2, ..SamplerSettings::default() }
}

fn draw(model: &StableDiffusionModel, seeds: &[u64], guided: bool) -> Vec<Rgb32FImage> {
    let view = view(guided);
    let drafts: Vec<Draft> = seeds.iter().map(|&seed| Draft { seed, guide: view.guide.clone() }).collect();
    drawn(model, &view, &drafts, &settings()).into_iter().map(|(_, picture)| picture).collect()
}

/// The pictures with their places among the drafts.
fn drawn(
    model: &StableDiffusionModel,
    view: &View,
    drafts: &[Draft],
    settings: &SamplerSettings,
) -> Vec<(usize, Rgb32FImage)> {
    let mut pictures = Vec::new();
    let mut listen = |told| {
        if let Drawn::Picture { draft, picture } = told {
            pictures.push((draft, picture));
        }
        true
    };
    model.draw(view, drafts, settings, &mut listen).expect("draws");
    pictures
}

fn scene() -> Scene {
    let photo = Photo::from_pixels(picture());
    Scene::new("waves", photo.clone(), hole(), vec![photo]).expect("a valid scene")
}

fn card(model: &StableDiffusionModel) -> AdapterCard {
    AdapterCard::new(&scene(), model, &config(), None)
}

fn adapter_bytes(model: &StableDiffusionModel) -> Vec<Vec<u8>> {
    let place = tempfile::tempdir().expect("a temporary folder");
    model.save_adapter(place.path(), &card(model)).expect("saves");
    let files = [
        "unet/adapter_model.safetensors",
        "unet/extra_input.safetensors",
        "text_encoder/adapter_model.safetensors",
        "realfill.json",
    ];
    files.map(|name| std::fs::read(place.path().join(name)).expect(name)).to_vec()
}

#[test]
fn learning_lowers_the_loss_on_a_fixed_batch() {
    // The same step again and again: the same noise, timesteps and dropout.
    let mut model = load();
    let losses: Vec<f64> = (0..12).map(|_| model.learn(&samples(), 0, &config()).expect("learns")).collect();
    assert!(losses[11] < 0.9 * losses[0], "{losses:?}");
}

#[test]
fn a_batch_may_be_split_by_accumulation() {
    let learnt = |batch, gradient_accumulation| {
        let config = TuneConfig { batch, gradient_accumulation, ..config() };
        let mut model = load();
        model.learn(&samples(), 0, &config).expect("learns");
        adapter_bytes(&model)
    };
    assert_eq!(learnt(2, 1), learnt(1, 2));
}

#[test]
fn nothing_is_learnt_from_what_is_unknown() {
    let all = Mask::new(SIDE, SIDE, vec![true; (SIDE * SIDE) as usize]);
    let sample = Sample {
        truth: picture(),
        mask: hole(),
        unknown: Some(all),
        unseen: None,
        guide: SimulatedGuide::none(SIDE, SIDE),
    };
    assert_eq!(load().learn(&[sample], 0, &config()).expect("learns"), 0.0);
}

#[test]
fn a_step_whose_gradient_is_not_finite_is_passed_over() {
    let mut model = load();
    let mut broken = samples();
    broken[0].truth.pixels_mut().for_each(|pixel| pixel.0[0] = f32::NAN);
    assert!(!model.learn(&broken, 0, &config()).expect("learns nothing").is_finite());
    assert_eq!(adapter_bytes(&model), adapter_bytes(&load()));
    tuned(&mut model, 1..2);
    let mut alone = load();
    tuned(&mut alone, 1..2);
    assert_eq!(adapter_bytes(&model), adapter_bytes(&alone), "the next step is as if it had not been");
}

#[test]
fn the_validation_loss_is_the_same_at_every_look_and_falls_with_what_is_learnt() {
    let held_out = [Sample { truth: picture(), mask: hole(), unknown: Some(hole()), unseen: None, guide: guide() }];
    let mut model = load();
    let before = model.validation_loss(&held_out, &config()).expect("looks");
    assert_eq!(model.validation_loss(&held_out, &config()).expect("looks"), before);
    assert_eq!(adapter_bytes(&model), adapter_bytes(&load()), "a look learns nothing");
    tuned(&mut model, 0..30);
    let after = model.validation_loss(&held_out, &config()).expect("looks");
    assert!(after < 0.98 * before, "{before} and then {after}");
    let elsewhere = [Sample { unknown: None, ..held_out[0].clone() }];
    assert!(model.validation_loss(&elsewhere, &config()).expect("looks").is_nan(), "only what is not learnt counts");
}

#[test]
fn a_resumed_tuning_ends_with_the_same_bytes() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let checkpoints = Checkpoints::new(place.path());
    let mut whole = load();
    tuned(&mut whole, 0..2);
    whole.save(&checkpoints, 2).expect("saves");
    tuned(&mut whole, 2..4);

    let mut resumed = load();
    resumed.restore(&checkpoints, 2, &config()).expect("restores");
    tuned(&mut resumed, 2..4);
    assert_eq!(adapter_bytes(&resumed), adapter_bytes(&whole));
    assert_ne!(adapter_bytes(&load()), adapter_bytes(&whole), "something was learnt");
}

/// Loaded for another rank, and tuned before.
#[test]
fn a_tuning_begins_from_the_base_in_the_shape_that_it_asks_for() {
    let guide = Some((*view(true).guide).clone());
    let turn = Turn { picture: picture(), hole: hole(), role: Role::Reference, guide, unseen: None };
    let (photos, wanted) =
        (ScenePhotos { turns: vec![turn], witness: None }, TuneConfig { iterations: 1, rank: 4, ..config() });
    let learnt = |model: &mut StableDiffusionModel, folder: &Path| {
        tune(model, &photos, &wanted, &Checkpoints::new(folder), &mut |_, _| true).expect("tunes");
        adapter_bytes(model)
    };
    let places = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let expected = learnt(&mut load_with(BASE.path(), &wanted), places[0].path());
    let mut model = load_with(BASE.path(), &TuneConfig { rank: 2, ..config() });
    tuned(&mut model, 0..1);
    assert_eq!(learnt(&mut model, places[1].path()), expected);

    let mut resumed = load_with(BASE.path(), &TuneConfig { rank: 2, ..config() });
    resumed.restore(&Checkpoints::new(places[1].path()), 1, &wanted).expect("restores");
    assert_eq!(adapter_bytes(&resumed), expected);
}

#[test]
fn a_checkpoint_of_another_base_is_refused() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let checkpoints = Checkpoints::new(place.path());
    load().save(&checkpoints, 1).expect("saves");
    let error = load_from(checkpoint(2).path()).restore(&checkpoints, 1, &config()).expect_err("another base");
    assert!(error.to_string().contains("was tuned on the base"), "{error}");
}

#[test]
fn an_adapter_read_back_draws_the_same_picture() {
    let mut model = load();
    tuned(&mut model, 0..2);
    let place = tempfile::tempdir().expect("a temporary folder");
    model.save_adapter(place.path(), &card(&model)).expect("saves");
    let mut back = load_with(BASE.path(), &TuneConfig { prompt: "another".into(), ..config() });
    let found = back.load_adapter(place.path()).expect("loads").expect("a card");
    assert_eq!(
        (found.scene_fingerprint, found.base_fingerprint),
        (fingerprint::of_scene(&scene()), model.fingerprint())
    );
    assert_eq!(draw(&back, &[5], true), draw(&model, &[5], true));
    assert_ne!(draw(&load(), &[5], true), draw(&model, &[5], true), "tuning changes the picture");
}

#[test]
fn a_prompt_given_later_wins_over_the_adapters() {
    let mut model = load();
    tuned(&mut model, 0..2);
    let place = tempfile::tempdir().expect("a temporary folder");
    model.save_adapter(place.path(), &card(&model)).expect("saves");
    model.set_prompt("another");
    let mut back = load();
    back.load_adapter(place.path()).expect("loads");
    assert_ne!(draw(&back, &[5], false), draw(&model, &[5], false));
    back.set_prompt("another");
    assert_eq!(draw(&back, &[5], false), draw(&model, &[5], false));
}

#[test]
fn an_adapter_without_our_files_is_taken_as_it_is() {
    let mut model = load();
    tuned(&mut model, 0..1);
    let place = tempfile::tempdir().expect("a temporary folder");
    model.save_adapter(place.path(), &card(&model)).expect("saves");
    for ours in ["realfill.json", "unet/extra_input.safetensors"] {
        std::fs::remove_file(place.path().join(ours)).expect(ours);
    }
    let mut foreign = load();
    foreign.load_adapter(place.path()).expect("loads");
    assert_eq!(draw(&foreign, &[5], false), draw(&model, &[5], false));
}

#[test]
fn an_adapter_of_diffusers_is_taken_up() {
    let mut model = load();
    tuned(&mut model, 0..2);
    let place = tempfile::tempdir().expect("a temporary folder");
    model.save_adapter(place.path(), &card(&model)).expect("saves");
    let path = place.path().join("unet/adapter_model.safetensors");
    let bytes = std::fs::read(path).expect("factors");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors").tensors();
    let renamed = tensors.into_iter().map(|(name, view)| (name.replacen("base_model.model", "unet", 1), view));
    let one_file = tempfile::tempdir().expect("a temporary folder");
    let path = one_file.path().join("pytorch_lora_weights.safetensors");
    std::fs::write(path, serialize(renamed, None).expect("bytes")).expect("written");
    let mut foreign = load();
    assert_eq!(foreign.load_adapter(one_file.path()).expect("loads"), None);
    assert_ne!(draw(&foreign, &[5], false), draw(&load(), &[5], false));
}

#[test]
fn a_folder_without_an_adapter_says_what_it_holds() {
    let place = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(place.path().join("lora.safetensors"), "").expect("written");
    let error = load().load_adapter(place.path()).expect_err("no adapter").to_string();
    assert!(error.contains("holds lora.safetensors; expected unet/adapter_config.json"), "{error}");
    assert!(error.contains("or pytorch_lora_weights.safetensors"), "{error}");
}

#[test]
fn an_adapter_of_another_base_is_refused() {
    let place = tempfile::tempdir().expect("a temporary folder");
    load().save_adapter(place.path(), &card(&load())).expect("saves");
    let mut other = load_from(checkpoint(2).path());
    let error = other.load_adapter(place.path()).expect_err("another base").to_string();
    assert!(error.contains("was tuned on the model") && error.contains(&load().fingerprint()), "{error}");
    let empty = tempfile::tempdir().expect("a temporary folder");
    let error = load().load_adapter(empty.path()).expect_err("no adapter").to_string();
    assert!(error.contains("unet/adapter_config.json"), "{error}");
}

#[test]
fn the_guides_channels_change_nothing_until_they_are_tuned() {
    let unguided = |sample: Sample| Sample { guide: SimulatedGuide::none(SIDE, SIDE), ..sample };
    let loss = |model: &mut StableDiffusionModel, samples: &[Sample]| model.learn(samples, 0, &config()).unwrap();
    let without: Vec<Sample> = samples().into_iter().map(unguided).collect();
    assert_eq!(loss(&mut load(), &samples()), loss(&mut load(), &without));
    let tuned = || {
        let mut model = load();
        tuned(&mut model, 0..2);
        model
    };
    assert_ne!(loss(&mut tuned(), &samples()), loss(&mut tuned(), &without));
}

#[test]
fn a_trusted_guide_leads_the_sampling() {
    let model = load();
    assert_ne!(draw(&model, &[3], true), draw(&model, &[3], false));
}

#[test]
fn a_candidate_is_the_same_alone_and_in_a_batch() {
    let model = load();
    let batch = draw(&model, &[1, 2, 3], false);
    assert_eq!(batch[1], draw(&model, &[2], false)[0]);
    assert_ne!(batch[0], batch[1]);
    assert_eq!(batch[0].dimensions(), (SIDE, SIDE));
}

/// Drafts of seeds 0, 1, ... with a trusted guide each; the third has the second's.
fn guided_drafts() -> Vec<Draft> {
    let of = |shade: f32| {
        let mut guide = Guide::empty(SIDE, SIDE);
        guide.colour = Rgb32FImage::from_pixel(SIDE, SIDE, Rgb([shade; 3]));
        guide.trust = Plane::from_pixel(SIDE, SIDE, Luma([0.8]));
        Arc::new(guide)
    };
    let guides = [of(0.2), of(0.6), of(0.9)];
    [0, 1, 1, 2].iter().zip(0..).map(|(&i, seed): (&usize, u64)| Draft { seed, guide: guides[i].clone() }).collect()
}

#[test]
fn a_candidate_with_a_guide_of_its_own_is_the_same_alone_and_beside_others() {
    let (model, view, drafts) = (load(), view(true), guided_drafts());
    let together = drawn(&model, &view, &drafts, &settings());
    for (i, draft) in drafts.iter().enumerate() {
        let alone = drawn(&model, &view, std::slice::from_ref(draft), &settings());
        assert_eq!(together[i], (i, alone[0].1.clone()));
    }
    let other_guide = [Draft { seed: 0, guide: drafts[1].guide.clone() }];
    assert_ne!(drawn(&model, &view, &other_guide, &settings())[0].1, together[0].1, "the guide leads");
}

#[test]
fn the_better_half_goes_on_as_if_the_others_were_never_there() {
    let (model, view, drafts) = (load(), view(true), guided_drafts());
    let all = SamplerSettings { steps: 4, ..settings() };
    let together = drawn(&model, &view, &drafts, &all);
    let kept = drawn(&model, &view, &drafts, &SamplerSettings { drop_halfway: true, ..all });
    assert_eq!(kept.len(), 2);
    for (draft, picture) in kept {
        assert_eq!(picture, together[draft].1, "candidate {draft}");
    }
}

#[test]
fn sampling_can_be_stopped() {
    let drafts = [1, 2].map(|seed| Draft { seed, guide: view(false).guide });
    let mut heard = Vec::new();
    let mut listen = |told| match told {
        Drawn::Steps(done) => {
            heard.push(done);
            done < 3
        }
        Drawn::Picture { .. } => true,
    };
    let error = load().draw(&view(false), &drafts, &settings(), &mut listen).expect_err("stopped");
    assert!(matches!(error, StageError::Sample(SampleError::Stopped { .. })), "{error}");
    assert_eq!(heard, [1, 2, 3]);
    let mut stop_at_picture = |told| matches!(told, Drawn::Steps(_));
    let error = load().draw(&view(false), &drafts, &settings(), &mut stop_at_picture).expect_err("stopped");
    assert!(matches!(error, StageError::Sample(SampleError::Stopped { .. })), "{error}");
}

#[test]
fn a_checkpoint_is_refused_before_its_weights_are_read() {
    let place = checkpoint(1);
    for part in ["unet", "vae"] {
        let weights = place.path().join(part).join("diffusion_pytorch_model.safetensors");
        std::fs::write(weights, "damaged").expect("written");
    }
    let path = place.path().join("scheduler/scheduler_config.json");
    std::fs::write(&path, r#"{"beta_schedule": "sigmoid", "lambda_min_clipped": -Infinity}"#).expect("written");
    let source = place.path().to_str().expect("a plain path");
    let error = StableDiffusionModel::load(source, &Device::flex(), &config()).err().expect("refused").to_string();
    assert!(error.contains("scheduler_config.json") && error.contains("`sigmoid`"), "{error}");
}

#[test]
fn options_of_the_scheduler_are_asked_for_by_samplers_alone() {
    let place = checkpoint(1);
    let path = place.path().join("scheduler/scheduler_config.json");
    let text = std::fs::read_to_string(&path).expect("a file");
    let changed = text.replacen('{', r#"{"final_sigmas_type": "sigma_min","#, 1);
    std::fs::write(&path, changed).expect("written");
    let mut model = load_from(place.path());
    tuned(&mut model, 0..1);
    let error = model.check_sampler(&settings()).expect_err("refused").to_string();
    assert!(error.contains("final_sigmas_type") && error.contains("(ddpm, ddim, euler-ancestral)"), "{error}");
    assert!(model.check_sampler(&SamplerSettings { kind: SamplerKind::Ddim, ..settings() }).is_ok());
    assert!(load().check_sampler(&settings()).is_ok());
}

#[test]
fn an_unknown_noise_schedule_is_named() {
    let place = checkpoint(1);
    let path = place.path().join("scheduler/scheduler_config.json");
    let text = std::fs::read_to_string(&path).expect("a file");
    std::fs::write(&path, text.replace("scaled_linear", "sigmoid")).expect("written");
    let source = place.path().to_str().expect("a plain path");
    let load = || StableDiffusionModel::load(source, &Device::flex(), &config()).err().expect("refused").to_string();
    assert!(load().contains("scheduler_config.json") && load().contains("`sigmoid`"), "{}", load());
}

#[test]
fn a_model_tells_in_what_precision_it_multiplies_here() {
    let told = |precision| {
        let source = BASE.path().to_str().expect("a plain path");
        StableDiffusionModel::load_in(source, &Device::flex(), precision, &config()).expect("loads").precision()
    };
    assert_eq!(told(Precision::F32), Some(Precision::F32));
    let able = if Precision::Bf16.is_able() { Precision::Bf16 } else { Precision::F32 };
    assert_eq!(told(Precision::Bf16), Some(able));
}
