//! Writes randomly initialised checkpoints of true shapes, so that everything can be tried and timed without a download.

mod presets;
mod shards;

pub use presets::Preset;

use super::clip::{self, ClipTextModel};
use super::config::{ClipConfig, UNetConfig, VaeConfig};
use super::unet::UNet;
use super::vae::AutoencoderKl;
use super::weights::Checkpoint;
use crate::ModelError;
use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::path::Path;

/// Writes a folder in the diffusers layout with the preset's shapes and random `f16` weights, the same for the same seed.
///
/// Weights are uniform with variance 1 / fan-in, norms the identity, biases zero: activations stay finite, pictures are
/// noise. Sizes: `sd2` 2.6 GB, `sd15` 2.1 GB, `tiny` 1 MB. The tokenizer knows single bytes only.
///
/// # Errors
/// When the folder or a file in it cannot be written.
pub fn write_random_checkpoint(preset: Preset, folder: &Path, seed: u64) -> Result<(), ModelError> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let (unet, vae, text) = (preset.unet(), preset.vae(), preset.text_encoder());
    write_json(&folder.join("model_index.json"), &presets::model_index())?;
    write_json(&folder.join("scheduler/scheduler_config.json"), &presets::scheduler(preset))?;
    write_json(&folder.join("unet/config.json"), &unet)?;
    write_json(&folder.join("vae/config.json"), &vae)?;
    write_json(&folder.join("text_encoder/config.json"), &text)?;
    write_tokenizer(&folder.join("tokenizer"), preset)?;
    let network = "diffusion_pytorch_model";
    shards::write(&folder.join("unet"), network, &asked(&unet, |c: &UNetConfig, w| drop(UNet::new(c, w))), rng)?;
    shards::write(&folder.join("vae"), network, &asked(&vae, |c: &VaeConfig, w| drop(AutoencoderKl::new(c, w))), rng)?;
    let mut named = asked(&text, |c: &ClipConfig, w| drop(ClipTextModel::new(c, w)));
    named.iter_mut().for_each(|(name, _)| name.insert_str(0, clip::PREFIX));
    shards::write(&folder.join("text_encoder"), "model", &named, rng)
}

type Shapes = Vec<(String, Vec<usize>)>;

/// Names and shapes that a model asks for when it is built.
fn asked<C: serde::de::DeserializeOwned>(config: &Value, build: impl Fn(&C, super::weights::Weights)) -> Shapes {
    let config = serde_json::from_value(config.clone()).expect("presets are complete");
    let checkpoint = Checkpoint::dry(&Device::flex());
    build(&config, checkpoint.root(""));
    checkpoint.into_asked()
}

fn write_file(path: &Path, text: &str) -> Result<(), ModelError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text)).map_err(|e| ModelError::file(path, e))
}

fn write_json(path: &Path, value: &Value) -> Result<(), ModelError> {
    write_file(path, &serde_json::to_string_pretty(value).expect("plain values"))
}

/// Byte-level BPE with CLIP's layout and no merges but a few: the 256 bytes, the same at a word's end, the two marks last.
fn write_tokenizer(folder: &Path, preset: Preset) -> Result<(), ModelError> {
    let merges = ["p h", "ph o", "t o</w>", "pho to</w>", "o f</w>", "s k", "sk s</w>"];
    let letters = byte_letters();
    let ends = letters.iter().map(|c| format!("{c}</w>"));
    let tokens = letters.iter().map(char::to_string).chain(ends).chain(merges.iter().map(|m| m.replace(' ', "")));
    let mut vocab: serde_json::Map<String, Value> = tokens.enumerate().map(|(id, t)| (t, json!(id))).collect();
    let size = preset.vocabulary();
    vocab.insert("<|startoftext|>".to_owned(), json!(size - 2));
    vocab.insert("<|endoftext|>".to_owned(), json!(size - 1));
    write_json(&folder.join("vocab.json"), &Value::Object(vocab))?;
    write_file(&folder.join("merges.txt"), &format!("#version: 0.2\n{}\n", merges.join("\n")))?;
    let config = json!({
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": preset.pad_token(),
        "model_max_length": 77,
        "tokenizer_class": "CLIPTokenizer",
    });
    write_json(&folder.join("tokenizer_config.json"), &config)
}

/// The printable stand-ins for the 256 bytes, in the order of CLIP's vocabulary (GPT-2's `bytes_to_unicode`).
fn byte_letters() -> Vec<char> {
    let printable: Vec<u32> = (33..127).chain(161..173).chain(174..256).collect();
    let shifted = (0..256 - printable.len() as u32).map(|i| 256 + i);
    printable.iter().copied().chain(shifted).filter_map(char::from_u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::Pass;
    use crate::sd::StableDiffusion;
    use burn::tensor::{Distribution, Tensor};

    fn count(shapes: &Shapes) -> usize {
        shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// The counts are those of the published inpainting checkpoints.
    #[test]
    fn presets_have_the_true_number_of_weights() {
        for (preset, unet, text) in [(Preset::Sd2, 865_925_124, 340_387_840), (Preset::Sd15, 859_535_364, 123_060_480)]
        {
            assert_eq!(count(&asked(&preset.unet(), |c: &UNetConfig, w| drop(UNet::new(c, w)))), unet);
            assert_eq!(count(&asked(&preset.text_encoder(), |c: &ClipConfig, w| drop(ClipTextModel::new(c, w)))), text);
            let vae = count(&asked(&preset.vae(), |c: &VaeConfig, w| drop(AutoencoderKl::new(c, w))));
            assert_eq!(vae, 83_653_863);
        }
    }

    #[test]
    fn a_tiny_checkpoint_loads_and_stays_finite() {
        let place = tempfile::tempdir().unwrap();
        write_random_checkpoint(Preset::Tiny, place.path(), 5).unwrap();
        let device = Device::flex();
        let model = StableDiffusion::load_folder(place.path(), &device).unwrap();
        assert_eq!(model.scheduler_config["prediction_type"], "epsilon");
        let context = model.encode_prompt("a photo of sks").unwrap();
        assert_eq!(context.dims(), [1, 77, 16]);
        let images = Tensor::random([1, 3, 64, 64], Distribution::Uniform(-1.0, 1.0), &device);
        let latents = model.scaled_latents(&model.encode(images), None);
        assert_eq!(latents.dims(), [1, 4, 8, 8]);
        let input = Tensor::cat(vec![latents.clone(), latents.clone(), latents.clone().narrow(1, 0, 1)], 1);
        let predicted = model.denoise(input, &[500.0], context, &Pass::OFF);
        let decoded = model.decode(latents + predicted);
        assert_eq!(decoded.dims(), [1, 3, 64, 64]);
        assert!(decoded.into_data().try_to_vec::<f32>().unwrap().iter().all(|v| v.is_finite()));
    }

    #[test]
    fn the_seed_decides_the_weights() {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, seed| {
            let folder = place.path().join(name);
            write_random_checkpoint(Preset::Tiny, &folder, seed).unwrap();
            std::fs::read(folder.join("unet/diffusion_pytorch_model.safetensors")).unwrap()
        };
        let first = write("a", 1);
        assert_eq!(first, write("b", 1));
        assert_ne!(first, write("c", 2));
    }
}
