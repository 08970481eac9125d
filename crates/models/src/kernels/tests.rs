//! Every kernel against Burn's own operations, forward and backward, over random shapes and values, in each way that this
//! processor has. Working memory starts as NaN in tests, so what is read before it is written shows.

use super::{
    Convolution, Double, Dropout, Frozen, Geglu, Gelu, Heads, Kernel, LayerNorm, LinearMap, LowRank, Norm, Precision,
    Split, Way, adapt, apply, attend,
};
use crate::attention::attend as plain_attend;
use crate::lora::low_rank;
use crate::sd::Stored;
use burn::tensor::activation::{gelu, silu};
use burn::tensor::module::{conv2d, interpolate, layer_norm, linear};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, TensorData};
use half::{bf16, f16};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPoolBuilder;
use std::sync::Arc;

/// Shapes tried of each kernel.
const ROUNDS: u64 = 24;

/// Rounds and ways to try.
fn rounds() -> impl Iterator<Item = (u64, Way)> {
    Way::all().flat_map(|way| (0..ROUNDS).map(move |round| (round, way)))
}

struct Chance(ChaCha8Rng);

impl Chance {
    fn new(round: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(round))
    }

    fn size(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        self.0.random_range(range)
    }

    /// About -1 to 1 times `size`, with a mean that is not 0.
    fn values(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| size * (self.0.random_range(-1.0f32..1.0) + 0.1)).collect()
    }

    fn tensor<const D: usize>(&mut self, shape: [usize; D], size: f32) -> Tensor<D> {
        let values = self.values(shape.iter().product(), size);
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// Weights in one of the three precisions, and what they are as `f32`.
    fn weights(&mut self, count: usize) -> (Stored, Vec<f32>) {
        let values = self.values(count, 0.5);
        let stored = match self.size(0..=2) {
            0 => Stored::F32(values),
            1 => Stored::F16(values.iter().map(|&v| f16::from_f32(v).to_bits()).collect()),
            _ => Stored::Bf16(values.iter().map(|&v| bf16::from_f32(v).to_bits()).collect()),
        };
        (stored.clone(), stored.into_f32())
    }
}

fn to_tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.clone().without_autodiff().into_data().try_to_vec().unwrap()
}

/// The relative error that a way is allowed.
fn bound(way: Way) -> f64 {
    match way.precision() {
        Precision::F32 => 1e-5,
        Precision::Bf16 => 1e-2,
    }
}

#[track_caller]
fn assert_close<const D: usize>(what: &str, way: Way, found: &Tensor<D>, expected: &Tensor<D>) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
    let (found, expected) = (values(found), values(expected));
    let size = norm(&mut expected.iter().map(|&v| f64::from(v)));
    let error = norm(&mut found.iter().zip(&expected).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    assert!(error <= bound(way) * size, "{what} by {way:?}: relative error {:.1e}", error / size);
}

/// Output and input's gradient of a kernel and of its reference.
#[track_caller]
fn compare<const D: usize>(
    what: &str,
    way: Way,
    kernel: impl Kernel + 'static,
    x: Tensor<D>,
    chance: &mut Chance,
    reference: impl Fn(Tensor<D>) -> Tensor<D>,
) {
    let (ours, theirs) = (x.clone().autodiff().require_grad(), x.autodiff().require_grad());
    let (found, expected) = (apply(&(Arc::new(kernel) as Arc<dyn Kernel>), ours.clone()), reference(theirs.clone()));
    assert_close(what, way, &found, &expected);
    let weights = chance.tensor(expected.dims(), 1.0);
    let found = (found * weights.clone()).sum().backward();
    let expected = (expected * weights).sum().backward();
    let what = format!("gradient of {what}");
    assert_close(&what, way, &ours.grad(&found).unwrap(), &theirs.grad(&expected).unwrap());
}

#[test]
fn a_linear_layer_is_burns() {
    for (round, way) in rounds() {
        let mut chance = Chance::new(round);
        let [batch, rows] = [chance.size(1..=2), chance.size(1..=70)];
        let [input, output] = [chance.size(1..=600), chance.size(1..=90)];
        let (stored, weights) = chance.weights(input * output);
        let bias = chance.values(output, 1.0);
        let with_bias = round % 3 > 0;
        let map = LinearMap {
            way,
            weights: Frozen::new(stored, output, input),
            bias: with_bias.then(|| Arc::new(bias.clone())),
        };
        let weights = to_tensor(weights, [output, input]).transpose();
        let bias = with_bias.then(|| to_tensor(bias, [output]));
        let x = chance.tensor([batch, rows, input], 2.0);
        let what = format!("linear {batch}x{rows}x{input} to {output}");
        compare(&what, way, map, x, &mut chance, |x| linear(x, weights.clone(), bias.clone()));
    }
}

