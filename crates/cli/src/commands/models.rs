//! `realfill models`: what is built in, what the hub's cache holds, and what is in a model's folder or file.

use crate::failure::{Failure, OrBadInput};
use crate::source::EMBEDDED;
use crate::terminal::say;
use burn::module::Module;
use burn::tensor::Device;
use realfill::samplers::{SamplerKind, SamplerSettings};
use realfill::schedule::NoiseSchedule;
use realfill::stable_diffusion::schedule_of;
use realfill_models::embedded::{EmbeddedConfig, PatchUNet};
use realfill_models::sd::{SdFolder, refuse_single_file};
use realfill_models::{ModelError, Precision};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  realfill models                      what is built in, and what is in the hub's cache
  realfill models inspect path/to/checkpoint
  realfill models inspect owner/name
  realfill models inspect out/embedded.safetensors";

/// Arguments of `models`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Read all of a Stable Diffusion folder, or of a file that `pretrain` wrote, and tell what it is, or what is wrong
    Inspect {
        /// The folder, file, or hub id such as owner/name
        model: PathBuf,
    },
}

/// Lists models, or inspects one.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Some(Action::Inspect { model }) if model.is_file() => inspect_weights(model).or_bad_input(),
        Some(Action::Inspect { model }) => inspect_folder(model).or_bad_input(),
        None => {
            list();
            Ok(())
        }
    }
}

fn list() {
    match PatchUNet::built_in(&Device::flex()) {
        Ok(network) => say(&format!(
            "{EMBEDDED:<40} built in, {} parameters, fingerprint {}",
            millions(network.num_params()),
            PatchUNet::built_in_fingerprint()
        )),
        Err(error) => say(&format!("{EMBEDDED:<40} unusable: {error}")),
    }
    let Some(cache) = hub_cache() else { return };
    let models = cached_models(&cache);
    for (id, is_checkpoint) in &models {
        say(&format!("{id:<40} {}", if *is_checkpoint { "in the cache" } else { "in the cache, without a U-Net" }));
    }
    if models.is_empty() {
        say(&format!("no models in the hub's cache {}", cache.display()));
    }
}

/// Where the hub's tools keep models: `hub` in `HF_HOME`, or in `~/.cache/huggingface`.
fn hub_cache() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || variable("HF_HOME").or_else(|| Some(std::env::home_dir()?.join(".cache/huggingface")));
    Some(home()?.join("hub"))
}

/// The ids in the cache, sorted, and whether each has a U-Net.
fn cached_models(cache: &Path) -> Vec<(String, bool)> {
    let Ok(entries) = std::fs::read_dir(cache) else { return Vec::new() };
    let mut models: Vec<(String, bool)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.strip_prefix("models--")?.replacen("--", "/", 1), has_unet(&entry.path())))
        })
        .collect();
    models.sort();
    models
}

fn has_unet(folder: &Path) -> bool {
    let Ok(snapshots) = std::fs::read_dir(folder.join("snapshots")) else { return false };
    snapshots.flatten().any(|snapshot| snapshot.path().join("unet/config.json").is_file())
}

/// A folder, or a hub's id where there is none of this name.
fn inspect_folder(model: &Path) -> Result<(), ModelError> {
    let (source, is_folder) = (model.to_string_lossy(), model.is_dir());
    let folder = if is_folder { SdFolder::open(model)? } else { SdFolder::of(&source)? };
    let schedule = schedule_of(&source, &folder)?;
    let model = folder.load(&Device::flex(), Precision::F32)?;
    let (unet, text) = (&model.config.unet, &model.config.text_encoder);
    let side = unet.sample_size.unwrap_or(64) * model.config.vae.scale();
    let kind = if model.config.inpaints() { "inpainting" } else { "not an inpainting checkpoint" };
    let prediction = model.scheduler_config.get("prediction_type").and_then(|v| v.as_str()).unwrap_or("epsilon");
    say(&format!("{source}: Stable Diffusion, {kind}"));
    say(&format!("  trained at       {side} px"));
    say(&format!("  predicts         {prediction}"));
    say(&format!("  samplers         {}", samplers(&schedule)));
    say(&format!("  U-Net            {} inputs, {:?} channels", unet.in_channels, unet.block_out_channels));
    say(&format!("  text encoder     {} wide", text.hidden_size));
    say("  every tensor is there and has its shape");
    Ok(())
}

/// The samplers that can do what the checkpoint's scheduler asks for.
fn samplers(schedule: &NoiseSchedule) -> String {
    let steps = SamplerSettings::default().steps;
    let able = SamplerKind::ALL.into_iter().filter(|&kind| schedule.plan(kind, steps).is_ok());
    able.map(SamplerKind::name).collect::<Vec<_>>().join(", ")
}

fn inspect_weights(path: &Path) -> Result<(), ModelError> {
    refuse_single_file(path)?;
    let network = PatchUNet::new(&EmbeddedConfig::default(), &Device::flex()).load(path)?;
    say(&format!("{}: the embedded model, {} parameters", path.display(), millions(network.num_params())));
    say("  every tensor is there and has its shape");
    Ok(())
}

fn millions(count: usize) -> String {
    format!("{:.1} M", count as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_listed_by_id() {
        let cache = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(cache.path().join("models--b--with-net/snapshots/1/unet")).unwrap();
        std::fs::write(cache.path().join("models--b--with-net/snapshots/1/unet/config.json"), "{}").unwrap();
        std::fs::create_dir_all(cache.path().join("models--a--other/snapshots/1")).unwrap();
        std::fs::create_dir_all(cache.path().join("datasets--c--d")).unwrap();
        let expected = vec![("a/other".to_owned(), false), ("b/with-net".to_owned(), true)];
        assert_eq!(cached_models(cache.path()), expected);
        assert!(cached_models(Path::new("/nowhere")).is_empty());
    }
}
