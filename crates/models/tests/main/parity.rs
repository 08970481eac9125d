//! Both families against diffusers and transformers.

use crate::golden::{Expected, FAMILIES, Vary, folder, relative_error};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor};
use realfill_models::lora::{Adapter, DropRates, LoraConfig, LoraDropout, Pass};
use realfill_models::sd::{LinearSlot, StableDiffusion, mask_to_latents};

/// The prompts of `goldens/generate.py`.
const PROMPTS: [&str; 4] = ["a photo of sks", "", "A  PHOTO of 3 cats' tails, it's élan!", "word "];

fn load(family: &str) -> (StableDiffusion, Expected) {
    (StableDiffusion::load_folder(&folder(family), &Device::flex()).unwrap(), Expected::read(family))
}

#[test]
fn prompts_are_tokenized_as_by_transformers() {
    for family in FAMILIES {
        let (model, expected) = load(family);
        let prompts = [PROMPTS[0], PROMPTS[1], PROMPTS[2], &PROMPTS[3].repeat(40)];
        let ids: Vec<f32> =
            prompts.iter().flat_map(|p| model.tokenizer.encode(p).unwrap()).map(|id| id as f32).collect();
        assert_eq!(ids, expected.values("ids"), "{family}");
    }
}

#[test]
fn text_encoder_agrees() {
    for family in FAMILIES {
        let (model, expected) = load(family);
        let ids: Tensor<2, Int> = expected.tensor::<2>("ids").int();
        let hidden = model.text_encoder.forward(ids, &Pass::OFF);
        expected.assert_close("hidden", &hidden.into_data(), 1e-4);
    }
}

#[test]
fn prompt_embedding_is_the_text_encoders() {
    let (model, expected) = load("sd2");
    let hidden: Tensor<3> = expected.tensor("hidden");
    let found = model.encode_prompt(PROMPTS[0]).unwrap().into_data().try_to_vec::<f32>().unwrap();
    let first = hidden.narrow(0, 0, 1).into_data().try_to_vec::<f32>().unwrap();
    assert!(relative_error(&found, &first) < 1e-4);
}

#[test]
fn vae_agrees_both_ways() {
    for family in FAMILIES {
        let (model, expected) = load(family);
        let moments = model.encode(expected.tensor("images"));
        expected.assert_close("mean", &moments.mean.clone().into_data(), 1e-4);
        expected.assert_close("logvar", &moments.logvar.clone().into_data(), 1e-4);
        expected.assert_close("decoded", &model.vae.decode(expected.tensor("mean")).into_data(), 1e-4);
        let scaled = model.scaled_latents(&moments, None);
        expected.assert_close("decoded", &model.decode(scaled).into_data(), 1e-4);
    }
}

#[test]
fn unet_agrees() {
    for family in FAMILIES {
        let (model, expected) = load(family);
        let context = expected.tensor::<3>("hidden").narrow(0, 0, 2);
        let (latents, timesteps) = (expected.tensor("latents"), expected.values("timesteps"));
        let at_once = model.unet.forward(latents.clone(), &timesteps, context.clone(), &Pass::OFF);
        let one_by_one = model.denoise(latents, &timesteps, context, &Pass::OFF);
        expected.assert_close("prediction", &at_once.into_data(), 1e-4);
        expected.assert_close("prediction", &one_by_one.into_data(), 1e-4);
    }
}

/// A model with PEFT's adapters, in tuning.
struct Tuning {
    model: StableDiffusion,
    expected: Expected,
    unet: Adapter,
    text: Adapter,
}

impl Tuning {
    fn new(family: &str) -> Self {
        let (model, expected) = load(family);
        let adapter = |part: &str, slots: &[LinearSlot]| {
            let place = folder(family).join("adapter").join(part);
            Adapter::load_peft(&place, slots, &Device::flex().autodiff()).unwrap()
        };
        let unet = adapter("unet", &model.unet.slots());
        let text = adapter("text_encoder", &model.text_encoder.slots());
        Self { model, expected, unet, text }
    }

    fn context(&self) -> Tensor<3> {
        let ids: Tensor<2, Int> = self.expected.tensor::<2>("ids").narrow(0, 0, 2).int();
        self.model.text_encoder.forward(ids, &Pass::with(&self.text))
    }

    fn noise(&self) -> Tensor<4> {
        self.expected.tensor("noise")
    }

    fn check(&self, part: &str, adapter: &Adapter, gradients: &GradientsParams) {
        let found = adapter.named_gradients(gradients);
        assert_eq!(found.len(), self.expected.names(&format!("{part}.")).len());
        for (name, gradient) in &found {
            // PEFT leaves `text_model.` out where transformers 5 does.
            let name = name.replace("base_model.model.text_model.", "base_model.model.");
            self.expected.assert_close(&format!("{part}.{name}"), gradient, 1e-3);
        }
    }
}

/// One tuning step: noise prediction through both adapters, mean squared error, every gradient.
#[test]
fn lora_gradients_agree() {
    for family in FAMILIES {
        let tuning = Tuning::new(family);
        let (timesteps, latents) = (tuning.expected.values("timesteps"), tuning.expected.tensor("latents"));
        let pass = &Pass::with(&tuning.unet);
        let prediction = tuning.model.unet.forward(latents, &timesteps, tuning.context(), pass);
        tuning.expected.assert_close("adapted_prediction", &prediction.clone().into_data(), 1e-4);
        let loss = (prediction - tuning.noise()).square().mean();
        tuning.expected.assert_close("loss", &loss.clone().into_data(), 1e-4);
        let mut gradients = loss.backward();
        tuning.check("unet", &tuning.unet, &GradientsParams::from_module(&mut gradients, &tuning.unet));
        tuning.check("text_encoder", &tuning.text, &GradientsParams::from_module(&mut gradients, &tuning.text));
    }
}

