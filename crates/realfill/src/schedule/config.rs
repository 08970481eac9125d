//! The file `scheduler_config.json` of a checkpoint in the diffusers layout. It describes both the schedule that the
//! model was trained with and options of one sampler; the sampler is ours to choose, so the latter are kept as they are and
//! looked at when a run is planned.

use realfill_models::json::from_python;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BetaSchedule, ScheduleError, TimestepSpacing};
use crate::denoiser::PredictionType;

/// The training schedule and how runs are spaced on it. Absent fields have diffusers' defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleConfig {
    /// The scheduler class that wrote the file; decides the default of `clip_sample`.
    #[serde(rename = "_class_name", skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// Training timesteps; default 1000.
    pub num_train_timesteps: usize,
    /// Beta of the first timestep, in (0, 1]; default 0.0001.
    pub beta_start: f64,
    /// Beta of the last timestep, in (0, 1]; default 0.02.
    pub beta_end: f64,
    /// The curve between them; default linear.
    pub beta_schedule: BetaSchedule,
    /// All betas one by one, instead of a curve; default none.
    pub trained_betas: Option<Vec<f64>>,
    /// What the model predicts; default the noise.
    pub prediction_type: PredictionType,
    /// Where a run's timesteps lie; default: leading for DDPM and DDIM, linspace for the other samplers.
    pub timestep_spacing: Option<TimestepSpacing>,
    /// Added to leading timesteps; default 0.
    pub steps_offset: usize,
    /// Whether the last training timestep is made pure noise; default false.
    pub rescale_betas_zero_snr: bool,
    /// Whether DDIM's last step goes to the clean image, rather than to the first timestep; default true.
    pub set_alpha_to_one: bool,
    /// Whether DDPM and DDIM clip the predicted image; default: true in a file of these two, else false.
    pub clip_sample: Option<bool>,
    /// Largest magnitude after clipping; default 1.
    pub clip_sample_range: f64,
    /// Least `lambda` at which DPM-Solver++ starts, against the steep end of the cosine curve; default none.
    pub lambda_min_clipped: Option<f64>,
    /// All else in the file: what only some samplers have, such as `use_karras_sigmas`; default nothing.
    #[serde(flatten)]
    pub options: Map<String, Value>,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            class_name: None,
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            prediction_type: PredictionType::Epsilon,
            timestep_spacing: None,
            steps_offset: 0,
            rescale_betas_zero_snr: false,
            set_alpha_to_one: true,
            clip_sample: None,
            clip_sample_range: 1.0,
            lambda_min_clipped: None,
            options: Map::new(),
        }
    }
}

impl ScheduleConfig {
    /// Reads the text of a `scheduler_config.json`.
    ///
    /// # Errors
    /// [`ScheduleError::Parse`] names an unknown value and the accepted ones.
    pub fn from_json(text: &str) -> Result<Self, ScheduleError> {
        // Python writes an absent lower bound as a number that JSON does not have.
        let value: Value = serde_json::from_str(&from_python(text))?;
        Ok(serde_json::from_value(value)?)
    }

    /// A number among the options.
    pub(super) fn number(&self, option: &str) -> Option<f64> {
        self.options.get(option).and_then(Value::as_f64)
    }

    /// Whether the samplers that can are to space their levels as Karras et al. do.
    pub(super) fn uses_karras_sigmas(&self) -> bool {
        self.options.get("use_karras_sigmas").and_then(Value::as_bool).unwrap_or(false)
    }

    /// The magnitude that DDPM and DDIM clip the predicted image to, if they do.
    pub fn clip_range(&self) -> Option<f64> {
        let clips_by_default = matches!(self.class_name.as_deref(), Some("DDPMScheduler" | "DDIMScheduler"));
        self.clip_sample.unwrap_or(clips_by_default).then_some(self.clip_sample_range)
    }

