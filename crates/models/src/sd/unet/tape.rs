//! Tuning in little memory: the forward pass keeps only what stands between the pieces, the backward pass computes each
//! piece again (Chen et al. 2016, arXiv 1604.06174).
//!
//! At 512 px a plain backward pass through Stable Diffusion 2 would hold some 15 GB of activations; this holds those of
//! one piece, for a third more arithmetic.

use super::segment::{Given, Segment};
use super::{UNet, size_of_last};
use crate::lora::{Adapter, LoraDropout, Pass};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};

/// A forward pass that can be gone back over.
pub struct Tape<'a> {
    unet: &'a UNet,
    adapter: &'a Adapter,
    latents: Tensor<4>,
    timesteps: Vec<f32>,
    context: Tensor<3>,
    time_dropout: Option<LoraDropout>,
    marks: Vec<Mark>,
    last: Tensor<4>,
    /// The prediction `[batch, out_channels, h, w]`, without autodiff.
    pub prediction: Tensor<4>,
}

/// What is needed to run a piece again.
struct Mark {
    x: Tensor<4>,
    skip: Option<Tensor<4>>,
    size: [usize; 2],
    dropout: Option<LoraDropout>,
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
        let pass = &Pass::maybe_tuning(&still, dropout);
        let time_dropout = dropout.map(LoraDropout::fork);
        let time = &self.time.forward(timesteps, &latents.device(), pass);
        let given = Given { time, context: &context, pass };
        let mut x = self.enter(latents.clone(), pass);
        let mut kept = vec![x.clone()];
        let mut marks = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            let skip = if segment.takes() { kept.pop() } else { None };
            let size = size_of_last(&kept);
            marks.push(Mark { x: x.clone(), skip: skip.clone(), size, dropout: dropout.map(LoraDropout::fork) });
            x = segment.forward(x, skip, size, given);
            if segment.keeps() {
                kept.push(x.clone());
            }
        }
        let (prediction, last) = (self.leave(x.clone()), x);
        let timesteps = timesteps.to_vec();
        Tape { unet: self, adapter, latents, timesteps, context, time_dropout, marks, last, prediction }
    }
}

impl Tape<'_> {
    /// The gradients, given that of the prediction.
    pub fn backward(self, prediction_gradient: Tensor<4>) -> UNetGradients {
        let (unet, adapter) = (self.unet, self.adapter);
        let time_pass = Pass::maybe_tuning(adapter, self.time_dropout.as_ref());
        let time = unet.time.forward(&self.timesteps, &self.latents.device(), &time_pass);
        let mut back = Back::new(adapter, &time, self.context);
        let last = leaf(self.last);
        let mut gradient = of(&last, &pull(unet.leave(last.clone()), prediction_gradient));
        for (segment, mark) in unet.segments.iter().zip(self.marks).rev() {
            if segment.keeps() {
                gradient = back.with_kept(gradient);
            }
            gradient = back.segment(segment, mark, gradient);
        }
        // The first convolution's output was kept, too.
        gradient = back.with_kept(gradient);
        back.pull(unet.enter(self.latents, &Pass::with(adapter)), gradient);
        if let Some(sum) = back.time_sum.take() {
            back.pull(time, sum);
        }
        let context = back.context_sum.unwrap_or_else(|| back.context.without_autodiff().zeros_like());
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
    time: Tensor<3>,
    time_sum: Option<Tensor<3>>,
    context: Tensor<3>,
    context_sum: Option<Tensor<3>>,
    /// Gradients of what the way down has kept, the coarsest last.
    kept: Vec<Tensor<4>>,
}

impl<'a> Back<'a> {
    fn new(adapter: &'a Adapter, time: &Tensor<3>, context: Tensor<3>) -> Self {
        let (time, context) = (leaf(time.clone()), leaf(context));
        let found = GradientsParams::new();
        Self { adapter, found, time, time_sum: None, context, context_sum: None, kept: Vec::new() }
    }

    /// The gradient of a piece's input, given that of its output.
    fn segment(&mut self, segment: &Segment, mark: Mark, gradient: Tensor<4>) -> Tensor<4> {
        let pass = &Pass::maybe_tuning(self.adapter, mark.dropout.as_ref());
        let given = Given { time: &self.time, context: &self.context, pass };
        let (x, skip) = (leaf(mark.x), mark.skip.map(leaf));
        let gradients = pull(segment.forward(x.clone(), skip.clone(), mark.size, given), gradient);
        self.collect(&gradients);
        add(&mut self.time_sum, self.time.grad(&gradients));
        add(&mut self.context_sum, self.context.grad(&gradients));
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
