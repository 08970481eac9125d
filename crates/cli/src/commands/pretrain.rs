//! `realfill pretrain`: trains the embedded model on a folder of photos.

mod log;

use crate::arguments::Talk;
use crate::failure::{Failure, OrBadInput, OrFailed};
use crate::progress::{Progress, duration};
use crate::{device, interrupt, lock};
use anyhow::bail;
use burn::tensor::DType;
use clap::ValueHint;
use log::Log;
use realfill::pipeline::Event;
use realfill::training::photos::PhotoFolder;
use realfill::training::pretrain::{Places, PretrainConfig, pretrain};
use realfill_models::embedded::EmbeddedConfig;
use realfill_vision::save::check_output_folder;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

const AFTER_HELP: &str = "\
Examples:
  realfill pretrain --photos my-photos --output training
  realfill pretrain --photos my-photos --output training --steps 40000     go on with the same folder
  realfill pretrain --photos my-photos --output training --start models/embedded.safetensors --device vulkan
  realfill fill my-scene --model training/embedded.safetensors

The output folder holds log.csv (step, seconds, loss, and the held-out photos' PSNR at each checkpoint), pretraining/ (the
checkpoint to go on from), and, at the end or after Ctrl-C, embedded.safetensors (the averaged weights). The same command
goes on where it stopped.";

/// Two checkpoints of weights, moments and averages, and the final weights.
const NEEDED_BYTES: u64 = 600_000_000;

/// The averaged weights' file.
const WEIGHTS: &str = "embedded.safetensors";

/// The checkpoints' folder: one of their own, since a job removes what it takes for old checkpoints of its own.
const STATE: &str = "pretraining";

/// Arguments of `pretrain`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Folder of photos, at least 32; one in 32 is held out
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    photos: PathBuf,
    /// Folder for checkpoints, log and weights
    #[arg(long, short, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: PathBuf,
    /// Weights to start from in place of random ones, where the output folder holds no checkpoint
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    start: Option<PathBuf>,
    /// Steps in all, those of earlier runs included
    #[arg(long, value_name = "N", default_value_t = PretrainConfig::default().steps)]
    steps: usize,
    /// Crops a step
    #[arg(long, value_name = "N", default_value_t = PretrainConfig::default().batch)]
    batch: usize,
    /// Side of a crop in pixels, a multiple of 32
    #[arg(long, value_name = "PX", default_value_t = PretrainConfig::default().crop_px)]
    crop_px: u32,
    /// AdamW's rate
    #[arg(long, value_name = "RATE", default_value_t = PretrainConfig::default().learning_rate)]
    learning_rate: f64,
    /// Steps over which the rate rises from 0
    #[arg(long, value_name = "N", default_value_t = PretrainConfig::default().warmup_steps)]
    warmup_steps: usize,
    /// Decay of the averaged weights, 0 to 1
    #[arg(long, value_name = "DECAY", default_value_t = PretrainConfig::default().ema_decay)]
    ema_decay: f32,
    /// Steps between checkpoints and validations
    #[arg(long, value_name = "N", default_value_t = PretrainConfig::default().checkpoint_every)]
    checkpoint_every: usize,
    /// Seed of weights, crops, masks, guides and noise
    #[arg(long, value_name = "N", default_value_t = PretrainConfig::default().seed)]
    seed: u64,
    /// What to run on
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
}

impl Arguments {
    fn config(&self) -> anyhow::Result<PretrainConfig> {
        if self.crop_px == 0 || !self.crop_px.is_multiple_of(32) {
            bail!("--crop-px is {}; it must be a multiple of 32", self.crop_px);
        }
        if self.batch == 0 || self.checkpoint_every == 0 || self.warmup_steps == 0 {
            bail!("--batch, --checkpoint-every and --warmup-steps must be at least 1");
        }
        if !(0.0..1.0).contains(&self.ema_decay) || !(0.0..=1.0).contains(&self.learning_rate) {
            bail!("--ema-decay must be from 0 to below 1, and --learning-rate from 0 to 1");
        }
        Ok(PretrainConfig {
            steps: self.steps,
            batch: self.batch,
            crop_px: self.crop_px,
            learning_rate: self.learning_rate,
            warmup_steps: self.warmup_steps,
            ema_decay: self.ema_decay,
            checkpoint_every: self.checkpoint_every,
            seed: self.seed,
        })
    }
}

/// Where the checkpoints are. Those of a version that kept them in the output folder itself, with `averages/`, stay there.
fn state_in(output: &Path) -> PathBuf {
    if output.join("averages").is_dir() { output.to_owned() } else { output.join(STATE) }
}

/// Trains, logs, and writes the averaged weights.
pub fn run(arguments: &Arguments, talk: Talk) -> Result<(), Failure> {
    let (clock, config) = (Instant::now(), arguments.config().or_bad_input()?);
    let device = device::open_tested(&arguments.device).or_bad_input()?;
    PhotoFolder::open(&arguments.photos).or_bad_input()?;
    check_output_folder(&arguments.output, NEEDED_BYTES).or_bad_input()?;
    lock::take(&arguments.output).or_bad_input()?;
    let mut log = Log::open(&arguments.output.join("log.csv")).or_failed()?;

    interrupt::listen();
    let mut progress = Progress::new(talk);
    progress.hear(&Event::Stage { stage: "pretrain".into(), steps: config.steps });
    let model = EmbeddedConfig::default();
    let (mut done, state) = (0, state_in(&arguments.output));
    let places = Places { photos: &arguments.photos, start: arguments.start.as_deref(), output: &state };
    let network = pretrain(&model, &config, &places, &device, &mut |now| {
        done = now.step;
        let is_logged = log.add(now, clock.elapsed().as_secs_f64());
        if let Some(psnr) = now.validation_psnr {
            progress.hear(&Event::Note { text: format!("step {done}: held-out photos at {psnr:.2} dB") });
        }
        progress.hear(&Event::Progress { step: done, loss: Some(now.loss) }) && is_logged
    })
    .or_failed()?;
    progress.finish();
    let path = arguments.output.join(WEIGHTS);
    network.save(&path, DType::F16).or_failed()?;
    if !interrupt::go_on() && done < config.steps {
        return Err(Failure::Stopped(format!("stopped after step {done}; run the same command again to go on")));
    }
    log.finish().or_failed()?;
    let secs = clock.elapsed().as_secs_f64();
    let lines = [format!("weights: {}", path.display()), format!("took {}", duration(secs))];
    progress.conclude(&lines, json!({ "event": "done", "weights": path.display().to_string(), "secs": secs }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_have_a_folder_of_their_own_and_older_ones_are_found() {
        let output = tempfile::tempdir().unwrap();
        assert_eq!(state_in(output.path()), output.path().join("pretraining"));
        std::fs::create_dir(output.path().join("averages")).unwrap();
        assert_eq!(state_in(output.path()), output.path());
    }
}
