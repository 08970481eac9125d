//! Runs that end early: killed or stopped, they go on and end as if nothing had happened.
#![cfg(unix)]

use crate::material::{realfill, scene, weights};
use predicates::str::contains;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn arguments(folder: &Path, output: &str, iterations: &str) -> Vec<String> {
    let (scene, output) = (folder.join("scene"), folder.join(output));
    let paths = [scene.to_str(), Some("--output"), output.to_str(), Some("--model"), weights().to_str()];
    let settings = ["--view-px", "64", "--batch", "1", "--guide", "off", "--checkpoint-every", "1"];
    let words = paths.into_iter().map(|word| word.expect("UTF-8")).chain(settings);
    words.chain(["--iterations", iterations, "--json"]).map(str::to_owned).collect()
}

/// Starts `tune` and waits until it has done `step`.
fn started(arguments: &[String], step: usize) -> Child {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("realfill"))
        .arg("tune")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_there = |line: &str| line.contains(&format!("\"step\":{step},"));
    assert!(lines.map_while(Result::ok).any(|line| is_there(&line)), "tuning ended before step {step}");
    child
}

/// Tuning steps that a finished run tells of: those with a loss.
fn steps(stdout: &[u8]) -> Vec<u64> {
    let events = std::str::from_utf8(stdout).unwrap().lines();
    let events = events.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.filter(|event| event["loss"].is_number()).filter_map(|event| event["step"].as_u64()).collect()
}

#[test]
fn a_killed_tuning_resumes_to_the_same_bytes() {
    let folder = scene();
    let whole = arguments(folder.path(), "whole", "4");
    realfill().arg("tune").args(&whole).assert().success();

    let killed = arguments(folder.path(), "killed", "4");
    let mut child = started(&killed, 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.path().join("killed/adapter").exists(), "it was killed too late");
    let resumed = realfill().arg("tune").args(&killed).arg("--resume").assert().success();
    let steps = steps(&resumed.get_output().stdout);
    assert!(steps[0] > 1 && steps.last() == Some(&4), "resumed at {steps:?}");

    let adapter = |output: &str| fs::read(folder.path().join(output).join("adapter/embedded.safetensors")).unwrap();
    assert!(adapter("whole") == adapter("killed"), "the adapters differ");
    let losses = |output: &str| -> Vec<f32> {
        let report = fs::read(folder.path().join(output).join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        report["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap() as f32).collect()
    };
    assert_eq!(losses("killed").len(), 4);
    assert_eq!(losses("killed"), losses("whole"));
}

#[test]
fn ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on() {
    let folder = scene();
    let arguments = arguments(folder.path(), "out", "100000");
    let child = started(&arguments, 1);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("--resume"), "{told}");
    let checkpoints = fs::read_dir(folder.path().join("out/checkpoints")).unwrap();
    assert!(checkpoints.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("step-")));

    let mut other = arguments.clone();
    other.extend(["--tune-seed".to_owned(), "1".to_owned(), "--resume".to_owned()]);
    realfill().arg("tune").args(&other).assert().code(2).stderr(contains("another tune.seed"));
}
