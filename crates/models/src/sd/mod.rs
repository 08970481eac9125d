//! Stable Diffusion inpainting checkpoints (the 1.5 and 2 families), as diffusers lays them out.

mod clip;
mod config;
mod files;
mod fingerprint;
mod folder;
mod hub;
mod layers;
mod random;
mod resnet;
mod single_file;
mod special_tokens;
mod tensors;
mod tokenizer;
mod unet;
mod vae;
mod weights;

pub use clip::ClipTextModel;
pub use config::{ClipConfig, PerLevel, UNetConfig, VaeConfig};
pub use folder::SdFolder;
pub use layers::LinearSlot;
pub use random::{Preset, write_random_checkpoint};
pub use single_file::refuse_single_file;
pub use tokenizer::ClipTokenizer;
pub use unet::{Tape, UNet, UNetGradients};
pub use vae::{AutoencoderKl, Moments};

pub(crate) use tensors::{Stored, TensorTable, list_tensors, safetensors_metadata};

use crate::ModelError;
use crate::kernels::Precision;
use crate::lora::Pass;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::path::Path;

/// The configurations that a checkpoint came with.
#[derive(Debug, Clone, PartialEq)]
pub struct SdConfig {
    /// `unet/config.json`.
    pub unet: UNetConfig,
    /// `vae/config.json`.
    pub vae: VaeConfig,
    /// `text_encoder/config.json`.
    pub text_encoder: ClipConfig,
}

impl SdConfig {
    /// Reads and checks the three configurations of a folder.
    ///
    /// # Errors
    /// Unreadable, or not of the Stable Diffusion 1.5 and 2 families.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let of = |part: &str| folder.join(part).join("config.json");
        let unet = UNetConfig::read(&of("unet"))?;
        let text_encoder = ClipConfig::read(&of("text_encoder"))?;
        let (width, expected) = (text_encoder.hidden_size, unet.cross_attention_dim.at(0));
        if width != expected {
            let reason = format!("hidden_size {width}, but the U-Net's cross_attention_dim is {expected}");
            return Err(ModelError::file(of("text_encoder"), reason));
        }
        Ok(Self { unet, vae: VaeConfig::read(&of("vae"))?, text_encoder })
    }

    /// Whether the U-Net sees noisy latent, mask and masked image's latent: that of an inpainting checkpoint.
    pub fn inpaints(&self) -> bool {
        self.unet.in_channels == 2 * self.vae.latent_channels + 1
    }
}

/// A Stable Diffusion checkpoint, ready to run. Its weights are frozen `f32`; what is tuned is an adapter beside it.
#[derive(Debug, Clone)]
pub struct StableDiffusion {
    /// Denoises latents.
    pub unet: UNet,
    /// Images to latents and back.
    pub vae: AutoencoderKl,
    /// Token ids to what the U-Net attends on.
    pub text_encoder: ClipTextModel,
    /// Prompts to token ids.
    pub tokenizer: ClipTokenizer,
    /// `scheduler/scheduler_config.json`, for the schedules to read.
    pub scheduler_config: serde_json::Value,
    /// The networks' configurations.
    pub config: SdConfig,
    fingerprint: String,
    device: Device,
}

impl StableDiffusion {
    /// Loads a diffusers folder, or a hub's id (`owner/name`) through the shared cache.
    ///
    /// SafeTensors (whole or in shards), the `fp16` variant, and PyTorch's `.bin` are read, in this order of preference.
    ///
    /// # Errors
    /// Files that are missing or unreadable, settings of other families, tensors that are missing, extra or misshapen.
    pub fn load(source: &str, device: &Device) -> Result<Self, ModelError> {
        Self::load_in(source, device, Precision::F32)
    }

    /// [`StableDiffusion::load`], in the precision that the processor is to multiply with. It falls back to `f32` where the
    /// processor or its kernels have no other; other devices have their own.
    ///
    /// # Errors
    /// As [`StableDiffusion::load`].
    pub fn load_in(source: &str, device: &Device, precision: Precision) -> Result<Self, ModelError> {
        SdFolder::of(source)?.load(device, precision)
    }

