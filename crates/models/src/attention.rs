//! Attention whose backward pass needs no score matrix from the forward pass.
//!
//! Burn's autodiff composes attention of plain operations and keeps several matrices of queries by keys: 1.5 GB for one
//! self-attention of Stable Diffusion 2 at 512 px. Here the CPU backend's tiled attention runs forward, and the backward
//! pass computes the scores again, some rows at a time (Dao et al. 2022, arXiv 2205.14135, section 3.1 and appendix B.2).
//! Other backends take Burn's own way.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchDevice, Flex, backend_extension};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;

/// Scores computed at a time in the backward pass. Of 2^19 to 2^27, 2^20 was the fastest for five heads of 64 and 4096 tokens
/// on two cores with 2 MB of second-level cache each: 2.4 s; half of it 3.1 s, twice 3.1 s, all at once 4.7 s.
const SCORES_AT_A_TIME: usize = 1 << 20;

/// Scaled dot-product attention without mask.
///
/// - `q`: `[batch, heads, tokens, width]`
/// - `k`, `v`: `[batch, heads, others, width]`
pub(crate) fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let tracked = q.is_tracked() || k.is_tracked() || v.is_tracked();
    let device = q.device().without_autodiff();
    if tracked && matches!(device.as_dispatch(), DispatchDevice::Flex(_)) {
        let mixed = <Dispatch as RecomputedAttention>::attend(q.into_dispatch(), k.into_dispatch(), v.into_dispatch());
        return Tensor::from_dispatch(mixed);
    }
    attention(q, k, v, None, None, AttentionModuleOptions::default())
}

/// Attention as one operation of a backend.
#[backend_extension(Flex, Autodiff)]
trait RecomputedAttention: Backend {
    fn attend(q: FloatTensor<Self>, k: FloatTensor<Self>, v: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl RecomputedAttention for Flex {
    fn attend(q: FloatTensor<Self>, k: FloatTensor<Self>, v: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::attention(q, k, v, None, None, AttentionModuleOptions::default())
    }
}

impl<C: CheckpointStrategy> RecomputedAttention for Autodiff<Flex, C> {
    fn attend(q: FloatTensor<Self>, k: FloatTensor<Self>, v: FloatTensor<Self>) -> FloatTensor<Self> {
        match AttendBackward.prepare::<C>([q.node(), k.node(), v.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = [prep.checkpoint(&q), prep.checkpoint(&k), prep.checkpoint(&v)];
                prep.finish(state, Flex::attend(q.into_primitive(), k.into_primitive(), v.into_primitive()))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(Flex::attend(q.into_primitive(), k.into_primitive(), v.into_primitive()))
            }
        }
    }
}

#[derive(Debug)]
struct AttendBackward;

impl Backward<Flex, 3> for AttendBackward {
    type State = [NodeId; 3];

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = Tensor::from_primitive::<Flex>(grads.consume::<Flex>(&ops.node));
        let [q, k, v] = ops
            .state
            .map(|id| Tensor::<4>::from_primitive::<Flex>(checkpointer.retrieve_node_output::<FloatTensor<Flex>>(id)));
        let found = attention_gradients(&q, &k, &v, &gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(parent) = parent {
                let gradient = gradient.try_into_primitive::<Flex>().expect("computed on this backend");
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// Gradients of the queries, keys and values, given that of the output.
fn attention_gradients(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, gradient: &Tensor<4>) -> [Tensor<4>; 3] {
    let [batch, heads, tokens, width] = q.dims();
    let [_, _, others, _] = k.dims();
    let scale = 1.0 / (width as f64).sqrt();
    let rows = (SCORES_AT_A_TIME / (batch * heads * others)).clamp(1, tokens);
    let (mut dq, mut dk, mut dv) = (Vec::new(), k.zeros_like(), v.zeros_like());
    for start in (0..tokens).step_by(rows) {
        let count = rows.min(tokens - start);
        let q = q.clone().narrow(2, start, count);
        let gradient = gradient.clone().narrow(2, start, count);
        let weights = softmax(q.clone().matmul(k.clone().transpose()) * scale, 3);
        dv = dv + weights.clone().transpose().matmul(gradient.clone());
        let dweights = gradient.matmul(v.clone().transpose());
        let mean = (weights.clone() * dweights.clone()).sum_dim(3);
        let dscores = weights * (dweights - mean) * scale;
        dq.push(dscores.clone().matmul(k.clone()));
        dk = dk + dscores.transpose().matmul(q);
    }
    [Tensor::cat(dq, 2), dk, dv]
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    /// The gradients of attention and of its composed form agree, for shapes that do and do not fit in one go.
    #[test]
    fn gradients_are_those_of_the_composed_form() {
        for (tokens, others) in [(5, 7), (2100, 2050)] {
            let device = Device::flex();
            let random = |n| Tensor::<4>::random([1, 2, n, 4], Distribution::Normal(0.0, 1.0), &device);
            let leaves = [random(tokens), random(others), random(others)].map(|t| t.autodiff().require_grad());
            let weights = random(tokens);
            let [q, k, v] = leaves.clone();
            let composed = softmax(q.matmul(k.transpose()) * 0.5, 3).matmul(v);
            let [q, k, v] = leaves.clone();
            let ours = attend(q, k, v);
            close(ours.clone(), composed.clone());
            let grads = (ours * weights.clone()).sum().backward();
            let expected = (composed * weights).sum().backward();
            for leaf in &leaves {
                close(leaf.grad(&grads).unwrap(), leaf.grad(&expected).unwrap());
            }
        }
    }

    #[test]
    fn only_what_is_tracked_gets_a_gradient() {
        let device = Device::flex();
        let random = || Tensor::<4>::random([1, 1, 3, 4], Distribution::Normal(0.0, 1.0), &device);
        let k = random().autodiff().require_grad();
        let grads = attend(random(), k.clone(), random()).sum().backward();
        assert_eq!(k.grad(&grads).unwrap().dims(), [1, 1, 3, 4]);
    }

    fn close(found: Tensor<4>, expected: Tensor<4>) {
        let (found, expected) = (found.without_autodiff(), expected.without_autodiff());
        let size = expected.clone().abs().max().into_scalar::<f32>();
        let error = (found - expected).abs().max().into_scalar::<f32>();
        assert!(error <= 1e-4 * size, "{error} of {size}");
    }
}
