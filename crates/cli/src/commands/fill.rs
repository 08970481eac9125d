//! `realfill fill`: everything, from photos to the completed photo.

use crate::arguments::Talk;
use crate::failure::{Failure, OrBadInput, OrFailed};
use crate::interrupt;
use crate::output::{OutputArguments, Written, note_new_start};
use crate::profile::ProfileArguments;
use crate::progress::{Progress, duration};
use crate::settings::{Flags, GuideFlags, OutputSettings, SamplerFlags, TuningArguments, resolve};
use crate::source::{ModelArguments, SceneArguments};
use realfill::pipeline::{Completion, FillConfig, fill, guide_bytes, remove_checkpoints};
use realfill_vision::Scene;
use serde_json::json;
use std::time::Instant;

const AFTER_HELP: &str = "\
Examples:
  realfill fill my-scene --output out
  realfill fill --target photo.jpg --mask hole.png --reference a.jpg --reference b.jpg
  realfill fill --target erased.png --mask-from-alpha --reference a.jpg
  realfill fill my-scene --grow-mask 8           the mask left a rim of what should go
  realfill fill --target photo.jpg --expand left=20%,top=300px --reference a.jpg
  realfill fill my-scene --aspect 16:9
  realfill fill my-scene --sign-cert chain.pem --sign-key key.pem
  realfill fill my-scene --model path/to/stable-diffusion-inpainting --preset paper --device vulkan
  realfill fill my-scene --config settings.toml --candidates 8 --resume
  realfill fill my-scene --profile trace.json     where the time went, for ui.perfetto.dev

The output folder holds completed.* (the photo), sheet.png (everything on one page), fidelity.png (which reference
supports which part of the hole; orange-red is invented), fidelity.json (the same for programs), candidates/, adapter/
(what was learnt about the scene) and report.json. A settings file has the names of report.json's `config`:
  candidates = 8
  [tune]
  iterations = 300
  [sampler]
  kind = \"unipc\"";

/// Arguments of `fill`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, allow_negative_numbers = true)]
pub struct Arguments {
    #[command(flatten)]
    scene: SceneArguments,
    #[command(flatten)]
    output: OutputArguments,
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
    #[command(flatten)]
    drawn: OutputSettings,
    #[command(flatten)]
    sampler: SamplerFlags,
}

impl Arguments {
    fn settings(&self) -> Result<FillConfig, Failure> {
        let flags = Flags {
            guide: Some(&self.guide),
            output: Some(&self.drawn),
            tune: Some(&self.tuning.flags),
            sampler: Some(&self.sampler),
        };
        resolve(self.tuning.preset, self.tuning.config.as_ref(), &flags).or_bad_input()
    }

    /// Bytes that the job needs to go on from where it was stopped, roughly.
    fn kept_bytes(&self, scene: &Scene, config: &FillConfig) -> u64 {
        self.model.checkpoint_bytes(&config.tune) + guide_bytes(scene, config)
    }
}

/// Completes the photo.
pub fn run(arguments: &Arguments, talk: Talk) -> Result<(), Failure> {
    let clock = Instant::now();
    arguments.profile.check()?;
    let config = arguments.settings()?;
    let identity = arguments.output.credentials.identity()?;
    let scene = arguments.scene.open(talk)?;
    let mut model = arguments.model.load(&config.tune)?;
    let folder = arguments.output.output.as_path();
    let (mask, more_bytes) = (arguments.scene.mask.as_deref(), arguments.kept_bytes(&scene, &config));
    arguments.output.prepare(&scene, mask, config.candidates, more_bytes)?;
    let _profile = arguments.profile.begin()?;
    match arguments.resume {
        true if arguments.output.supervised => {} // that is always said to go on
        true => note_new_start(folder, talk),
        false => remove_checkpoints(folder).or_failed()?,
    }

    interrupt::listen();
    let mut progress = Progress::new(talk);
    let completion = fill(&scene, model.as_mut(), &config, folder, &mut |event| progress.hear(&event));
    progress.finish();
    let completion = completion.map_err(Failure::of_job)?;
    let written = arguments.output.write(&scene, &completion, identity.as_ref())?;
    remove_checkpoints(folder).or_failed()?;
    conclude(&mut progress, &written, &completion, clock.elapsed().as_secs_f64());
    Ok(())
}

/// The last lines: where the picture is, how far it is true, how long it took.
pub fn conclude(progress: &mut Progress, written: &Written, completion: &Completion, secs: f64) {
    let (saved, path) = (&written.saved, written.saved.path.display().to_string());
    let signer = written.signer.as_ref();
    let told = [supported(completion), credentials(written), format!("took {}", duration(secs))];
    let notes = saved.notes.iter().map(|note| format!("note: {note}"));
    let lines: Vec<String> = std::iter::once(format!("completed photo: {path}")).chain(notes).chain(told).collect();
    let report = serde_json::to_value(&completion.report).unwrap_or_default();
    progress.conclude(
        &lines,
        json!({ "event": "done", "completed": path, "notes": saved.notes, "signer": signer.map(|signer| &signer.name), "secs": secs, "report": report }),
    );
}

fn credentials(written: &Written) -> String {
    match &written.signer {
        Some(signer) if signer.self_made => {
            format!("content credentials: signed by {}, self-made and so untrusted by verifiers", signer.name)
        }
        Some(signer) => format!("content credentials: signed by {}", signer.name),
        None => "content credentials: none".into(),
    }
}

fn supported(completion: &Completion) -> String {
    let percent = 100.0 * completion.report.supported_share;
    match completion.report.config.guide {
        true => format!("supported by the references: {percent:.0} % of the hole; the rest is invented"),
        false => "nothing in the hole is checked against the references (--guide off)".into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::arguments::{Arguments, Command};
    use clap::Parser;
    use realfill_vision::{Mask, Photo, Scene};

    fn typed(flags: &[&str]) -> super::Arguments {
        let words = ["realfill", "fill", "my-scene"];
        let parsed = Arguments::try_parse_from(words.iter().chain(flags)).unwrap();
        let Command::Fill(fill) = parsed.command else { panic!("another command") };
        fill
    }

    #[test]
    fn room_is_asked_for_for_checkpoints_and_guides() {
        let photo = || Photo::from_pixels(image::RgbImage::new(1024, 768));
        let hole = Mask::from_fn(1024, 768, |x, _| x < 200);
        let scene = Scene::new("s", photo(), hole, vec![photo()]).unwrap();
        let needed = |flags: &[&str]| {
            let fill = typed(flags);
            fill.kept_bytes(&scene, &fill.settings().unwrap())
        };
        assert_eq!(needed(&["--guide", "off"]), 400_000_000);
        assert_eq!(needed(&["--candidates", "4"]), 400_000_000 + 4 * 39 * 1024 * 768);
        assert_eq!(needed(&["--guide", "off", "--iterations", "0"]), 0);
    }

    #[test]
    fn the_seeds_of_sampling_and_of_tuning_are_two() {
        let fill = typed(&["--seed", "7", "--tune-seed", "9"]);
        let config = fill.settings().unwrap();
        assert_eq!((config.seed, config.tune.seed), (7, 9));
    }
}
