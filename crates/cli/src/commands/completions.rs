//! `realfill completions`: what a shell needs to complete commands and flags.

use crate::failure::{Failure, OrFailed};
use clap::CommandFactory;
use clap_complete::{Shell, generate};
use std::io::Write;

const AFTER_HELP: &str = "\
Examples:
  realfill completions bash > ~/.local/share/bash-completion/completions/realfill
  realfill completions zsh > ~/.zfunc/_realfill";

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The shell
    pub shell: Shell,
}

/// Prints the completions.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut crate::arguments::Arguments::command(), "realfill", &mut script);
    std::io::stdout().write_all(&script).or_failed()
}
