//! Noise schedules: how much noise a model saw at each training timestep, and which of these levels a run visits.
//! Read from a checkpoint's own `scheduler_config.json`, so that training and sampling agree with what the model learnt.

mod betas;
mod config;
mod error;
mod karras;
mod level;
mod options;
mod plan;
mod spacing;

use std::path::Path;

use burn::tensor::Tensor;

pub use betas::BetaSchedule;
pub use config::ScheduleConfig;
pub use error::ScheduleError;
pub use level::NoiseLevel;
pub use plan::Plan;
pub use spacing::TimestepSpacing;

use crate::denoiser::{PredictionType, mix};
use crate::samplers::SamplerKind;

/// The noise levels of all training timesteps.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseSchedule {
    config: ScheduleConfig,
    levels: Vec<NoiseLevel>,
    alphas_cumprod: Vec<f64>,
}

impl NoiseSchedule {
    /// The schedule that a configuration describes.
    ///
    /// # Errors
    /// The betas are not one for each timestep, or outside (0, 1].
    pub fn new(config: ScheduleConfig) -> Result<Self, ScheduleError> {
        let mut alphas_cumprod = betas::alphas_cumprod(&config.betas()?);
        if config.rescale_betas_zero_snr {
            betas::rescale_to_zero_terminal_snr(&mut alphas_cumprod);
        }
        let levels = alphas_cumprod.iter().enumerate().map(|(t, &a)| NoiseLevel::new(t as f32, a)).collect();
        Ok(Self { config, levels, alphas_cumprod })
    }

