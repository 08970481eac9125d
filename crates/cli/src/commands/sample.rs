//! `realfill sample`: sampling, ranking and composite with an adapter that was tuned before.

use super::fill::conclude;
use crate::arguments::Talk;
use crate::failure::{Failure, OrBadInput};
use crate::interrupt;
use crate::output::OutputArguments;
use crate::profile::ProfileArguments;
use crate::progress::Progress;
use crate::settings::{Flags, GuideFlags, OutputSettings, SamplerFlags, TuneFlags, resolve};
use crate::source::{ModelArguments, SceneArguments, remark};
use anyhow::anyhow;
use realfill::adapter::AdapterCard;
use realfill::fingerprint;
use realfill::model::Model;
use realfill::pipeline::sample_scene;
use realfill_vision::Scene;
use std::path::{Path, PathBuf};
use std::time::Instant;

const AFTER_HELP: &str = "\
Examples:
  realfill sample my-scene --adapter tuned/adapter --output out
  realfill sample my-scene --adapter out/adapter --seed 4 --candidates 12 --output more
  realfill sample my-scene --adapter tuned/adapter --expand right=25% --output wide
  realfill sample my-scene --output untuned          with the model as it is";

/// Arguments of `sample`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, allow_negative_numbers = true)]
pub struct Arguments {
    #[command(flatten)]
    scene: SceneArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    profile: ProfileArguments,
    #[command(flatten)]
    model: ModelArguments,
    /// The adapter/ folder that `tune` or `fill` wrote, or one of PEFT or diffusers [default: none, the model as it is]
    #[arg(long, value_name = "DIR", help_heading = "Model")]
    adapter: Option<PathBuf>,
    /// Settings from a TOML file; flags win over it
    #[arg(long, value_name = "FILE", help_heading = "Sampling")]
    config: Option<PathBuf>,
    /// The sentence that stands for the scene (Stable Diffusion) [default: the one that the adapter was tuned with]
    #[arg(long, value_name = "TEXT", help_heading = "Sampling")]
    prompt: Option<String>,
    #[command(flatten)]
    guide: GuideFlags,
    #[command(flatten)]
    drawn: OutputSettings,
    #[command(flatten)]
    sampler: SamplerFlags,
}

/// Samples and completes the photo.
pub fn run(arguments: &Arguments, talk: Talk) -> Result<(), Failure> {
    let clock = Instant::now();
    arguments.profile.check()?;
    let tune = TuneFlags { prompt: arguments.prompt.clone(), ..TuneFlags::default() };
    let flags = Flags {
        guide: Some(&arguments.guide),
        output: Some(&arguments.drawn),
        sampler: Some(&arguments.sampler),
        tune: Some(&tune),
    };
    let mut config = resolve(None, arguments.config.as_ref(), &flags).or_bad_input()?;
    if let Some(adapter) = &arguments.adapter {
        arguments.output.check_adapter(adapter).or_bad_input()?;
    }
    let identity = arguments.output.credentials.identity()?;
    let scene = arguments.scene.open(talk)?;
    let mut model = arguments.model.load(&config.tune)?;
    config.tune.iterations = 0;
    let card = match &arguments.adapter {
        Some(folder) => take_up(folder, model.as_mut(), &scene, talk)?,
        None => None,
    };
    let influence = card.as_ref().and_then(|card| card.influence);
    config.tune = card.map_or(config.tune, |card| card.tune);
    if let Some(prompt) = &arguments.prompt {
        model.set_prompt(prompt);
        config.tune.prompt.clone_from(prompt);
    }
    arguments.output.prepare(&scene, arguments.scene.mask.as_deref(), config.candidates, 0)?;
    let _profile = arguments.profile.begin()?;

    interrupt::listen();
    let mut progress = Progress::new(talk);
    let folder = arguments.output.output.as_path();
    let mut hear = |event| progress.hear(&event);
    let completion = sample_scene(&scene, model.as_ref(), influence, &config, folder, &mut hear);
    progress.finish();
    let completion = completion.map_err(|error| match Failure::of_job(error) {
        Failure::Stopped(_) => Failure::Stopped("stopped; run the same command again".into()),
        other => other,
    })?;
    let written = arguments.output.write(&scene, &completion, identity.as_ref())?;
    conclude(&mut progress, &written, &completion, clock.elapsed().as_secs_f64());
    Ok(())
}

/// Loads the adapter after checking that it is this base's; one of other photos or another hole is used, but told.
fn take_up(folder: &Path, model: &mut dyn Model, scene: &Scene, talk: Talk) -> Result<Option<AdapterCard>, Failure> {
    let card = match model.load_adapter(folder) {
        Err(_) if folder.join("adapter").is_dir() => {
            let folder = folder.display();
            let words =
                anyhow!("{folder} holds no adapter itself; give {folder}/adapter, which `tune` or `fill` wrote");
            return Err(Failure::BadInput(words));
        }
        card => card.or_bad_input()?,
    };
    if let Some(other) = card.as_ref().filter(|card| card.scene_fingerprint != fingerprint::of_scene(scene)) {
        let words = "note: the adapter was tuned with other photos or another hole";
        remark(&format!("{words} (scene {})", other.scene), talk);
    }
    Ok(card)
}
