//! Adapters in the one file that diffusers writes for all networks, `pytorch_lora_weights.safetensors`.

use super::Adapter;
use super::peft::read_factors;
use super::peft_config::PeftConfig;
use crate::ModelError;
use crate::sd::{LinearSlot, TensorTable, list_tensors, safetensors_metadata};
use burn::tensor::Device;
use serde_json::{Map, Value};
use std::path::Path;

/// What names of the networks' tensors begin with.
const PARTS: [&str; 2] = ["unet.", "text_encoder."];

/// What names of A and B end with: as PEFT has them, and as diffusers had them before.
const ENDS: [[&str; 2]; 3] = [
    [".lora_A.weight", ".lora_B.weight"],
    [".lora.down.weight", ".lora.up.weight"],
    [".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"],
];

const ALPHA: &str = ".alpha";

impl Adapter {
    /// Reads the adapter of one network, `unet` or `text_encoder`, out of diffusers' file, for the model with these slots;
    /// `None` where the file has nothing for it.
    ///
    /// A layer's rank is that of its factors. Its alpha is in the file's metadata or beside the factors, or else the rank.
    ///
    /// # Errors
    /// Files that cannot be read; tensors under other names than diffusers' own; else as [`Adapter::load_peft`].
    pub fn load_diffusers(
        path: &Path,
        part: &str,
        slots: &[LinearSlot],
        device: &Device,
    ) -> Result<Option<Self>, ModelError> {
        let prefix = format!("{part}.");
        let tensors = list_tensors(path)?;
        if let Some(name) = tensors.keys().find(|name| !PARTS.iter().any(|begin| name.starts_with(*begin))) {
            let reason = format!(
                "has the tensor {name}; expected unet.<layer>.lora_A.weight and the like, as diffusers writes them: load it \
                 there and save it with save_lora_weights"
            );
            return Err(ModelError::file(path, reason));
        }
        let own = tensors.into_iter().filter(|(name, _)| name.starts_with(&prefix));
        let (alphas, factors): (TensorTable, TensorTable) = own.partition(|(name, _)| name.ends_with(ALPHA));
        if factors.is_empty() {
            return Ok(None);
        }
        let config = match metadata(path, &prefix)? {
            Some(config) => PeftConfig::from_json(&config).map_err(|reason| ModelError::file(path, reason))?,
            None => config_of(path, &prefix, &factors, &alphas)?,
        };
        let factors = read_factors(path, factors, slots, &config, |name| parse(name, &prefix))?;
        Ok(Some(Self::with_config(&config, factors, device)))
    }
}

/// Layer and factor of a tensor's name.
fn parse<'a>(name: &'a str, prefix: &str) -> Option<(&'a str, usize)> {
    let name = name.strip_prefix(prefix)?;
    ENDS.as_flattened().iter().enumerate().find_map(|(i, end)| Some((name.strip_suffix(*end)?, i % 2)))
}

/// PEFT's configuration of this network, where the file has it.
fn metadata(path: &Path, prefix: &str) -> Result<Option<Value>, ModelError> {
    if path.extension().is_none_or(|extension| extension != "safetensors") {
        return Ok(None);
    }
    let Some(text) = safetensors_metadata(path, "lora_adapter_metadata")? else { return Ok(None) };
    let all: Map<String, Value> =
        serde_json::from_str(&text).map_err(|e| ModelError::file(path, format!("lora_adapter_metadata: {e}")))?;
    let own = all.into_iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value)));
    let own: Map<String, Value> = own.collect();
    Ok((!own.is_empty()).then_some(Value::Object(own)))
}

/// What the tensors themselves say.
fn config_of(path: &Path, prefix: &str, factors: &TensorTable, alphas: &TensorTable) -> Result<PeftConfig, ModelError> {
    let (mut ranks, mut own_alphas) = (Vec::new(), Vec::new());
    for (name, tensor) in factors {
        if let Some((layer, 0)) = parse(name, prefix) {
            let rank = tensor.shape.first().copied().unwrap_or_default();
            if rank == 0 {
                return Err(ModelError::file(path, format!("{name} has rank 0; expected a positive rank")));
            }
            ranks.push((layer.to_owned(), rank));
        }
    }
    for (name, tensor) in alphas {
        let layer = name.strip_prefix(prefix).and_then(|name| name.strip_suffix(ALPHA)).unwrap_or_default();
        let alpha = tensor.read()?.first().copied();
        own_alphas.extend(alpha.map(|alpha| (layer.to_owned(), f64::from(alpha))));
    }
    Ok(PeftConfig::of_layers(ranks, own_alphas))
}
