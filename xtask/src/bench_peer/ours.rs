//! One measurement of ours.

use super::{Measured, What};
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use image::{Rgb, Rgb32FImage};
use realfill::model::Model;
use realfill::stable_diffusion::StableDiffusionModel;
use realfill::training::batch::Sample;
use realfill::training::simulated_guide::SimulatedGuide;
use realfill::tuning::TuneConfig;
use realfill_models::Precision;
use realfill_models::lora::{Adapter, LoraConfig, Pass, UNET_TARGETS};
use realfill_models::sd::StableDiffusion;
use realfill_vision::Mask;
use std::path::Path;
use std::time::Instant;

/// Loads the checkpoint, runs the step once, and times it `runs` times.
pub(super) fn measure(
    what: What,
    checkpoint: &Path,
    precision: Precision,
    [side, batch]: [usize; 2],
    runs: usize,
) -> Result<Measured> {
    let folder = checkpoint.to_str().context("the checkpoint's path is not UTF-8")?;
    let device = Device::flex();
    let seconds = match what {
        What::Tune => tune(folder, precision, side, runs, &device)?,
        _ => {
            let model = StableDiffusion::load_in(folder, &device, precision)?;
            let latents = Tensor::random([1, 4, side / 8, side / 8], Distribution::Normal(0.0, 1.0), &device);
            match what {
                What::Denoise => denoise(&model, [side, batch], runs, &device)?,
                What::Encode => {
                    let image = Tensor::random([1, 3, side, side], Distribution::Uniform(-1.0, 1.0), &device);
                    best(runs, || read(model.scaled_latents(&model.encode(image.clone()), Some(latents.clone()))))?
                }
                _ => best(runs, || read(model.decode(latents.clone())))?,
            }
        }
    };
    Ok(Measured { seconds, peak_gib: peak_gib()? })
}

fn denoise(model: &StableDiffusion, [side, batch]: [usize; 2], runs: usize, device: &Device) -> Result<f64> {
    let adapter = Adapter::new(&LoraConfig::new(8, &UNET_TARGETS), &model.unet.slots(), 1, device).valid();
    let input = Tensor::random([batch, 9, side / 8, side / 8], Distribution::Normal(0.0, 1.0), device);
    let context = model.encode_prompt("a photo of sks")?.repeat_dim(0, batch);
    let levels = vec![500.0; batch];
    best(runs, || read(model.denoise(input.clone(), &levels, context.clone(), &Pass::with(&adapter))))
}

/// A step on one sample: that on a known one, and the share that encoding a new one takes of it.
fn tune(folder: &str, precision: Precision, side: usize, runs: usize, device: &Device) -> Result<f64> {
    let config = TuneConfig { batch: 1, prompt_dropout: 0.0, ..TuneConfig::default() };
    let mut model = StableDiffusionModel::load_in(folder, device, precision, &config)?;
    let mut step = 0;
    let (mut new, mut known) = (f64::INFINITY, f64::INFINITY);
    for seed in 0..=runs as u32 {
        let sample = [sample(side as u32, seed)];
        let mut once = |model: &mut StableDiffusionModel| -> Result<f64> {
            let start = Instant::now();
            model.learn(&sample, step, &config)?;
            step += 1;
            Ok(start.elapsed().as_secs_f64())
        };
        let (first, second) = (once(&mut model)?, once(&mut model)?);
        if seed > 0 {
            (new, known) = (new.min(first), known.min(second));
        }
    }
    let share = 1.0 / model.sample_reuse() as f64;
    eprintln!(
        "ours, tune: {new:.2} s on a new sample, {known:.2} s on one that was encoded before, each used {} times",
        1.0 / share
    );
    Ok(new * share + known * (1.0 - share))
}

fn sample(side: u32, seed: u32) -> Sample {
    let wave = |a: u32, b: u32| 0.5 + 0.5 * ((a + 7 * seed) as f32 * 0.3 + b as f32 * 0.1).sin();
    Sample {
        truth: Rgb32FImage::from_fn(side, side, |x, y| Rgb([wave(x, y), wave(y, x), 0.5])),
        mask: Mask::from_fn(side, side, |x, _| x < side / 2),
        unknown: None,
        unseen: None,
        guide: SimulatedGuide::none(side, side),
    }
}

fn best(runs: usize, step: impl Fn() -> Result<()>) -> Result<f64> {
    step()?;
    let mut best = f64::INFINITY;
    for _ in 0..runs.max(1) {
        let start = Instant::now();
        step()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Waits until the values are there, and refuses strange ones.
fn read(tensor: Tensor<4>) -> Result<()> {
    let values = tensor.into_data().try_to_vec::<f32>()?;
    anyhow::ensure!(values.iter().all(|v| v.is_finite()), "a value is not finite");
    Ok(())
}

/// The most memory that this process has had, as Linux tells it.
fn peak_gib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("peak memory is only known on Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/self/status")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / f64::from(1 << 20))
}
