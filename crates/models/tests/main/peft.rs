//! Adapters in PEFT's format, both ways, and the U-Net's extra input channels.

use crate::golden::{Expected, FAMILIES, Vary, folder, relative_error};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Int, Tensor};
use realfill_models::lora::{Adapter, DropRates, LoraConfig, LoraDropout, Pass, TEXT_ENCODER_TARGETS, UNET_TARGETS};
use realfill_models::sd::{LinearSlot, StableDiffusion};

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
