//! Settings from four places into one validated [`FillConfig`]: defaults, then the preset, then the file, then flags.
//!
//! Flags and file have the same shape as the configuration itself, so that laying one over the other is one merge.

mod flags;

pub use flags::{GuideFlags, OutputSettings, SamplerFlags, TuneFlags};

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use realfill::pipeline::FillConfig;
use realfill::tuning::{Preset, TuneConfig};
use serde::Serialize;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Flags of one command, laid out like [`FillConfig`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct Flags<'a> {
    #[serde(flatten)]
    pub guide: Option<&'a GuideFlags>,
    #[serde(flatten)]
    pub output: Option<&'a OutputSettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tune: Option<&'a TuneFlags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<&'a SamplerFlags>,
}

/// Where the settings of tuning come from.
#[derive(Clone, Debug, Args)]
pub struct TuningArguments {
    /// Named settings of tuning: quick, thorough, or paper (2000 steps of 16, as published) [default: quick]
    #[arg(long, value_name = "NAME", value_parser = preset(), help_heading = "Tuning")]
    pub preset: Option<Preset>,
    /// Settings from a TOML file; flags win over it, it wins over the preset
    #[arg(long, value_name = "FILE", help_heading = "Tuning")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub flags: TuneFlags,
}

/// Reads the name of a preset.
fn preset() -> impl TypedValueParser<Value = Preset> {
    PossibleValuesParser::new(["quick", "thorough", "paper"]).map(|name| match name.as_str() {
        "paper" => Preset::Paper,
        "thorough" => Preset::Thorough,
        _ => Preset::Quick,
    })
}

/// The settings of a job.
///
/// # Errors
/// A file that cannot be read or names unknown settings, or a value out of its range.
pub fn resolve(preset: Option<Preset>, file: Option<&PathBuf>, flags: &Flags) -> Result<FillConfig> {
    let tune = preset.map_or_else(TuneConfig::default, Preset::config);
    let mut settings = Table::try_from(FillConfig { tune, ..FillConfig::default() }).context("settings as a table")?;
    if let Some(path) = file {
        overlay(&mut settings, read(path)?);
        parse(&settings).with_context(|| format!("{} has a setting that does not exist or fit", path.display()))?;
    }
    overlay(&mut settings, Table::try_from(flags).context("flags as a table")?);
    let config = parse(&settings)?;
    config.check()?;
    Ok(config)
}

fn parse(settings: &Table) -> Result<FillConfig> {
    Ok(settings.clone().try_into()?)
}

fn read(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {}; give a TOML file of settings", path.display()))?;
    text.parse().with_context(|| format!("{} is not a TOML file of settings", path.display()))
}

/// Lays `over` onto `under`, table by table.
fn overlay(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(tune: &TuneFlags) -> Flags<'_> {
        Flags { tune: Some(tune), ..Flags::default() }
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_preset() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        std::fs::write(&file, "candidates = 2\n[tune]\nbatch = 3\nrank = 5\n[sampler]\nkind = \"ddim\"").unwrap();
        let tune = TuneFlags { batch: Some(7), mask_unseen: Some(true), ..TuneFlags::default() };
        let config = resolve(Some(Preset::Paper), Some(&file), &flags(&tune)).unwrap();
        assert_eq!((config.tune.iterations, config.tune.batch, config.tune.rank), (2000, 7, 5));
        assert_eq!((config.candidates, config.sampler.kind.name()), (2, "ddim"));
        assert!(config.tune.mask_unseen);
        assert_eq!(config.sampler.steps, FillConfig::default().sampler.steps);
    }

    #[test]
    fn no_settings_are_the_defaults() {
        let none = TuneFlags::default();
        assert_eq!(resolve(None, None, &flags(&none)).unwrap(), FillConfig::default());
    }

    #[test]
    fn an_unknown_setting_names_the_file_and_the_setting() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        std::fs::write(&file, "[tune]\nbatches = 3").unwrap();
        let error = resolve(None, Some(&file), &Flags::default()).unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("settings.toml") && message.contains("batches"), "{message}");
    }
}
