//! What `benches/kernels.rs` times: each kernel at sizes of Stable Diffusion 2 at 512 px, beside Burn's own operations and
//! beside what this processor's multipliers can do at most.

use super::{
    Convolution, Double, Dropout, Frozen, Geglu, Gelu, Kernel, LayerNorm, LinearMap, LowRank, Norm, Precision, Split,
    Way, adapt, apply, attend, kind,
};
use crate::attention::attend as plain_attend;
use crate::lora::low_rank;
use crate::sd::Stored;
use burn::tensor::activation::{gelu, silu};
use burn::tensor::module::{conv2d, interpolate, layer_norm, linear};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use rayon::prelude::*;
use std::sync::Arc;

/// One way to do one thing.
pub struct Case {
    /// What is done.
    pub name: String,
    /// How: `burn`, or by which instructions, or `any` where a kernel is the same for all.
    pub way: &'static str,
    /// Multiplications and additions; 0 where memory decides.
    pub flops: u64,
    /// Does it once.
    pub run: Box<dyn Fn()>,
}

/// All of them. Where this processor has no kernels, Burn's ways alone.
pub fn cases() -> Vec<Case> {
    let mut cases = peaks();
    for (channels, side) in [(320, 64), (640, 32), (1280, 16)] {
        cases.extend(convolutions(channels, side));
    }
    cases.extend(linears(4096, 320, 2560));
    cases.extend(linears(4096, 320, 320));
    cases.extend(adapted(4096, 320, 8));
    cases.extend(attentions(4096, 5, 64));
    cases.extend(norms(320, 64));
    cases.extend(layer_norms(4096, 320));
    cases.extend(gates(4096, 1280));
    cases.extend(gelus(77, 4096));
    cases.extend(doubles(320, 64));
    cases
}

/// Tiles on panels that stay in the first-level cache, on all threads: the roof of all products.
fn peaks() -> Vec<Case> {
    let threads = rayon::current_num_threads();
    let each = |way: Way| {
        let (flops, name) = (threads as u64 * kind::tiles_flops(way), "multipliers' peak".to_owned());
        let run = Box::new(move || (0..threads).into_par_iter().for_each(|_| kind::run_tiles(way)));
        Case { name, way: way.name(), flops, run }
    };
    Way::all().map(each).collect()
}

/// Those in `f32`, for kernels without products.
fn plain_ways() -> impl Iterator<Item = Way> {
    Way::all().filter(|way| way.precision() == Precision::F32)
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_to_vec().expect("f32")
}

/// A function of one tensor, forward, and forward and back to its input; `flops` of each.
fn both<const D: usize, const E: usize>(
    name: &str,
    way: &'static str,
    flops: [u64; 2],
    x: &Tensor<D>,
    of: impl Fn(Tensor<D>) -> Tensor<E> + Clone + 'static,
) -> [Case; 2] {
    let (plain, tracked, again) = (x.clone(), x.clone(), of.clone());
    let back = move || {
        again(tracked.clone().autodiff().require_grad()).sum().backward();
    };
    let forward = Box::new(move || drop(of(plain.clone())));
    [
        Case { name: name.to_owned(), way, flops: flops[0], run: forward },
        Case { name: format!("{name}, and back"), way, flops: flops[1], run: Box::new(back) },
    ]
}

/// A kernel's cases.
fn of_kernel<const D: usize, const E: usize>(
    name: &str,
    way: &'static str,
    flops: [u64; 2],
    x: &Tensor<D>,
    kernel: impl Kernel + 'static,
) -> [Case; 2] {
    let kernel = Arc::new(kernel) as Arc<dyn Kernel>;
    both(name, way, flops, x, move |x| apply::<D, E>(&kernel, x))
}