#[test]
fn a_linear_layer_with_factors_is_burns() {
    for (round, way) in rounds() {
        let mut chance = Chance::new(round);
        let [batch, rows, rank] = [chance.size(1..=2), chance.size(1..=130), chance.size(1..=32)];
        let [input, output] = [chance.size(1..=600), chance.size(1..=90)];
        let dropout = if round % 3 == 0 { Dropout::OFF } else { Dropout { rate: 0.1, seed: round << 20 } };
        let (stored, weights) = chance.weights(input * output);
        let weights = to_tensor(weights, [output, input]).transpose();
        let frozen = LinearMap { way, weights: Frozen::new(stored, output, input), bias: None };
        let kernel = Arc::new(frozen) as Arc<dyn Kernel>;
        let delta = LowRank { way, rank, scale: 1.5, dropout };
        let x = chance.tensor([batch, rows, input], 2.0);
        let factors = [chance.tensor([rank, input], 0.5), chance.tensor([output, rank], 0.5)];
        let leaves = || {
            let factors = factors.clone().map(|t| t.autodiff().require_grad());
            (x.clone().autodiff().require_grad(), factors)
        };
        let (ours, theirs) = (leaves(), leaves());
        let found = adapt(&kernel, delta, ours.0.clone(), ours.1.clone());
        let expected = linear(theirs.0.clone(), weights, None)
            + low_rank(theirs.0.clone(), theirs.1.clone(), f64::from(delta.scale), dropout);
        let what = format!("linear {batch}x{rows}x{input} to {output} with factors of rank {rank}, {dropout:?}");
        assert_close(&what, way, &found, &expected);
        let plain = adapt(&kernel, delta, x.clone(), factors.clone());
        assert!(values(&plain) == values(&found), "{what} without gradients");
        let weights = chance.tensor([batch, rows, output], 1.0);
        let found = (found * weights.clone()).sum().backward();
        let expected = (expected * weights).sum().backward();
        let [of_x, of_x_there] = [ours.0.grad(&found).unwrap(), theirs.0.grad(&expected).unwrap()];
        assert_close(&format!("gradient of the input, {what}"), way, &of_x, &of_x_there);
        for (i, name) in ["A", "B"].into_iter().enumerate() {
            let [found, expected] = [ours.1[i].grad(&found).unwrap(), theirs.1[i].grad(&expected).unwrap()];
            // Nothing here is rounded, whatever the frozen weights are multiplied in.
            assert_close(&format!("gradient of {name}, {what}"), way.in_f32(), &found, &expected);
        }
    }
}

#[test]
fn factors_of_a_fresh_adapter_have_gradients_where_the_input_needs_none() {
    for way in Way::all() {
        let mut chance = Chance::new(3);
        let (stored, _) = chance.weights(40 * 30);
        let frozen = LinearMap { way, weights: Frozen::new(stored, 30, 40), bias: None };
        let kernel = Arc::new(frozen) as Arc<dyn Kernel>;
        let delta = LowRank { way, rank: 4, scale: 2.0, dropout: Dropout::OFF };
        let x = chance.tensor([1, 20, 40], 1.0);
        let b = to_tensor(vec![0.0; 30 * 4], [30, 4]);
        let [a, b] = [chance.tensor([4, 40], 1.0), b].map(|t| t.autodiff().require_grad());
        let found = adapt(&kernel, delta, x.clone(), [a.clone(), b.clone()]);
        assert!(values(&found) == values(&apply::<3, 3>(&kernel, x)));
        let gradients = found.sum().backward();
        assert!(values(&a.grad(&gradients).unwrap()).iter().all(|&g| g == 0.0));
        assert!(values(&b.grad(&gradients).unwrap()).iter().all(|&g| g != 0.0));
    }
}

