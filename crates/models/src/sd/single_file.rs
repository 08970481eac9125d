//! Checkpoints in one file, in the layout that Stable Diffusion was first published in. Diffusers converts them.

use super::tensors::list_tensors;
use crate::ModelError;
use std::path::Path;

/// What names of U-Net, text encoder and autoencoder begin with in that layout.
const PREFIXES: [&str; 3] = ["model.diffusion_model.", "cond_stage_model.", "first_stage_model."];

/// Lets everything pass that is no such file. Only names are read.
///
/// # Errors
/// A checkpoint in one file; the message says how to convert it.
pub fn refuse_single_file(path: &Path) -> Result<(), ModelError> {
    let is_original = |name: &String| {
        let name = name.strip_prefix("state_dict.").unwrap_or(name);
        PREFIXES.iter().any(|prefix| name.starts_with(*prefix))
    };
    let is_ckpt = || path.extension().is_some_and(|extension| extension == "ckpt");
    let is_one = path.is_file() && (is_ckpt() || list_tensors(path).is_ok_and(|all| all.keys().any(is_original)));
    if is_one { Err(ModelError::SingleFile { path: path.to_owned() }) } else { Ok(()) }
}
