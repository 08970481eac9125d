//! The kernels as operations of Burn, with their way back.

use super::{Heads, Kernel, LogSums, LowRank, Way};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, TensorData};
use std::sync::Arc;

/// A kernel's function of `x`, which lies on the processor.
pub(crate) fn apply<const D: usize, const E: usize>(kernel: &Arc<dyn Kernel>, x: Tensor<D>) -> Tensor<E> {
    Tensor::from_dispatch(<Dispatch as Kernels>::apply(x.into_dispatch(), kernel.clone()))
}

/// A frozen layer, and what two factors add to it.
#[derive(Debug, Clone)]
struct Adapted {
    kernel: Arc<dyn Kernel>,
    delta: LowRank,
}

/// A linear layer's function of `x` with what the factors A, `[rank, in]`, and B, `[out, rank]`, add, all on the processor.
pub(crate) fn adapt(kernel: &Arc<dyn Kernel>, delta: LowRank, x: Tensor<3>, [a, b]: [Tensor<2>; 2]) -> Tensor<3> {
    let [x, a, b] = [x.into_dispatch(), a.into_dispatch(), b.into_dispatch()];
    Tensor::from_dispatch(<Dispatch as Kernels>::adapt(x, a, b, Adapted { kernel: kernel.clone(), delta }))
}

/// How attention is done by a kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Split {
    pub heads: usize,
    pub way: Way,
}

/// Attention of heads side by side, without mask, on the processor.
///
/// - `q`: `[batch, tokens, heads * width]`
/// - `k`, `v`: `[batch, others, heads * width]`
pub(crate) fn attend(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, split: Split) -> Tensor<3> {
    let [q, k, v] = [q, k, v].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as Kernels>::attend(q, k, v, split))
}

#[backend_extension(Flex, Autodiff)]
trait Kernels: Backend {
    fn apply(x: FloatTensor<Self>, kernel: Arc<dyn Kernel>) -> FloatTensor<Self>;
    fn adapt(x: FloatTensor<Self>, a: FloatTensor<Self>, b: FloatTensor<Self>, layer: Adapted) -> FloatTensor<Self>;
    fn attend(q: FloatTensor<Self>, k: FloatTensor<Self>, v: FloatTensor<Self>, split: Split) -> FloatTensor<Self>;
}

type Values = FloatTensor<Flex>;

/// The numbers of a tensor that was made contiguous.
fn numbers(tensor: &Values) -> &[f32] {
    tensor.as_slice::<f32>().expect("a contiguous tensor of f32")
}

fn shape_of(tensor: &Values) -> Vec<usize> {
    tensor.shape().iter().copied().collect()
}

fn tensor(values: Vec<f32>, shape: Vec<usize>) -> Values {
    Values::from_data(TensorData::new(values, shape))
}

impl Kernels for Flex {
    fn apply(x: Values, kernel: Arc<dyn Kernel>) -> Values {
        let x = x.to_contiguous();
        let (values, shape) = kernel.forward(numbers(&x), &shape_of(&x));
        tensor(values, shape)
    }

    fn adapt(x: Values, a: Values, b: Values, layer: Adapted) -> Values {
        run_adapted(&x.to_contiguous(), &a.to_contiguous(), &b.to_contiguous(), &layer).0
    }

    fn attend(q: Values, k: Values, v: Values, split: Split) -> Values {
        mix(&q.to_contiguous(), &k.to_contiguous(), &v.to_contiguous(), split).0
    }
}

/// The output, and what is between the factors.
fn run_adapted(x: &Values, a: &Values, b: &Values, Adapted { kernel, delta }: &Adapted) -> (Values, Vec<f32>) {
    let (mut y, shape) = kernel.forward(numbers(x), &shape_of(x));
    let narrow = delta.forward(numbers(x), [numbers(a), numbers(b)], &mut y);
    (tensor(y, shape), narrow)
}

/// Width of a head from which on `bf16` saves time; the rounding of fewer terms also averages out less.
const WIDE: usize = 16;

/// Attention, and what its way back needs.
fn mix(q: &Values, k: &Values, v: &Values, Split { heads, way }: Split) -> (Values, LogSums, Heads) {
    let shape = shape_of(q);
    let [batch, tokens, width] = shape[..] else { panic!("queries of shape {shape:?}") };
    let (others, width) = (shape_of(k)[1], width / heads);
    let way = if width < WIDE { way.in_f32() } else { way };
    let plan = Heads { way, batch, tokens, others, heads, width };
    let (values, sums) = plan.forward(numbers(q), numbers(k), numbers(v));
    (tensor(values, shape), sums, plan)
}

impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {
    fn apply(x: FloatTensor<Self>, kernel: Arc<dyn Kernel>) -> FloatTensor<Self> {
        match ApplyBackward.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let input = kernel.needs_input().then(|| prep.checkpoint(&x));
                let x = x.into_primitive();
                let state = Applied { input, shape: shape_of(&x), kernel: kernel.clone() };
                prep.finish(state, Flex::apply(x, kernel))
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::apply(x.into_primitive(), kernel)),
        }
    }

    fn adapt(x: FloatTensor<Self>, a: FloatTensor<Self>, b: FloatTensor<Self>, layer: Adapted) -> FloatTensor<Self> {
        match AdaptBackward.prepare::<C>([x.node(), a.node(), b.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let inputs = [prep.checkpoint(&x), prep.checkpoint(&a), prep.checkpoint(&b)];
                let [x, a, b] = [x, a, b].map(|t| t.into_primitive().to_contiguous());
                let (output, narrow) = run_adapted(&x, &a, &b, &layer);
                prep.finish(AdaptState { inputs, narrow: narrow.into(), layer }, output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(Flex::adapt(x.into_primitive(), a.into_primitive(), b.into_primitive(), layer))
            }
        }
    }

    fn attend(q: FloatTensor<Self>, k: FloatTensor<Self>, v: FloatTensor<Self>, split: Split) -> FloatTensor<Self> {
        match AttendBackward.prepare::<C>([q.node(), k.node(), v.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let inputs = [prep.checkpoint(&q), prep.checkpoint(&k), prep.checkpoint(&v)];
                let [q, k, v] = [q, k, v].map(|t| t.into_primitive().to_contiguous());
                let (output, sums, plan) = mix(&q, &k, &v, split);
                let state = Attended { inputs, output: output.clone(), sums: sums.into(), plan };
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(Flex::attend(q.into_primitive(), k.into_primitive(), v.into_primitive(), split))
            }
        }
    }
}

#[derive(Debug)]
struct ApplyBackward;

#[derive(Debug, Clone)]
struct Applied {
    input: Option<NodeId>,
    shape: Vec<usize>,
    kernel: Arc<dyn Kernel>,
}

impl Backward<Flex, 1> for ApplyBackward {
    type State = Applied;

    fn backward(self, ops: Ops<Applied, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let Applied { input, shape, kernel } = ops.state;
        let input = input.map(|id| checkpointer.retrieve_node_output::<Values>(id).to_contiguous());
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let found = kernel.backward(input.as_ref().map_or(&[], numbers), &shape, numbers(&gradient));
            grads.register::<Flex>(parent.id, tensor(found, shape));
        }
    }
}

#[derive(Debug)]
struct AdaptBackward;

#[derive(Debug, Clone)]
struct AdaptState {
    inputs: [NodeId; 3],
    narrow: Arc<Vec<f32>>,
    layer: Adapted,
}

impl Backward<Flex, 3> for AdaptBackward {
    type State = AdaptState;

    fn backward(self, ops: Ops<AdaptState, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let AdaptState { inputs, narrow, layer: Adapted { kernel, delta } } = ops.state;
        let inputs = inputs.map(|id| checkpointer.retrieve_node_output::<Values>(id).to_contiguous());
        let ([x, a, b], gradient) = (inputs.each_ref().map(numbers), numbers(&gradient));
        let is_wanted = ops.parents[0].is_some();
        let mut to_x = is_wanted.then(|| kernel.backward(x, &shape_of(&inputs[0]), gradient));
        let [to_a, to_b] = delta.backward(x, [a, b], &narrow, gradient, to_x.as_deref_mut());
        for ((parent, found), input) in ops.parents.into_iter().zip([to_x, Some(to_a), Some(to_b)]).zip(&inputs) {
            if let (Some(parent), Some(found)) = (parent, found) {
                grads.register::<Flex>(parent.id, tensor(found, shape_of(input)));
            }
        }
    }
}

#[derive(Debug)]
struct AttendBackward;

#[derive(Debug, Clone)]
struct Attended {
    inputs: [NodeId; 3],
    output: Values,
    sums: Arc<LogSums>,
    plan: Heads,
}

impl Backward<Flex, 3> for AttendBackward {
    type State = Attended;

    fn backward(self, ops: Ops<Attended, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let Attended { inputs, output, sums, plan } = ops.state;
        let inputs = inputs.map(|id| checkpointer.retrieve_node_output::<Values>(id).to_contiguous());
        let [q, k, v] = inputs.each_ref().map(numbers);
        let found = plan.backward([q, k, v, numbers(&output), numbers(&gradient)], &sums);
        for ((parent, found), input) in ops.parents.into_iter().zip(found).zip(&inputs) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, tensor(found, shape_of(input)));
            }
        }
    }
}
