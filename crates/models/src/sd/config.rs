//! The checkpoint's own configuration files, as diffusers and transformers write them.

use crate::ModelError;
use crate::json::read_json;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::path::Path;

/// One value for all levels, or one a level.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum PerLevel {
    /// The same everywhere.
    One(usize),
    /// One a level, from the finest.
    Each(Vec<usize>),
}

impl PerLevel {
    /// The value at a level; the last one where the list is too short.
    pub fn at(&self, level: usize) -> usize {
        match self {
            Self::One(value) => *value,
            Self::Each(values) => values.get(level).or(values.last()).copied().unwrap_or(0),
        }
    }

    fn fits(&self, levels: usize) -> bool {
        match self {
            Self::One(value) => *value > 0,
            Self::Each(values) => values.len() == levels && values.iter().all(|&v| v > 0),
        }
    }
}

/// `unet/config.json` of a `UNet2DConditionModel`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct UNetConfig {
    /// Channels of the noisy input: 4, or 9 with mask and masked image.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Channels a level, from the finest.
    pub block_out_channels: Vec<usize>,
    /// `CrossAttnDownBlock2D` or `DownBlock2D` a level.
    pub down_block_types: Vec<String>,
    /// `CrossAttnUpBlock2D` or `UpBlock2D` a level, from the coarsest.
    pub up_block_types: Vec<String>,
    /// Residual blocks a level (one more on the way up).
    #[serde(default = "two")]
    pub layers_per_block: PerLevel,
    /// Transformer blocks an attention.
    #[serde(default = "one")]
    pub transformer_layers_per_block: PerLevel,
    /// Number of heads, in spite of its name (diffusers issue 2011).
    #[serde(default = "eight")]
    pub attention_head_dim: PerLevel,
    /// Width of the text encoder's output.
    pub cross_attention_dim: PerLevel,
    /// Whether the transformers' projections are linear layers (Stable Diffusion 2) or 1x1 convolutions.
    #[serde(default)]
    pub use_linear_projection: bool,
    /// Groups of the group norms.
    #[serde(default = "thirty_two")]
    pub norm_num_groups: usize,
    /// Epsilon of the group norms of the residual blocks.
    #[serde(default = "norm_eps")]
    pub norm_eps: f64,
    /// Whether the timestep's cosines come before its sines.
    #[serde(default = "yes")]
    pub flip_sin_to_cos: bool,
    /// Shift in the exponent of the timestep's frequencies.
    #[serde(default)]
    pub freq_shift: f64,
    /// Latent pixels a side that the model was trained at; the larger side where the file gives two.
    #[serde(default, deserialize_with = "larger_side")]
    pub sample_size: Option<usize>,
    /// The diffusers that wrote the file.
    #[serde(default, rename = "_diffusers_version")]
    pub diffusers_version: Option<String>,
}

/// Settings of `UNet2DConditionModel` that Stable Diffusion 1.5 and 2 leave alone, and the value that we build.
fn plain_unet() -> [(&'static str, Value); 22] {
    [
        ("act_fn", json!("silu")),
        ("addition_embed_type", Value::Null),
        ("attention_type", json!("default")),
        ("center_input_sample", json!(false)),
        ("class_embed_type", Value::Null),
        ("conv_in_kernel", json!(3)),
        ("conv_out_kernel", json!(3)),
        ("cross_attention_norm", Value::Null),
        ("downsample_padding", json!(1)),
        ("dual_cross_attention", json!(false)),
        ("encoder_hid_dim", Value::Null),
        ("mid_block_only_cross_attention", Value::Null),
        ("mid_block_type", json!("UNetMidBlock2DCrossAttn")),
        ("num_attention_heads", Value::Null),
        ("num_class_embeds", Value::Null),
        ("only_cross_attention", json!(false)),
        ("resnet_skip_time_act", json!(false)),
        ("resnet_time_scale_shift", json!("default")),
        ("time_cond_proj_dim", Value::Null),
        ("time_embedding_act_fn", Value::Null),
        ("time_embedding_dim", Value::Null),
        ("time_embedding_type", json!("positional")),
    ]
}

/// `vae/config.json` of an `AutoencoderKL`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct VaeConfig {
    /// Colour channels in.
    pub in_channels: usize,
    /// Colour channels out.
    pub out_channels: usize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels a level, from the finest.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks a level (one more on the way up).
    #[serde(default = "one_layer")]
    pub layers_per_block: usize,
    /// Groups of the group norms.
    #[serde(default = "thirty_two")]
    pub norm_num_groups: usize,
    /// Latents are multiplied by this before the diffusion sees them.
    #[serde(default = "scaling_factor")]
    pub scaling_factor: f64,
}

