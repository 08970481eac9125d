//! Adapters in PEFT's format, both ways, and the U-Net's extra input channels.

use crate::golden::{Expected, FAMILIES, Vary, folder, relative_error};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Int, Tensor};
use realfill_models::lora::{Adapter, DropRates, LoraConfig, LoraDropout, Pass, TEXT_ENCODER_TARGETS, UNET_TARGETS};
use realfill_models::sd::{LinearSlot, StableDiffusion};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};
use std::path::Path;

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

struct Case {
    model: StableDiffusion,
    expected: Expected,
}

impl Case {
    fn new(family: &str) -> Self {
        let model = StableDiffusion::load_folder(&folder(family), &Device::flex()).unwrap();
        Self { model, expected: Expected::read(family) }
    }

    fn predict(&self, latents: Tensor<4>, pass: &Pass) -> Vec<f32> {
        let context = self.expected.tensor::<3>("hidden").narrow(0, 0, 2);
        values(self.model.unet.forward(latents, &self.expected.values("timesteps"), context, pass))
    }

    fn latents(&self) -> Tensor<4> {
        self.expected.tensor("latents")
    }
}

#[test]
fn a_saved_adapter_comes_back_as_it_was() {
    for family in FAMILIES {
        let case = Case::new(family);
        let slots = case.model.unet.slots();
        let theirs = Adapter::load_peft(&folder(family).join("adapter/unet"), &slots, &Device::flex()).unwrap();
        let place = tempfile::tempdir().unwrap();
        theirs.save_peft(place.path()).unwrap();
        let ours = Adapter::load_peft(place.path(), &slots, &Device::flex()).unwrap();
        let (theirs, ours) = (theirs.parameters(), ours.parameters());
        assert_eq!(theirs.len(), ours.len());
        for (before, after) in theirs.iter().zip(&ours) {
            assert_eq!(before.0, after.0);
            assert_eq!(before.1.try_to_vec::<f32>().unwrap(), after.1.try_to_vec::<f32>().unwrap());
        }
    }
}

/// Writes adapters of ours and what they make of the models for `goldens/check_ours.py`, which gives the folder.
#[test]
fn adapters_of_ours_are_handed_to_peft() {
    let Some(place) = std::env::var_os("REALFILL_PEFT_OUT").map(std::path::PathBuf::from) else { return };
    for family in FAMILIES {
        let (case, place) = (Case::new(family), place.join(family));
        let adapter = |targets: &[&str], slots: &[LinearSlot]| {
            let fresh = Adapter::new(&LoraConfig::new(3, targets), slots, 11, &Device::flex());
            fresh.map(&mut Vary)
        };
        let unet = adapter(&UNET_TARGETS, &case.model.unet.slots());
        let text = adapter(&TEXT_ENCODER_TARGETS, &case.model.text_encoder.slots());
        unet.save_peft(&place.join("unet")).unwrap();
        text.save_peft(&place.join("text_encoder")).unwrap();
        let ids: Tensor<2, Int> = case.expected.tensor::<2>("ids").int();
        let hidden = values(case.model.text_encoder.forward(ids, &Pass::with(&text)));
        let outputs = [("prediction", case.predict(case.latents(), &Pass::with(&unet))), ("hidden", hidden)];
        std::fs::write(place.join("outputs.json"), serde_json::to_string(&outputs).unwrap()).unwrap();
    }
}

#[test]
fn an_adapter_can_be_switched_off() {
    let case = Case::new("sd2");
    let place = folder("sd2").join("adapter/unet");
    let adapter = Adapter::load_peft(&place, &case.model.unet.slots(), &Device::flex()).unwrap();
    let on = case.predict(case.latents(), &Pass::with(&adapter));
    let off = case.predict(case.latents(), &Pass::OFF);
    assert!(relative_error(&on, &off) > 1e-2);
    let every_layer = LoraDropout::new(DropRates { layer: 1.0, input: 0.0 }, 1);
    assert_eq!(case.predict(case.latents(), &Pass::tuning(&adapter, &every_layer)), off);
}