#[test]
fn a_convolution_is_burns() {
    for (round, way) in rounds() {
        let mut chance = Chance::new(round);
        // The last is padded at the far sides alone, as the autoencoder halves.
        let (size, stride, padding) = [
            (1, 1, [0, 0]),
            (3, 1, [1, 1]),
            (3, 1, [1, 1]),
            (3, 2, [1, 1]),
            (3, 2, [0, 0]),
            (3, 1, [0, 0]),
            (3, 2, [0, 1]),
        ][chance.size(0..=6)];
        let [batch, channels, filters] = [chance.size(1..=2), chance.size(1..=40), chance.size(1..=70)];
        let [height, width] = [chance.size(3..=50), chance.size(3..=75)];
        let (stored, weights) = chance.weights(filters * channels * size * size);
        let bias = chance.values(filters, 1.0);
        let weights = to_tensor(weights, [filters, channels, size, size]);
        let x = chance.tensor([batch, channels, height, width], 2.0);
        let what = format!("{filters} filters {size}x{size}, stride {stride}, of {:?}", x.dims());
        let map = Convolution {
            way,
            weights: Frozen::new(stored, filters, channels * size * size),
            bias: Arc::new(bias.clone()),
            size,
            stride,
            padding,
        };
        let bias = to_tensor(bias, [filters]);
        let options = ConvOptions::new([stride; 2], [padding[0]; 2], [1, 1], 1);
        let far = padding[1] - padding[0];
        compare(&what, way, map, x, &mut chance, |x| {
            conv2d(x.pad((0, far, 0, far), 0.0), weights.clone(), Some(bias.clone()), options.clone())
        });
    }
}

fn plain_norm(x: Tensor<4>, norm: &Norm) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let grouped = x.reshape([batch, norm.groups, channels / norm.groups * height * width]);
    let centred = grouped.clone() - grouped.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    let normed = (centred / (variance + norm.epsilon).sqrt()).reshape([batch, channels, height, width]);
    let affine = |values: &[f32]| to_tensor(values.to_vec(), [1, channels, 1, 1]);
    let z = normed * affine(&norm.gamma) + affine(&norm.beta);
    if norm.silu { silu(z) } else { z }
}

#[test]
fn group_norm_is_burns_with_and_without_silu() {
    for (round, way) in rounds().filter(|(_, way)| way.precision() == Precision::F32) {
        let mut chance = Chance::new(round);
        let groups = chance.size(1..=6);
        let channels = groups * chance.size(1..=5);
        let shape = [chance.size(1..=2), channels, chance.size(2..=20), chance.size(2..=20)];
        let (gamma, beta) = (chance.values(channels, 1.5), chance.values(channels, 1.0));
        let norm = Norm { way, gamma: gamma.into(), beta: beta.into(), groups, epsilon: 1e-5, silu: round % 2 == 0 };
        let x = chance.tensor(shape, 3.0);
        let reference = norm.clone();
        compare(&format!("norm of {shape:?}"), way, norm, x, &mut chance, |x| plain_norm(x, &reference));
    }
}

#[test]
fn layer_norm_is_burns() {
    for (round, way) in rounds().filter(|(_, way)| way.precision() == Precision::F32) {
        let mut chance = Chance::new(round);
        let channels = [chance.size(5..=40), 16 * chance.size(1..=20), chance.size(200..=700)][chance.size(0..=2)];
        let shape = [chance.size(1..=2), chance.size(1..=70), channels];
        let (gamma, beta) = (chance.values(channels, 1.5), chance.values(channels, 1.0));
        let x = chance.tensor(shape, 3.0);
        let norm = LayerNorm { way, gamma: gamma.clone().into(), beta: beta.clone().into(), epsilon: 1e-5 };
        let (gamma, beta) = (to_tensor(gamma, [channels]), to_tensor(beta, [channels]));
        compare(&format!("layer norm of {shape:?}"), way, norm, x, &mut chance, |x| {
            layer_norm(x, gamma.clone(), Some(beta.clone()), 1e-5)
        });
    }
}

#[test]
fn gated_units_are_burns() {
    for (round, way) in rounds().filter(|(_, way)| way.precision() == Precision::F32) {
        let mut chance = Chance::new(round);
        let shape = [chance.size(1..=2), chance.size(1..=40), 2 * chance.size(1..=50)];
        let size = [0.1, 1.0, 5.0, 40.0][chance.size(0..=3)];
        let x = chance.tensor(shape, size);
        compare(&format!("gated {shape:?}"), way, Geglu { way }, x, &mut chance, |x| {
            let [value, gate]: [Tensor<3>; 2] = x.chunk(2, 2).try_into().expect("two chunks");
            value * gelu(gate)
        });
    }
}

#[test]
fn gelu_is_burns() {
    for (round, way) in rounds().filter(|(_, way)| way.precision() == Precision::F32) {
        let mut chance = Chance::new(round);
        let shape = [1, chance.size(1..=9), chance.size(1..=3000)];
        let x = chance.tensor(shape, 6.0);
        compare(&format!("GELU of {shape:?}"), way, Gelu { way }, x, &mut chance, gelu);
    }
}