/// The same over the tape, once with all pieces of the U-Net computed again and once with all graphs kept.
#[test]
fn lora_gradients_over_the_tape_agree() {
    for (family, graph_bytes) in FAMILIES.into_iter().flat_map(|family| [(family, 0), (family, usize::MAX)]) {
        let mut tuning = Tuning::new(family);
        tuning.model.unet.graph_bytes = graph_bytes;
        let (timesteps, latents) = (tuning.expected.values("timesteps"), tuning.expected.tensor("latents"));
        let context = tuning.context();
        let tape = tuning.model.unet.record(latents, &timesteps, context.clone(), &tuning.unet, None);
        tuning.expected.assert_close("adapted_prediction", &tape.prediction.clone().into_data(), 1e-4);
        let difference = tape.prediction.clone() - tuning.noise();
        let count = difference.shape().num_elements() as f64;
        let gradients = tape.backward(difference * (2.0 / count));
        tuning.check("unet", &tuning.unet, &gradients.adapter);
        let carried = (context * gradients.context).sum().backward();
        tuning.check("text_encoder", &tuning.text, &GradientsParams::from_grads(carried, &tuning.text));
    }
}

#[test]
fn a_tuning_step_is_the_same_to_the_bit_every_time() {
    let run = || {
        let tuning = Tuning::new("sd2");
        let (timesteps, latents) = (tuning.expected.values("timesteps"), tuning.expected.tensor("latents"));
        let dropout = LoraDropout::new(DropRates { layer: 0.1, input: 0.1 }, 4);
        let tape = tuning.model.unet.record(latents, &timesteps, tuning.context(), &tuning.unet, Some(&dropout));
        let error = tape.prediction.clone() - tuning.noise();
        tuning.unet.named_gradients(&tape.backward(error).adapter)
    };
    let (first, second) = (run(), run());
    assert!(!first.is_empty());
    assert_eq!(first.len(), second.len());
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.0, second.0);
        assert_eq!(first.1.as_bytes(), second.1.as_bytes(), "{}", first.0);
    }
}

/// With layers and inputs dropped, extra input channels, and layers of the timestep's embedding adapted. The middle budget is
/// enough for the residual blocks and the coarsest transformer.
#[test]
fn gradients_are_those_of_a_plain_pass_whatever_the_tape_keeps() {
    let (model, expected) = load("sd2");
    let (device, mut unet) = (Device::flex().autodiff(), model.unet);
    let config = LoraConfig::new(2, &["linear_1", "time_emb_proj", "to_q", "to_v", "proj_in"]);
    let adapter = Adapter::new(&config, &unet.slots(), 3, &device).map(&mut Vary);
    let adapter = adapter.with_extra_input_channels(2, unet.input_shape(), &device);
    let latents = Tensor::cat(vec![expected.tensor("latents"), expected.tensor::<4>("noise").narrow(1, 0, 2)], 1);
    let context = expected.tensor::<3>("hidden").narrow(0, 0, 2);
    let timesteps = expected.values("timesteps");
    let dropout = || LoraDropout::new(DropRates { layer: 0.3, input: 0.2 }, 9);
    let values = |t: Tensor<4>| t.into_data().try_to_vec::<f32>().unwrap();

    let prediction = unet.forward(latents.clone(), &timesteps, context.clone(), &Pass::tuning(&adapter, &dropout()));
    let predicted = values(prediction.clone());
    let ones = prediction.clone().without_autodiff().ones_like();
    let plain = GradientsParams::from_grads(prediction.sum().backward(), &adapter);
    let plain = adapter.named_gradients(&plain);
    assert!(plain.len() < adapter.parameters().len(), "some layers were dropped");
    for graph_bytes in [0, 200_000, usize::MAX] {
        unet.graph_bytes = graph_bytes;
        let tape = unet.record(latents.clone(), &timesteps, context.clone(), &adapter, Some(&dropout()));
        assert!(relative_error(&values(tape.prediction.clone()), &predicted) < 1e-5, "{graph_bytes} bytes");
        let taped = adapter.named_gradients(&tape.backward(ones.clone()).adapter);
        assert_eq!(plain.len(), taped.len());
        for ((name, plain), (other, taped)) in plain.iter().zip(&taped) {
            assert_eq!(name, other);
            let error = relative_error(&taped.try_to_vec().unwrap(), &plain.try_to_vec().unwrap());
            assert!(error < 1e-3, "{name} with {graph_bytes} bytes: {error:.1e}");
        }
    }
}

#[test]
fn a_latent_cell_is_masked_when_any_of_its_pixels_is() {
    let mask = Tensor::<4>::zeros([1, 1, 16, 24], &Device::flex());
    let pixel = Tensor::ones([1, 1, 1, 1], &Device::flex());
    let mask = mask.slice_assign([0..1, 0..1, 15..16, 8..9], pixel);
    let cells = mask_to_latents(mask, 8);
    assert_eq!(cells.dims(), [1, 1, 2, 3]);
    assert_eq!(cells.into_data().try_to_vec::<f32>().unwrap(), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
}
