//! Every command and flag, as typed. What a value must be is checked when it becomes part of a plan (`settings`,
//! `source`, `device`).

use crate::commands::{completions, devices, fill, models, pretrain, sample, serve, tune, verify, worker};
use clap::{Args, Parser, Subcommand};

const AFTER_HELP: &str = "\
Examples:
  realfill fill my-scene --output out       complete the scene in the folder my-scene
  realfill fill --target photo.jpg --mask hole.png --reference a.jpg --reference b.jpg
  realfill serve                            the same in a browser, at http://127.0.0.1:7878
  realfill verify out/completed.jpg         what was changed in a photo, and by whom
  realfill devices                          what it can run on, tested
  realfill help fill                        all settings of a command

Exit codes: 0 done, 1 failed, 2 bad input, 130 stopped with Ctrl-C.";

/// Completes a photo with what its reference photos show was really there.
#[derive(Debug, Parser)]
#[command(name = "realfill", version, after_help = AFTER_HELP, max_term_width = 100, propagate_version = true)]
pub struct Arguments {
    #[command(flatten)]
    pub talk: Talk,
    #[command(subcommand)]
    pub command: Command,
}

/// How much is told while a command works.
#[derive(Clone, Copy, Debug, Args)]
pub struct Talk {
    /// Say nothing but errors
    #[arg(long, short, global = true, conflicts_with = "json", help_heading = "Output")]
    pub quiet: bool,
    /// One JSON object a line on the standard output for every event, the last one the result
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one of it in a process")]
pub enum Command {
    /// Complete a photo: guide, tuning, sampling, ranking, composite
    Fill(fill::Arguments),
    /// Tune a model on a scene and save the adapter
    Tune(tune::Arguments),
    /// Sample, rank and composite with an adapter that was tuned before
    Sample(sample::Arguments),
    /// Serve the web page and the HTTP API
    Serve(serve::Arguments),
    /// Run the jobs of a server's queue
    Worker(worker::Arguments),
    /// Train the embedded model on a folder of photos
    Pretrain(pretrain::Arguments),
    /// What models there are, and what a model's folder holds
    Models(models::Arguments),
    /// What this program can run on, with a self-test
    Devices(devices::Arguments),
    /// What a picture's content credentials say, and whether it was altered since
    Verify(verify::Arguments),
    /// Print the completions of a shell
    Completions(completions::Arguments),
}

impl Command {
    /// The name of a command that [`Talk`] means nothing to.
    pub fn without_talk(&self) -> Option<&'static str> {
        match self {
            Self::Fill(_) | Self::Tune(_) | Self::Sample(_) | Self::Pretrain(_) | Self::Verify(_) => None,
            Self::Serve(_) => Some("serve"),
            Self::Worker(_) => Some("worker"),
            Self::Models(_) => Some("models"),
            Self::Devices(_) => Some("devices"),
            Self::Completions(_) => Some("completions"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::collections::BTreeSet;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }

    /// Arguments of one id would share their values; clap looks for that in debug builds alone.
    #[test]
    fn every_argument_has_an_id_of_its_own() {
        for command in Arguments::command().get_subcommands() {
            let ids: Vec<&str> = command.get_arguments().map(|argument| argument.get_id().as_str()).collect();
            let once: BTreeSet<&str> = ids.iter().copied().collect();
            assert_eq!(once.len(), ids.len(), "{}: {ids:?}", command.get_name());
        }
    }

    /// The commands of the deployment files: lists after `CMD`, `command:` and `args:`, and units' `ExecStart=`.
    fn deployed() -> Vec<Vec<String>> {
        let files = ["Dockerfile", "compose.yaml", "kubernetes.yaml", "realfill.service", "realfill-worker@.service"];
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");
        let texts = files.map(|file| std::fs::read_to_string(format!("{folder}/{file}")).unwrap());
        let of_line = |line: &str| match line.trim().strip_prefix("ExecStart=/usr/local/bin/realfill ") {
            Some(words) => Some(words.split(' ').map(str::to_owned).collect()),
            None => {
                let list = ["CMD ", "command: ", "args: "].iter().find_map(|start| line.trim().strip_prefix(start))?;
                serde_json::from_str::<Vec<String>>(list).ok()
            }
        };
        let all = texts.iter().flat_map(|text| text.lines()).filter_map(of_line);
        all.filter(|words| ["serve", "worker"].contains(&words[0].as_str())).collect()
    }

    #[test]
    fn the_deployment_files_start_what_there_is() {
        let commands = deployed();
        assert_eq!(commands.len(), 7, "{commands:?}");
        for words in commands {
            let words = std::iter::once("realfill".to_owned()).chain(words);
            Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// The commands of the README and of all help texts that sample with an adapter.
    fn shown_with_an_adapter() -> Vec<String> {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
        let all = Arguments::command();
        let helps = all.get_subcommands().filter_map(|command| command.get_after_help().map(ToString::to_string));
        let texts: Vec<String> = helps.chain([readme]).collect();
        let shown = texts.iter().flat_map(|text| text.split(['`', '\n'])).map(str::trim);
        let sampling = shown.filter(|line| line.starts_with("realfill sample ") && line.contains(" --adapter "));
        sampling.map(str::to_owned).collect()
    }

    #[test]
    fn an_adapter_is_shown_with_an_output_folder_that_is_not_its_own() {
        let commands = shown_with_an_adapter();
        assert_eq!(commands.len(), 5, "{commands:?}");
        for command in commands {
            Arguments::try_parse_from(command.split(' ')).unwrap_or_else(|error| panic!("{error}"));
            let value = |flag: &str| command.split(' ').skip_while(|word| *word != flag).nth(1);
            let folder = value("--adapter").and_then(|adapter| adapter.strip_suffix("/adapter"));
            assert!(folder.is_some() && value("--output").is_some() && folder != value("--output"), "{command}");
        }
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Arguments::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("realfill {}", command.get_name())), "{} has none", command.get_name());
        }
    }
}
