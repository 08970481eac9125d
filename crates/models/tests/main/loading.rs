//! Checkpoint folders in all the forms that are found, and damaged ones.

use crate::golden::folder;
use burn::tensor::Device;
use realfill_models::ModelError;
use realfill_models::sd::StableDiffusion;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::path::{Path, PathBuf};

const UNET: &str = "unet/diffusion_pytorch_model.fp16.safetensors";

/// A copy of a family's folder that can be damaged.
fn copy(family: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    copy_into(&folder(family), place.path());
    place
}

fn copy_into(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn error(place: &Path) -> ModelError {
    StableDiffusion::load_folder(place, &Device::flex()).unwrap_err()
}

/// Rewrites a SafeTensors file.
fn edit(path: PathBuf, change: impl Fn(&mut Vec<(String, TensorView)>)) {
    let bytes = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut views = tensors.tensors();
    change(&mut views);
    std::fs::write(&path, serialize(views, None).unwrap()).unwrap();
}

#[test]
fn missing_tensors_are_named() {
    let place = copy("sd15");
    edit(place.path().join(UNET), |tensors| tensors.retain(|(name, _)| !name.starts_with("conv_out")));
    let text = error(place.path()).to_string();
    assert!(text.ends_with("2 missing tensors: conv_out.weight, conv_out.bias"), "{text}");
    assert!(text.contains(UNET), "{text}");
}

#[test]
fn extra_and_misshapen_tensors_are_named() {
    let place = copy("sd15");
    edit(place.path().join(UNET), |tensors| {
        let bias = tensors.iter().find(|(name, _)| name == "conv_in.bias").unwrap().1.clone();
        tensors.push(("add_embedding.bias".to_owned(), bias.clone()));
        tensors.iter_mut().find(|(name, _)| name == "conv_out.bias").unwrap().1 = bias;
    });
    let text = error(place.path()).to_string();
    assert!(text.contains("1 extra tensor: add_embedding.bias"), "{text}");
    assert!(text.contains("1 misshapen tensor: conv_out.bias is [16] instead of [4]"), "{text}");
}

#[test]
fn the_rest_of_a_whole_clip_model_is_left_out() {
    let place = copy("sd2");
    let plain = StableDiffusion::load_folder(place.path(), &Device::flex()).unwrap();
    let path = place.path().join("text_encoder/model.safetensors");
    let add = |names: &[&str]| {
        edit(path.clone(), |tensors| {
            let some = tensors[0].1.clone();
            tensors.extend(names.iter().map(|name| (name.to_string(), some.clone())));
        });
    };
    let others = [
        "text_projection.weight",
        "logit_scale",
        "vision_model.embeddings.class_embedding",
        "visual_projection.weight",
    ];
    add(&others);
    let whole = StableDiffusion::load_folder(place.path(), &Device::flex()).unwrap();
    assert_eq!(whole.fingerprint(), plain.fingerprint());
    add(&["encoder.layers.9.mlp.fc1.bias"]);
    let text = error(place.path()).to_string();
    assert!(text.ends_with("1 extra tensor: encoder.layers.9.mlp.fc1.bias"), "{text}");
}

#[test]
fn a_truncated_file_is_named() {
    let place = copy("sd15");
    let path = place.path().join(UNET);
    let bytes = std::fs::read(&path).unwrap();
    for length in [bytes.len() - 100, 1000, 4, 0] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let text = error(place.path()).to_string();
        assert!(text.contains("fp16.safetensors: "), "{text}");
    }
}

#[test]
fn a_damaged_pickle_is_named() {
    for damage in [&b"not a pickle"[..], b""] {
        let place = copy("sd15");
        std::fs::write(place.path().join("vae/diffusion_pytorch_model.bin"), damage).unwrap();
        let text = error(place.path()).to_string();
        assert!(text.contains("diffusion_pytorch_model.bin: not a readable PyTorch file"), "{text}");
    }
}

#[test]
fn a_missing_shard_is_named() {
    let place = copy("sd2");
    std::fs::remove_file(place.path().join("unet/diffusion_pytorch_model-00002-of-00007.safetensors")).unwrap();
    let text = error(place.path()).to_string();
    assert!(text.contains("00002-of-00007.safetensors: not a readable SafeTensors file"), "{text}");
}

#[test]
fn an_index_of_nothing_is_refused() {
    let place = copy("sd2");
    let index = "unet/diffusion_pytorch_model.safetensors.index.json";
    std::fs::write(place.path().join(index), r#"{"weight_map": {}}"#).unwrap();
    let text = error(place.path()).to_string();
    assert!(text.contains(index) && text.contains("its weight_map is empty"), "{text}");
}

#[test]
fn a_checkpoint_in_one_file_says_how_to_convert_it() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, tensor: &str| {
        let path = place.path().join(name);
        let view = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        std::fs::write(&path, serialize([(tensor, view)], None).unwrap()).unwrap();
        error(&path).to_string()
    };
    for tensor in ["model.diffusion_model.out.2.bias", "cond_stage_model.logit_scale", "first_stage_model.loss"] {
        let text = write("sd.safetensors", tensor);
        assert!(text.contains("sd.safetensors is a single-file checkpoint; convert it once with diffusers"), "{text}");
        assert!(text.contains("sd.safetensors\").save_pretrained(\"folder\"), and give the folder"), "{text}");
    }
    let text = write("sd.ckpt", "x");
    assert!(text.contains("sd.ckpt is a single-file checkpoint"), "{text}");
    let text = write("other.safetensors", "conv.weight");
    assert!(text.contains("other.safetensors: is a file; expected a folder"), "{text}");
}

