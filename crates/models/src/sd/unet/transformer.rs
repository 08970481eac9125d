//! The U-Net's transformer: self-attention, attention on the prompt, gated perceptron.

use crate::lora::Pass;
use crate::sd::layers::{Conv2d, GroupNorm, LayerNorm, Linear, MultiHead, from_tokens, geglu, multi_head, to_tokens};
use crate::sd::weights::Weights;
use burn::tensor::Tensor;

/// Shape of a transformer.
#[derive(Clone, Copy)]
pub(crate) struct TransformerShape {
    pub width: usize,
    pub context: usize,
    pub heads: usize,
    pub blocks: usize,
    pub groups: usize,
    pub linear: bool,
}

/// `Transformer2DModel` on a picture's cells.
#[derive(Debug, Clone)]
pub(crate) struct Transformer {
    norm: GroupNorm,
    proj_in: Projection,
    blocks: Vec<Block>,
    proj_out: Projection,
}

impl Transformer {
    pub fn new(w: Weights, shape: TransformerShape) -> Self {
        let project = |name: &str| Projection::new(w.at(name), shape.width, shape.linear);
        Self {
            norm: GroupNorm::new(w.at("norm"), shape.width, shape.groups, 1e-6),
            proj_in: project("proj_in"),
            blocks: (0..shape.blocks).map(|i| Block::new(w.nth("transformer_blocks", i), shape)).collect(),
            proj_out: project("proj_out"),
        }
    }

    /// `[batch, width, h, w]` with the prompt `[batch, tokens, context]`.
    pub fn forward(&self, x: Tensor<4>, context: &Tensor<3>, pass: &Pass) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let mut tokens = self.proj_in.forward(to_tokens(self.norm.forward(x.clone())), pass);
        for block in &self.blocks {
            tokens = block.forward(tokens, context, pass);
        }
        x + from_tokens(self.proj_out.forward(tokens, pass), height, width)
    }

    pub fn linears(&self) -> impl Iterator<Item = &Linear> {
        let inner = self.blocks.iter().flat_map(Block::linears);
        self.proj_in.linear().into_iter().chain(inner).chain(self.proj_out.linear())
    }
}

/// Into and out of the transformer: a linear layer, or the same as a 1x1 convolution.
#[derive(Debug, Clone)]
enum Projection {
    Linear(Linear),
    Conv(Conv2d),
}

impl Projection {
    fn new(w: Weights, width: usize, linear: bool) -> Self {
        if linear {
            Self::Linear(Linear::new(w, width, width, true))
        } else {
            Self::Conv(Conv2d::new(w, width, width, 1))
        }
    }

    fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        match self {
            Self::Linear(linear) => linear.forward(x, pass),
            // One row of cells: what is beside what makes no difference to a 1x1 kernel.
            Self::Conv(conv) => {
                let [_, cells, _] = x.dims();
                to_tokens(conv.forward(from_tokens(x, 1, cells)))
            }
        }
    }

    fn linear(&self) -> Option<&Linear> {
        match self {
            Self::Linear(linear) => Some(linear),
            Self::Conv(_) => None,
        }
    }
}

/// `BasicTransformerBlock`.
#[derive(Debug, Clone)]
struct Block {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    /// `GEGLU` (Shazeer 2020): value and gate in one.
    ff_in: Linear,
    ff_out: Linear,
}

impl Block {
    fn new(w: Weights, shape: TransformerShape) -> Self {
        let TransformerShape { width, context, heads, .. } = shape;
        let norm = |name: &str| LayerNorm::new(w.at(name), width, 1e-5);
        Self {
            norm1: norm("norm1"),
            attn1: Attention::new(w.at("attn1"), width, width, heads),
            norm2: norm("norm2"),
            attn2: Attention::new(w.at("attn2"), width, context, heads),
            norm3: norm("norm3"),
            ff_in: Linear::new(w.at("ff.net.0.proj"), width, 8 * width, true),
            ff_out: Linear::new(w.at("ff.net.2"), 4 * width, width, true),
        }
    }

    fn forward(&self, x: Tensor<3>, context: &Tensor<3>, pass: &Pass) -> Tensor<3> {
        let normed = self.norm1.forward(x.clone());
        let x = x + self.attn1.forward(normed.clone(), normed, pass);
        let x = x.clone() + self.attn2.forward(self.norm2.forward(x), context.clone(), pass);
        let both = self.ff_in.forward(self.norm3.forward(x.clone()), pass);
        x + self.ff_out.forward(geglu(both), pass)
    }

    fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.attn1.linears().into_iter().chain(self.attn2.linears()).chain([&self.ff_in, &self.ff_out])
    }
}

/// Multi-head attention of cells on cells, or on the prompt.
#[derive(Debug, Clone)]
struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    how: MultiHead,
}

impl Attention {
    fn new(w: Weights, width: usize, context: usize, heads: usize) -> Self {
        Self {
            to_q: Linear::new(w.at("to_q"), width, width, false),
            to_k: Linear::new(w.at("to_k"), context, width, false),
            to_v: Linear::new(w.at("to_v"), context, width, false),
            to_out: Linear::new(w.at("to_out.0"), width, width, true),
            how: MultiHead { heads, way: w.way() },
        }
    }

    fn forward(&self, x: Tensor<3>, context: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let q = self.to_q.forward(x, pass);
        let k = self.to_k.forward(context.clone(), pass);
        let v = self.to_v.forward(context, pass);
        self.to_out.forward(multi_head(q, k, v, self.how, false), pass)
    }

    fn linears(&self) -> [&Linear; 4] {
        [&self.to_q, &self.to_k, &self.to_v, &self.to_out]
    }
}
