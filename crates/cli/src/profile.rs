//! `--profile`: where a job's time went, as a trace that browsers show.

use crate::failure::{Failure, OrBadInput};
use anyhow::Context;
use clap::Args;
use std::fs::File;
use std::path::PathBuf;
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
    /// Starts to record, if asked to; the file is whole once what is returned is dropped.
    pub fn begin(&self) -> Result<Option<FlushGuard>, Failure> {
        let Some(path) = &self.profile else { return Ok(None) };
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()));
        let (layer, guard) = ChromeLayerBuilder::new().writer(file.or_bad_input()?).build();
        let ours = Targets::new().with_target("realfill", LevelFilter::INFO);
        tracing_subscriber::registry().with(layer.with_filter(ours)).init();
        Ok(Some(guard))
    }
}