fn convolutions(channels: usize, side: usize) -> Vec<Case> {
    let name = format!("convolution 3x3, {channels} channels, {side}x{side}");
    let flops = [1, 2].map(|products| products * (2 * 9 * channels * channels * side * side) as u64);
    let (x, bias) = (random([1, channels, side, side]), random([channels]));
    let weight = random([channels, channels, 3, 3]);
    let mut cases = Vec::new();
    for way in Way::all() {
        let weights = Frozen::new(Stored::F32(values(&weight)), channels, channels * 9);
        let bias = Arc::new(values(&bias));
        let map = Convolution { way, weights, bias, size: 3, stride: 1, padding: [1; 2] };
        cases.extend(of_kernel::<4, 4>(&name, way.name(), flops, &x, map));
    }
    cases.extend(both(&name, "burn", flops, &x, move |x| {
        conv2d(x, weight.clone(), Some(bias.clone()), ConvOptions::new([1; 2], [1; 2], [1; 2], 1))
    }));
    cases
}

fn linears(rows: usize, input: usize, output: usize) -> Vec<Case> {
    let name = format!("linear, {rows} rows, {input} to {output}");
    let flops = [1, 2].map(|products| products * (2 * rows * input * output) as u64);
    let (x, weight) = (random([1, rows, input]), random([output, input]));
    let mut cases = Vec::new();
    for way in Way::all() {
        let weights = Frozen::new(Stored::F32(values(&weight)), output, input);
        cases.extend(of_kernel::<3, 3>(&name, way.name(), flops, &x, LinearMap { way, weights, bias: None }));
    }
    let weight = weight.transpose();
    cases.extend(both(&name, "burn", flops, &x, move |x| linear(x, weight.clone(), None)));
    cases
}

/// A linear layer with factors beside it, as in tuning.
fn adapted(rows: usize, width: usize, rank: usize) -> Vec<Case> {
    let name = format!("linear with factors of rank {rank}, {rows} rows of {width}");
    let [frozen, narrow] = [width * width, 2 * width * rank].map(|products| (2 * rows * products) as u64);
    let flops = [frozen + narrow, 2 * frozen + 3 * narrow];
    let (x, weight) = (random([1, rows, width]), random([width, width]));
    let (a, b) = (random([rank, width]), random([width, rank]));
    // Gradients of the factors where that of the input is asked for.
    let factors = move |x: &Tensor<3>| {
        let factors = [a.clone(), b.clone()];
        if x.is_tracked() { factors.map(|t| t.autodiff().require_grad()) } else { factors }
    };
    let dropout = Dropout { rate: 0.1, seed: 1 };
    let mut cases = Vec::new();
    for way in Way::all() {
        let weights = Frozen::new(Stored::F32(values(&weight)), width, width);
        let kernel = Arc::new(LinearMap { way, weights, bias: None }) as Arc<dyn Kernel>;
        let (delta, factors) = (LowRank { way, rank, scale: 2.0, dropout }, factors.clone());
        cases.extend(both(&name, way.name(), flops, &x, move |x| {
            let factors = factors(&x);
            adapt(&kernel, delta, x, factors)
        }));
    }
    let weight = weight.transpose();
    cases.extend(both(&name, "burn", flops, &x, move |x| {
        linear(x.clone(), weight.clone(), None) + low_rank(x.clone(), factors(&x), 2.0, dropout)
    }));
    cases
}

fn attentions(tokens: usize, heads: usize, width: usize) -> Vec<Case> {
    let name = format!("attention, {heads} heads of {width}, {tokens} tokens");
    // The way back computes scores again, slopes, and three gradients: five products after the two.
    let flops = [2, 7].map(|products| products * (2 * heads * tokens * tokens * width) as u64);
    let x = random([1, tokens, heads * width]);
    let mut cases = Vec::new();
    for way in Way::all() {
        let split = Split { heads, way };
        cases.extend(both(&name, way.name(), flops, &x, move |x| attend(x.clone(), x.clone(), x, split)));
    }
    cases.extend(both(&name, "burn", flops, &x, move |x| {
        let x = x.reshape([1, tokens, heads, width]).swap_dims(1, 2);
        plain_attend(x.clone(), x.clone(), x)
    }));
    cases
}

