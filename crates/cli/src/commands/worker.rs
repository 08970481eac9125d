//! `realfill worker`: runs the jobs of a server's queue, in a process of its own, and what it has in common with `serve`.

use crate::credentials::check_for_jobs;
use crate::device;
use crate::failure::{Failure, OrBadInput};
use crate::source::EMBEDDED;
use crate::terminal::complain;
use anyhow::{Context, Result, bail};
use realfill_credentials::work_folder;
use realfill_server::{Config, Limits, Offer, ServeError, without_password, work};
use std::io::IsTerminal;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use tracing_subscriber::filter::LevelFilter;

const AFTER_HELP: &str = "\
Examples:
  realfill worker --queue postgres://me:secret@db.example/realfill --storage s3://photos/realfill
  realfill worker --queue postgres://localhost/realfill --data-dir ~/photos        on the server's machine, without a bucket
  REALFILL_QUEUE=postgres://localhost/realfill realfill worker

A worker runs one job at a time with all cores; start one for each machine or GPU, with the --model of the server. One that
dies loses nothing: after half a minute another goes on from the last checkpoint. Ctrl-C or SIGTERM parks the running job.

Jobs sign their photos as the variables REALFILL_SIGN_CERT, REALFILL_SIGN_KEY and REALFILL_NO_CREDENTIALS say, which stand for
the flags of `fill`.";

/// Arguments of `worker`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    shared: Shared,
}

/// What servers and workers are told alike.
#[derive(Debug, clap::Args)]
pub struct Shared {
    /// Folder for scenes, jobs and the queue [default: realfill in the user's data folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// PostgreSQL database for the queue, for a server with `realfill worker` processes [default: SQLite in the data folder]
    #[arg(long, value_name = "URL", env = "REALFILL_QUEUE", hide_env_values = true)]
    queue: Option<String>,
    /// S3-compatible bucket for scenes and jobs, s3://BUCKET[/PREFIX]; see docs/server.md for its variables [default: the data folder]
    #[arg(long, value_name = "URL", env = "REALFILL_STORAGE", hide_env_values = true)]
    storage: Option<String>,
    /// A model on offer beside `embedded`: its name there, and what `fill --model` is given for it
    #[arg(long, value_name = "NAME=MODEL", value_parser = offer)]
    model: Vec<(String, String)>,
}

/// Runs jobs until it is stopped.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.shared.config().or_bad_input()?;
    check_for_jobs()?;
    log();
    let queue = without_password(config.queue.as_deref().unwrap_or_default());
    work(config, || complain(&format!("RealFill's worker takes jobs from {queue}"))).map_err(failure)
}

/// A log of what happens, on the standard error.
pub fn log() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(LevelFilter::INFO)
        .with_target(false)
        .init();
}

/// Whose fault it is that a server or worker ended.
pub fn failure(error: ServeError) -> Failure {
    match error {
        ServeError::System(_) => Failure::Failed(error.into()),
        _ => Failure::BadInput(error.into()),
    }
}

impl Shared {
    /// A configuration for this machine alone, with what is told here.
    pub fn config(&self) -> Result<Config> {
        Ok(Config {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            data_folder: self
                .data_dir
                .clone()
                .or_else(work_folder)
                .context("there is no home folder to keep data in; name a folder with --data-dir")?,
            queue: self.queue.clone(),
            storage: self.storage.clone(),
            tokens: Vec::new(),
            hosts: Vec::new(),
            program: std::env::current_exe().context("cannot tell where this program lies, to run jobs with it")?,
            models: self.models(),
            devices: devices(),
            limits: Limits::default(),
            keep: None,
        })
    }

    fn models(&self) -> Vec<Offer> {
        let words = "built in: corrects tone, leaves detail to the references".to_owned();
        let built_in = Offer { name: EMBEDDED.into(), argument: EMBEDDED.into(), words };
        let more = self.model.iter().map(|(name, model)| Offer {
            name: name.clone(),
            argument: model.clone(),
            words: "given with --model when the server was started".into(),
        });
        std::iter::once(built_in).chain(more).collect()
    }
}

fn devices() -> Vec<Offer> {
    let words = |name: &str| if name == "cpu" { "always there" } else { "built in; tested when a job begins" };
    let offer = |name: &'static str| Offer { name: name.into(), argument: name.into(), words: words(name).into() };
    device::built_in().into_iter().map(offer).collect()
}

/// Reads `name=model`.
fn offer(text: &str) -> Result<(String, String)> {
    let is_plain =
        |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) && name != EMBEDDED;
    match text.split_once('=') {
        Some((name, model)) if !name.is_empty() && !model.is_empty() && is_plain(name) => {
            Ok((name.into(), model.into()))
        }
        _ => bail!("`{text}` is not NAME=MODEL, such as sd2=path/to/checkpoint"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_on_offer_have_plain_names() {
        assert_eq!(offer("sd2=a/b=c").unwrap(), ("sd2".into(), "a/b=c".into()));
        for wrong in ["sd2", "=x", "x=", "embedded=x", "a b=c"] {
            assert!(offer(wrong).unwrap_err().to_string().contains("NAME=MODEL"), "{wrong}");
        }
    }
}
