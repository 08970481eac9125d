//! Adapters in PEFT's files: `adapter_config.json` and `adapter_model.safetensors` (or `.bin`), with extra input channels
//! beside them.

use super::peft_config::{PeftConfig, bare};
use super::{Adapter, ExtraInput, extra};
use crate::json::read_json;
use crate::save::write_whole;
use crate::sd::{LinearSlot, TensorTable, list_tensors};
use crate::{ModelError, TensorProblems};
use burn::tensor::{Device, TensorData};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
const PICKLED: &str = "adapter_model.bin";
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
        let [ranks, alphas] = self.patterns();
        let written = json!({
            "peft_type": "LORA",
            "base_model_name_or_path": null,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "alpha_pattern": alphas,
            "lora_alpha": config.alpha,
            "lora_dropout": config.dropout,
            "modules_to_save": null,
            "r": config.rank,
            "rank_pattern": ranks,
            "target_modules": config.targets,
            "task_type": null,
            "use_dora": false,
            "use_rslora": false,
        });
        let text = serde_json::to_string_pretty(&written).expect("plain values");
        write_whole(&folder.join(CONFIG), text.as_bytes())
    }

    /// Ranks and alphas of the layers that have others than the configuration.
    fn patterns(&self) -> [Map<String, Value>; 2] {
        let (mut ranks, mut alphas) = (Map::new(), Map::new());
        for (name, &index) in self.names.iter() {
            let layer = &self.layers[index];
            let rank = layer.a.val().dims()[0];
            let alpha = layer.scale * rank as f64;
            if rank != self.config.rank {
                ranks.insert(name.clone(), json!(rank));
            }
            if (alpha - self.config.alpha).abs() > 1e-9 * self.config.alpha.abs() {
                alphas.insert(name.clone(), json!(alpha));
            }
        }
        [ranks, alphas]
    }

    /// With the scales of a configuration.
    pub(super) fn with_config(config: &PeftConfig, factors: Factors, device: &Device) -> Self {
        let named = factors.into_iter().map(|(name, pair)| {
            let scale = config.scale(&name);
            (name, pair, scale)
        });
        Self::from_factors(config.plain(), named, device)
    }

    /// Reads an adapter that PEFT (or [`Adapter::save_peft`]) has written, for the model with these slots.
    ///
    /// # Errors
    /// Files that cannot be read; settings that change what is computed, such as DoRA; factors of unknown layers, of
    /// another shape, or without their partner, all named.
    pub fn load_peft(folder: &Path, slots: &[LinearSlot], device: &Device) -> Result<Self, ModelError> {
        let path = folder.join(CONFIG);
        let config = PeftConfig::from_json(&read_json(&path)?).map_err(|reason| ModelError::file(&path, reason))?;
        let path = weights_in(folder)?;
        let factors = read_factors(&path, list_tensors(&path)?, slots, &config, parse_key)?;
        let mut adapter = Self::with_config(&config, factors, device);
        let extra = folder.join(EXTRA);
        if extra.is_file() {
            adapter.extra_input = Some(read_extra(&extra, device)?);
        }
        Ok(adapter)
    }
}

/// The file of the factors; older versions of PEFT (0.5) wrote them as a pickle.
fn weights_in(folder: &Path) -> Result<PathBuf, ModelError> {
    let found = [WEIGHTS, PICKLED].map(|name| folder.join(name)).into_iter().find(|path| path.is_file());
    found.ok_or_else(|| ModelError::file(folder, format!("has no {WEIGHTS} and no {PICKLED}")))
}

/// A and B of each layer.
pub(super) type Factors = BTreeMap<String, [TensorData; 2]>;

/// The factors among `tensors`, which are those of the file at `path`; `parse` finds layer and factor (0 for A) in a name.
pub(super) fn read_factors(
    path: &Path,
    tensors: TensorTable,
    slots: &[LinearSlot],
    config: &PeftConfig,
    parse: impl Fn(&str) -> Option<(&str, usize)>,
) -> Result<Factors, ModelError> {
    let known: BTreeMap<&str, &LinearSlot> = slots.iter().map(|slot| (bare(&slot.name), slot)).collect();
    let mut found: BTreeMap<String, [Option<TensorData>; 2]> = BTreeMap::new();
    let mut problems = TensorProblems::default();
    for (key, stored) in tensors {
        let Some((slot, factor)) = parse(&key).and_then(|(layer, factor)| Some((known.get(bare(layer))?, factor)))
        else {
            problems.extra.push(key);
            continue;
        };
        let rank = config.rank(&slot.name);
        let expected = [[rank, slot.input], [slot.output, rank]][factor];
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
