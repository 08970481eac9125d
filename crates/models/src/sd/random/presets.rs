//! Shapes of the checkpoints people have.

use serde_json::{Value, json};

/// The shapes of a random checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Stable Diffusion 2 inpainting, 512 px.
    Sd2,
    /// Stable Diffusion 1.5 inpainting, 512 px.
    Sd15,
    /// A thousandth of them, built like Stable Diffusion 2, for tests.
    Tiny,
}

impl std::str::FromStr for Preset {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "sd2" => Ok(Self::Sd2),
            "sd15" => Ok(Self::Sd15),
            "tiny" => Ok(Self::Tiny),
            _ => Err(format!("no preset {name}; there are sd2, sd15 and tiny")),
        }
    }
}

impl Preset {
    pub(super) fn vocabulary(self) -> usize {
        if self == Self::Tiny { 600 } else { 49408 }
    }

    /// Stable Diffusion 2 pads with the first token.
    pub(super) fn pad_token(self) -> &'static str {
        if self == Self::Sd15 { "<|endoftext|>" } else { "!" }
    }

    pub(super) fn unet(self) -> Value {
        let (widths, heads, context, linear, layers, groups) = match self {
            Self::Sd2 => (json!([320, 640, 1280, 1280]), json!([5, 10, 20, 20]), 1024, true, 2, 32),
            Self::Sd15 => (json!([320, 640, 1280, 1280]), json!(8), 768, false, 2, 32),
            Self::Tiny => (json!([16, 24, 24, 24]), json!([2, 3, 6, 6]), 16, true, 1, 8),
        };
        let (cross_down, cross_up) = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D");
        json!({
            "_class_name": "UNet2DConditionModel",
            "act_fn": "silu",
            "attention_head_dim": heads,
            "block_out_channels": widths,
            "center_input_sample": false,
            "cross_attention_dim": context,
            "down_block_types": [cross_down, cross_down, cross_down, "DownBlock2D"],
            "downsample_padding": 1,
            "flip_sin_to_cos": true,
            "freq_shift": 0,
            "in_channels": 9,
            "layers_per_block": layers,
            "mid_block_scale_factor": 1,
            "norm_eps": 1e-5,
            "norm_num_groups": groups,
            "out_channels": 4,
            "sample_size": 64,
            "up_block_types": ["UpBlock2D", cross_up, cross_up, cross_up],
            "use_linear_projection": linear,
        })
    }

    pub(super) fn vae(self) -> Value {
        let (widths, layers, groups) =
            if self == Self::Tiny { (json!([8, 8, 16, 16]), 1, 4) } else { (json!([128, 256, 512, 512]), 2, 32) };
        json!({
            "_class_name": "AutoencoderKL",
            "act_fn": "silu",
            "block_out_channels": widths,
            "down_block_types": vec!["DownEncoderBlock2D"; 4],
            "in_channels": 3,
            "latent_channels": 4,
            "layers_per_block": layers,
            "norm_num_groups": groups,
            "out_channels": 3,
            "sample_size": 512,
            "scaling_factor": 0.18215,
            "up_block_types": vec!["UpDecoderBlock2D"; 4],
        })
    }

    pub(super) fn text_encoder(self) -> Value {
        let (width, inner, layers, heads, activation) = match self {
            Self::Sd2 => (1024, 4096, 23, 16, "gelu"),
            Self::Sd15 => (768, 3072, 12, 12, "quick_gelu"),
            Self::Tiny => (16, 32, 3, 2, "gelu"),
        };
        json!({
            "architectures": ["CLIPTextModel"],
            "attention_dropout": 0.0,
            "bos_token_id": self.vocabulary() - 2,
            "eos_token_id": self.vocabulary() - 1,
            "hidden_act": activation,
            "hidden_size": width,
            "intermediate_size": inner,
            "layer_norm_eps": 1e-5,
            "max_position_embeddings": 77,
            "model_type": "clip_text_model",
            "num_attention_heads": heads,
            "num_hidden_layers": layers,
            "pad_token_id": 1,
            "projection_dim": width,
            "vocab_size": self.vocabulary(),
        })
    }
}

/// `scheduler_config.json` of both inpainting checkpoints: they predict noise.
pub(super) fn scheduler(preset: Preset) -> Value {
    json!({
        "_class_name": if preset == Preset::Sd15 { "PNDMScheduler" } else { "DDIMScheduler" },
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "clip_sample": false,
        "num_train_timesteps": 1000,
        "prediction_type": "epsilon",
        "set_alpha_to_one": false,
        "skip_prk_steps": true,
        "steps_offset": 1,
        "trained_betas": null,
    })
}

pub(super) fn model_index() -> Value {
    json!({
        "_class_name": "StableDiffusionInpaintPipeline",
        "feature_extractor": [null, null],
        "safety_checker": [null, null],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    })
}
