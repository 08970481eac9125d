//! `--profile`: where a job's time went, as a trace that browsers show.

use crate::failure::{Failure, OrBadInput};
use anyhow::{Context, anyhow};
use clap::Args;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// What `fill`, `tune` and `sample` accept.
#[derive(Debug, Args)]
pub struct ProfileArguments {
    /// Write where the time went to this file: a trace for ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    profile: Option<PathBuf>,
}

impl ProfileArguments {
    /// Checks that nothing but an older trace would be replaced.
    ///
    /// # Errors
    /// [`Failure::BadInput`]: the file is there and is something else.
    pub fn check(&self) -> Result<(), Failure> {
        match &self.profile {
            Some(path) if is_something_else(path) => {
                Err(anyhow!("{} is there and is no trace; give --profile another name", path.display())).or_bad_input()
            }
            _ => Ok(()),
        }
    }

    /// Starts to record, if asked to; the file is whole once what is returned is dropped. An output folder is made before, so
    /// that the file may lie in it.
    ///
    /// # Errors
    /// [`Failure::BadInput`]: the file cannot be written.
    pub fn begin(&self) -> Result<Option<FlushGuard>, Failure> {
        let Some(path) = &self.profile else { return Ok(None) };
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()));
        let (layer, guard) = ChromeLayerBuilder::new().writer(file.or_bad_input()?).build();
        let ours = Targets::new().with_target("realfill", LevelFilter::INFO);
        tracing_subscriber::registry().with(layer.with_filter(ours)).init();
        Ok(Some(guard))
    }
}

/// Whether a file holds what does not begin as a trace does, with a list. What is no file (a pipe) is not looked into.
fn is_something_else(path: &Path) -> bool {
    let mut first = [0];
    let is_read = path.is_file() && File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok();
    is_read && first != *b"["
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trace_or_an_empty_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.json");
        let profile = ProfileArguments { profile: Some(path.clone()) };
        profile.check().expect("nothing is there");
        for (content, is_replaced) in [("", true), ("[\n{}]", true), ("{}", false), ("a letter", false)] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(profile.check().is_ok(), is_replaced, "{content}");
        }
    }
}
