//! Adapters in PEFT's files: `adapter_config.json` and `adapter_model.safetensors`, with extra input channels beside them.

use super::{Adapter, ExtraInput, LoraConfig, extra};
use crate::json::read_json;
use crate::sd::{LinearSlot, list_tensors};
use crate::{ModelError, TensorProblems};
use burn::tensor::{Device, TensorData};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
const EXTRA: &str = "extra_input.safetensors";

/// The name of a factor in the file.
pub(super) fn key(layer: &str, factor: &str) -> String {
    format!("base_model.model.{layer}.lora_{factor}.weight")
}

/// Layer and factor of a name in the file.
fn parse_key(key: &str) -> Option<(&str, usize)> {
    let name = key.strip_prefix("base_model.model.")?;
    let a = name.strip_suffix(".lora_A.weight").map(|layer| (layer, 0));
    a.or_else(|| name.strip_suffix(".lora_B.weight").map(|layer| (layer, 1)))
}

/// Settings that change what an adapter computes, and the value that we compute.
fn plain() -> [(&'static str, Value); 9] {
    [
        ("peft_type", json!("LORA")),
        ("bias", json!("none")),
        ("lora_bias", json!(false)),
        ("use_dora", json!(false)),
        ("use_rslora", json!(false)),
        ("fan_in_fan_out", json!(false)),
        ("alpha_pattern", json!({})),
        ("modules_to_save", Value::Null),
        ("trainable_token_indices", Value::Null),
    ]
}

impl Adapter {
    /// Writes the adapter into a folder, which is made where it is not there; each file whole or not at all.
    ///
    /// # Errors
    /// When the folder or a file cannot be written.
    pub fn save_peft(&self, folder: &Path) -> Result<(), ModelError> {
        std::fs::create_dir_all(folder).map_err(|e| ModelError::file(folder, e))?;
        let (extra, factors): (Vec<_>, Vec<_>) =
            self.parameters().into_iter().partition(|(name, _)| name == extra::KEY);
        write_tensors(&folder.join(WEIGHTS), &factors)?;
        if !extra.is_empty() {
            write_tensors(&folder.join(EXTRA), &extra)?;
        }
        let config = &self.config;
        let written = json!({
            "peft_type": "LORA",
            "base_model_name_or_path": null,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "lora_alpha": config.alpha,
            "lora_dropout": config.dropout,
            "modules_to_save": null,
            "r": config.rank,
            "target_modules": config.targets,
            "task_type": null,
            "use_dora": false,
            "use_rslora": false,
        });
        let text = serde_json::to_string_pretty(&written).expect("plain values");
        write_whole(&folder.join(CONFIG), text.as_bytes())
    }

    /// Reads an adapter that PEFT (or [`Adapter::save_peft`]) has written, for the model with these slots.
    ///
    /// # Errors
    /// Files that cannot be read; settings that change what is computed, such as DoRA; factors of unknown layers, of
    /// another shape, or without their partner, all named.
    pub fn load_peft(folder: &Path, slots: &[LinearSlot], device: &Device) -> Result<Self, ModelError> {
        let config = read_config(&folder.join(CONFIG))?;
        let path = folder.join(WEIGHTS);
        let factors = read_factors(&path, slots, &config)?;
        let scale = config.alpha / config.rank as f64;
        let named = factors.into_iter().map(|(name, pair)| (name, pair, scale));
        let mut adapter = Self::from_factors(config, named, device);
        let extra = folder.join(EXTRA);
        if extra.is_file() {
            adapter.extra_input = Some(read_extra(&extra, device)?);
        }
        Ok(adapter)
    }
}

fn read_config(path: &Path) -> Result<LoraConfig, ModelError> {
    let value = read_json(path)?;
    for (name, computed) in plain() {
        match value.get(name) {
            Some(found) if *found != computed && !found.is_null() => {
                return Err(ModelError::file(path, format!("{name} is {found}; only {computed} is supported")));
            }
            _ => {}
        }
    }
    let number = |name: &str| {
        let found = value.get(name).and_then(Value::as_f64);
        found.ok_or_else(|| ModelError::file(path, format!("no number {name}; expected a LoRA configuration of PEFT")))
    };
    let rank = number("r")? as usize;
    if rank == 0 {
        return Err(ModelError::file(path, "r is 0; expected a positive rank"));
    }
    let targets = match value.get("target_modules") {
        Some(Value::String(pattern)) => vec![pattern.clone()],
        Some(Value::Array(names)) => names.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let dropout = value.get("lora_dropout").and_then(Value::as_f64).unwrap_or(0.0);
    Ok(LoraConfig { rank, alpha: number("lora_alpha")?, targets, dropout })
}

type Factors = BTreeMap<String, [TensorData; 2]>;

fn read_factors(path: &Path, slots: &[LinearSlot], config: &LoraConfig) -> Result<Factors, ModelError> {
    // CLIP's layers carry `text_model.` in transformers before 5, and in the checkpoints from then.
    let bare = |name: &str| name.strip_prefix("text_model.").unwrap_or(name).to_owned();
    let known: BTreeMap<String, &LinearSlot> = slots.iter().map(|slot| (bare(&slot.name), slot)).collect();
    let mut found: BTreeMap<String, [Option<TensorData>; 2]> = BTreeMap::new();
    let mut problems = TensorProblems::default();
    for (key, stored) in list_tensors(path)? {
        let Some((slot, factor)) = parse_key(&key).and_then(|(layer, factor)| Some((known.get(&bare(layer))?, factor)))
        else {
            problems.extra.push(key);
            continue;
        };
        let expected = [[config.rank, slot.input], [slot.output, config.rank]][factor];
        if stored.shape != expected {
            problems.misshapen.push(format!("{key} is {:?} instead of {expected:?}", stored.shape));
            continue;
        }
        found.entry(slot.name.clone()).or_default()[factor] = Some(TensorData::new(stored.read()?, expected));
    }
    let mut factors = Factors::new();
    for (name, pair) in found {
        match pair {
            [Some(a), Some(b)] => drop(factors.insert(name, [a, b])),
            [None, _] => problems.missing.push(key(&name, "A")),
            [_, None] => problems.missing.push(key(&name, "B")),
        }
    }
    if problems.is_empty() { Ok(factors) } else { Err(ModelError::Tensors { path: path.to_owned(), problems }) }
}

fn read_extra(path: &Path, device: &Device) -> Result<ExtraInput, ModelError> {
    let tensors = list_tensors(path)?;
    match (tensors.get(extra::KEY), tensors.len()) {
        (Some(stored), 1) if stored.shape.len() == 4 => {
            let data = TensorData::new(stored.read()?, stored.shape.clone());
            Ok(ExtraInput::from_data(data, device))
        }
        _ => {
            let found: Vec<&str> = tensors.keys().map(String::as_str).collect();
            Err(ModelError::file(path, format!("holds {}; expected one kernel {}", found.join(", "), extra::KEY)))
        }
    }
}

/// Writes tensors of `f32` as SafeTensors.
fn write_tensors(path: &Path, tensors: &[(String, TensorData)]) -> Result<(), ModelError> {
    let bad = |e: safetensors::SafeTensorError| ModelError::file(path, e);
    let views: Vec<(&str, TensorView)> = tensors
        .iter()
        .map(|(name, data)| Ok((name.as_str(), TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes())?)))
        .collect::<Result<_, _>>()
        .map_err(bad)?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    write_whole(path, &serialize(views, Some(metadata)).map_err(bad)?)
}

/// Writes a file whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, bytes)
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|e| ModelError::file(path, e))
}
