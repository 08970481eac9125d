//! A tiny model on a GPU, or on a software driver of one, against the CPU. Only in builds with the feature `wgpu`; where
//! this machine has no such driver, the test says so and passes.
//!
//! How to run it on any machine is in CONTRIBUTING.md.

use burn::module::Module;
use burn::tensor::{Device, DeviceType};
use image::{Luma, Rgb, Rgb32FImage};
use realfill::embedded::EmbeddedModel;
use realfill::model::{Model, View};
use realfill::samplers::SamplerSettings;
use realfill::self_test;
use realfill::training::batch::Sample;
use realfill::training::simulated_guide::SimulatedGuide;
use realfill::tuning::TuneConfig;
use realfill_models::embedded::{EmbeddedConfig, PatchUNet};
use realfill_vision::{Guide, Mask, Plane};
use std::sync::Arc;

const SIDE: u32 = 32;

/// Largest difference of a colour (0 to 1): half of what one step of 8 bits can show.
const TOLERANCE: f32 = 0.5 / 255.0;

fn picture() -> Rgb32FImage {
    let wave = |a: u32, b: u32| 0.5 + 0.5 * (a as f32 * 0.3 + b as f32 * 0.1).sin();
    Rgb32FImage::from_fn(SIDE, SIDE, |x, y| Rgb([wave(x, y), wave(y, x), x as f32 / SIDE as f32]))
}

fn hole() -> Mask {
    Mask::from_fn(SIDE, SIDE, |x, y| (8..24).contains(&x) && (8..20).contains(&y))
}

fn trust() -> Plane {
    Plane::from_pixel(SIDE, SIDE, Luma([0.4]))
}

/// Tuned for two steps and sampled in two, all on `device`.
fn tuned_and_drawn(network: &PatchUNet, device: &Device) -> Vec<f32> {
    let network = network.clone().fork(&device.clone().autodiff());
    let mut model = EmbeddedModel::new(network, &EmbeddedConfig::tiny(), "tiny".into(), device);
    let config = TuneConfig { batch: 1, warmup_steps: 0, ..TuneConfig::default() };
    let guide = SimulatedGuide { colour: picture(), trust: trust() };
    let sample = Sample { truth: picture(), mask: hole(), unknown: None, unseen: None, guide };
    for step in 0..2 {
        model.learn(std::slice::from_ref(&sample), step, &config).expect("learns");
    }
    let mut guide = Guide::empty(SIDE, SIDE);
    (guide.colour, guide.trust) = (picture(), trust());
    let settings = SamplerSettings { steps: 2, ..SamplerSettings::default() };
    let view = View { picture: picture(), mask: hole(), guide: Arc::new(guide) };
    model.draw_one(&view, 1, &settings, &mut |_| true).expect("draws").into_raw()
}

#[test]
fn a_gpu_tunes_and_draws_what_the_cpu_does() {
    let devices = std::panic::catch_unwind(|| Device::enumerate(DeviceType::Wgpu).into_vec()).unwrap_or_default();
    let Some(device) = devices.into_iter().next() else {
        eprintln!("NOT RUN: this machine has no driver for `wgpu`; CONTRIBUTING.md says how to get a software one");
        return;
    };
    let outcome = self_test::run(&device).expect("the device does not give up");
    eprintln!("{device:?}: {outcome}");
    assert!(outcome.passes(), "{outcome}");
    let network = PatchUNet::new(&EmbeddedConfig::tiny(), &Device::flex().autodiff());
    let (expected, found) = (tuned_and_drawn(&network, &Device::flex()), tuned_and_drawn(&network, &device));
    let largest = expected.iter().zip(&found).fold(0f32, |largest, (a, b)| largest.max((a - b).abs()));
    eprintln!("largest difference of a colour: {largest:.1e}");
    assert!(expected.len() == found.len() && largest <= TOLERANCE, "{largest}");
}