#[test]
fn doubling_is_burns_nearest_neighbour() {
    for (round, way) in rounds() {
        let mut chance = Chance::new(round);
        let [height, width] = [chance.size(1..=30), chance.size(1..=30)];
        let shape = [chance.size(1..=2), chance.size(1..=5), height.div_ceil(2), width.div_ceil(2)];
        let x = chance.tensor(shape, 1.0);
        let what = format!("{shape:?} doubled to {height}x{width}");
        compare(&what, way, Double { height, width }, x, &mut chance, |x: Tensor<4>| {
            let options = InterpolateOptions::new(InterpolateMode::Nearest);
            let whole = interpolate(x, options.with_output_size([2 * shape[2], 2 * shape[3]]));
            whole.slice([0..shape[0], 0..shape[1], 0..height, 0..width])
        });
    }
}

#[test]
fn attention_is_burns() {
    for (round, way) in rounds() {
        let mut chance = Chance::new(round);
        let [batch, heads, width] =
            [chance.size(1..=2), chance.size(1..=3), [4, 8, 40, 41, 64, 70][chance.size(0..=5)]];
        let [tokens, others] = [chance.size(1..=150), chance.size(1..=400)];
        let size = [0.3, 1.0, 3.0][chance.size(0..=2)];
        let plan = Heads { way, batch, tokens, others, heads, width };
        compare_attention(plan, &mut chance, size);
    }
}

/// Keys are gone through in blocks of 64 and parts of blocks, queries in spans of 224 or 192, and of tiles.
#[test]
fn attention_is_burns_at_the_edges_of_blocks_parts_and_spans() {
    let shapes = [
        // tokens, others, heads, width
        [224, 127, 2, 8],  // too few keys for a part
        [225, 128, 2, 40], // one part of two blocks
        [449, 129, 1, 64], // a block of one key
        [192, 256, 3, 64],
        [193, 300, 3, 41],
        [500, 779, 1, 64], // six parts of two and three blocks
        [33, 897, 1, 70],
        [17, 389, 32, 4], // one part of seven blocks
    ];
    for way in Way::all() {
        for (round, [tokens, others, heads, width]) in (0..).zip(shapes) {
            let batch = if heads == 3 { 2 } else { 1 };
            let plan = Heads { way, batch, tokens, others, heads, width };
            compare_attention(plan, &mut Chance::new(round), 1.0);
        }
    }
}

/// Output and gradients of attention on values of about `size`.
#[track_caller]
fn compare_attention(plan: Heads, chance: &mut Chance, size: f32) {
    let Heads { way, batch, tokens, others, heads, width } = plan;
    let mut leaf = |count| chance.tensor([batch, count, heads * width], size).autodiff().require_grad();
    let leaves = [leaf(tokens), leaf(others), leaf(others)];
    let weights = chance.tensor([batch, tokens, heads * width], 1.0);
    let split = |t: Tensor<3>| {
        let [batch, tokens, _] = t.dims();
        t.reshape([batch, tokens, heads, width]).swap_dims(1, 2)
    };
    let [q, k, v] = leaves.clone().map(split);
    let expected = plain_attend(q, k, v).swap_dims(1, 2).reshape([batch, tokens, heads * width]);
    let [q, k, v] = leaves.clone();
    let found = attend(q, k, v, Split { heads, way });
    let what = format!("attention of {tokens} on {others}, {heads} heads of {width}");
    assert_close(&what, way, &found, &expected);
    let found = (found * weights.clone()).sum().backward();
    let expected = (expected * weights).sum().backward();
    for (leaf, name) in leaves.iter().zip(["queries", "keys", "values"]) {
        let what = format!("gradient of {name}, {what}");
        assert_close(&what, way, &leaf.grad(&found).unwrap(), &leaf.grad(&expected).unwrap());
    }
}

/// Widths that are whole tiles, one or two of them, and pictures of several parts.
#[test]
fn a_convolution_of_whole_tiles_is_burns() {
    let shapes = [
        // channels, filters, height, width
        [40, 33, 7, 16],
        [16, 5, 1, 16],
        [70, 17, 9, 32],
        [200, 64, 50, 48], // three tiles across, parts of 22 and 46 rows
        [33, 32, 3, 64],
        [950, 3, 13, 33], // parts of the fewest rows
    ];
    for way in Way::all() {
        for (round, [channels, filters, height, width]) in (0..).zip(shapes) {
            let mut chance = Chance::new(round);
            let (stored, weights) = chance.weights(filters * channels * 9);
            let bias = chance.values(filters, 1.0);
            let weights = to_tensor(weights, [filters, channels, 3, 3]);
            let x = chance.tensor([1, channels, height, width], 2.0);
            let map = Convolution {
                way,
                weights: Frozen::new(stored, filters, channels * 9),
                bias: Arc::new(bias.clone()),
                size: 3,
                stride: 1,
                padding: [1; 2],
            };
            let bias = to_tensor(bias, [filters]);
            let options = ConvOptions::new([1; 2], [1; 2], [1, 1], 1);
            let what = format!("{filters} filters of {channels} channels, {height}x{width}");
            compare(&what, way, map, x, &mut chance, |x| {
                conv2d(x, weights.clone(), Some(bias.clone()), options.clone())
            });
        }
    }
}

