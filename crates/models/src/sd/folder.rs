//! A checkpoint's folder. Its small files are read first, so that what cannot be used is refused before gigabytes are read.

use super::clip::{self, ClipTextModel};
use super::config::{ClipConfig, UNetConfig, VaeConfig};
use super::tensors::list_tensors;
use super::unet::UNet;
use super::vae::{self, AutoencoderKl};
use super::weights::Checkpoint;
use super::{ClipTokenizer, SdConfig, StableDiffusion, files, fingerprint, hub, refuse_single_file};
use crate::ModelError;
use crate::json::read_json;
use crate::kernels::Precision;
use burn::tensor::Device;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A checkpoint whose weights are not read yet.
#[derive(Debug)]
pub struct SdFolder {
    /// The networks' configurations.
    pub config: SdConfig,
    /// `scheduler/scheduler_config.json`, for the schedules to read.
    pub scheduler_config: Value,
    tokenizer: ClipTokenizer,
    folder: PathBuf,
    weights: [String; 3],
}

impl SdFolder {
    /// Opens a diffusers folder, or a hub's id (`owner/name`) through the shared cache.
    ///
    /// # Errors
    /// Files that are missing, cannot be fetched or are unreadable; settings of other families.
    pub fn of(source: &str) -> Result<Self, ModelError> {
        if hub::is_hub_id(source) {
            return Self::open(&hub::fetch(source)?);
        }
        Self::open(Path::new(source))
    }

    /// Opens a diffusers folder.
    ///
    /// # Errors
    /// As [`SdFolder::of`].
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        refuse_single_file(folder)?;
        let selection = files::select(&files::list_folder(folder)?)
            .map_err(|missing| ModelError::NotDiffusers { path: folder.to_owned(), missing })?;
        let (config, tokenizer, scheduler_config) = small_files(folder)?;
        Ok(Self { config, scheduler_config, tokenizer, folder: folder.to_owned(), weights: selection.weights })
    }

    /// Reads the weights.
    ///
    /// # Errors
    /// Unreadable files; tensors that are missing, extra or misshapen.
    pub fn load(self, device: &Device, precision: Precision) -> Result<StableDiffusion, ModelError> {
        let [unet, vae, text_encoder] = &self.weights;
        let (config, folder) = (&self.config, self.folder.as_path());
        let device = device.clone().without_autodiff();
        Ok(StableDiffusion {
            text_encoder: load_text_encoder(&config.text_encoder, folder, text_encoder, &device)?,
            unet: load_unet(&config.unet, folder, unet, &device, precision)?,
            vae: load_vae(&config.vae, folder, vae, &device, precision)?,
            fingerprint: fingerprint::fingerprint(folder, &self.weights)?,
            tokenizer: self.tokenizer,
            scheduler_config: self.scheduler_config,
            config: self.config,
            device,
        })
    }
}

/// Configurations, tokenizer and scheduler of a folder.
pub(super) fn small_files(folder: &Path) -> Result<(SdConfig, ClipTokenizer, Value), ModelError> {
    let config = SdConfig::read(folder)?;
    let tokenizer = ClipTokenizer::read(&folder.join("tokenizer"), &config.text_encoder)?;
    Ok((config, tokenizer, read_json(&folder.join("scheduler/scheduler_config.json"))?))
}

fn load_unet(
    config: &UNetConfig,
    folder: &Path,
    weights: &str,
    device: &Device,
    precision: Precision,
) -> Result<UNet, ModelError> {
    let files = files::weight_paths(folder, weights)?;
    let checkpoint = Checkpoint::open(&files, &folder.join(weights), |name| Some(name.to_owned()), device, precision)?;
    let model = UNet::new(config, checkpoint.root(""));
    checkpoint.finish(model)
}

fn load_vae(
    config: &VaeConfig,
    folder: &Path,
    weights: &str,
    device: &Device,
    precision: Precision,
) -> Result<AutoencoderKl, ModelError> {
    let files = files::weight_paths(folder, weights)?;
    let checkpoint = Checkpoint::open(&files, &folder.join(weights), vae::rename, device, precision)?;
    let model = AutoencoderKl::new(config, checkpoint.root(""));
    checkpoint.finish(model)
}

fn load_text_encoder(
    config: &ClipConfig,
    folder: &Path,
    weights: &str,
    device: &Device,
) -> Result<ClipTextModel, ModelError> {
    let files = files::weight_paths(folder, weights)?;
    let checkpoint = Checkpoint::open(&files, &folder.join(weights), clip::rename, device, Precision::F32)?;
    // Adapters of these checkpoints name the layers as the checkpoint does.
    let prefixed = list_tensors(&files[0])?.keys().any(|name| name.starts_with(clip::PREFIX));
    let title = if prefixed { clip::PREFIX } else { "" };
    let model = ClipTextModel::new(config, checkpoint.root(title));
    checkpoint.finish(model)
}
