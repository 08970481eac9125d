//! A whole job on a wide photo with two holes that lie far from each other.

use burn::tensor::Device;
use image::{Rgb, RgbImage};
use realfill::embedded::EmbeddedModel;
use realfill::pipeline::{Completion, Event, FillConfig, fill, finish, guide_bytes};
use realfill::samplers::SamplerSettings;
use realfill::tuning::TuneConfig;
use realfill_models::embedded::{EmbeddedConfig, PatchUNet};
use realfill_vision::metrics::hole_psnr;
use realfill_vision::{Mask, Photo, Scene};
use std::path::Path;

const SIZE: (u32, u32) = (3000, 900);

/// Left edges of the holes, 100 px wide and high.
const HOLES: [u32; 2] = [400, 2500];

fn hole(left: u32) -> Mask {
    Mask::from_fn(SIZE.0, SIZE.1, |x, y| (left..left + 100).contains(&x) && (400..500).contains(&y))
}

/// A number from 0 to 1 that a place has by chance.
fn chance(x: u32, y: u32, salt: u32) -> f32 {
    let mut bits =
        x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca6b) ^ salt.wrapping_add(1).wrapping_mul(0xc2b2_ae35);
    for (shift, factor) in [(15, 0x2c1b_3c6d), (12, 0x297a_2d39), (15, 1)] {
        bits = (bits ^ (bits >> shift)).wrapping_mul(factor);
    }
    bits as f32 / u32::MAX as f32
}

/// Chance between the corners of square cells, smoothly.
fn smooth(x: u32, y: u32, cell: u32, salt: u32) -> f32 {
    let within = |at: u32| (at % cell) as f32 / cell as f32;
    let between = |a: f32, b: f32, share: f32| a + (b - a) * share;
    let corner = |i: u32, j: u32| chance(x / cell + i, y / cell + j, 4 * cell + salt);
    let row = |j: u32| between(corner(0, j), corner(1, j), within(x));
    between(row(0), row(1), within(y))
}

/// A view of a wall that is nowhere twice the same.
fn wall(left: u32, top: u32) -> RgbImage {
    RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let grain = |cell, salt| smooth(x + left, y + top, cell, salt);
        let value =
            |salt| 0.35 * grain(64, salt) + 0.3 * grain(24, salt) + 0.2 * grain(10, salt) + 0.15 * grain(5, salt);
        Rgb([0, 1, 2].map(|salt| (255.0 * value(salt)) as u8))
    })
}

/// The wall with black holes, and a photo of it from beside.
fn scene(truth: &RgbImage) -> Scene {
    let holes = HOLES.map(hole);
    let mask = Mask::from_fn(SIZE.0, SIZE.1, |x, y| holes.iter().any(|hole| hole.is_hole(x, y)));
    let target = RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| match mask.is_hole(x, y) {
        true => Rgb([0; 3]),
        false => *truth.get_pixel(x, y),
    });
    let reference = Photo::from_pixels(wall(100 + 31, 100 - 17));
    Scene::new("wall", Photo::from_pixels(target), mask, vec![reference]).expect("a scene")
}

fn config() -> FillConfig {
    FillConfig {
        view_px: 64,
        candidates: 2,
        tune: TuneConfig { iterations: 1, batch: 1, ..TuneConfig::default() },
        sampler: SamplerSettings { steps: 1, ..SamplerSettings::default() },
        ..FillConfig::default()
    }
}

fn filled(scene: &Scene, network: &PatchUNet, folder: &Path) -> (Completion, Vec<Event>) {
    let mut model = EmbeddedModel::new(network.clone(), &EmbeddedConfig::tiny(), "tiny".into(), &Device::flex());
    let mut events = Vec::new();
    let mut hear = |event| {
        events.push(event);
        true
    };
    let completion = fill(scene, &mut model, &config(), folder, &mut hear).expect("a completed photo");
    (completion, events)
}

