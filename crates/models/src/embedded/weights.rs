//! The embedded model's weights: in the program itself, and in files of the same format.

use super::{EmbeddedConfig, PatchUNet};
use crate::ModelError;
use crate::save::write_whole;
use burn::store::{FloatCastAdapter, ModuleSnapshot, SafetensorsStore};
use burn::tensor::{DType, Device};
use std::path::Path;

/// The checkpoint that ships with the program (f16 safetensors; its model card is `models/README.md`).
const BUILT_IN: &[u8] = include_bytes!("../../../../models/embedded.safetensors");

impl PatchUNet {
    /// The network that ships with the program.
    ///
    /// # Errors
    /// When the program was built with a checkpoint of another shape.
    pub fn built_in(device: &Device) -> Result<Self, ModelError> {
        Self::new(&EmbeddedConfig::default(), device).with_weights(BUILT_IN, Path::new("the built-in checkpoint"))
    }

    /// Reads weights written by [`PatchUNet::save`] into this network's place.
    ///
    /// # Errors
    /// When the file cannot be read or holds the tensors of another network.
    pub fn load(self, path: &Path) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|error| ModelError::file(path, error))?;
        self.with_weights(&bytes, path)
    }

    /// Writes the weights as safetensors in `dtype`.
    ///
    /// # Errors
    /// When the file cannot be written; an older file then stays.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<(), ModelError> {
        // Burn's own metadata comes in an order of its own each time; without it, equal weights are equal bytes.
        let store = SafetensorsStore::from_bytes(None).clear_metadata();
        let mut store = store.with_to_adapter(FloatCastAdapter::to(dtype));
        self.save_into(&mut store).map_err(|error| ModelError::file(path, error))?;
        let bytes = store.get_bytes().map_err(|error| ModelError::file(path, error))?;
        write_whole(path, &bytes)
    }

    fn with_weights(mut self, bytes: &[u8], path: &Path) -> Result<Self, ModelError> {
        let mut store = SafetensorsStore::from_bytes(Some(bytes.to_vec()))
            .with_from_adapter(FloatCastAdapter::to(DType::F32))
            .validate(true);
        let result = self.load_from(&mut store).map_err(|error| ModelError::file(path, error))?;
        if !result.unused.is_empty() {
            return Err(ModelError::file(path, format!("tensors of another network: {:?}", result.unused)));
        }
        Ok(self)
    }

    /// A hash of the built-in checkpoint's bytes, FNV-1a, in hexadecimal.
    pub fn built_in_fingerprint() -> String {
        let hash =
            BUILT_IN.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        format!("{hash:016x}")
    }
}
