//! `realfill serve`: the web page and the HTTP API.

use crate::device;
use crate::failure::{Failure, OrBadInput};
use crate::source::EMBEDDED;
use crate::terminal::complain;
use anyhow::{Context, Result, bail};
use realfill_server::{Config, Limits, Offer, ServeError, serve};
use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing_subscriber::filter::LevelFilter;

const AFTER_HELP: &str = "\
Examples:
  realfill serve                                    the page at http://127.0.0.1:7878, for this machine only
  realfill serve --port 8000 --data-dir ~/photos
  realfill serve --host 0.0.0.0 --token-file tokens.txt --allow-host photos.example
  realfill serve --model sd2=path/to/stable-diffusion-inpainting --device cuda

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
    /// Folder for scenes, jobs and the queue [default: realfill in the user's data folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// File with a token of 16 or more characters on each line, one a person; each sees their own scenes only
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A name, beside localhost and addresses, by which the server is called
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// A model on offer beside `embedded`: its name there, and what `fill --model` is given for it
    #[arg(long, value_name = "NAME=MODEL", value_parser = offer)]
    model: Vec<(String, String)>,
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
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(LevelFilter::INFO)
        .with_target(false)
        .init();
    let folder = config.data_folder.display().to_string();
    serve(config, |address| complain(&format!("RealFill is at http://{address}/ and keeps its data in {folder}")))
        .map_err(|error| match error {
            ServeError::System(_) => Failure::Failed(error.into()),
            _ => Failure::BadInput(error.into()),
        })
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
            data_folder: self.data_dir.clone().map_or_else(default_folder, Ok)?,
            tokens: self.token_file.as_deref().map(tokens_in).transpose()?.unwrap_or_default(),
            hosts: self.allow_host.clone(),
            program: std::env::current_exe().context("cannot tell where this program lies, to run jobs with it")?,
            models: self.models(),
            devices: devices(),
            limits,
            keep: self.keep_days.map(|days| Duration::from_secs(days * 24 * 3600)),
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

/// `$XDG_DATA_HOME/realfill`, or its like.
fn default_folder() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let folder = match std::env::consts::OS {
        "windows" => variable("LOCALAPPDATA"),
        "macos" => home().map(|home| home.join("Library/Application Support")),
        _ => variable("XDG_DATA_HOME").or_else(|| Some(home()?.join(".local/share"))),
    };
    Ok(folder.context("there is no home folder to keep data in; name a folder with --data-dir")?.join("realfill"))
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
