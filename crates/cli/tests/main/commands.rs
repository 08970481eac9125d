//! The small commands, and help.

use crate::material::{realfill, weights};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use realfill_models::sd::{Preset, write_random_checkpoint};
use std::path::Path;

#[test]
fn the_cpu_passes_the_self_test() {
    realfill().arg("devices").assert().success().stdout(contains("cpu").and(contains("passes")));
}

#[test]
fn models_lists_the_built_in_one_and_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(cache.path().join("hub/models--owner--name/snapshots/1/unet")).unwrap();
    std::fs::write(cache.path().join("hub/models--owner--name/snapshots/1/unet/config.json"), "{}").unwrap();
    let listed = realfill().arg("models").env("HF_HOME", cache.path()).assert().success();
    listed.stdout(contains("embedded").and(contains("owner/name")));
}

#[test]
fn pretrained_weights_are_inspected_and_their_training_logged() {
    realfill().args(["models", "inspect"]).arg(weights()).assert().success().stdout(contains("parameters"));
    let log = std::fs::read_to_string(weights().with_file_name("log.csv")).unwrap();
    assert!(log.starts_with("step,seconds,loss,validation_psnr\n1,"), "{log}");
    let state = weights().with_file_name("pretraining");
    assert!(state.join("checkpoints/step-00000001").is_dir() && state.join("averages").is_dir());
    assert!(!weights().with_file_name("checkpoints").exists(), "a job would take it for its own");
}

#[test]
fn a_checkpoint_is_inspected_with_its_schedule() {
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join("hub/models--owner--name");
    let folder = repo.join("snapshots/abc");
    write_random_checkpoint(Preset::Tiny, &folder, 1).unwrap();
    std::fs::create_dir_all(repo.join("refs")).unwrap();
    std::fs::write(repo.join("refs/main"), "abc").unwrap();
    let inspect = |model: &Path| {
        let mut command = realfill();
        command.args(["models", "inspect"]).arg(model).env("HF_HOME", cache.path());
        command.assert()
    };
    let told = "samplers         ddpm, ddim, euler, euler-ancestral, dpmpp-2m, dpmpp-2m-sde, unipc";
    for model in [folder.as_path(), Path::new("owner/name")] {
        inspect(model).success().stdout(contains("Stable Diffusion, inpainting").and(contains(told)));
    }
    let scheduler = folder.join("scheduler/scheduler_config.json");
    std::fs::write(&scheduler, r#"{"thresholding": true, "lambda_min_clipped": -Infinity}"#).unwrap();
    inspect(&folder).success().stdout(contains("samplers         euler, euler-ancestral\n"));
    std::fs::write(&scheduler, r#"{"beta_schedule": "sigmoid"}"#).unwrap();
    inspect(&folder).code(2).stderr(contains("scheduler_config.json").and(contains("`sigmoid`")));
    inspect(Path::new("owner/other")).code(2).stderr(contains("there is no folder owner/other here"));
}

#[test]
fn pretraining_starts_from_given_weights() {
    let output = tempfile::tempdir().unwrap();
    let numbers = ["--steps", "1", "--batch", "1", "--crop-px", "32", "--learning-rate", "0", "--quiet"];
    let photos = weights().with_file_name("").with_file_name("photos");
    let paths = [("--photos", &*photos), ("--start", weights()), ("--output", output.path())];
    let mut command = realfill();
    command.arg("pretrain").args(numbers);
    paths.iter().for_each(|(name, path)| _ = command.arg(name).arg(path));
    command.assert().success();
    let made = output.path().join("embedded.safetensors");
    assert!(half_floats(&made) == half_floats(weights()), "a rate of 0 changes nothing");
}

/// A file of f16 numbers, header and all, where zero has no sign.
fn half_floats(file: &Path) -> Vec<u16> {
    let bytes = std::fs::read(file).unwrap();
    let number = |pair: &[u8]| u16::from_le_bytes([pair[0], pair[1]]);
    bytes.chunks_exact(2).map(number).map(|n| if n == 0x8000 { 0 } else { n }).collect()
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        realfill().args(["completions", shell]).assert().success().stdout(contains("pretrain"));
    }
}

#[test]
fn commands_without_events_refuse_the_flags_for_them() {
    for (name, flag) in [("models", "--json"), ("devices", "--quiet"), ("worker", "--json")] {
        let told = realfill().args([name, flag]).assert().code(2);
        told.stderr(contains(format!("`realfill {name}` has neither events nor a result")));
    }
}

#[test]
fn help_has_examples_and_the_reason_for_png() {
    realfill().args(["fill", "--help"]).assert().success().stdout(contains("Examples:").and(contains("JPEG")));
    realfill().arg("--help").assert().success().stdout(contains("Exit codes"));
}
