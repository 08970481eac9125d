//! Times Stable Diffusion's path at 512 px: loading, one tuning step of one sample, two sampling steps.
//!
//!     cargo xtask random-checkpoint sd2 DIR
//!     cargo run --release -p realfill --example sd_fill -- DIR

use burn::tensor::Device;
use image::{Rgb, Rgb32FImage};
use realfill::model::{Model, View};
use realfill::samplers::SamplerSettings;
use realfill::stable_diffusion::StableDiffusionModel;
use realfill::training::batch::Sample;
use realfill::training::simulated_guide::SimulatedGuide;
use realfill::tuning::TuneConfig;
use realfill_vision::{Guide, Mask};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("give the folder of a checkpoint")?;
    let config = TuneConfig { batch: 1, ..TuneConfig::default() };
    let mut model = timed("load", || StableDiffusionModel::load(&folder, &Device::flex(), &config))?;
    let side = model.crop_px();
    let wave = |a: u32, b: u32| 0.5 + 0.5 * (a as f32 * 0.03 + b as f32 * 0.01).sin();
    let picture = Rgb32FImage::from_fn(side, side, |x, y| Rgb([wave(x, y), wave(y, x), 0.5]));
    let mask = Mask::from_fn(side, side, |x, y| x > side / 3 && y > side / 2);
    let guide = SimulatedGuide::none(side, side);
    let sample = Sample { truth: picture.clone(), mask: mask.clone(), unknown: None, guide };
    let loss = timed("one tuning step", || model.learn(&[sample], 0, &config))?;
    println!("loss {loss:.4}");
    let view = View { picture, mask, guide: Guide::empty(side, side) };
    let settings = SamplerSettings { steps: 2, ..SamplerSettings::default() };
    let drawn = timed("two sampling steps", || model.draw(&view, &[1], &settings, &mut |_, _| true))?;
    println!("finite: {}", drawn[0].as_raw().iter().all(|value| value.is_finite()));
    Ok(())
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    println!("{what}: {:.1} s, peak so far {}", start.elapsed().as_secs_f64(), peak_memory());
    result
}

/// The most memory this process has had, as Linux tells it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.map_or("unknown".to_owned(), |kib| kib.trim().to_owned())
}
