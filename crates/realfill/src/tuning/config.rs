//! The settings of tuning: one struct for the command line, the API and the file.

use serde::{Deserialize, Serialize};

/// How the learning rate goes on after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearningRate {
    /// Constant, as published.
    Constant,
    /// Falls to 0 along a half cosine.
    #[default]
    Cosine,
}

/// How to tune.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TuneConfig {
    /// Optimiser steps; 0 leaves the model as it is.
    pub iterations: usize,
    /// Samples a pass.
    pub batch: usize,
    /// Forward and backward passes a step, each on `batch` samples.
    pub gradient_accumulation: usize,
    /// AdamW's rate for the U-Net; the embedded model takes a quarter of it on a scene with guides.
    pub learning_rate: f64,
    /// AdamW's rate for the text encoder (Stable Diffusion bases).
    pub text_learning_rate: f64,
    /// Steps over which the rates rise from 0.
    pub warmup_steps: usize,
    /// How the rates go on.
    pub schedule: LearningRate,
    /// AdamW's weight decay.
    pub weight_decay: f64,
    /// Largest norm of a step's gradients, over all weights together.
    pub max_gradient_norm: f64,
    /// LoRA's rank (Stable Diffusion bases).
    pub rank: usize,
    /// LoRA's alpha; the adapter is scaled by alpha / rank.
    pub alpha: f64,
    /// Probability of dropping a LoRA layer's input values.
    pub lora_dropout: f64,
    /// Probability of dropping a whole LoRA layer for a step.
    pub layer_dropout: f64,
    /// Probability of an empty prompt.
    pub prompt_dropout: f64,
    /// Probability of masking a reference in full.
    pub mask_dropout: f64,
    /// Whether what lies outside the target's view is left out of the references' loss (cf. the target-aware masking of GeoComplete, 2025,
    /// arXiv 2510.03110). Nothing is where it is not known where a reference lands, as without a guide.
    pub mask_unseen: bool,
    /// The sentence that stands for the scene.
    pub prompt: String,
    /// Share of samples that pretend a photo is the target and show its guide, 0 to 1.
    pub guided_share: f64,
    /// Steps between checkpoints; where these take more than a minute, there is one a minute.
    pub checkpoint_every: usize,
    /// Steps between looks at the validation loss: the error in the hole of a reference that is held out. 0 never looks, and
    /// holds nothing out.
    pub validate_every: usize,
    /// Looks without an improvement of 0.5 % after which tuning stops early.
    pub patience: usize,
    /// Seed of crops, masks, noise and dropout.
    pub seed: u64,
}

/// Named settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// 32 iterations of 8 samples: half a minute of two cores with the embedded model.
    #[default]
    Quick,
    /// At most 400 iterations, six minutes: it stops when a held-out reference gets no better.
    Thorough,
    /// 2000 iterations of 16 samples at a constant rate, as published.
    Paper,
}

impl Default for TuneConfig {
    fn default() -> Self {
        Self {
            iterations: 32,
            batch: 8,
            gradient_accumulation: 1,
            learning_rate: 2e-4,
            text_learning_rate: 4e-5,
            warmup_steps: 10,
            schedule: LearningRate::Cosine,
            weight_decay: 1e-2,
            max_gradient_norm: 1.0,
            rank: 8,
            alpha: 16.0,
            lora_dropout: 0.1,
            layer_dropout: 0.1,
            prompt_dropout: 0.1,
            mask_dropout: 0.1,
            mask_unseen: false,
            prompt: "a photo of sks".into(),
            guided_share: 0.75,
            checkpoint_every: 50,
            validate_every: 0,
            patience: 4,
            seed: 0,
        }
    }
}

impl Preset {
    /// The preset's settings.
    pub fn config(self) -> TuneConfig {
        match self {
            Self::Quick => TuneConfig::default(),
            Self::Thorough => TuneConfig { iterations: 400, validate_every: 25, ..TuneConfig::default() },
            Self::Paper => TuneConfig {
                iterations: 2000,
                batch: 16,
                schedule: LearningRate::Constant,
                warmup_steps: 0,
                ..TuneConfig::default()
            },
        }
    }
}

impl TuneConfig {
    /// Whether there is a look to be had at the validation loss, for which a reference is held out.
    pub fn validates(&self) -> bool {
        (1..=self.iterations).contains(&self.validate_every)
    }

    /// Whether the validation loss is looked at after `step` steps: before the first one, every so many, and after the last.
    pub(super) fn is_look_due(&self, step: usize) -> bool {
        self.validates() && (step.is_multiple_of(self.validate_every) || step == self.iterations)
    }

    /// Factor on the learning rates at `step`, 0 to 1.
    pub fn rate_factor(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / self.warmup_steps as f64;
        }
        match self.schedule {
            LearningRate::Constant => 1.0,
            LearningRate::Cosine => {
                let length = self.iterations.saturating_sub(self.warmup_steps).max(1) as f64;
                let done = (step - self.warmup_steps) as f64 / length;
                0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_then_falls() {
        let config = TuneConfig { warmup_steps: 10, iterations: 110, ..TuneConfig::default() };
        assert!((config.rate_factor(0) - 0.1).abs() < 1e-9);
        assert!((config.rate_factor(10) - 1.0).abs() < 1e-9);
        assert!(config.rate_factor(109) < 0.01);
        let constant = TuneConfig { schedule: LearningRate::Constant, ..config };
        assert_eq!(constant.rate_factor(109), 1.0);
    }

    #[test]
    fn quick_and_paper_hold_nothing_out() {
        assert!(!Preset::Quick.config().validates() && !Preset::Paper.config().validates());
        let thorough = Preset::Thorough.config();
        assert!(thorough.validates() && !TuneConfig { iterations: 24, ..thorough }.validates());
    }

    #[test]
    fn the_last_step_is_looked_at_too() {
        let config = TuneConfig { iterations: 7, validate_every: 3, ..TuneConfig::default() };
        assert_eq!((0..=7).filter(|&step| config.is_look_due(step)).collect::<Vec<_>>(), [0, 3, 6, 7]);
    }

    #[test]
    fn a_file_may_name_some_values_only() {
        let config: TuneConfig = toml::from_str("iterations = 7\nschedule = \"constant\"").unwrap();
        assert_eq!((config.iterations, config.batch), (7, TuneConfig::default().batch));
        assert!(toml::from_str::<TuneConfig>("iteration = 7").is_err());
    }
}