fn plain_vae() -> [(&'static str, Value); 5] {
    [
        ("act_fn", json!("silu")),
        ("mid_block_add_attention", json!(true)),
        ("shift_factor", Value::Null),
        ("use_post_quant_conv", json!(true)),
        ("use_quant_conv", json!(true)),
    ]
}

/// `text_encoder/config.json` of a `CLIPTextModel`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ClipConfig {
    /// Tokens known.
    pub vocab_size: usize,
    /// Width of the embedding.
    pub hidden_size: usize,
    /// Width inside the perceptrons.
    pub intermediate_size: usize,
    /// Layers (23 in Stable Diffusion 2, which leaves the last one out).
    pub num_hidden_layers: usize,
    /// Heads of the attention.
    pub num_attention_heads: usize,
    /// Longest prompt, in tokens.
    #[serde(default = "seventy_seven")]
    pub max_position_embeddings: usize,
    /// `quick_gelu` or `gelu`.
    #[serde(default = "quick_gelu")]
    pub hidden_act: String,
    /// Epsilon of the layer norms.
    #[serde(default = "norm_eps")]
    pub layer_norm_eps: f64,
}

fn one() -> PerLevel {
    PerLevel::One(1)
}
fn two() -> PerLevel {
    PerLevel::One(2)
}
fn eight() -> PerLevel {
    PerLevel::One(8)
}
fn one_layer() -> usize {
    1
}
fn thirty_two() -> usize {
    32
}
fn seventy_seven() -> usize {
    77
}
fn norm_eps() -> f64 {
    1e-5
}
fn scaling_factor() -> f64 {
    0.18215
}
fn yes() -> bool {
    true
}
fn quick_gelu() -> String {
    "quick_gelu".to_owned()
}

impl UNetConfig {
    /// Reads and checks `unet/config.json`.
    ///
    /// # Errors
    /// Unreadable, or asking for something that the Stable Diffusion 1.5 and 2 families do not have.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let config: Self = read_config(path, &plain_unet())?;
        config.check().map_err(|reason| ModelError::file(path, reason))?;
        Ok(config.with_true_size())
    }

    /// Before 0.9, diffusers wrote 32 for models that were trained at 64; its pipelines correct it as we do.
    fn with_true_size(self) -> Self {
        let is_old = self.diffusers_version.as_deref().is_some_and(is_before_0_9);
        let sample_size = self.sample_size.map(|size| if is_old { size.max(64) } else { size });
        Self { sample_size, ..self }
    }

    /// Levels of resolution.
    pub fn levels(&self) -> usize {
        self.block_out_channels.len()
    }

    fn check(&self) -> Result<(), String> {
        let levels = self.levels();
        if levels == 0 || self.down_block_types.len() != levels || self.up_block_types.len() != levels {
            return Err(format!("{levels} block_out_channels need as many down_block_types and up_block_types"));
        }
        let known = ["CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"];
        if let Some(kind) = self.down_block_types.iter().chain(&self.up_block_types).find(|k| !known.contains(&&***k)) {
            return Err(format!("blocks of type {kind}; known are {}", known.join(", ")));
        }
        let lists = [
            ("layers_per_block", &self.layers_per_block),
            ("transformer_layers_per_block", &self.transformer_layers_per_block),
            ("attention_head_dim", &self.attention_head_dim),
            ("cross_attention_dim", &self.cross_attention_dim),
        ];
        if let Some((name, list)) = lists.iter().find(|(_, list)| !list.fits(levels)) {
            return Err(format!("{name} is {list:?}; expected a positive number, or one for each of {levels} levels"));
        }
        check_groups(&self.block_out_channels, self.norm_num_groups)?;
        let divides = |(level, &width): (usize, &usize)| width.is_multiple_of(self.attention_head_dim.at(level));
        if self.block_out_channels.iter().enumerate().all(divides) {
            Ok(())
        } else {
            Err(format!("{:?} heads do not divide {:?} channels", self.attention_head_dim, self.block_out_channels))
        }
    }
}