/// Whether everything but the holes is as it was, and these show the wall.
fn check(scene: &Scene, photo: &Photo, truth: &RgbImage) {
    let (before, after) = (scene.target.pixels.to_rgb8(), photo.pixels.to_rgb8());
    let pixels = before.pixels().zip(after.pixels()).zip(scene.mask.holes());
    assert!(pixels.filter(|(_, hole)| !**hole).all(|((before, after), _)| before == after));
    for left in HOLES {
        let psnr = hole_psnr(&after, truth, &hole(left));
        assert!(psnr > 28.0, "{psnr} dB in the hole at {left}");
    }
}

/// Steps that were told of while a stage lasted.
fn steps_of(events: &[Event], wanted: &str) -> Vec<usize> {
    let begins = |event: &Event| matches!(event, Event::Stage { stage, .. } if stage == wanted);
    let since = events.iter().skip_while(|event| !begins(event)).skip(1);
    let during = since.take_while(|event| !matches!(event, Event::Stage { .. }));
    during.filter_map(|event| if let Event::Progress { step, .. } = event { Some(*step) } else { None }).collect()
}

#[test]
fn holes_far_from_each_other_are_filled_from_windows_of_their_own_and_a_resumed_job_is_the_same() {
    let (truth, folder) = (wall(100, 100), tempfile::tempdir().expect("a folder"));
    let scene = scene(&truth);
    let network = PatchUNet::new(&EmbeddedConfig::tiny(), &Device::flex().autodiff());

    let (done, events) = filled(&scene, &network, folder.path());
    let windows: Vec<_> = done.parts.iter().map(|part| (part.window.rect().x, part.window.rect().width)).collect();
    assert_eq!(windows, [(0, 1218), (1782, 1218)]);
    check(&scene, &done.photo, &truth);
    for candidate in &done.candidates {
        check(&scene, &finish(&scene, &candidate.filled, &done.parts, &done.report.config), &truth);
        assert_eq!(done.in_photo(candidate, &scene.target).dimensions(), (1024, 307));
    }
    assert!(done.fidelity.supported_share > 0.8, "{:?}", done.fidelity);
    let supported = |left: u32| {
        let mut regions = done.fidelity.regions.iter().filter(|region| region.reference.is_some());
        regions.any(|region| region.x.abs_diff(i64::from(left)) < 100 && region.y.abs_diff(400) < 100)
    };
    assert!(HOLES.into_iter().all(supported), "{:?}", done.fidelity);
    assert_eq!(steps_of(&events, "sample"), [1, 2, 3, 4]);
    let shown =
        |event: &Event| if let Event::Preview { picture, .. } = event { Some(picture.dimensions()) } else { None };
    assert_eq!(events.iter().filter_map(shown).collect::<Vec<_>>(), [(1024, 307); 3]);

    let guides = folder.path().join("checkpoints/guides");
    for name in ["target", "target-1", "part-2-target", "part-2-target-1"] {
        let kept = guides.join(name).with_extension("safetensors");
        assert!(kept.is_file(), "{} is missing", kept.display());
    }
    let bytes: u64 = std::fs::read_dir(guides).unwrap().map(|kept| kept.unwrap().metadata().unwrap().len()).sum();
    let asked = guide_bytes(&scene, &config());
    assert!(bytes.abs_diff(asked) < asked / 100, "{bytes} bytes are kept, and room was asked for {asked}");
    let (again, events) = filled(&scene, &network, folder.path());
    assert!(steps_of(&events, "guide").is_empty() && steps_of(&events, "tune").is_empty(), "done anew");
    assert_eq!(again.photo.pixels, done.photo.pixels);
    let told = |done: &Completion| {
        let guide = done.report.timings.iter().find(|timing| timing.stage == "guide").expect("it was worked out");
        (done.report.losses.len(), guide.secs)
    };
    let ((steps, secs), (all_steps, all_secs)) = (told(&done), told(&again));
    assert!((steps, all_steps) == (1, 1) && all_secs >= secs, "{all_steps} steps, {secs} s then {all_secs} s");
    assert_eq!((again.fidelity, again.report.candidates), (done.fidelity, done.report.candidates));
}
