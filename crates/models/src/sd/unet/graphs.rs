//! Which pieces' graphs a tuning pass keeps: the smallest.
//!
//! A level has a quarter of the finer one's cells and up to twice its channels, so that pieces of a kind take about as long on
//! all levels while their graphs shrink; and a residual block takes about as long as a transformer, with a tensor or two for
//! nearly twenty. So the smallest graphs save the most time for their bytes.
//!
//! What a graph holds is counted for the processor's kernels. A piece's input is not counted: it is there in any case.

use super::transformer::TransformerShape;

/// What graphs may take where nobody says otherwise. That is enough for all of Stable Diffusion at 512 px; the peak is to stay below half
/// of the 8.7 GiB that diffusers takes for a step.
pub(super) const GRAPH_BYTES: usize = 1 << 30;

/// Layer norms hold their input.
const NORMS: usize = 3;

/// Attention holds queries, keys, values and its output; on the prompt, keys and values count by token.
const ATTENTIONS: usize = 4 + 2;

/// An adapter holds its layer's input: that of queries, keys and values is one, the prompt is there in any case, and the last
/// layer's is attention's output.
const ADAPTERS: usize = 2;

/// The perceptron's values and gates, of four widths each.
const GATES: usize = 2 * 4;

/// Numbers that a piece's graph holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// Of the resolution, 0 is the latent's own.
    level: usize,
    /// For each cell of the level.
    per_cell: usize,
    /// For each token of the prompt.
    per_token: usize,
}

impl Held {
    /// A convolution alone: its way back needs nothing but weights.
    pub const NOTHING: Self = Self { level: 0, per_cell: 0, per_token: 0 };

    /// A residual block: the second norm's input, and the first one's where that is joined from two.
    pub fn resnet(level: usize, input: usize, output: usize, is_joined: bool) -> Self {
        Self { level, per_cell: output + if is_joined { input } else { 0 }, per_token: 0 }
    }

    /// A transformer with adapters in its attentions.
    pub fn transformer(level: usize, shape: TransformerShape) -> Self {
        let TransformerShape { width, blocks, .. } = shape;
        let per_cell = blocks * width * (NORMS + ATTENTIONS + ADAPTERS + GATES);
        Self { level, per_cell, per_token: blocks * 2 * width }
    }

    /// Bytes, with the latent's size and the length of the prompt.
    pub fn bytes(&self, [batch, height, width]: [usize; 3], tokens: usize) -> usize {
        let side = |latent: usize| latent.div_ceil(1 << self.level);
        let numbers = side(height) * side(width) * self.per_cell + tokens * self.per_token;
        batch * numbers * size_of::<f32>()
    }
}

/// Which graphs to keep, given the bytes of each: the smallest, while they take less than `budget` together.
pub(super) fn within(budget: usize, bytes: &[usize]) -> Vec<bool> {
    let mut smallest_first: Vec<usize> = (0..bytes.len()).collect();
    smallest_first.sort_by_key(|&i| bytes[i]);
    let (mut kept, mut sum) = (vec![false; bytes.len()], 0);
    for i in smallest_first {
        sum += bytes[i];
        kept[i] = sum < budget;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sd::config::UNetConfig;
    use crate::sd::unet::UNet;
    use crate::sd::weights::Checkpoint;
    use burn::tensor::Device;
    use serde_json::json;

    #[test]
    fn the_smallest_graphs_are_kept_within_the_budget() {
        let bytes = [6, 0, 3, 2];
        assert_eq!(within(usize::MAX, &bytes), [true; 4]);
        assert_eq!(within(6, &bytes), [false, true, true, true]);
        assert_eq!(within(5, &bytes), [false, true, false, true]);
        assert_eq!(within(0, &bytes), [false; 4]);
    }

    /// Stable Diffusion 2, one picture.
    #[test]
    fn the_budget_is_for_all_at_512_px_and_for_residual_blocks_at_768() {
        let [plain_down, plain_up] = ["DownBlock2D", "UpBlock2D"];
        let [down, up] = ["CrossAttnDownBlock2D", "CrossAttnUpBlock2D"];
        let config: UNetConfig = serde_json::from_value(json!({
            "in_channels": 9,
            "out_channels": 4,
            "block_out_channels": [320, 640, 1280, 1280],
            "down_block_types": [down, down, down, plain_down],
            "up_block_types": [plain_up, up, up, up],
            "cross_attention_dim": 1024,
        }))
        .unwrap();
        let checkpoint = Checkpoint::dry(&Device::flex());
        let unet = UNet::new(&config, checkpoint.root(""));
        let held: Vec<Held> = unet.segments.iter().map(|segment| segment.held).collect();
        let bytes = |side: usize| -> Vec<usize> { held.iter().map(|held| held.bytes([1, side, side], 77)).collect() };
        let all: usize = bytes(64).iter().sum();
        assert_eq!(all / 1_000_000, 996);
        assert!(within(GRAPH_BYTES, &bytes(64)).into_iter().all(|is_kept| is_kept));
        let larger = within(GRAPH_BYTES, &bytes(96));
        assert!(larger.contains(&false), "{larger:?}");
        for (held, is_kept) in held.iter().zip(larger) {
            let is_transformer = held.per_token > 0;
            assert!(is_kept || is_transformer);
        }
    }
}