#[test]
fn dropout_depends_on_the_seed_alone() {
    let case = Case::new("sd15");
    let place = folder("sd15").join("adapter/unet");
    let adapter = Adapter::load_peft(&place, &case.model.unet.slots(), &Device::flex()).unwrap();
    let run = |seed| {
        let dropout = LoraDropout::new(DropRates { layer: 0.1, input: 0.1 }, seed);
        case.predict(case.latents(), &Pass::tuning(&adapter, &dropout))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn extra_input_channels_change_nothing_until_they_are_tuned() {
    let case = Case::new("sd2");
    let (device, unet) = (Device::flex().autodiff(), &case.model.unet);
    let config = LoraConfig::new(2, &UNET_TARGETS);
    let adapter = Adapter::new(&config, &unet.slots(), 3, &device);
    let adapter = adapter.with_extra_input_channels(4, unet.input_shape(), &device);
    let [batch, _, height, width] = case.latents().dims();
    let guide = Tensor::random([batch, 4, height, width], Distribution::Default, &Device::flex());
    let latents = Tensor::cat(vec![case.latents(), guide], 1);
    let still = adapter.clone().valid();
    let found = case.predict(latents.clone(), &Pass::with(&still));
    assert!(relative_error(&found, &case.predict(case.latents(), &Pass::OFF)) < 1e-6);

    let context = case.expected.tensor::<3>("hidden").narrow(0, 0, 2);
    let prediction = unet.forward(latents, &case.expected.values("timesteps"), context, &Pass::with(&adapter));
    let gradients = prediction.square().mean().backward();
    let named = adapter.named_gradients(&GradientsParams::from_grads(gradients, &adapter));
    let (name, gradient) = named.last().unwrap();
    assert_eq!(name, "conv_in.extra.weight");
    assert!(gradient.try_to_vec::<f32>().unwrap().iter().any(|&g| g != 0.0));
    assert_eq!(named.len(), adapter.parameters().len(), "every factor has a gradient");
}

#[test]
fn extra_input_channels_are_saved_beside_the_factors() {
    let case = Case::new("sd15");
    let unet = &case.model.unet;
    let adapter = Adapter::new(&LoraConfig::new(2, &["to_q"]), &unet.slots(), 3, &Device::flex());
    let mut adapter = adapter.with_extra_input_channels(4, unet.input_shape(), &Device::flex());
    adapter = adapter.map(&mut Vary);
    let place = tempfile::tempdir().unwrap();
    adapter.save_peft(place.path()).unwrap();
    let back = Adapter::load_peft(place.path(), &unet.slots(), &Device::flex()).unwrap();
    let weight = |a: &Adapter| values(a.extra_input().unwrap().weight.val());
    assert_eq!(weight(&back), weight(&adapter));
    assert_eq!(back.extra_input().unwrap().channels(), 4);
}

#[test]
fn a_file_that_cannot_be_written_leaves_nothing_half_done() {
    let slots = Case::new("sd15").model.unet.slots();
    let adapter = Adapter::new(&LoraConfig::new(2, &["to_q"]), &slots, 3, &Device::flex());
    let place = tempfile::tempdir().unwrap();
    let in_the_way = "adapter_model.safetensors";
    std::fs::create_dir(place.path().join(in_the_way)).unwrap();
    let error = adapter.save_peft(place.path()).unwrap_err().to_string();
    assert!(error.contains(in_the_way), "{error}");
    let names: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [in_the_way]);
}

/// A copy of an adapter of the goldens whose configuration has other values.
fn changed(part: &str, changes: &Value) -> tempfile::TempDir {
    let golden = folder("sd15").join("adapter").join(part);
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(golden.join("adapter_config.json")).unwrap()).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("adapter_config.json"), config.to_string()).unwrap();
    let weights = "adapter_model.safetensors";
    std::fs::copy(golden.join(weights), place.path().join(weights)).unwrap();
    place
}

