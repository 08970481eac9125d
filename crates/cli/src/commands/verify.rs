//! `realfill verify`: what a file's content credentials say, and whether the file is still what was signed.

use crate::arguments::Talk;
use crate::failure::{Failure, OrBadInput};
use crate::terminal::say;
use anyhow::anyhow;
use realfill_credentials::{State, verify};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  realfill verify out/completed.jpg
  realfill verify out/completed.jpg --json
  realfill verify news.jpg --trust C2PA-TRUST-LIST.pem

Reads any file with C2PA credentials, whoever wrote them. `untrusted` means that the signature is sound, but no authority
in the trust list says whose it is; without --trust that is said of everybody. Nothing is fetched from the network.

Exit codes: 0 the file is as it was signed, 1 it was altered or has no credentials, 2 it cannot be read.";

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The picture
    file: PathBuf,
    /// Certificates of authorities that are trusted (PEM), such as C2PA's trust list
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

/// Reads the credentials and tells what they say.
pub fn run(arguments: &Arguments, talk: Talk) -> Result<(), Failure> {
    let verdict = verify(&arguments.file, arguments.trust.as_deref()).or_bad_input()?;
    match talk {
        Talk { json: true, .. } => say(&serde_json::to_string(&verdict).unwrap_or_default()),
        Talk { quiet: true, .. } => {}
        _ => say(&verdict.to_string()),
    }
    let file = arguments.file.display();
    match verdict.state {
        State::Intact => Ok(()),
        State::None => Err(Failure::Failed(anyhow!("{file} has no content credentials"))),
        State::Altered => Err(Failure::Failed(anyhow!("{file} is not as it was signed"))),
    }
}
