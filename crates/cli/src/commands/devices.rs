//! `realfill devices`: what this program can run on, and which of it computes what the CPU does.

mod self_test;

use crate::device;
use crate::failure::{Failure, OrFailed};
use crate::terminal::say;
use anyhow::bail;

const AFTER_HELP: &str = "\
Examples:
  realfill devices
  cargo run --release --features vulkan -- devices

Every device does one convolution, one attention and one SiLU with their gradients; its results are compared with the
CPU's. A device that does not pass computes wrong pictures: do not use it.";

/// Arguments of `devices`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {}

/// Lists the devices with their test's outcome; fails if one computes wrong values.
pub fn run(_: &Arguments) -> Result<(), Failure> {
    let names = device::built_in();
    let wrong: Vec<&str> = names.iter().copied().filter(|name| !passes(name)).collect();
    let missing: Vec<&str> = device::NAMES.into_iter().filter(|name| !names.contains(name)).collect();
    if !missing.is_empty() {
        say(&format!("not built in: {} (cargo features of the same names)", missing.join(", ")));
    }
    check(&wrong).or_failed()
}

fn check(wrong: &[&str]) -> anyhow::Result<()> {
    if !wrong.is_empty() {
        bail!("do not use {}: the self-test failed", wrong.join(", "));
    }
    Ok(())
}

/// Tests one device and tells the outcome; a device that this machine has not is no failure.
fn passes(name: &str) -> bool {
    let device = match device::open(name) {
        Ok(device) => device,
        Err(error) => {
            say(&format!("{name:<8} {error}"));
            return true;
        }
    };
    match self_test::run(&device) {
        Ok(outcome) => {
            say(&format!("{name:<8} {outcome}"));
            outcome.passes()
        }
        Err(panic) => {
            say(&format!("{name:<8} fails: {panic}"));
            false
        }
    }
}
