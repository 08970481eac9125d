//! Tells checkpoints apart by their weights, so that an adapter is not used on another base than its own.

use super::files::weight_paths;
use super::tensors::{TensorTable, list_tensors};
use super::{clip, vae};
use crate::ModelError;
use half::f16;
use std::path::Path;

/// Tensors of more values are left out: the first and last convolutions, norms and biases (a few MB) tell fine-tuned
/// checkpoints apart, and reading them takes no time.
const MOST_VALUES: usize = 1 << 15;

type Rename = fn(&str) -> Option<String>;

/// A hash of names and values, in hexadecimal, of the weight files of U-Net, autoencoder and text encoder.
///
/// Values are rounded to `f16`, so that a checkpoint's variants and file formats have one fingerprint.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn fingerprint(folder: &Path, weights: &[String; 3]) -> Result<String, ModelError> {
    let renames: [Rename; 3] = [|name| Some(name.to_owned()), vae::rename, clip::rename];
    let mut hash = Fnv::default();
    for (weights, rename) in weights.iter().zip(renames) {
        let mut table = TensorTable::new();
        for file in weight_paths(folder, weights)? {
            table.extend(list_tensors(&file)?.into_iter().filter_map(|(name, tensor)| Some((rename(&name)?, tensor))));
        }
        for (name, tensor) in table.iter().filter(|(_, t)| t.shape.iter().product::<usize>() <= MOST_VALUES) {
            hash.add(name.as_bytes());
            tensor.read()?.into_iter().for_each(|value| hash.add(&f16::from_f32(value).to_le_bytes()));
        }
    }
    Ok(format!("{:016x}", hash.0))
}

/// FNV-1a.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    }
}

#[cfg(test)]
mod tests {
    use crate::sd::{Preset, StableDiffusion, write_random_checkpoint};
    use burn::tensor::Device;

    #[test]
    fn other_weights_have_another_fingerprint() {
        let of = |seed| {
            let place = tempfile::tempdir().unwrap();
            write_random_checkpoint(Preset::Tiny, place.path(), seed).unwrap();
            StableDiffusion::load_folder(place.path(), &Device::flex()).unwrap().fingerprint().to_owned()
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
