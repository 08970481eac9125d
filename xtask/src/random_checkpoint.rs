//! Writes checkpoints of true shapes with random weights, so that Stable Diffusion's path can be run and timed offline.

use std::path::PathBuf;

use anyhow::Context;
use realfill_models::sd::{Preset, write_random_checkpoint};

/// Writes a randomly initialised Stable Diffusion inpainting checkpoint (diffusers layout, f16).
#[derive(clap::Args)]
pub struct Arguments {
    /// Its shapes: sd2 (2.6 GB), sd15 (2.1 GB) or tiny (1 MB).
    preset: Preset,
    /// The folder to write it to.
    folder: PathBuf,
    /// Seed of the weights.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Writes the checkpoint.
///
/// # Errors
///
/// When a file cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    write_random_checkpoint(arguments.preset, &arguments.folder, arguments.seed)
        .with_context(|| format!("no checkpoint was written to {}", arguments.folder.display()))?;
    println!("wrote {}", arguments.folder.display());
    Ok(())
}
