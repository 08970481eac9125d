//! Low-rank adaptation (Hu et al. 2022, arXiv 2106.09685), factorised: `y = W x + scale * B(A(dropout(x)))`.
//!
//! An [`Adapter`] lives beside the frozen model and never touches it: layers look up their factors by name during a
//! forward [`Pass`]. So the base is shared, holds no gradients, and an adapter is switched off by not passing it.

mod delta;
mod diffusers;
mod dropout;
mod extra;
mod peft;
mod peft_config;

pub(crate) use delta::{Delta, low_rank};
pub use dropout::{DropRates, LoraDropout};
pub use extra::ExtraInput;

use crate::kernels::Dropout;
use crate::sd::LinearSlot;
use burn::module::{Module, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The layers that the paper adapts in the U-Net.
pub const UNET_TARGETS: [&str; 4] = ["to_q", "to_k", "to_v", "to_out.0"];

/// The layers that the paper adapts in the text encoder.
pub const TEXT_ENCODER_TARGETS: [&str; 4] = ["q_proj", "k_proj", "v_proj", "out_proj"];

/// Size and place of an adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Width between the factors; the paper's is 8.
    pub rank: usize,
    /// The delta is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Names of layers, or the ends of names, such as `to_q`.
    pub targets: Vec<String>,
    /// Share of inputs dropped in tuning, 0 to 1, written to PEFT's configuration; a pass takes its rate from [`DropRates`].
    pub dropout: f64,
}

impl LoraConfig {
    /// An adapter of these layers; `alpha` is twice the rank and dropout 0.1, as in the public implementation.
    pub fn new(rank: usize, targets: &[&str]) -> Self {
        let targets = targets.iter().map(|t| t.to_string()).collect();
        Self { rank, alpha: 2.0 * rank as f64, targets, dropout: 0.1 }
    }

    fn wants(&self, name: &str) -> bool {
        let ends =
            |target: &String| name == target || name.strip_suffix(target).is_some_and(|head| head.ends_with('.'));
        self.targets.iter().any(ends)
    }
}

/// The two factors beside one layer.
#[derive(Module, Debug)]
pub struct LoraLayer {
    /// `[rank, in]`.
    pub a: Param<Tensor<2>>,
    /// `[out, rank]`.
    pub b: Param<Tensor<2>>,
    /// The delta is multiplied by this.
    #[module(skip)]
    pub scale: f64,
}

/// Factors for the layers of one model, in the order of their names, and extra input channels where there are any.
#[derive(Module, Debug)]
pub struct Adapter {
    layers: Vec<LoraLayer>,
    extra_input: Option<ExtraInput>,
    #[module(skip)]
    names: Arc<BTreeMap<String, usize>>,
    #[module(skip)]
    config: LoraConfig,
}

impl Adapter {
    /// A fresh adapter for the layers among `slots` that the configuration wants: A is Kaiming uniform, B zero, so that
    /// the model is unchanged at first. To train it, the device has to be an autodiff one.
    pub fn new(config: &LoraConfig, slots: &[LinearSlot], seed: u64, device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let wanted: BTreeMap<&str, &LinearSlot> =
            slots.iter().filter(|s| config.wants(&s.name)).map(|s| (s.name.as_str(), s)).collect();
        let factors = wanted.into_iter().map(|(name, slot)| {
            // Kaiming uniform with a = sqrt(5), as PEFT initialises: the bound is 1 / sqrt(in).
            let bound = 1.0 / (slot.input as f32).sqrt();
            let a: Vec<f32> = (0..config.rank * slot.input).map(|_| rng.random_range(-bound..=bound)).collect();
            let a = TensorData::new(a, [config.rank, slot.input]);
            let b = TensorData::zeros::<f32, _>([slot.output, config.rank]);
            (name.to_owned(), [a, b], config.alpha / config.rank as f64)
        });
        Self::from_factors(config.clone(), factors, device)
    }

    /// From `(layer name, [A, B], scale)`, sorted by name.
    fn from_factors(
        config: LoraConfig,
        factors: impl Iterator<Item = (String, [TensorData; 2], f64)>,
        device: &Device,
    ) -> Self {
        let (mut layers, mut names) = (Vec::new(), BTreeMap::new());
        for (name, [a, b], scale) in factors {
            let factor = |data, which| trainable::<2>(&peft::key(&name, which), data, device);
            layers.push(LoraLayer { a: factor(a, "A"), b: factor(b, "B"), scale });
            names.insert(name, layers.len() - 1);
        }
        Self { layers, extra_input: None, names: Arc::new(names), config }
    }

    /// Adds zero-initialised input channels to the U-Net's first convolution, beside the adapter's factors.
    ///
    /// `[channels out, own channels]` is [`UNet::input_shape`](crate::sd::UNet::input_shape). Untuned behaviour is unchanged.
    pub fn with_extra_input_channels(self, channels: usize, input_shape: [usize; 2], device: &Device) -> Self {
        Self { extra_input: Some(ExtraInput::zeros(input_shape[0], channels, device)), ..self }
    }

    /// What it was made with.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// The extra input channels, where there are any.
    pub fn extra_input(&self) -> Option<&ExtraInput> {
        self.extra_input.as_ref()
    }

    /// Names of the adapted layers, sorted; none when no layer was wanted.
    pub fn layer_names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// The factors of a layer.
    pub fn layer(&self, name: &str) -> Option<&LoraLayer> {
        self.names.get(name).map(|&index| &self.layers[index])
    }

