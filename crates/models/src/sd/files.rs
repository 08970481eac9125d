//! Which files of a diffusers folder (or of a hub repository with that layout) make up a model.

use crate::ModelError;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The parts of a Stable Diffusion checkpoint that are networks, and what their weight files are called.
const NETWORKS: [(&str, &str, &str); 3] = [
    ("unet", "diffusion_pytorch_model", "diffusion_pytorch_model"),
    ("vae", "diffusion_pytorch_model", "diffusion_pytorch_model"),
    ("text_encoder", "model", "pytorch_model"),
];

/// The weight file of each part, or the index of its shards: the first that is there.
///
/// SafeTensors before PyTorch's pickles, and full precision before the `fp16` variant.
fn candidates(safe: &str, pickle: &str) -> [String; 9] {
    [
        format!("{safe}.safetensors"),
        format!("{safe}.safetensors.index.json"),
        format!("{safe}.fp16.safetensors"),
        format!("{safe}.safetensors.index.fp16.json"),
        format!("{safe}.fp16.safetensors.index.json"),
        format!("{pickle}.bin"),
        format!("{pickle}.bin.index.json"),
        format!("{pickle}.fp16.bin"),
        format!("{pickle}.bin.index.fp16.json"),
    ]
}

/// Files of a checkpoint, relative to its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Weight file or shard index of `unet`, `vae`, `text_encoder`.
    pub weights: [String; 3],
    /// Configurations and tokenizer files.
    pub others: Vec<String>,
}

/// Chooses among the files that are there.
///
/// # Errors
/// The first thing that is missing.
pub(crate) fn select(there: &BTreeSet<String>) -> Result<Selection, String> {
    let mut others = Vec::new();
    for config in ["unet/config.json", "vae/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json"]
    {
        if !there.contains(config) {
            return Err(config.to_owned());
        }
        others.push(config.to_owned());
    }
    others.extend(tokenizer_files(there)?);
    let [unet, vae, text] = NETWORKS.map(|(part, safe, pickle)| {
        let names = candidates(safe, pickle).map(|name| format!("{part}/{name}"));
        names.iter().find(|name| there.contains(*name)).cloned().ok_or_else(|| names[0].clone())
    });
    Ok(Selection { weights: [unet?, vae?, text?], others })
}

fn tokenizer_files(there: &BTreeSet<String>) -> Result<Vec<String>, String> {
    let needed = ["tokenizer.json", "vocab.json", "merges.txt"];
    let others = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];
    let found: Vec<String> = needed
        .iter()
        .chain(&others)
        .map(|name| format!("tokenizer/{name}"))
        .filter(|name| there.contains(name))
        .collect();
    let has = |name: &str| found.iter().any(|f| f.ends_with(name));
    if has("tokenizer.json") || (has("vocab.json") && has("merges.txt")) {
        Ok(found)
    } else {
        Err("tokenizer/tokenizer.json, nor tokenizer/vocab.json with tokenizer/merges.txt".to_owned())
    }
}

/// The files of a folder that can belong to a checkpoint, relative to it.
pub(crate) fn list_folder(root: &Path) -> Result<BTreeSet<String>, ModelError> {
    if root.is_file() {
        return Err(ModelError::file(root, "is a file; expected a folder in the diffusers layout"));
    }
    if !root.is_dir() {
        return Err(ModelError::file(root, "no such folder"));
    }
    let parts = ["unet", "vae", "text_encoder", "tokenizer", "scheduler"];
    let listed = parts.iter().filter_map(|part| Some((part, std::fs::read_dir(root.join(part)).ok()?)));
    let names = listed.flat_map(|(part, entries)| {
        entries.flatten().map(move |entry| format!("{part}/{}", entry.file_name().to_string_lossy()))
    });
    Ok(names.collect())
}

/// The weight files that an index names, or the file itself; relative to the root.
///
/// # Errors
/// When the index cannot be read, or names files outside its folder.
pub(crate) fn shards(root: &Path, weights: &str) -> Result<Vec<String>, ModelError> {
    if !weights.ends_with(".json") {
        return Ok(vec![weights.to_owned()]);
    }
    let path = root.join(weights);
    let text = std::fs::read_to_string(&path).map_err(|e| ModelError::file(&path, e))?;
    let index: serde_json::Value = serde_json::from_str(&text).map_err(|e| ModelError::file(&path, e))?;
    let Some(map) = index.get("weight_map").and_then(|m| m.as_object()) else {
        return Err(ModelError::file(&path, "no weight_map; expected the index of a sharded checkpoint"));
    };
    let part = weights.split('/').next().unwrap_or_default();
    let names: BTreeSet<&str> = map.values().filter_map(|v| v.as_str()).collect();
    if names.is_empty() {
        return Err(ModelError::file(&path, "its weight_map is empty; expected the index of a sharded checkpoint"));
    }
    if let Some(name) = names.iter().find(|name| name.contains(['/', '\\'])) {
        return Err(ModelError::file(&path, format!("names the shard {name}, which is not beside it")));
    }
    Ok(names.into_iter().map(|name| format!("{part}/{name}")).collect())
}

/// The weight files as paths.
pub(crate) fn weight_paths(root: &Path, weights: &str) -> Result<Vec<PathBuf>, ModelError> {
    Ok(shards(root, weights)?.iter().map(|name| root.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(weights: &[&str]) -> BTreeSet<String> {
        let always = [
            "unet/config.json",
            "vae/config.json",
            "text_encoder/config.json",
            "scheduler/scheduler_config.json",
            "tokenizer/vocab.json",
            "tokenizer/merges.txt",
            "vae/diffusion_pytorch_model.bin",
            "text_encoder/model.safetensors",
        ];
        always.iter().chain(weights).map(|s| s.to_string()).collect()
    }

    #[test]
    fn full_precision_is_preferred_to_fp16_and_safetensors_to_pickles() {
        let all = [
            "unet/diffusion_pytorch_model.bin",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "unet/diffusion_pytorch_model.safetensors",
        ];
        for (taken, expected) in [(3, all[2]), (2, all[1]), (1, all[0])] {
            assert_eq!(select(&folder(&all[..taken])).unwrap().weights[0], expected);
        }
    }

    #[test]
    fn the_first_missing_file_is_named() {
        assert_eq!(select(&folder(&[])).unwrap_err(), "unet/diffusion_pytorch_model.safetensors");
        let mut no_tokens = folder(&["unet/diffusion_pytorch_model.bin"]);
        no_tokens.remove("tokenizer/merges.txt");
        assert!(select(&no_tokens).unwrap_err().contains("merges.txt"));
    }
}
