//! `realfill tune`: the tuning alone, from a scene to an adapter.

use crate::arguments::Talk;
use crate::failure::{Failure, OrBadInput, OrFailed};
use crate::output::{note_new_start, write_report};
use crate::profile::ProfileArguments;
use crate::progress::{Progress, duration};
use crate::settings::{Flags, GuideFlags, TuningArguments, resolve};
use crate::source::{ModelArguments, SceneArguments};
use crate::{interrupt, lock};
use anyhow::bail;
use realfill::pipeline::{FillConfig, remove_checkpoints, tune_scene};
use realfill_vision::save::check_output_folder;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

const AFTER_HELP: &str = "\
Examples:
  realfill tune my-scene --output tuned
  realfill tune my-scene --output tuned --preset paper --resume
  realfill tune my-scene --aspect 16:9 --output tuned
  realfill sample my-scene --adapter tuned/adapter --output out

The output folder holds adapter/ and report.json, and checkpoints/ while it works.";

/// Arguments of `tune`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, allow_negative_numbers = true)]
pub struct Arguments {
    #[command(flatten)]
    scene: SceneArguments,
    /// Folder for the adapter; made if need be
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    output: PathBuf,
    /// Go on from the checkpoint of an interrupted run in the output folder; without it, an old one is removed
    #[arg(long, help_heading = "Output")]
    resume: bool,
    #[command(flatten)]
    profile: ProfileArguments,
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    tuning: TuningArguments,
    #[command(flatten)]
    guide: GuideFlags,
}

impl Arguments {
    fn settings(&self) -> anyhow::Result<FillConfig> {
        let flags = Flags { guide: Some(&self.guide), tune: Some(&self.tuning.flags), ..Flags::default() };
        let config = resolve(self.tuning.preset, self.tuning.config.as_ref(), &flags)?;
        if config.tune.iterations == 0 {
            bail!("tune.iterations is 0, so there is nothing to tune; give at least 1");
        }
        Ok(config)
    }
}

/// Tunes and saves the adapter.
pub fn run(arguments: &Arguments, talk: Talk) -> Result<(), Failure> {
    let clock = Instant::now();
    arguments.profile.check()?;
    let (config, folder) = (arguments.settings().or_bad_input()?, arguments.output.as_path());
    let scene = arguments.scene.open(talk)?;
    let mut model = arguments.model.load(&config.tune)?;
    check_output_folder(folder, arguments.model.checkpoint_bytes(&config.tune)).or_bad_input()?;
    lock::take(folder).or_bad_input()?;
    let _profile = arguments.profile.begin()?;
    match arguments.resume {
        true => note_new_start(folder, talk),
        false => remove_checkpoints(folder).or_failed()?,
    }

    interrupt::listen();
    let mut progress = Progress::new(talk);
    let report = tune_scene(&scene, model.as_mut(), &config, folder, &mut |event| progress.hear(&event));
    progress.finish();
    let report = report.map_err(Failure::of_job)?;
    write_report(folder, &report)?;
    remove_checkpoints(folder).or_failed()?;
    let (adapter, secs) = (folder.join("adapter"), clock.elapsed().as_secs_f64());
    let lines = [format!("adapter: {}", adapter.display()), format!("took {}", duration(secs))];
    let adapter = adapter.display().to_string();
    progress.conclude(&lines, json!({ "event": "done", "adapter": adapter, "secs": secs, "report": report }));
    Ok(())
}
