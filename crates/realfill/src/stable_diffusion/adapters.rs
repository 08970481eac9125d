//! What is tuned: the factors beside the U-Net and the text encoder, and the U-Net's input channels for the guide.

use crate::tuning::TuneConfig;
use burn::module::Module;
use burn::tensor::Device;
use realfill_models::ModelError;
use realfill_models::lora::{Adapter, LoraConfig, TEXT_ENCODER_TARGETS, UNET_TARGETS};
use realfill_models::sd::{LinearSlot, StableDiffusion};
use std::path::Path;

const UNET: &str = "unet";
const TEXT_ENCODER: &str = "text_encoder";
const PEFT_CONFIG: &str = "adapter_config.json";

/// Files that diffusers keeps the adapters of both networks in.
const DIFFUSERS: [&str; 2] = ["pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin"];

/// The adapters of both networks.
#[derive(Module, Debug)]
pub(super) struct Adapters {
    /// The U-Net's, with extra input channels for the guide.
    pub unet: Adapter,
    /// The text encoder's.
    pub text: Adapter,
}

/// Channels of the guide: its latent and its trust.
pub(super) fn guide_channels(base: &StableDiffusion) -> usize {
    base.config.vae.latent_channels + 1
}

fn training_device(base: &StableDiffusion) -> Device {
    base.device().clone().autodiff()
}

impl Adapters {
    /// Adapters that change nothing yet.
    pub fn fresh(base: &StableDiffusion, config: &TuneConfig) -> Self {
        let device = training_device(base);
        let lora = |targets: &[&str]| LoraConfig {
            alpha: config.alpha,
            dropout: config.lora_dropout,
            ..LoraConfig::new(config.rank.max(1), targets)
        };
        let of = |targets: &[&str], slots: &[LinearSlot], seed| Adapter::new(&lora(targets), slots, seed, &device);
        let unet = of(&UNET_TARGETS, &base.unet.slots(), config.seed);
        let text = of(&TEXT_ENCODER_TARGETS, &base.text_encoder.slots(), config.seed.wrapping_add(1));
        let input = base.unet.input_shape();
        Self { unet: unet.with_extra_input_channels(guide_channels(base), input, &device), text }
    }

    /// Writes both in PEFT's format.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        self.unet.save_peft(&folder.join(UNET))?;
        self.text.save_peft(&folder.join(TEXT_ENCODER))
    }

    /// Reads adapters of ours, of PEFT's or of diffusers', for the device they are trained on. A text encoder's may be missing.
    ///
    /// # Errors
    /// When there is none for the U-Net, or they do not fit the base.
    pub fn load(self, folder: &Path, base: &StableDiffusion) -> Result<Self, ModelError> {
        let device = training_device(base);
        let unet = read(folder, UNET, &base.unet.slots(), &device)?.ok_or_else(|| {
            let reason = format!(
                "holds {}; expected {UNET}/{PEFT_CONFIG} (an adapter in PEFT's format), or {} with the U-Net's layers",
                names_in(folder),
                DIFFUSERS[0]
            );
            ModelError::file(folder, reason)
        })?;
        let text = read(folder, TEXT_ENCODER, &base.text_encoder.slots(), &device)?.unwrap_or(self.text);
        Ok(Self { unet: with_guide_channels(unet, folder, base)?, text })
    }
}

/// The adapter of one network, where there is one.
fn read(folder: &Path, part: &str, slots: &[LinearSlot], device: &Device) -> Result<Option<Adapter>, ModelError> {
    if folder.join(part).join(PEFT_CONFIG).is_file() {
        return Adapter::load_peft(&folder.join(part), slots, device).map(Some);
    }
    match DIFFUSERS.map(|name| folder.join(name)).into_iter().find(|path| path.is_file()) {
        Some(path) => Adapter::load_diffusers(&path, part, slots, device),
        None => Ok(None),
    }
}

/// The first names in a folder, for people.
fn names_in(folder: &Path) -> String {
    const SHOWN: usize = 5;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    match names.len() {
        0 => "nothing".to_owned(),
        count if count > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
        _ => names.join(", "),
    }
}

/// Adds the guide's channels where the adapter was made without.
fn with_guide_channels(unet: Adapter, folder: &Path, base: &StableDiffusion) -> Result<Adapter, ModelError> {
    let [output, own] = base.unet.input_shape();
    let expected = [output, guide_channels(base), 3, 3];
    match unet.extra_input().map(|extra| extra.weight.val().dims()) {
        None => Ok(unet.with_extra_input_channels(guide_channels(base), [output, own], &training_device(base))),
        Some(shape) if shape == expected => Ok(unet),
        Some(shape) => {
            let reason = format!("the extra input's kernel is {shape:?}; this base needs {expected:?}");
            Err(ModelError::file(folder.join(UNET), reason))
        }
    }
}
