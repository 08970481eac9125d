//! Times the parts of a Stable Diffusion checkpoint at 512 px: loading, encoding, one tuning step, denoising, decoding.
//!
//!     cargo run --release -p realfill-models --example sd_step -- DIR [SIDE]

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use realfill_models::lora::{Adapter, DropRates, LoraConfig, LoraDropout, Pass, TEXT_ENCODER_TARGETS, UNET_TARGETS};
use realfill_models::sd::StableDiffusion;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("give the folder of a checkpoint")?;
    let side: usize = arguments.next().map_or(Ok(512), |side| side.parse())?;
    let device = Device::flex();
    let model = timed("load", || StableDiffusion::load(&folder, &device))?;
    let images = Tensor::random([1, 3, side, side], Distribution::Uniform(-1.0, 1.0), &device);
    let latents = timed("encode one image", || model.scaled_latents(&model.encode(images), None));
    let noise = Tensor::random(latents.dims(), Distribution::Normal(0.0, 1.0), &device);
    let mask = Tensor::ones([1, 1, side / 8, side / 8], &device);
    let input = Tensor::cat(vec![noise.clone(), mask, latents.clone()], 1);

    let training = device.clone().autodiff();
    let unet = Adapter::new(&LoraConfig::new(8, &UNET_TARGETS), &model.unet.slots(), 1, &training);
    let text = Adapter::new(&LoraConfig::new(8, &TEXT_ENCODER_TARGETS), &model.text_encoder.slots(), 2, &training);
    let dropout = LoraDropout::new(DropRates { layer: 0.1, input: 0.1 }, 3);
    timed("tuning step", || -> Result<(), Box<dyn std::error::Error>> {
        let context = model.encode_prompt_with("a photo of sks", &Pass::tuning(&text, &dropout))?;
        let tape =
            timed("  forward", || model.unet.record(input.clone(), &[500.0], context.clone(), &unet, Some(&dropout)));
        let error = tape.prediction.clone() - noise.clone();
        let gradients = timed("  backward", || tape.backward(error * 2.0));
        let text_gradients = (context * gradients.context).sum().backward();
        println!("  {} gradients of the U-Net's adapter", gradients.adapter.len());
        drop(text_gradients);
        Ok(())
    })?;

    let (unet, text) = (unet.valid(), text.valid());
    let context = model.encode_prompt_with("a photo of sks", &Pass::with(&text))?;
    let predicted = timed("denoise once", || model.unet.forward(input, &[500.0], context, &Pass::with(&unet)));
    let image = timed("decode", || model.decode(latents + predicted));
    let values = image.into_data().try_to_vec::<f32>()?;
    println!("finite: {}", values.iter().all(|v| v.is_finite()));
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