/// Names and values of all factors.
fn factors(adapter: &Adapter) -> Vec<(String, Vec<f32>)> {
    adapter.parameters().into_iter().map(|(name, data)| (name, data.try_to_vec().unwrap())).collect()
}

/// Rank and scale of every layer.
fn scales(adapter: &Adapter) -> Vec<(usize, f64)> {
    let layers = adapter.layer_names().map(|name| adapter.layer(name).unwrap());
    layers.map(|layer| (layer.a.val().dims()[0], layer.scale)).collect()
}

#[test]
fn an_adapter_pickled_by_older_versions_is_read() {
    let slots = Case::new("sd15").model.text_encoder.slots();
    let golden = folder("sd15").join("adapter/text_encoder");
    let expected = Adapter::load_peft(&golden, &slots, &Device::flex()).unwrap();
    let place = changed("text_encoder", &json!({}));
    std::fs::remove_file(place.path().join("adapter_model.safetensors")).unwrap();
    let error = Adapter::load_peft(place.path(), &slots, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("has no adapter_model.safetensors and no adapter_model.bin"), "{error}");
    let pickled = folder("adapter_model.bin");
    std::fs::copy(pickled, place.path().join("adapter_model.bin")).unwrap();
    let found = Adapter::load_peft(place.path(), &slots, &Device::flex()).unwrap();
    assert_eq!(factors(&found), factors(&expected));
}

#[test]
fn a_rank_stabilised_adapter_is_read_and_saved_as_a_plain_one() {
    let slots = Case::new("sd15").model.unet.slots();
    let place = changed("unet", &json!({ "use_rslora": true, "lora_alpha": 6 }));
    let adapter = Adapter::load_peft(place.path(), &slots, &Device::flex()).unwrap();
    let scale = 6.0 / (adapter.config().rank as f64).sqrt();
    let close = |adapter: &Adapter| scales(adapter).iter().all(|(_, found)| (found - scale).abs() < 1e-9);
    assert!(close(&adapter), "{:?}", scales(&adapter));
    let again = tempfile::tempdir().unwrap();
    adapter.save_peft(again.path()).unwrap();
    assert!(close(&Adapter::load_peft(again.path(), &slots, &Device::flex()).unwrap()));
}

