//! CLIP's text transformer (Radford et al. 2021), the text encoder of Stable Diffusion.

use super::config::ClipConfig;
use super::layers::{LayerNorm, Linear, LinearSlot, MultiHead, gelu, multi_head};
use super::weights::Weights;
use crate::lora::Pass;
use burn::tensor::activation::sigmoid;
use burn::tensor::module::embedding;
use burn::tensor::{Int, Tensor};

/// `CLIPTextModel`: token ids to the last hidden state.
#[derive(Debug, Clone)]
pub struct ClipTextModel {
    token_embedding: Tensor<2>,
    position_embedding: Tensor<2>,
    layers: Vec<Layer>,
    final_layer_norm: LayerNorm,
}

impl ClipTextModel {
    pub(crate) fn new(config: &ClipConfig, w: Weights) -> Self {
        let (width, eps) = (config.hidden_size, config.layer_norm_eps);
        let embeddings = w.at("embeddings");
        let encoder = w.at("encoder");
        Self {
            token_embedding: embeddings.tensor("token_embedding.weight", [config.vocab_size, width]),
            position_embedding: embeddings.tensor("position_embedding.weight", [config.max_position_embeddings, width]),
            layers: (0..config.num_hidden_layers).map(|i| Layer::new(config, encoder.nth("layers", i))).collect(),
            final_layer_norm: LayerNorm::new(w.at("final_layer_norm"), width, eps),
        }
    }

    /// Token ids `[batch, tokens]` to embeddings `[batch, tokens, hidden_size]`, after the final layer norm.
    pub fn forward(&self, ids: Tensor<2, Int>, pass: &Pass) -> Tensor<3> {
        let [_, tokens] = ids.dims();
        let positions = self.position_embedding.clone().slice(0..tokens).unsqueeze::<3>();
        let embedded = embedding(self.token_embedding.clone(), ids) + positions;
        let hidden = self.layers.iter().fold(embedded, |x, layer| layer.forward(x, pass));
        self.final_layer_norm.forward(hidden)
    }

    /// The linear layers, where adapters can be attached.
    pub fn slots(&self) -> Vec<LinearSlot> {
        self.layers.iter().flat_map(|layer| layer.linears().map(Linear::slot)).collect()
    }
}

#[derive(Debug, Clone)]
struct Layer {
    layer_norm1: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    how: MultiHead,
    quick: bool,
}

impl Layer {
    fn new(config: &ClipConfig, w: Weights) -> Self {
        let (width, inner, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let attention = |name: &str| Linear::new(w.at("self_attn").at(name), width, width, true);
        Self {
            layer_norm1: LayerNorm::new(w.at("layer_norm1"), width, eps),
            q_proj: attention("q_proj"),
            k_proj: attention("k_proj"),
            v_proj: attention("v_proj"),
            out_proj: attention("out_proj"),
            layer_norm2: LayerNorm::new(w.at("layer_norm2"), width, eps),
            fc1: Linear::new(w.at("mlp.fc1"), width, inner, true),
            fc2: Linear::new(w.at("mlp.fc2"), inner, width, true),
            how: MultiHead { heads: config.num_attention_heads, way: w.way() },
            quick: config.hidden_act == "quick_gelu",
        }
    }

    fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let normed = self.layer_norm1.forward(x.clone());
        let [q, k, v] = [&self.q_proj, &self.k_proj, &self.v_proj].map(|project| project.forward(normed.clone(), pass));
        let x = x + self.out_proj.forward(multi_head(q, k, v, self.how, true), pass);
        let inner = self.fc1.forward(self.layer_norm2.forward(x.clone()), pass);
        x + self.fc2.forward(self.activate(inner), pass)
    }

    fn activate(&self, x: Tensor<3>) -> Tensor<3> {
        if self.quick { x.clone() * sigmoid(x * 1.702) } else { gelu(x) }
    }

    fn linears(&self) -> [&Linear; 6] {
        [&self.q_proj, &self.k_proj, &self.v_proj, &self.out_proj, &self.fc1, &self.fc2]
    }
}

/// What transformers before 5 put before the names.
pub(crate) const PREFIX: &str = "text_model.";

/// Tensors of a whole CLIP model that no last hidden state of a text depends on.
const OTHERS: [&str; 4] = ["text_projection.", "logit_scale", "vision_model.", "visual_projection."];

/// The names of transformers 5, for those of the checkpoints saved before; the position ids are a buffer, not a weight.
pub(crate) fn rename(name: &str) -> Option<String> {
    let bare = name.strip_prefix(PREFIX).unwrap_or(name);
    let is_used = bare != "embeddings.position_ids" && !OTHERS.iter().any(|other| name.starts_with(*other));
    is_used.then(|| bare.to_owned())
}