    /// Every trainable value under its name in PEFT's files, sorted by layer; extra input channels last.
    pub fn parameters(&self) -> Vec<(String, TensorData)> {
        self.collect(|p| Some(p.val().into_data()), |p| Some(p.val().into_data()))
    }

    /// Gathered gradients, named like [`Adapter::parameters`]; none for factors that took no part.
    pub fn named_gradients(&self, from: &GradientsParams) -> Vec<(String, TensorData)> {
        let data = |gradient: Tensor<2>| gradient.into_data();
        self.collect(|p| from.get::<2>(p.id).map(data), |p| from.get::<4>(p.id).map(Tensor::into_data))
    }

    fn collect(
        &self,
        matrix: impl Fn(&Param<Tensor<2>>) -> Option<TensorData>,
        kernel: impl Fn(&Param<Tensor<4>>) -> Option<TensorData>,
    ) -> Vec<(String, TensorData)> {
        let pairs = self.names.iter().flat_map(|(name, &index)| {
            let layer = &self.layers[index];
            [(peft::key(name, "A"), &layer.a), (peft::key(name, "B"), &layer.b)]
        });
        let mut all: Vec<_> = pairs.filter_map(|(name, p)| Some((name, matrix(p)?))).collect();
        let extra = self.extra_input.as_ref().and_then(|e| kernel(&e.weight));
        all.extend(extra.map(|data| (extra::KEY.to_owned(), data)));
        all
    }
}

/// A parameter whose id follows from its name, so that an optimizer's saved state finds it again after a restart.
fn trainable<const D: usize>(name: &str, data: TensorData, device: &Device) -> Param<Tensor<D>> {
    let id = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        // FNV-1a.
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Param::initialized(ParamId::from(id), Tensor::from_data(data, device)).set_require_grad(true)
}

/// What adapters do during one forward pass.
#[derive(Clone, Copy, Default)]
pub struct Pass<'a> {
    adapter: Option<&'a Adapter>,
    dropout: Option<&'a LoraDropout>,
}

impl<'a> Pass<'a> {
    /// The base model alone.
    pub const OFF: Pass<'static> = Pass { adapter: None, dropout: None };

    /// With an adapter, nothing dropped.
    pub fn with(adapter: &'a Adapter) -> Self {
        Self { adapter: Some(adapter), dropout: None }
    }

    /// With an adapter in tuning: layers and inputs are dropped as the seeded source decides.
    pub fn tuning(adapter: &'a Adapter, dropout: &'a LoraDropout) -> Self {
        Self { adapter: Some(adapter), dropout: Some(dropout) }
    }

    pub(crate) fn maybe_tuning(adapter: &'a Adapter, dropout: Option<&'a LoraDropout>) -> Self {
        Self { adapter: Some(adapter), dropout }
    }

    /// What the adapter adds to a layer's output, this time.
    pub(crate) fn delta(&self, name: &str) -> Option<Delta<'a>> {
        let layer = self.adapter?.layer(name)?;
        let dropout = self.dropout.map_or(Some(Dropout::OFF), LoraDropout::decide)?;
        Some(Delta { layer, dropout })
    }

    pub(crate) fn extra_input(&self) -> Option<&'a ExtraInput> {
        self.adapter?.extra_input.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> Vec<LinearSlot> {
        ["mid.attn1.to_q", "mid.attn1.to_out.0", "mid.ff.net.2", "mid.not_to_q"]
            .map(|name| LinearSlot { name: name.to_owned(), input: 6, output: 4 })
            .to_vec()
    }

    #[test]
    fn targets_match_whole_names_or_their_ends() {
        let adapter = Adapter::new(&LoraConfig::new(2, &UNET_TARGETS), &slots(), 1, &Device::flex());
        assert_eq!(adapter.layer_names().collect::<Vec<_>>(), ["mid.attn1.to_out.0", "mid.attn1.to_q"]);
    }

    #[test]
    fn a_fresh_adapter_changes_nothing_and_is_the_same_for_the_same_seed() {
        let config = LoraConfig::new(2, &["to_q"]);
        let make = |seed| Adapter::new(&config, &slots(), seed, &Device::flex());
        let adapter = make(7);
        let x = Tensor::ones([1, 3, 6], &Device::flex());
        let delta = Pass::with(&adapter).delta("mid.attn1.to_q").unwrap().forward(x);
        assert_eq!(delta.into_data().try_to_vec::<f32>().unwrap(), [0.0; 12]);
        let values = |a: &Adapter| a.parameters()[0].1.try_to_vec::<f32>().unwrap();
        assert_eq!(values(&adapter), values(&make(7)));
        assert_ne!(values(&adapter), values(&make(8)));
        assert!(values(&adapter).iter().all(|v| v.abs() <= 1.0 / 6f32.sqrt()));
    }

    #[test]
    fn parameters_are_known_by_the_same_ids_after_a_restart() {
        let ids = |seed| {
            let adapter = Adapter::new(&LoraConfig::new(2, &UNET_TARGETS), &slots(), seed, &Device::flex());
            let layers = adapter.layers.iter();
            layers.flat_map(|l| [l.a.id.to_string(), l.b.id.to_string()]).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(ids(1), ids(2));
        assert_eq!(ids(1).len(), 4);
    }

    #[test]
    fn other_layers_have_no_delta() {
        let adapter = Adapter::new(&LoraConfig::new(2, &["to_q"]), &slots(), 1, &Device::flex());
        assert!(Pass::with(&adapter).delta("mid.ff.net.2").is_none());
        assert!(Pass::OFF.delta("mid.attn1.to_q").is_none());
    }
}