#[test]
fn layers_with_a_rank_and_an_alpha_of_their_own_stay_so() {
    let slots = Case::new("sd15").model.unet.slots();
    let adapter = |rank, target| Adapter::new(&LoraConfig::new(rank, &[target]), &slots, 3, &Device::flex());
    let place = tempfile::tempdir().unwrap();
    adapter(2, "to_q").save_peft(place.path()).unwrap();
    let path = place.path().join("adapter_config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    (config["r"], config["rank_pattern"]) = (json!(5), json!({ "to_q": 2 }));
    config["alpha_pattern"] = json!({ "attn2.to_q": 12 });
    std::fs::write(&path, config.to_string()).unwrap();
    let read = Adapter::load_peft(place.path(), &slots, &Device::flex()).unwrap();
    let found = scales(&read);
    assert!(found.contains(&(2, 2.0)) && found.contains(&(2, 6.0)), "{found:?}");
    let again = tempfile::tempdir().unwrap();
    read.save_peft(again.path()).unwrap();
    let back = Adapter::load_peft(again.path(), &slots, &Device::flex()).unwrap();
    assert_eq!((scales(&back), factors(&back)), (found, factors(&read)));
}

/// Writes the goldens' adapters into one file as diffusers does, under names that `rename` makes of `unet.<layer>.lora_A.weight`.
fn in_one_file(path: &Path, metadata: Option<&str>, rename: impl Fn(&str) -> String) {
    let mut all = Vec::new();
    for part in ["unet", "text_encoder"] {
        let golden = folder("sd15").join("adapter").join(part).join("adapter_model.safetensors");
        all.push((part, std::fs::read(golden).unwrap()));
    }
    let mut views = Vec::new();
    for (part, bytes) in &all {
        for (name, view) in SafeTensors::deserialize(bytes).unwrap().tensors() {
            views.push((rename(&name.replacen("base_model.model", part, 1)), view));
        }
    }
    let metadata = metadata.map(|text| [("lora_adapter_metadata".to_owned(), text.to_owned())].into());
    std::fs::write(path, serialize(views, metadata).unwrap()).unwrap();
}

#[test]
fn the_file_of_diffusers_has_the_adapters_of_both_networks() {
    let case = Case::new("sd15");
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("pytorch_lora_weights.safetensors");
    let older = |name: &str| name.replace("lora_A", "lora.down").replace("lora_B", "lora.up");
    let metadata = r#"{"unet.r": 4, "unet.lora_alpha": 12, "text_encoder.r": 4, "text_encoder.lora_alpha": 12}"#;
    for (is_old, metadata, scale) in [(false, None, 1.0), (true, None, 1.0), (false, Some(metadata), 3.0)] {
        in_one_file(&path, metadata, |name| if is_old { older(name) } else { name.to_owned() });
        for (part, slots) in [("unet", case.model.unet.slots()), ("text_encoder", case.model.text_encoder.slots())] {
            let golden = folder("sd15").join("adapter").join(part);
            let expected = Adapter::load_peft(&golden, &slots, &Device::flex()).unwrap();
            let found = Adapter::load_diffusers(&path, part, &slots, &Device::flex()).unwrap().unwrap();
            assert_eq!(factors(&found), factors(&expected));
            assert!(scales(&found).iter().all(|&found| found == (4, scale)), "{:?}", scales(&found));
        }
    }
    in_one_file(&path, None, |name| name.replace("unet.", "lora_unet_"));
    let error = Adapter::load_diffusers(&path, "unet", &case.model.unet.slots(), &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("expected unet.<layer>.lora_A.weight"), "{error}");

    let nothing = TensorView::new(Dtype::F32, vec![0, 8], &[]).unwrap();
    std::fs::write(&path, serialize([("unet.mid.to_q.lora_A.weight", nothing)], None).unwrap()).unwrap();
    let error = Adapter::load_diffusers(&path, "unet", &case.model.unet.slots(), &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("unet.mid.to_q.lora_A.weight has rank 0"), "{error}");
}

#[test]
fn foreign_keys_and_settings_are_named() {
    let case = Case::new("sd15");
    let slots = case.model.unet.slots();
    let load = |place: &std::path::Path, slots| Adapter::load_peft(place, slots, &Device::flex()).unwrap_err();
    // The text encoder's adapter is foreign to the U-Net.
    let error = load(&folder("sd15").join("adapter/text_encoder"), &slots).to_string();
    assert!(error.contains("16 extra tensors: base_model.model.encoder.layers.0.self_attn.k_proj.lora_A"), "{error}");

    let place = tempfile::tempdir().unwrap();
    let adapter = Adapter::new(&LoraConfig::new(2, &["to_q"]), &slots, 3, &Device::flex());
    adapter.save_peft(place.path()).unwrap();
    let wrong: Vec<_> = slots.iter().cloned().map(|s| LinearSlot { input: 5, ..s }).collect();
    let error = load(place.path(), &wrong).to_string();
    assert!(error.contains("misshapen") && error.contains("instead of [2, 5]"), "{error}");

    let config = place.path().join("adapter_config.json");
    let text = std::fs::read_to_string(&config).unwrap().replace("\"use_dora\": false", "\"use_dora\": true");
    std::fs::write(&config, text).unwrap();
    let error = load(place.path(), &slots).to_string();
    assert!(error.contains("adapter_config.json: use_dora is true; only false is supported"), "{error}");
}
