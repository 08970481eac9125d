//! The few layers that Stable Diffusion is made of, with frozen weights under their checkpoint's names.

use super::weights::{Weight, Weights};
use crate::attention::attend;
use crate::kernels::{
    self, Convolution, Double, Frozen, Geglu, Gelu, Kernel, LinearMap, Norm, Precision, Split, Way, apply,
};
use crate::lora::Pass;
use burn::tensor::activation::{self, silu};
use burn::tensor::module::{attention, conv2d, layer_norm, linear};
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// A linear layer that an adapter may stand beside.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    slot: LinearSlot,
    map: Map,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one a layer, made once")]
enum Map {
    /// The weight is `[in, out]`: a transposed view of the file's `[out, in]`.
    Plain(Tensor<2>, Option<Tensor<1>>),
    Kernel(Arc<dyn Kernel>, Way),
}

impl Linear {
    pub fn new(w: Weights, input: usize, output: usize, bias: bool) -> Self {
        let slot = LinearSlot { name: w.name(), input, output };
        let map = match w.frozen("weight", [output, input]) {
            Weight::Tensor(weight) => Map::Plain(weight.transpose(), bias.then(|| w.tensor("bias", [output]))),
            Weight::Frozen(values, way) => {
                let bias = bias.then(|| Arc::new(w.values("bias", output)));
                let weights = Frozen::new(values, output, input);
                Map::Kernel(Arc::new(LinearMap { way, weights, bias }), way)
            }
        };
        Self { slot, map }
    }

    /// `[batch, tokens, in]` to `[batch, tokens, out]`.
    pub fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        match (&self.map, pass.delta(&self.slot.name)) {
            (Map::Plain(weight, bias), None) => linear(x, weight.clone(), bias.clone()),
            (Map::Plain(weight, bias), Some(delta)) => {
                linear(x.clone(), weight.clone(), bias.clone()) + delta.forward(x)
            }
            (Map::Kernel(kernel, _), None) => apply(kernel, x),
            (Map::Kernel(kernel, way), Some(delta)) => delta.beside(kernel, *way, x),
        }
    }

    /// For whoever wants to attach an adapter.
    pub fn slot(&self) -> LinearSlot {
        self.slot.clone()
    }
}

/// A place where an adapter can be attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearSlot {
    /// The layer's name in the checkpoint, such as `mid_block.attentions.0.transformer_blocks.0.attn1.to_q`.
    pub name: String,
    /// Width in.
    pub input: usize,
    /// Width out.
    pub output: usize,
}

/// A convolution.
#[derive(Debug, Clone)]
pub(crate) struct Conv2d {
    map: ConvMap,
    filters: usize,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one a layer, made once")]
enum ConvMap {
    Plain { weight: Tensor<4>, bias: Tensor<1>, stride: usize, padding: [usize; 2] },
    Kernel(Arc<dyn Kernel>),
}

impl Conv2d {
    /// A square kernel with "same" padding.
    pub fn new(w: Weights, input: usize, output: usize, kernel: usize) -> Self {
        Self::strided(w, [input, output], kernel, 1, [kernel / 2; 2])
    }

    /// A square kernel; channels are in and out, zeros before and after the picture.
    pub fn strided(w: Weights, [input, output]: [usize; 2], size: usize, stride: usize, padding: [usize; 2]) -> Self {
        let map = match w.frozen("weight", [output, input, size, size]) {
            Weight::Tensor(weight) => ConvMap::Plain { weight, bias: w.tensor("bias", [output]), stride, padding },
            Weight::Frozen(values, way) => {
                let weights = Frozen::new(values, output, input * size * size);
                let bias = w.values("bias", output).into();
                ConvMap::Kernel(Arc::new(Convolution { way, weights, bias, size, stride, padding }))
            }
        };
        Self { map, filters: output }
    }

    pub fn output_channels(&self) -> usize {
        self.filters
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.map {
            ConvMap::Kernel(kernel) => apply(kernel, x),
            ConvMap::Plain { weight, bias, stride: s, padding: p } => {
                let [before, after] = *p;
                let both = before.min(after);
                let (before, after) = (before - both, after - both);
                let x = if before + after > 0 { x.pad((before, after, before, after), 0.0) } else { x };
                let options = ConvOptions::new([*s, *s], [both, both], [1, 1], 1);
                conv2d(x, weight.clone(), Some(bias.clone()), options)
            }
        }
    }
}

/// Group norm (Wu & He 2018).
#[derive(Debug, Clone)]
pub(crate) struct GroupNorm {
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    epsilon: f64,
    /// Alone, and with SiLU.
    kernels: Option<[Arc<dyn Kernel>; 2]>,
}

impl GroupNorm {
    pub fn new(w: Weights, channels: usize, groups: usize, epsilon: f64) -> Self {
        let (gamma, beta) = (w.tensor("weight", [channels]), w.tensor("bias", [channels]));
        let kernels = w.way().map(|way| {
            let values = |t: &Tensor<1>| Arc::new(t.to_data().try_to_vec::<f32>().expect("weights are f32"));
            let (gamma, beta, epsilon) = (values(&gamma), values(&beta), epsilon as f32);
            let norm = Norm { way, gamma, beta, groups, epsilon, silu: false };
            [Arc::new(norm.clone()) as Arc<dyn Kernel>, Arc::new(Norm { silu: true, ..norm })]
        });
        Self { gamma, beta, groups, epsilon, kernels }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.kernels {
            Some([norm, _]) => apply(norm, x),
            None => self.plain(x),
        }
    }