    /// The noise of every training timestep.
    ///
    /// # Errors
    /// There are none, or one is outside (0, 1].
    pub(super) fn betas(&self) -> Result<Vec<f64>, ScheduleError> {
        let betas = match &self.trained_betas {
            Some(betas) => betas.clone(),
            None => self.beta_schedule.betas(self.beta_start, self.beta_end, self.num_train_timesteps),
        };
        if betas.is_empty() || betas.len() != self.num_train_timesteps {
            return Err(ScheduleError::TrainTimesteps { timesteps: self.num_train_timesteps, betas: betas.len() });
        }
        match betas.iter().position(|&beta| !(beta > 0.0 && beta <= 1.0)) {
            Some(timestep) => Err(ScheduleError::Beta { timestep, beta: betas[timestep] }),
            None => Ok(betas),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scheduler file of a Stable Diffusion 2 inpainting checkpoint.
    const STABLE_DIFFUSION_2: &str = r#"{
        "_class_name": "PNDMScheduler", "_diffusers_version": "0.8.0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "beta_start": 0.00085, "clip_sample": false, "num_train_timesteps": 1000, "set_alpha_to_one": false,
        "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null
    }"#;

    fn error(text: &str) -> String {
        ScheduleConfig::from_json(text).expect_err("should be refused").to_string()
    }

    #[test]
    fn a_stable_diffusion_file_is_read() {
        let config = ScheduleConfig::from_json(STABLE_DIFFUSION_2).expect("a known file");
        assert_eq!(config.beta_schedule, BetaSchedule::ScaledLinear);
        assert_eq!((config.steps_offset, config.set_alpha_to_one, config.clip_range()), (1, false, None));
        assert_eq!(config.prediction_type, PredictionType::Epsilon);
        assert_eq!(config.timestep_spacing, None);
    }

    #[test]
    fn unknown_values_are_named_with_the_accepted_ones() {
        let message = error(r#"{"beta_schedule": "sigmoid"}"#);
        assert!(message.contains("`sigmoid`") && message.contains("`squaredcos_cap_v2`"), "{message}");
        let message = error(r#"{"prediction_type": "flow_prediction"}"#);
        assert!(message.contains("`flow_prediction`") && message.contains("`v_prediction`"), "{message}");
        let message = error(r#"{"timestep_spacing": "random"}"#);
        assert!(message.contains("`random`") && message.contains("`trailing`"), "{message}");
    }

    #[test]
    fn options_of_samplers_are_kept() {
        let text =
            r#"{"use_karras_sigmas": true, "final_sigmas_type": "sigma_min", "sigma_max": 12, "beta_end": 0.012}"#;
        let config = ScheduleConfig::from_json(text).expect("nothing that concerns all samplers");
        assert!(config.uses_karras_sigmas() && config.beta_end == 0.012);
        assert_eq!((config.number("sigma_max"), config.number("sigma_min")), (Some(12.0), None));
        assert_eq!(config.options["final_sigmas_type"], "sigma_min");
    }

    #[test]
    fn an_infinite_bound_as_python_writes_it_means_none() {
        let config = ScheduleConfig::from_json(r#"{"lambda_min_clipped": -Infinity}"#).expect("Python's JSON");
        assert_eq!(config.lambda_min_clipped, None);
    }

    #[test]
    fn clipping_defaults_to_what_the_writing_class_does() {
        let clip = |text| ScheduleConfig::from_json(text).expect("valid").clip_range();
        assert_eq!(clip(r#"{"_class_name": "DDPMScheduler"}"#), Some(1.0));
        assert_eq!(clip(r#"{"_class_name": "EulerDiscreteScheduler"}"#), None);
        assert_eq!(clip(r#"{"clip_sample": true, "clip_sample_range": 2.0}"#), Some(2.0));
    }

    #[test]
    fn a_file_written_here_reads_back() {
        let options = Map::from_iter([("thresholding".to_owned(), Value::Bool(true))]);
        let config = ScheduleConfig { lambda_min_clipped: Some(-5.1), options, ..ScheduleConfig::default() };
        let text = serde_json::to_string(&config).expect("serialises");
        assert_eq!(ScheduleConfig::from_json(&text).expect("reads"), config);
    }
}
