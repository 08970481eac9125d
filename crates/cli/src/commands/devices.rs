//! `realfill devices`: what this program can run on, and which of it computes what the CPU does.

use crate::device::{self, trial};
use crate::failure::{Failure, OrBadInput, OrFailed};
use crate::terminal::say;
use anyhow::bail;
use realfill::self_test;

const AFTER_HELP: &str = "\
Examples:
  realfill devices
  cargo run --release --features vulkan -- devices

Every device does one convolution, one attention and a tiny model's picture, with their gradients, in a process of its own;
the results are compared with the CPU's. A device that does not pass would compute wrong pictures: --device refuses it.";

/// Arguments of `devices`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Test this one device in this process and print the outcome alone
    #[arg(long, value_name = "DEVICE", hide = true)]
    test: Option<String>,
}

/// Lists the devices with their test's outcome; fails if one computes wrong values.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.test {
        Some(name) => test(name),
        None => list(),
    }
}

fn list() -> Result<(), Failure> {
    let names = device::built_in();
    let mut wrong = Vec::new();
    for &name in &names {
        if !passes(name)? {
            wrong.push(name);
        }
    }
    let missing: Vec<&str> = device::NAMES.into_iter().filter(|name| !names.contains(name)).collect();
    if !missing.is_empty() {
        say(&format!("not built in: {} (cargo features of the same names)", missing.join(", ")));
    }
    check(&wrong).or_failed()
}

fn check(wrong: &[&str]) -> anyhow::Result<()> {
    if !wrong.is_empty() {
        bail!("{} cannot be used: the self-test failed", wrong.join(", "));
    }
    Ok(())
}

/// Tests one device and tells the outcome; a device that this machine has not is no failure.
fn passes(name: &str) -> Result<bool, Failure> {
    if let Err(error) = device::open(name) {
        say(&format!("{name:<8} {error}"));
        return Ok(true);
    }
    let verdict = trial(name).or_failed()?;
    say(&format!("{name:<8} {}", verdict.words));
    Ok(verdict.passes)
}

/// The test itself; its outcome is one line, whether it passes or not.
fn test(name: &str) -> Result<(), Failure> {
    let device = device::open(name).or_bad_input()?;
    let title = device::title(&device);
    let outcome = self_test::run(&device);
    say(&match &outcome {
        Ok(outcome) => format!("{title}{outcome}"),
        Err(words) => format!("{title}fails: {}", words.lines().next().unwrap_or_default()),
    });
    match outcome {
        Ok(outcome) if outcome.passes() => Ok(()),
        _ => check(&[name]).or_failed(),
    }
}