fn norms(channels: usize, side: usize) -> Vec<Case> {
    let name = format!("group norm with SiLU, {channels} channels, {side}x{side}");
    let (x, groups) = (random([1, channels, side, side]), 32);
    let mut cases = Vec::new();
    for way in plain_ways() {
        let (gamma, beta) = (vec![1.5; channels].into(), vec![0.5; channels].into());
        let norm = Norm { way, gamma, beta, groups, epsilon: 1e-5, silu: true };
        cases.extend(of_kernel::<4, 4>(&name, way.name(), [0, 0], &x, norm));
    }
    let affine = |value: f32| {
        Tensor::<4>::from_data(TensorData::new(vec![value; channels], [1, channels, 1, 1]), &Device::flex())
    };
    let (gamma, beta) = (affine(1.5), affine(0.5));
    cases.extend(both(&name, "burn", [0, 0], &x, move |x| {
        let grouped = x.reshape([1, groups, channels / groups * side * side]);
        let centred = grouped.clone() - grouped.mean_dim(2);
        let normed = centred.clone() / (centred.square().mean_dim(2) + 1e-5).sqrt();
        silu(normed.reshape([1, channels, side, side]) * gamma.clone() + beta.clone())
    }));
    cases
}

fn layer_norms(rows: usize, channels: usize) -> Vec<Case> {
    let name = format!("layer norm, {rows} rows of {channels}");
    let x = random([1, rows, channels]);
    let mut cases = Vec::new();
    for way in plain_ways() {
        let (gamma, beta) = (vec![1.5; channels].into(), vec![0.5; channels].into());
        let norm = LayerNorm { way, gamma, beta, epsilon: 1e-5 };
        cases.extend(of_kernel::<3, 3>(&name, way.name(), [0, 0], &x, norm));
    }
    let affine =
        |value: f32| Tensor::<1>::from_data(TensorData::new(vec![value; channels], [channels]), &Device::flex());
    let (gamma, beta) = (affine(1.5), affine(0.5));
    cases.extend(both(&name, "burn", [0, 0], &x, move |x| layer_norm(x, gamma.clone(), Some(beta.clone()), 1e-5)));
    cases
}

fn gates(rows: usize, width: usize) -> Vec<Case> {
    let name = format!("gated units, {rows} rows of {width}");
    let x = random([1, rows, 2 * width]);
    let mut cases = Vec::new();
    for way in plain_ways() {
        cases.extend(of_kernel::<3, 3>(&name, way.name(), [0, 0], &x, Geglu { way }));
    }
    cases.extend(both(&name, "burn", [0, 0], &x, |x: Tensor<3>| {
        let [value, gate]: [Tensor<3>; 2] = x.chunk(2, 2).try_into().expect("two chunks");
        value * gelu(gate)
    }));
    cases
}

/// As in the text encoder of Stable Diffusion 2.
fn gelus(rows: usize, width: usize) -> Vec<Case> {
    let name = format!("GELU, {rows} rows of {width}");
    let x = random([1, rows, width]);
    let mut cases = Vec::new();
    for way in plain_ways() {
        cases.extend(of_kernel::<3, 3>(&name, way.name(), [0, 0], &x, Gelu { way }));
    }
    cases.extend(both(&name, "burn", [0, 0], &x, gelu));
    cases
}

fn doubles(channels: usize, side: usize) -> Vec<Case> {
    let name = format!("twice the size, {channels} channels, {side}x{side}");
    let x = random([1, channels, side, side]);
    let twice = 2 * side;
    let kernel = Double { height: twice, width: twice };
    let mut cases = Vec::from(of_kernel::<4, 4>(&name, "any", [0, 0], &x, kernel));
    cases.extend(both(&name, "burn", [0, 0], &x, move |x| {
        interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([twice; 2]))
    }));
    cases
}
