//! Tuning in little memory: the forward pass keeps what stands between the pieces and the graphs of those that need little
//! (`graphs.rs`), the backward pass computes each other piece again (Chen et al. 2016, arXiv 1604.06174).
//!
//! At 512 px a plain backward pass through Stable Diffusion 2 would hold some 15 GB of activations with Burn's own operations
//! and 1.0 GB with the processor's kernels; this holds half a gigabyte at most and those of one piece, for up to a third more
//! arithmetic.

use super::graphs::within;
use super::segment::{Given, Input, Segment};
use super::{UNet, take};
use crate::lora::{Adapter, LoraDropout, Pass};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};

/// A forward pass that can be gone back over, which frees the memory of its graphs.
pub struct Tape<'a> {
    unet: &'a UNet,
    adapter: &'a Adapter,
    latents: Tensor<4>,
    timesteps: Vec<f32>,
    time: Tensor<3>,
    context: Tensor<3>,
    time_dropout: Option<LoraDropout>,
    pieces: Vec<Piece>,
    last: Tensor<4>,
    /// The prediction `[batch, out_channels, h, w]`, without autodiff.
    pub prediction: Tensor<4>,
}

/// What the way back needs of a piece.
#[allow(clippy::large_enum_variant, reason = "one a piece")]
enum Piece {
    /// What it is run on again, with the same decisions.
    Forgotten(Input, Option<LoraDropout>),
    Kept(Graph),
}

impl Piece {
    /// The graph, made again where it was forgotten.
    fn graph(self, segment: &Segment, adapter: &Adapter, time: &Tensor<3>, context: &Tensor<3>) -> Graph {
        match self {
            Self::Kept(graph) => graph,
            Self::Forgotten(input, dropout) => {
                let pass = &Pass::maybe_tuning(adapter, dropout.as_ref());
                Graph::new(segment, input, Given { time, context, pass })
            }
        }
    }
}

/// A piece's output, and the leaves of its graph beside the adapter's parameters.
struct Graph {
    x: Tensor<4>,
    skip: Option<Tensor<4>>,
    time: Tensor<3>,
    context: Tensor<3>,
    output: Tensor<4>,
}

impl Graph {
    fn new(segment: &Segment, input: Input, given: Given) -> Self {
        let (x, skip) = (leaf(input.x), input.skip.map(leaf));
        let (time, context) = (leaf(given.time.clone()), leaf(given.context.clone()));
        let input = Input { x: x.clone(), skip: skip.clone(), size: input.size };
        let output = segment.forward(input, Given { time: &time, context: &context, pass: given.pass });
        Self { x, skip, time, context, output }
    }
}

/// What a backward pass yields.
pub struct UNetGradients {
    /// For the adapter's parameters, to be handed to an optimizer.
    pub adapter: GradientsParams,
    /// For the encoded prompt: `(context * gradient).sum().backward()` carries it on through the text encoder.
    pub context: Tensor<3>,
}

impl UNet {
    /// As [`UNet::forward`], for a loss whose gradient is then given to [`Tape::backward`].
    ///
    /// The adapter has to be on an autodiff device; the other tensors may be on either. Decisions of `dropout` are drawn
    /// as [`UNet::forward`] draws them.
    pub fn record<'a>(
        &'a self,
        latents: Tensor<4>,
        timesteps: &[f32],
        context: Tensor<3>,
        adapter: &'a Adapter,
        dropout: Option<&LoraDropout>,
    ) -> Tape<'a> {
        let (latents, context) = (latents.without_autodiff(), context.without_autodiff());
        let still = adapter.clone().valid();
        let (still, tracked) = (Pass::maybe_tuning(&still, dropout), Pass::maybe_tuning(adapter, dropout));
        let time_dropout = dropout.map(LoraDropout::fork);
        let time = self.time.forward(timesteps, &latents.device(), &still);
        let given = Given { time: &time, context: &context, pass: &still };
        let mut x = self.enter(latents.clone(), &still);
        let mut kept = vec![x.clone()];
        let mut pieces = Vec::with_capacity(self.segments.len());
        for (segment, has_graph) in self.segments.iter().zip(self.graphs_to_keep(&latents, &context)) {
            let input = take(segment, x, &mut kept);
            if has_graph {
                let graph = Graph::new(segment, input, Given { pass: &tracked, ..given });
                x = graph.output.clone().without_autodiff();
                pieces.push(Piece::Kept(graph));
            } else {
                pieces.push(Piece::Forgotten(input.clone(), dropout.map(LoraDropout::fork)));
                x = segment.forward(input, given);
            }
            if segment.keeps {
                kept.push(x.clone());
            }
        }
        let (prediction, last) = (self.leave(x.clone()), x);
        let timesteps = timesteps.to_vec();
        Tape { unet: self, adapter, latents, timesteps, time, context, time_dropout, pieces, last, prediction }
    }

    /// For each piece, whether its graph is one to keep.
    fn graphs_to_keep(&self, latents: &Tensor<4>, context: &Tensor<3>) -> Vec<bool> {
        let [batch, _, height, width] = latents.dims();
        let [_, tokens, _] = context.dims();
        let bytes = |segment: &Segment| segment.held.bytes([batch, height, width], tokens);
        within(self.graph_bytes, &self.segments.iter().map(bytes).collect::<Vec<_>>())
    }
}