    /// Reads a `scheduler_config.json`.
    ///
    /// # Errors
    /// The file cannot be read, or holds unknown values; the message names them.
    pub fn from_file(path: &Path) -> Result<Self, ScheduleError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ScheduleError::Read { path: path.to_owned(), source })?;
        ScheduleConfig::from_json(&text)
            .and_then(Self::new)
            .map_err(|source| ScheduleError::InFile { path: path.to_owned(), source: Box::new(source) })
    }

    /// What the schedule was made from.
    pub fn config(&self) -> &ScheduleConfig {
        &self.config
    }

    /// What the model predicts.
    pub fn prediction_type(&self) -> PredictionType {
        self.config.prediction_type
    }

    /// The number of training timesteps, at least 1.
    pub fn train_timesteps(&self) -> usize {
        self.levels.len()
    }

    /// The share of signal variance at each timestep, falling; 0 at the last one with zero terminal SNR.
    pub fn alphas_cumprod(&self) -> &[f64] {
        &self.alphas_cumprod
    }

    /// The level of a training timestep.
    ///
    /// # Panics
    /// When `timestep` is not below [`train_timesteps`](Self::train_timesteps).
    pub fn level(&self, timestep: usize) -> &NoiseLevel {
        &self.levels[timestep]
    }

    /// The signal-to-noise ratio `alpha² / sigma²` of a timestep; 0 at zero terminal SNR. Panics as [`level`](Self::level).
    pub fn snr(&self, timestep: usize) -> f64 {
        let alpha_cumprod = self.alphas_cumprod[timestep];
        alpha_cumprod / (1.0 - alpha_cumprod)
    }

    /// The noisy sample of each row, `[n, c, h, w]`; one timestep a row, or one for all. Panics as [`level`](Self::level).
    pub fn add_noise(&self, x0: Tensor<4>, noise: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        mix(x0, noise, &self.at(timesteps))
    }

    /// What the model should predict for each row, `[n, c, h, w]`; `timesteps` and panics as in
    /// [`add_noise`](Self::add_noise).
    pub fn target(&self, x0: Tensor<4>, noise: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        self.prediction_type().target(x0, noise, &self.at(timesteps))
    }

    /// The image that the model's `raw` prediction for `x` means, `[n, c, h, w]`; `timesteps` and panics as in
    /// [`add_noise`](Self::add_noise).
    pub fn predicted_x0(&self, x: Tensor<4>, raw: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        self.prediction_type().x0(x, raw, &self.at(timesteps))
    }

    /// The levels that a run of `steps` steps visits.
    ///
    /// # Errors
    /// The steps do not fit on the training timesteps, and the message says how many do; or the file has an option that the
    /// sampler lacks.
    pub fn plan(&self, kind: SamplerKind, steps: usize) -> Result<Plan, ScheduleError> {
        Plan::new(self, kind, steps)
    }

    fn at(&self, timesteps: &[usize]) -> Vec<NoiseLevel> {
        timesteps.iter().map(|&t| self.levels[t]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str) -> NoiseSchedule {
        NoiseSchedule::new(ScheduleConfig::from_json(text).expect("valid")).expect("valid")
    }

    #[test]
    fn betas_outside_their_range_are_refused() {
        let refuse = |config| NoiseSchedule::new(config).expect_err("should be refused").to_string();
        let message = refuse(ScheduleConfig { beta_start: 0.0, ..ScheduleConfig::default() });
        assert!(message.contains("beta is 0 at training timestep 0"), "{message}");
        let message = refuse(ScheduleConfig { trained_betas: Some(vec![0.1; 3]), ..ScheduleConfig::default() });
        assert!(message.contains("1000 training timesteps and 3 betas"), "{message}");
        let message = refuse(ScheduleConfig { num_train_timesteps: 0, ..ScheduleConfig::default() });
        assert!(message.contains("0 training timesteps"), "{message}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = NoiseSchedule::from_file(Path::new("no/such/scheduler_config.json")).expect_err("missing");
        assert!(error.to_string().contains("no/such/scheduler_config.json"), "{error}");
    }

    #[test]
    fn too_many_steps_say_how_many_fit() {
        let leading = schedule(r#"{"timestep_spacing": "leading", "steps_offset": 1}"#);
        for (kind, asked, most) in [(SamplerKind::Ddim, 1001, 999), (SamplerKind::DpmPp2m, 1000, 998)] {
            let message = leading.plan(kind, asked).expect_err("too many").to_string();
            assert!(message.contains(&format!("use 1 to {most}")), "{kind}: {message}");
        }
        assert!(leading.plan(SamplerKind::Ddim, 0).is_err());
    }

    #[test]
    fn every_number_of_steps_up_to_the_most_gives_falling_noise() {
        for spacing in ["leading", "trailing", "linspace"] {
            let schedule = schedule(&format!(r#"{{"timestep_spacing": "{spacing}", "num_train_timesteps": 50}}"#));
            for kind in SamplerKind::ALL {
                for steps in 1..=49 {
                    let plan = schedule.plan(kind, steps).expect("fits");
                    assert_eq!(plan.steps(), steps, "{kind} {spacing}");
                    let falls = (0..steps).all(|i| plan.level(i + 1).sigma < plan.level(i).sigma);
                    assert!(falls, "{kind} {spacing} {steps}");
                }
            }
        }
    }

    #[test]
    fn options_concern_the_samplers_that_diffusers_has_them_for() {
        for (option, refused) in [
            (r#""thresholding": true"#, "ddpm ddim dpmpp-2m dpmpp-2m-sde unipc"),
            (r#""use_lu_lambdas": true"#, "dpmpp-2m dpmpp-2m-sde"),
            (r#""use_exponential_sigmas": true"#, "euler dpmpp-2m dpmpp-2m-sde unipc"),
            (r#""final_sigmas_type": "sigma_min""#, "euler dpmpp-2m dpmpp-2m-sde unipc"),
            (r#""timestep_type": "continuous""#, "euler"),
            (r#""variance_type": "fixed_large""#, "ddpm"),
            (r#""variance_type": "learned_range""#, "ddpm dpmpp-2m dpmpp-2m-sde"),
            (r#""use_beta_sigmas": null, "use_karras_sigmas": true, "_diffusers_version": "0.42.1""#, ""),
        ] {
            let schedule = schedule(&format!("{{{option}}}"));
            let found = SamplerKind::ALL.into_iter().filter(|&kind| schedule.plan(kind, 10).is_err());
            assert_eq!(found.map(SamplerKind::name).collect::<Vec<_>>().join(" "), refused, "{option}");
        }
    }

    #[test]
    fn a_sampler_that_lacks_an_option_names_others() {
        let schedule = schedule(r#"{"final_sigmas_type": "sigma_min", "thresholding": true}"#);
        let message = schedule.plan(SamplerKind::Euler, 10).expect_err("refused").to_string();
        let expected = "has final_sigmas_type = \"sigma_min\", which the sampler euler does not have here; choose another \
                        sampler (euler-ancestral), or set it to \"zero\"";
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn the_signal_to_noise_ratio_is_zero_where_only_noise_is_left() {
        let schedule = schedule(r#"{"rescale_betas_zero_snr": true}"#);
        assert_eq!(schedule.snr(999), 0.0);
        assert!((schedule.snr(0) - 0.9999 / 0.0001).abs() < 1e-6);
    }

    #[test]
    fn a_clipped_lambda_starts_where_there_is_enough_signal() {
        let text = r#"{"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1}"#;
        let first = *schedule(text).plan(SamplerKind::DpmPp2m, 20).expect("fits").level(0);
        assert!(first.lambda() >= -5.1 && first.timestep < 999.0, "{first:?}");
    }
}
