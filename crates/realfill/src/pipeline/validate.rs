//! The ranges of the settings, whether they came by flag, by file or by request.

use super::FillConfig;

/// A setting out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OutOfRange {
    /// One with two ends.
    #[error("{name} is {found}; it must be from {least} to {most}")]
    Between {
        /// Its name, as in a settings file.
        name: String,
        /// What it was.
        found: f64,
        /// The least it may be.
        least: f64,
        /// The most it may be.
        most: f64,
    },
    /// One with no upper end.
    #[error("{name} is {found}; it must be at least {least}")]
    TooSmall {
        /// Its name, as in a settings file.
        name: String,
        /// What it was.
        found: f64,
        /// The least it may be.
        least: f64,
    },
}

/// Smallest view that a model can work at, in pixels.
const SMALLEST_VIEW_PX: u32 = 32;

/// Largest, in pixels: attention's memory grows with the fourth power of the side.
const LARGEST_VIEW_PX: u32 = 4096;

/// Most optimiser steps of one job: months.
const MOST_ITERATIONS: usize = 1_000_000;

/// Most pictures of one job.
const MOST_CANDIDATES: usize = 1000;

impl FillConfig {
    /// Checks every value that has a range.
    ///
    /// # Errors
    /// The first value out of its range, with the range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        validate(self)
    }
}

fn validate(config: &FillConfig) -> Result<(), OutOfRange> {
    let (tune, sampler) = (&config.tune, &config.sampler);
    within("candidates", config.candidates as f64, 1.0, MOST_CANDIDATES as f64)?;
    within("feather_px", f64::from(config.feather_px), 0.0, 1000.0)?;
    if config.view_px != 0 {
        within("view_px", f64::from(config.view_px), f64::from(SMALLEST_VIEW_PX), f64::from(LARGEST_VIEW_PX))?;
    }
    within("sampler.steps", sampler.steps as f64, 0.0, 1000.0)?;
    within("tune.iterations", tune.iterations as f64, 0.0, MOST_ITERATIONS as f64)?;
    within("tune.batch", tune.batch as f64, 1.0, 1024.0)?;
    within("tune.gradient_accumulation", tune.gradient_accumulation as f64, 1.0, 1024.0)?;
    within("tune.checkpoint_every", tune.checkpoint_every as f64, 1.0, f64::MAX)?;
    within("tune.validate_every", tune.validate_every as f64, 0.0, MOST_ITERATIONS as f64)?;
    within("tune.patience", tune.patience as f64, 1.0, f64::MAX)?;
    within("tune.rank", tune.rank as f64, 1.0, 1024.0)?;
    within("tune.alpha", tune.alpha, 0.0, 1e6)?;
    within("tune.weight_decay", tune.weight_decay, 0.0, 1.0)?;
    within("tune.max_gradient_norm", tune.max_gradient_norm, 1e-6, 1e6)?;
    for (name, rate) in [("learning_rate", tune.learning_rate), ("text_learning_rate", tune.text_learning_rate)] {
        within(&format!("tune.{name}"), rate, 0.0, 1.0)?;
    }
    let shares = [
        ("model_weight", f64::from(config.model_weight)),
        ("sampler.eta", sampler.eta),
        ("tune.lora_dropout", tune.lora_dropout),
        ("tune.layer_dropout", tune.layer_dropout),
        ("tune.prompt_dropout", tune.prompt_dropout),
        ("tune.mask_dropout", tune.mask_dropout),
        ("tune.guided_share", tune.guided_share),
    ];
    shares.into_iter().try_for_each(|(name, share)| within(name, share, 0.0, 1.0))
}

fn within(name: &str, found: f64, least: f64, most: f64) -> Result<(), OutOfRange> {
    let name = || name.to_owned();
    match most {
        _ if (least..=most).contains(&found) => Ok(()),
        f64::MAX => Err(OutOfRange::TooSmall { name: name(), found, least }),
        _ => Err(OutOfRange::Between { name: name(), found, least, most }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuning::{Preset, TuneConfig};

    #[test]
    fn presets_are_valid() {
        for preset in [Preset::Quick, Preset::Thorough, Preset::Paper] {
            validate(&FillConfig { tune: preset.config(), ..FillConfig::default() }).unwrap();
        }
    }

    #[test]
    fn values_out_of_range_are_named_with_their_range() {
        let no_batch = TuneConfig { batch: 0, ..TuneConfig::default() };
        let endless = TuneConfig { iterations: 10_000_000, ..TuneConfig::default() };
        let impatient = TuneConfig { patience: 0, ..TuneConfig::default() };
        let no_step = TuneConfig { max_gradient_norm: 0.0, ..TuneConfig::default() };
        let not_a_rate = TuneConfig { learning_rate: f64::NAN, ..TuneConfig::default() };
        for (config, name) in [
            (FillConfig { candidates: 0, ..FillConfig::default() }, "candidates is 0; it must be from 1 to 1000"),
            (FillConfig { view_px: 5, ..FillConfig::default() }, "view_px is 5"),
            (FillConfig { tune: no_batch, ..FillConfig::default() }, "tune.batch is 0"),
            (
                FillConfig { tune: endless, ..FillConfig::default() },
                "tune.iterations is 10000000; it must be from 0 to 1000000",
            ),
            (FillConfig { tune: impatient, ..FillConfig::default() }, "tune.patience is 0; it must be at least 1"),
            (
                FillConfig { tune: no_step, ..FillConfig::default() },
                "tune.max_gradient_norm is 0; it must be from 0.000001 to 1000000",
            ),
            (FillConfig { tune: not_a_rate, ..FillConfig::default() }, "tune.learning_rate is NaN"),
        ] {
            let message = validate(&config).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
