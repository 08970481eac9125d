//! `realfill serve`: the web page and the HTTP API.

use super::worker::Shared;
use crate::credentials::check_for_jobs;
use crate::failure::{Failure, OrBadInput};
use crate::terminal::complain;
use anyhow::{Context, Result, bail};
use realfill_server::{Config, Limits, serve};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  realfill serve                                    the page at http://127.0.0.1:7878, for this machine only
  realfill serve --port 8000 --data-dir ~/photos
  realfill serve --host 0.0.0.0 --token-file tokens.txt --allow-host photos.example
  realfill serve --model sd2=path/to/stable-diffusion-inpainting
  realfill serve --queue postgres://me:secret@db.example/realfill --storage s3://photos/realfill

With --queue the server runs no jobs itself: start `realfill worker` with the same --queue and --storage, as often and on as
many machines as you like (see `realfill help worker`).

Jobs sign their photos as the variables REALFILL_SIGN_CERT, REALFILL_SIGN_KEY and REALFILL_NO_CREDENTIALS say, which stand for
the flags of `fill`.

The HTTP API is described at /docs and, for programs, at /openapi.json. Ctrl-C or SIGTERM parks the running job; it goes on
at the next start.";

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Port to listen on; 0 for any that is free
    #[arg(long, value_name = "PORT", default_value_t = 7878)]
    port: u16,
    /// Address to listen on; one that other machines reach needs --token-file
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    #[command(flatten)]
    shared: Shared,
    /// File with a token of 16 or more characters on each line, one a person; each sees their own scenes only
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A name, beside localhost and addresses, by which the server is called
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Largest photo that is taken, in megapixels
    #[arg(long, value_name = "N", default_value_t = Limits::default().megapixels, value_parser = clap::value_parser!(u64).range(1..=200))]
    max_megapixels: u64,
    /// Largest file that is taken, in MB; a whole upload may have four times that
    #[arg(long, value_name = "MB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=2000))]
    max_file_mb: u64,
    /// Jobs of one person that may wait or run
    #[arg(long, value_name = "N", default_value_t = Limits::default().jobs)]
    max_jobs: u64,
    /// Scenes of one person
    #[arg(long, value_name = "N", default_value_t = Limits::default().scenes)]
    max_scenes: u64,
    /// Remove scenes that nothing was done with for so many days [default: keep them]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    keep_days: Option<u64>,
}

/// Serves until it is stopped.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.config().or_bad_input()?;
    if config.queue.is_none() {
        check_for_jobs()?; // otherwise workers run them
    }
    super::worker::log();
    let place = self::place(&config);
    serve(config, |address| complain(&format!("RealFill is at http://{address}/ and keeps its data in {place}")))
        .map_err(super::worker::failure)
}

/// Where the data is, for people.
fn place(config: &Config) -> String {
    config.storage.clone().unwrap_or_else(|| config.data_folder.display().to_string())
}

impl Arguments {
    fn config(&self) -> Result<Config> {
        let file_bytes = self.max_file_mb << 20;
        let limits = Limits {
            file_bytes,
            upload_bytes: 4 * file_bytes,
            megapixels: self.max_megapixels,
            scenes: self.max_scenes,
            jobs: self.max_jobs,
            ..Limits::default()
        };
        Ok(Config {
            address: SocketAddr::new(self.host, self.port),
            tokens: self.token_file.as_deref().map(tokens_in).transpose()?.unwrap_or_default(),
            hosts: self.allow_host.clone(),
            limits,
            keep: self.keep_days.map(|days| Duration::from_secs(days * 24 * 3600)),
            ..self.shared.config()?
        })
    }
}

fn tokens_in(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read {}; give a file with a token on each line", file.display()))?;
    let tokens: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    if tokens.is_empty() {
        bail!("{} has no tokens; write one of 16 or more characters on each line", file.display());
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_lines_that_are_no_remarks() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        std::fs::write(&file, "# people\n\n  one-token-of-two \ntwo-token-of-two\n").unwrap();
        assert_eq!(tokens_in(&file).unwrap(), ["one-token-of-two", "two-token-of-two"]);
        std::fs::write(&file, "# nobody\n").unwrap();
        assert!(tokens_in(&file).unwrap_err().to_string().contains("has no tokens"));
    }
}
