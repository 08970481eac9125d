//! The checks of CI. They are written down once, in `.ci/run`, which can also be started by itself before anything is built.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// Runs the checks of CI, cheapest first.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only these checks, in this order:
    /// readme, lockfile, format, web, deploy, dependencies, clippy, docs, quickstart, page, tests, plain.
    steps: Vec<String>,
}

/// Runs `.ci/run` with the chosen steps.
///
/// # Errors
///
/// When bash cannot be started or a check fails; the check has then printed why.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let script = workspace_root().join(".ci/run");
    let status = Command::new("bash")
        .arg(&script)
        .args(&arguments.steps)
        .status()
        .with_context(|| format!("bash could not be started to run {}; install bash", script.display()))?;
    ensure!(status.success(), "a check failed ({status}); its own message is above");
    Ok(())
}

/// The folder of the workspace: the parent of this crate's.
fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_named_in_the_help_are_those_of_the_script() {
        let script =
            std::fs::read_to_string(workspace_root().join(".ci/run")).expect("the script is in the repository");
        let steps = script
            .lines()
            .find_map(|line| line.strip_prefix("STEPS=(")?.strip_suffix(')'))
            .expect("the script lists its steps");
        let source = include_str!("check.rs");
        assert!(source.contains(&steps.replace(' ', ", ")), "the help of `cargo xtask check` should list: {steps}");
    }
}