    /// Loads a diffusers folder.
    ///
    /// # Errors
    /// As [`StableDiffusion::load`].
    pub fn load_folder(folder: &Path, device: &Device) -> Result<Self, ModelError> {
        SdFolder::open(folder)?.load(device, Precision::F32)
    }

    /// A hash of the weights, the same for all variants of a checkpoint's files.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The device of the weights, without autodiff.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How many of so many pictures to take at once: a processor takes one, since it gains nothing from several and would need the
    /// memory of all of them.
    pub fn at_once(&self, pictures: usize) -> usize {
        if self.device == Device::flex() { pictures.min(1) } else { pictures }
    }

    /// The prompt's embedding, `[1, tokens, hidden_size]`, by the base model alone.
    ///
    /// # Errors
    /// As [`ClipTokenizer::encode`].
    pub fn encode_prompt(&self, prompt: &str) -> Result<Tensor<3>, ModelError> {
        self.encode_prompt_with(prompt, &Pass::OFF)
    }

    /// The prompt's embedding, `[1, tokens, hidden_size]`, with the text encoder's adapter.
    ///
    /// # Errors
    /// As [`ClipTokenizer::encode`].
    pub fn encode_prompt_with(&self, prompt: &str, pass: &Pass) -> Result<Tensor<3>, ModelError> {
        let ids: Vec<i32> = self.tokenizer.encode(prompt)?.into_iter().map(|id| id as i32).collect();
        let shape = [1, ids.len()];
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, shape), &self.device);
        Ok(self.text_encoder.forward(ids, pass))
    }

    /// The latents' distribution for images `[batch, 3, height, width]` in -1..1, sides divisible by 8; not scaled.
    pub fn encode(&self, images: Tensor<4>) -> Moments {
        self.vae.encode(images)
    }

    /// What the diffusion sees of moments: a sample from `noise`, or the mean, times the scaling factor (0.18215).
    pub fn scaled_latents(&self, moments: &Moments, noise: Option<Tensor<4>>) -> Tensor<4> {
        let latents = match noise {
            Some(noise) => moments.sample(noise),
            None => moments.mean.clone(),
        };
        latents * self.config.vae.scaling_factor
    }

    /// Images, about -1..1, for latents as the diffusion sees them.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        self.vae.decode(latents / self.config.vae.scaling_factor)
    }

    /// The U-Net's prediction for `[batch, 9, h, w]` (noisy latent, mask, masked image's latent), as [`UNet::forward`], as many
    /// pictures [at once](Self::at_once) as the device is to take.
    pub fn denoise(&self, latents: Tensor<4>, timesteps: &[f32], context: Tensor<3>, pass: &Pass) -> Tensor<4> {
        if self.at_once(timesteps.len()) == timesteps.len() {
            return self.unet.forward(latents, timesteps, context, pass);
        }
        let one = |i: usize| {
            let (latents, context) = (latents.clone().narrow(0, i, 1), context.clone().narrow(0, i, 1));
            self.unet.forward(latents, &timesteps[i..=i], context, pass)
        };
        Tensor::cat((0..timesteps.len()).map(one).collect(), 0)
    }

    /// A pixel mask `[batch, 1, height, width]` (1 = fill) at the latents' size.
    pub fn mask_to_latents(&self, mask: Tensor<4>) -> Tensor<4> {
        mask_to_latents(mask, self.config.vae.scale())
    }
}

/// A pixel mask `[batch, 1, height, width]` (1 = fill) in cells: a cell is masked when any of its `scale` x `scale` pixels is.
pub fn mask_to_latents(mask: Tensor<4>, scale: usize) -> Tensor<4> {
    max_pool2d(mask, MaxPoolOptions::new([scale, scale]).with_stride([scale, scale]))
}