    fn plain(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let grouped = x.reshape([batch, self.groups, channels / self.groups * height * width]);
        let centred = grouped.clone() - grouped.mean_dim(2);
        let variance = centred.clone().square().mean_dim(2);
        let normed = centred / (variance + self.epsilon).sqrt();
        let affine = |t: &Tensor<1>| t.clone().reshape([1, channels, 1, 1]);
        normed.reshape([batch, channels, height, width]) * affine(&self.gamma) + affine(&self.beta)
    }

    /// Norm, then SiLU.
    pub fn forward_silu(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.kernels {
            Some([_, norm]) => apply(norm, x),
            None => silu(self.plain(x)),
        }
    }
}

/// Layer norm (Ba et al. 2016).
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one a layer, made once")]
pub(crate) enum LayerNorm {
    Plain { gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64 },
    Kernel(Arc<dyn Kernel>),
}

impl LayerNorm {
    pub fn new(w: Weights, width: usize, epsilon: f64) -> Self {
        match w.way() {
            None => Self::Plain { gamma: w.tensor("weight", [width]), beta: w.tensor("bias", [width]), epsilon },
            Some(way) => {
                let [gamma, beta] = ["weight", "bias"].map(|name| Arc::new(w.values(name, width)));
                Self::Kernel(Arc::new(kernels::LayerNorm { way, gamma, beta, epsilon: epsilon as f32 }))
            }
        }
    }

    /// `[batch, tokens, width]`, each token alone.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Kernel(kernel) => apply(kernel, x),
            Self::Plain { gamma, beta, epsilon } => layer_norm(x, gamma.clone(), Some(beta.clone()), *epsilon),
        }
    }
}

/// How attention is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MultiHead {
    pub heads: usize,
    /// By a kernel, if there is one.
    pub way: Option<Way>,
}

/// Scaled dot-product attention over heads: `[batch, tokens, heads * d]` queries on `[batch, others, heads * d]` keys, values.
pub(crate) fn multi_head(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, how: MultiHead, causal: bool) -> Tensor<3> {
    let [batch, tokens, width] = q.dims();
    let heads = how.heads;
    if let Some(way) = how.way.filter(|_| !causal && q.device().without_autodiff() == Device::flex()) {
        return kernels::attend(q, k, v, Split { heads, way });
    }
    let split = |t: Tensor<3>| {
        let [batch, tokens, width] = t.dims();
        t.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2)
    };
    let (q, k, v) = (split(q), split(k), split(v));
    let mixed = if causal {
        let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
        attention(q, k, v, None, None, options)
    } else {
        attend(q, k, v)
    };
    mixed.swap_dims(1, 2).reshape([batch, tokens, width])
}

/// The way of kernels that multiply nothing, if there is one where `x` lies.
fn way_for<const D: usize>(x: &Tensor<D>) -> Option<Way> {
    Way::of(Precision::F32).filter(|_| x.device().without_autodiff() == Device::flex())
}

fn apply_once<const D: usize>(kernel: impl Kernel + 'static, x: Tensor<D>) -> Tensor<D> {
    apply(&(Arc::new(kernel) as Arc<dyn Kernel>), x)
}

/// GELU of each number, by the error function.
pub(crate) fn gelu(x: Tensor<3>) -> Tensor<3> {
    match way_for(&x) {
        Some(way) => apply_once(Gelu { way }, x),
        None => activation::gelu(x),
    }
}

/// Values times GELU of gates: `[batch, tokens, 2 * width]` to `[batch, tokens, width]`.
pub(crate) fn geglu(x: Tensor<3>) -> Tensor<3> {
    if let Some(way) = way_for(&x) {
        return apply_once(Geglu { way }, x);
    }
    let [value, gate]: [Tensor<3>; 2] = x.chunk(2, 2).try_into().expect("two chunks");
    value * activation::gelu(gate)
}

/// `[batch, channels, height, width]` as `[batch, height * width, channels]`.
pub(crate) fn to_tokens(x: Tensor<4>) -> Tensor<3> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height * width]).swap_dims(1, 2)
}

/// The inverse of [`to_tokens`].
pub(crate) fn from_tokens(x: Tensor<3>, height: usize, width: usize) -> Tensor<4> {
    let [batch, _, channels] = x.dims();
    x.swap_dims(1, 2).reshape([batch, channels, height, width])
}

/// Nearest-neighbour doubling, cropped to `[height, width]`: a level's own size when it was odd.
pub(crate) fn double(x: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
    if way_for(&x).is_some() {
        return apply_once(Double { height, width }, x);
    }
    let [batch, channels, h, w] = x.dims();
    let wide = x.reshape([batch, channels, h, 1, w, 1]).expand([batch, channels, h, 2, w, 2]);
    let doubled: Tensor<4> = wide.reshape([batch, channels, 2 * h, 2 * w]);
    if [2 * h, 2 * w] == [height, width] {
        return doubled;
    }
    doubled.slice([0..batch, 0..channels, 0..height, 0..width])
}