/// Products of more blocks than are run on at a time, and with a rest.
#[test]
fn a_linear_layer_of_many_terms_is_burns() {
    for way in Way::all() {
        for (round, [rows, input, output]) in (0..).zip([[33, 2600, 40], [16, 1024, 32], [70, 513, 65]]) {
            let mut chance = Chance::new(round);
            let (stored, weights) = chance.weights(input * output);
            let map = LinearMap { way, weights: Frozen::new(stored, output, input), bias: None };
            let weights = to_tensor(weights, [output, input]).transpose();
            let x = chance.tensor([1, rows, input], 2.0);
            compare(&format!("linear {rows}x{input} to {output}"), way, map, x, &mut chance, |x| {
                linear(x, weights.clone(), None)
            });
        }
    }
}

/// Heads so wide that their products are of more blocks than are run on at a time.
#[test]
fn attention_of_a_wide_head_is_plain() {
    for way in Way::all() {
        let plan = Heads { way, batch: 1, tokens: 40, others: 45, heads: 1, width: 2080 };
        compare_attention(plan, &mut Chance::new(1), 0.2);
    }
}

/// Scores that differ by hundreds neither overflow nor lose the one that counts.
#[test]
fn attention_bears_large_scores() {
    let q = [100.0, 0.0, 0.0, 0.0, -100.0, 0.0, 0.0, 0.0];
    let k = [10.0, 0.0, 0.0, 0.0, -10.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
    let v = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0];
    for way in Way::all() {
        let plan = Heads { way, batch: 1, tokens: 2, others: 3, heads: 1, width: 4 };
        assert_eq!(plan.forward(&q, &k, &v).0, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    }
}

#[test]
fn kernels_compute_the_same_bits_every_time_on_any_number_of_threads() {
    let pools = [1, 3].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    for way in Way::all() {
        let mut chance = Chance::new(1);
        let (stored, _) = chance.weights(64 * 32 * 9);
        let weights = Frozen::new(stored, 64, 32 * 9);
        let bias = Arc::new(chance.values(64, 1.0));
        let map = Convolution { way, weights, bias, size: 3, stride: 1, padding: [1; 2] };
        let x = chance.values(32 * 50 * 50, 1.0);
        let plan = Heads { way, batch: 1, tokens: 600, others: 600, heads: 2, width: 32 };
        let [q, k] = [0, 1].map(|_| chance.values(600 * 64, 2.0));
        let run = || {
            let (y, _) = map.forward(&x, &[1, 32, 50, 50]);
            let (out, sums) = plan.forward(&q, &k, &q);
            let gradients = plan.backward([&q, &k, &q, &out, &k], &sums);
            [vec![y, out], gradients.to_vec()].concat().concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let bits = run();
        assert!(run() == bits, "{way:?}");
        for pool in &pools {
            assert!(pool.install(run) == bits, "{way:?} on {} threads", pool.current_num_threads());
        }
    }
}

#[test]
fn factors_compute_the_same_bits_with_any_number_of_threads() {
    for way in Way::all() {
        let mut chance = Chance::new(2);
        let [rows, input, output, rank] = [300, 70, 50, 8];
        let delta = LowRank { way, rank, scale: 1.5, dropout: Dropout { rate: 0.1, seed: 9 } };
        let [x, gradient] = [chance.values(rows * input, 1.0), chance.values(rows * output, 1.0)];
        let [a, b] = [chance.values(rank * input, 1.0), chance.values(output * rank, 1.0)];
        let run = || {
            let (mut y, mut to_x) = (vec![0.0; rows * output], vec![0.0; rows * input]);
            let narrow = delta.forward(&x, [&a, &b], &mut y);
            let [to_a, to_b] = delta.backward(&x, [&a, &b], &narrow, &gradient, Some(&mut to_x));
            [y, to_x, to_a, to_b].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
        assert!(with(1) == with(3), "{way:?}");
    }
}