impl Tape<'_> {
    /// The gradients, given that of the prediction.
    pub fn backward(self, prediction_gradient: Tensor<4>) -> UNetGradients {
        let (unet, adapter) = (self.unet, self.adapter);
        let mut back = Back::new(adapter);
        let last = leaf(self.last);
        let mut gradient = of(&last, &pull(unet.leave(last.clone()), prediction_gradient));
        for (segment, piece) in unet.segments.iter().zip(self.pieces).rev() {
            if segment.keeps {
                gradient = back.with_kept(gradient);
            }
            gradient = back.piece(piece.graph(segment, adapter, &self.time, &self.context), gradient);
        }
        // The first convolution's output was kept, too.
        gradient = back.with_kept(gradient);
        if let Some(sum) = back.time_sum.take() {
            let pass = Pass::maybe_tuning(adapter, self.time_dropout.as_ref());
            back.pull(unet.time.forward(&self.timesteps, &self.latents.device(), &pass), sum);
        }
        back.pull(unet.enter(self.latents, &Pass::with(adapter)), gradient);
        let context = back.context_sum.unwrap_or_else(|| self.context.zeros_like());
        UNetGradients { adapter: back.found, context }
    }
}

/// A tensor whose gradient is wanted.
fn leaf<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.without_autodiff().autodiff().require_grad()
}

/// Goes back from an output whose gradient is known.
fn pull<const D: usize>(output: Tensor<D>, gradient: Tensor<D>) -> Gradients {
    (output * gradient.without_autodiff()).sum().backward()
}

/// A leaf's gradient; zero when the output did not depend on it.
fn of(leaf: &Tensor<4>, gradients: &Gradients) -> Tensor<4> {
    leaf.grad(gradients).unwrap_or_else(|| leaf.clone().without_autodiff().zeros_like())
}

/// What a backward pass gathers on its way.
struct Back<'a> {
    adapter: &'a Adapter,
    found: GradientsParams,
    time_sum: Option<Tensor<3>>,
    context_sum: Option<Tensor<3>>,
    /// Gradients of what the way down has kept, the coarsest last.
    kept: Vec<Tensor<4>>,
}

impl<'a> Back<'a> {
    fn new(adapter: &'a Adapter) -> Self {
        Self { adapter, found: GradientsParams::new(), time_sum: None, context_sum: None, kept: Vec::new() }
    }

    /// The gradient of a piece's input, given that of its output.
    fn piece(&mut self, graph: Graph, gradient: Tensor<4>) -> Tensor<4> {
        let Graph { x, skip, time, context, output } = graph;
        let gradients = pull(output, gradient);
        self.collect(&gradients);
        add(&mut self.time_sum, time.grad(&gradients));
        add(&mut self.context_sum, context.grad(&gradients));
        self.kept.extend(skip.map(|skip| of(&skip, &gradients)));
        of(&x, &gradients)
    }

    /// Adds what came back over the connection to the way up.
    fn with_kept(&mut self, gradient: Tensor<4>) -> Tensor<4> {
        match self.kept.pop() {
            Some(kept) => gradient + kept,
            None => gradient,
        }
    }

    /// Goes back from an output that depends on the adapter alone, or on nothing.
    fn pull<const D: usize>(&mut self, output: Tensor<D>, gradient: Tensor<D>) {
        if output.is_tracked() {
            self.collect(&pull(output, gradient));
        }
    }

    /// Gathers the adapter's gradients; each parameter belongs to one piece.
    fn collect(&mut self, from: &Gradients) {
        self.adapter.visit(&mut Collect { from, into: &mut self.found });
    }
}

fn add(sum: &mut Option<Tensor<3>>, more: Option<Tensor<3>>) {
    *sum = match (sum.take(), more) {
        (Some(sum), Some(more)) => Some(sum + more),
        (sum, more) => sum.or(more),
    };
}

struct Collect<'a> {
    from: &'a Gradients,
    into: &'a mut GradientsParams,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.from) {
            self.into.register(param.id, gradient);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::{LoraConfig, UNET_TARGETS};
    use crate::sd::{Preset, StableDiffusion, write_random_checkpoint};
    use burn::tensor::{Device, Distribution};

    fn tiny(seed: u64) -> UNet {
        let place = tempfile::tempdir().unwrap();
        write_random_checkpoint(Preset::Tiny, place.path(), seed).unwrap();
        StableDiffusion::load_folder(place.path(), &Device::flex()).unwrap().unet
    }

    /// On the way back other weights stand in the pieces: whoever computes one again notices.
    #[test]
    fn pieces_whose_graphs_are_kept_are_not_computed_again() {
        let device = Device::flex();
        let unet = tiny(1);
        let other = UNet { segments: tiny(2).segments, ..unet.clone() };
        let adapter = Adapter::new(&LoraConfig::new(2, &UNET_TARGETS), &unet.slots(), 3, &device.clone().autodiff());
        let latents: Tensor<4> = Tensor::random([1, 9, 8, 8], Distribution::Normal(0.0, 1.0), &device);
        let context: Tensor<3> = Tensor::random([1, 5, 16], Distribution::Normal(0.0, 1.0), &device);
        let gradients = |graph_bytes: usize, on_the_way_back: &UNet| -> Vec<f32> {
            let unet = UNet { graph_bytes, ..unet.clone() };
            let mut tape = unet.record(latents.clone(), &[500.0], context.clone(), &adapter, None);
            tape.unet = on_the_way_back;
            let ones = tape.prediction.ones_like();
            let found = adapter.named_gradients(&tape.backward(ones).adapter);
            found.into_iter().flat_map(|(_, data)| data.try_to_vec::<f32>().unwrap()).collect()
        };
        assert_eq!(gradients(usize::MAX, &other), gradients(usize::MAX, &unet));
        assert_ne!(gradients(0, &other), gradients(0, &unet));
    }
}