impl VaeConfig {
    /// Reads and checks `vae/config.json`.
    ///
    /// # Errors
    /// Unreadable, or asking for something that the Stable Diffusion 1.5 and 2 families do not have.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let config: Self = read_config(path, &plain_vae())?;
        if config.block_out_channels.is_empty() {
            return Err(ModelError::file(path, "no block_out_channels"));
        }
        check_groups(&config.block_out_channels, config.norm_num_groups).map_err(|e| ModelError::file(path, e))?;
        Ok(config)
    }

    /// Image pixels a side that one latent pixel stands for.
    pub fn scale(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }
}

impl ClipConfig {
    /// Reads and checks `text_encoder/config.json`.
    ///
    /// # Errors
    /// Unreadable, another activation, or heads that do not divide the width.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let config: Self = read_config(path, &[])?;
        if !["quick_gelu", "gelu"].contains(&config.hidden_act.as_str()) {
            return Err(ModelError::file(path, format!("hidden_act {}; known: quick_gelu, gelu", config.hidden_act)));
        }
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        if config.max_position_embeddings == 0 {
            return Err(ModelError::file(path, "max_position_embeddings is 0; expected the longest prompt, in tokens"));
        }
        if heads == 0 || width % heads != 0 {
            return Err(ModelError::file(path, format!("{heads} heads do not divide a hidden_size of {width}")));
        }
        Ok(config)
    }
}

/// Whether a version, such as `0.6.0.dev0`, is one before 0.9.
fn is_before_0_9(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(0)), Some(Ok(0..9))))
}

/// A number for both sides, or height and width.
fn larger_side<'de, D: Deserializer<'de>>(file: D) -> Result<Option<usize>, D::Error> {
    Ok(match Option::<PerLevel>::deserialize(file)? {
        Some(PerLevel::One(side)) => Some(side),
        Some(PerLevel::Each(sides)) => sides.into_iter().max(),
        None => None,
    })
}

fn check_groups(channels: &[usize], groups: usize) -> Result<(), String> {
    match channels.iter().find(|&&c| groups == 0 || c == 0 || c % groups != 0) {
        Some(c) => Err(format!("norm_num_groups {groups} does not divide {c} channels")),
        None => Ok(()),
    }
}

/// A configuration whose other settings are left at what we build.
fn read_config<T: DeserializeOwned>(path: &Path, plain: &[(&str, Value)]) -> Result<T, ModelError> {
    let value = read_json(path)?;
    for (name, built) in plain {
        match value.get(name) {
            Some(found) if found != built && !(found.is_number() && found.as_f64() == built.as_f64()) => {
                return Err(ModelError::file(path, format!("{name} is {found}; only {built} is supported")));
            }
            _ => {}
        }
    }
    serde_json::from_value(value).map_err(|e| ModelError::file(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The side that a configuration with these values is read with.
    fn sample_size(version: Value, size: Value) -> Option<usize> {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/sd15/unet/config.json");
        let mut config = read_json(&golden).unwrap();
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("config.json");
        (config["_diffusers_version"], config["sample_size"]) = (version, size);
        std::fs::write(&path, config.to_string()).unwrap();
        UNetConfig::read(&path).unwrap().sample_size
    }

    #[test]
    fn the_size_that_old_diffusers_wrote_is_corrected() {
        for (version, expected) in [("0.6.0.dev0", 64), ("0.8.1", 64), ("0.9.0", 32), ("0.42.1", 32), ("1.0", 32)] {
            assert_eq!(sample_size(json!(version), json!(32)), Some(expected), "{version}");
        }
        assert_eq!(sample_size(json!("0.6.0.dev0"), json!(96)), Some(96));
        assert_eq!(sample_size(Value::Null, json!(32)), Some(32));
        assert_eq!(sample_size(json!("0.6.0"), Value::Null), None);
    }

    #[test]
    fn a_size_may_have_two_sides() {
        assert_eq!(sample_size(json!("0.42.1"), json!([48, 64])), Some(64));
        assert_eq!(sample_size(json!("0.6.0"), json!([32, 32])), Some(64));
    }
}