#[test]
fn a_missing_part_is_named() {
    for file in ["unet/config.json", "vae/diffusion_pytorch_model.bin", "tokenizer/merges.txt"] {
        let place = copy("sd15");
        std::fs::remove_file(place.path().join(file)).unwrap();
        let found = error(place.path());
        assert!(matches!(found, ModelError::NotDiffusers { .. }), "{found}");
        let part = file.split('/').next().unwrap();
        assert!(found.to_string().contains(part), "{found}");
    }
    let nowhere = error(Path::new("/nowhere/at/all")).to_string();
    assert_eq!(nowhere, "/nowhere/at/all: no such folder");
}

#[test]
fn settings_of_other_families_are_refused() {
    let change = |from: &str, to: &str| {
        let place = copy("sd2");
        let path = place.path().join("unet/config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(path, text.replace(from, to)).unwrap();
        error(place.path()).to_string()
    };
    let text = change("\"addition_embed_type\": null", "\"addition_embed_type\": \"text_time\"");
    assert!(text.contains("addition_embed_type is \"text_time\"; only null is supported"), "{text}");
    let text = change("\"CrossAttnDownBlock2D\"", "\"AttnDownBlock2D\"");
    assert!(text.contains("blocks of type AttnDownBlock2D"), "{text}");
    let text = change("\"norm_num_groups\": 8", "\"norm_num_groups\": 7");
    assert!(text.contains("norm_num_groups 7 does not divide 16 channels"), "{text}");
}

#[test]
fn small_files_are_read_before_the_weights() {
    let place = copy("sd15");
    std::fs::write(place.path().join(UNET), "damaged").unwrap();
    for file in ["scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json", "vae/config.json"] {
        std::fs::write(place.path().join(file), "{").unwrap();
        let text = error(place.path()).to_string();
        assert!(text.contains(file) && text.contains("not valid JSON"), "{text}");
    }
}

#[test]
fn numbers_that_only_python_writes_are_read_as_null() {
    let place = copy("sd15");
    let path = place.path().join("scheduler/scheduler_config.json");
    std::fs::write(&path, r#"{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity}"#)
        .unwrap();
    let model = StableDiffusion::load_folder(place.path(), &Device::flex()).unwrap();
    assert_eq!(model.scheduler_config["lambda_min_clipped"], serde_json::Value::Null);
    assert_eq!(model.scheduler_config["_class_name"], "DPMSolverMultistepScheduler");
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let change = |file: &str, from: &str, to: &str| {
        let place = copy("sd15");
        let path = place.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(path, text.replace(from, to)).unwrap();
        error(place.path()).to_string()
    };
    let text = change("unet/config.json", "\"cross_attention_dim\": 16", "\"cross_attention_dim\": 32");
    assert!(text.contains("hidden_size 16, but the U-Net's cross_attention_dim is 32"), "{text}");
    let text = change("tokenizer/vocab.json", "\"<|endoftext|>\": 523", "\"<|endoftext|>\": 600");
    assert!(text.contains("token id 600, but the text encoder knows only 524"), "{text}");
    let text =
        change("tokenizer/tokenizer_config.json", "\"pad_token\": \"<|endoftext|>\"", "\"pad_token\": \"[PAD]\"");
    assert!(text.contains("pad_token [PAD] is not in the vocabulary"), "{text}");
}

/// One test for all that reads the environment: it is one for the whole process.
#[test]
fn a_hub_id_is_read_from_the_cache_or_says_how_to_give_a_folder() {
    let home = tempfile::tempdir().unwrap();
    let set = |name: &str, value: &str| {
        // SAFETY: the other tests read the environment through std alone, which orders reads and writes by a lock.
        unsafe { std::env::set_var(name, value) }
    };
    set("HF_HOME", home.path().to_str().unwrap());
    set("HF_ENDPOINT", "http://127.0.0.1:9");
    let text = StableDiffusion::load("owner/name", &Device::flex()).unwrap_err().to_string();
    assert!(text.starts_with("there is no folder owner/name here, and "), "{text}");
    assert!(text.contains("owner/name is not in the cache and cannot be fetched from http://127.0.0.1:9"), "{text}");
    assert!(text.contains("give a folder in the diffusers layout instead"), "{text}");

    let repo = home.path().join("hub/models--owner--name");
    copy_into(&folder("sd2"), &repo.join("snapshots/abc"));
    std::fs::create_dir_all(repo.join("refs")).unwrap();
    std::fs::write(repo.join("refs/main"), "abc").unwrap();
    StableDiffusion::load("owner/name", &Device::flex()).unwrap();
}
