//! Checkpoints from the Hugging Face hub, in the cache that the other tools share.

use super::files::{Selection, list_folder, select, shards};
use super::folder::small_files;
use crate::ModelError;
use hf_hub::api::sync::{Api, ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Whether a source is a hub's id, `owner/name`, and not a folder.
pub(crate) fn is_hub_id(source: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c))
    };
    let parts: Vec<&str> = source.split('/').collect();
    parts.len() == 2 && parts.iter().all(|part| plain(part)) && !Path::new(source).exists()
}

/// The folder of a hub repository in the cache, after fetching what is not there.
///
/// `HF_HOME`, `HF_ENDPOINT` and `HF_TOKEN` are respected. A complete copy in the cache needs no network.
///
/// # Errors
/// Not in the cache and not reachable, or not a diffusers layout.
pub(crate) fn fetch(repo: &str) -> Result<PathBuf, ModelError> {
    if let Some(folder) = cached(repo) {
        return Ok(folder);
    }
    let endpoint = std::env::var("HF_ENDPOINT").unwrap_or_else(|_| "https://huggingface.co".to_owned());
    let failed = |e: hf_hub::api::sync::ApiError| ModelError::Hub {
        repo: repo.to_owned(),
        endpoint: endpoint.clone(),
        reason: e.to_string(),
    };
    let remote = api().map_err(failed)?.repo(Repo::model(repo.to_owned()));
    let there: BTreeSet<String> = remote.info().map_err(failed)?.siblings.into_iter().map(|s| s.rfilename).collect();
    let selection = select(&there).map_err(|missing| ModelError::NotDiffusers { path: repo.into(), missing })?;
    download(&remote, &selection, failed)
}

fn api() -> Result<Api, hf_hub::api::sync::ApiError> {
    let builder = ApiBuilder::from_env();
    match std::env::var("HF_TOKEN") {
        Ok(token) if !token.is_empty() => builder.with_token(Some(token)).build(),
        _ => builder.build(),
    }
}

/// The newest cached snapshot, if everything that a model needs is in it.
fn cached(repo: &str) -> Option<PathBuf> {
    let config = Cache::from_env().repo(Repo::model(repo.to_owned())).get("unet/config.json")?;
    let root = config.parent()?.parent()?.to_owned();
    let selection = select(&list_folder(&root).ok()?).ok()?;
    let complete =
        |weights: &String| shards(&root, weights).is_ok_and(|names| names.iter().all(|name| root.join(name).is_file()));
    selection.weights.iter().all(complete).then_some(root)
}

/// Fetches everything, the small files first: what they show to be of no use is not followed by gigabytes.
fn download(
    remote: &ApiRepo,
    selection: &Selection,
    failed: impl Fn(hf_hub::api::sync::ApiError) -> ModelError,
) -> Result<PathBuf, ModelError> {
    let mut root = PathBuf::new();
    for name in &selection.others {
        let path = remote.get(name).map_err(&failed)?;
        root = path.ancestors().nth(2).unwrap_or(Path::new("")).to_owned();
    }
    small_files(&root)?;
    for weights in &selection.weights {
        remote.get(weights).map_err(&failed)?;
        for shard in shards(&root, weights)? {
            remote.get(&shard).map_err(&failed)?;
        }
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_ids_have_an_owner_and_a_name() {
        for id in ["sd2-community/stable-diffusion-2-inpainting", "a/b.c_1"] {
            assert!(is_hub_id(id), "{id}");
        }
        for path in ["/models/sd2", "./sd2", "../sd2", "models", "a/b/c", "a/b c", "src/sd", "a/"] {
            assert!(!is_hub_id(path), "{path}");
        }
    }
}
