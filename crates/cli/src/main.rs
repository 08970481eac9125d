//! The `realfill` command: raw arguments become one validated plan, the library does the work, and the exit code says
//! how it went (0 done, 1 failed, 2 bad input, 130 stopped).

mod arguments;
mod commands;
mod credentials;
mod device;
mod failure;
mod interrupt;
mod lock;
mod output;
mod profile;
mod progress;
mod settings;
mod source;
mod supervised;
mod terminal;

use anyhow::anyhow;
use arguments::{Arguments, Command, Talk};
use clap::Parser;
use failure::Failure;
use realfill_models::memory::Recycling;
use std::process::ExitCode;

#[global_allocator]
static MEMORY: Recycling = Recycling::paused();

fn main() -> ExitCode {
    let Arguments { talk, command } = Arguments::parse();
    if !matches!(command, Command::Serve(_) | Command::Worker(_)) {
        MEMORY.start(); // those run no network themselves
    }
    match run(command, talk) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(&failure, talk.json),
    }
}

fn run(command: Command, talk: Talk) -> Result<(), Failure> {
    if let (Some(name), true) = (command.without_talk(), talk.quiet || talk.json) {
        let words =
            anyhow!("`realfill {name}` has neither events nor a result for programs; leave out --quiet and --json");
        return Err(Failure::BadInput(words));
    }
    match command {
        Command::Fill(arguments) => commands::fill::run(&arguments, talk),
        Command::Tune(arguments) => commands::tune::run(&arguments, talk),
        Command::Sample(arguments) => commands::sample::run(&arguments, talk),
        Command::Serve(arguments) => commands::serve::run(&arguments),
        Command::Worker(arguments) => commands::worker::run(&arguments),
        Command::Pretrain(arguments) => commands::pretrain::run(&arguments, talk),
        Command::Models(arguments) => commands::models::run(&arguments),
        Command::Devices(arguments) => commands::devices::run(&arguments),
        Command::Verify(arguments) => commands::verify::run(&arguments, talk),
        Command::Completions(arguments) => commands::completions::run(&arguments),
    }
}

fn tell(failure: &Failure, json: bool) -> ExitCode {
    if json {
        let event = serde_json::json!({
            "event": "error", "text": failure.message(), "exit_code": failure.exit_code(),
        });
        terminal::say(&event.to_string());
    }
    let word = if matches!(failure, Failure::Stopped(_)) { "" } else { "error: " };
    terminal::complain(&format!("{word}{}", failure.message()));
    ExitCode::from(failure.exit_code())
}
