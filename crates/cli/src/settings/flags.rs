//! The flags of the settings, laid out and named like the configuration they become. A flag that was not given is not
//! there; defaults live in the configuration alone.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use realfill::samplers::SamplerKind;
use serde::Serialize;

/// Flags of the guide.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Guide")]
pub struct GuideFlags {
    /// Whether to work out where the references land in the target [default: on]
    #[arg(long, value_name = "on|off", value_parser = on_or_off())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guide: Option<bool>,
    /// Longest side the model works at, in pixels; 0 for the model's own [default: 0]
    #[arg(long, value_name = "PX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_px: Option<u32>,
}

/// Flags of what is made in the end.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Sampling")]
pub struct OutputSettings {
    /// Pictures to sample and rank [default: 4]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidates: Option<usize>,
    /// Seed of the first candidate; the others follow. What candidates take from the references repeats every 16 seeds: 16 to
    /// 19 differ from 0 to 3 in the model's share alone [default: 0]
    #[arg(long, value_name = "N", value_parser = seeds())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Width of the blend inside the hole's edge, in pixels of the photo [default: 8]
    #[arg(long, value_name = "PX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feather_px: Option<f32>,
    /// Share of the model's influence where the guide is not trusted, 0 to 1 [default: 1]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_weight: Option<f32>,
}

/// Flags of sampling.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Sampling")]
pub struct SamplerFlags {
    /// The sampler [default: dpmpp-2m]
    #[arg(long = "sampler", value_name = "NAME", value_parser = samplers())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Sampling steps [default: the model's own: 2 with the embedded one, 20 with Stable Diffusion]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// With ddim, the share of DDPM's noise that is added anew, 0 to 1 [default: 0]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<f64>,
    /// Whether the worse half of the candidates is dropped halfway, judged by the pictures predicted there [default: off]
    #[arg(long, value_name = "on|off", value_parser = on_or_off())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_halfway: Option<bool>,
}

/// Flags of tuning.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Tuning")]
pub struct TuneFlags {
    /// Optimiser steps; 0 leaves the model as it is
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<usize>,
    /// Samples a pass
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Passes a step
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gradient_accumulation: Option<usize>,
    /// AdamW's rate for the U-Net; the embedded model takes a quarter of it on a scene with guides
    #[arg(long, value_name = "RATE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// AdamW's rate for the text encoder (Stable Diffusion)
    #[arg(long, value_name = "RATE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_learning_rate: Option<f64>,
    /// Steps over which the rates rise from 0
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_steps: Option<usize>,
    /// How the rates go on
    #[arg(long, value_name = "NAME", value_parser = ["constant", "cosine"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// AdamW's weight decay
    #[arg(long, value_name = "DECAY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Largest norm of a step's gradients, over all weights together
    #[arg(long, value_name = "NORM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_gradient_norm: Option<f64>,
    /// LoRA's rank (Stable Diffusion)
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// LoRA's alpha (Stable Diffusion); the adapter is scaled by alpha / rank
    #[arg(long, value_name = "ALPHA")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Probability of dropping a LoRA layer's input values
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_dropout: Option<f64>,
    /// Probability of dropping a whole LoRA layer for a step
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_dropout: Option<f64>,
    /// Probability of an empty prompt
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_dropout: Option<f64>,
    /// Probability of masking a reference in full
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_dropout: Option<f64>,
    /// Whether what lies outside the target's view is left out of what is learnt of the references [default: off]
    #[arg(long, value_name = "on|off", value_parser = on_or_off())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_unseen: Option<bool>,
    /// The sentence that stands for the scene (Stable Diffusion)
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Share of samples that pretend a reference is the target and show its guide, 0 to 1
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guided_share: Option<f64>,
    /// Steps between checkpoints; where these take more than a minute, there is one a minute
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<usize>,
    /// Steps between looks at the error in the hole of a reference that is held out; 0 never looks [default: 0, thorough: 25]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_every: Option<usize>,
    /// Looks without an improvement of 0.5 % after which tuning stops, at the best of them [default: 4]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Seed of crops, masks, noise and dropout
    #[arg(id = "tune_seed", long = "tune-seed", value_name = "N", value_parser = seeds())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

fn on_or_off() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["on", "off"]).map(|value| value == "on")
}

fn samplers() -> PossibleValuesParser {
    PossibleValuesParser::new(SamplerKind::ALL.map(SamplerKind::name))
}

/// Whole numbers that TOML can hold too.
fn seeds() -> impl TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(..=i64::MAX as u64)
}
