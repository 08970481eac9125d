//! A few seconds of the models' own operations on a device and on the CPU: pictures and gradients must agree. A device
//! whose driver computes wrong values would otherwise fill a photo with nonsense, and say nothing.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::activation::silu;
use burn::tensor::module::{attention, conv2d};
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{Device, Tensor, TensorData};
use realfill_models::embedded::{Conditioning, EmbeddedConfig, PatchUNet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Largest relative error that passes. Correct devices are far below (a software Vulkan driver had 6e-5), wrong ones
/// far above.
const TOLERANCE: f64 = 1e-3;

/// Height and width of the tiny model's picture.
const SIZE: [usize; 2] = [32, 24];

/// What came out of a test.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Relative error to the CPU of each result.
    pub errors: Vec<(&'static str, f64)>,
    /// How long it took.
    pub secs: f64,
}

impl Outcome {
    /// Whether every result is within the tolerance (a NaN is not).
    pub fn passes(&self) -> bool {
        self.errors.iter().all(|(_, error)| *error <= TOLERANCE)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passes() { "passes" } else { "fails: it computes wrong values" };
        write!(f, "{verdict} (relative error:")?;
        for (name, error) in &self.errors {
            write!(f, " {name} {error:.0e},")?;
        }
        write!(f, " {:.1} s)", self.secs)
    }
}

/// Runs the test; a device that panics is an error with its words.
///
/// # Errors
/// What the device or its driver said when it gave up.
pub fn run(device: &Device) -> Result<Outcome, String> {
    let clock = Instant::now();
    let expected = results(&Device::flex());
    let found = catch_unwind(AssertUnwindSafe(|| results(device))).map_err(|panic| words(panic.as_ref()))?;
    let compared = expected.iter().zip(&found).map(|((name, a), (_, b))| (*name, relative_error(a, b)));
    Ok(Outcome { errors: compared.collect(), secs: clock.elapsed().as_secs_f64() })
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

type Results = Vec<(&'static str, Vec<f32>)>;

/// Named results and gradients as plain numbers.
fn results(device: &Device) -> Results {
    let learning = device.clone().autodiff();
    [operations(&learning), model(&learning, device)].concat()
}

/// What Stable Diffusion is made of: convolution, SiLU and attention.
fn operations(device: &Device) -> Results {
    let (picture, kernel) = (leaf([2, 4, 16, 16], 1.0, device), leaf([8, 4, 3, 3], 2.0, device));
    let convolved = conv2d(picture.clone(), kernel.clone(), None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
    let queries = silu(convolved.clone()).reshape([2, 2, 4, 256]).swap_dims(2, 3);
    let attended = attention(queries.clone(), queries.clone(), queries, None, None, AttentionModuleOptions::default());
    let gradients = attended.clone().square().sum().backward();
    let of_leaves = [picture.grad(&gradients), kernel.grad(&gradients)].into_iter().flatten().flat_map(numbers);
    vec![
        ("convolution", numbers(convolved)),
        ("attention", numbers(attended)),
        ("their gradients", of_leaves.collect()),
    ]
}

/// A tiny embedded model: its picture as it is learnt and as it is sampled, for which a device may take different ways, and
/// the gradients of all its weights.
fn model(learning: &Device, sampling: &Device) -> Results {
    let network = PatchUNet::new(&EmbeddedConfig::tiny(), learning).map(&mut Waves { phase: 0.0 });
    let picture = picture_by(&network, learning);
    let sampled = picture_by(&network.valid(), sampling);
    let gradients = GradientsParams::from_grads(picture.clone().square().mean().backward(), &network);
    let mut collected = Collect { gradients: &gradients, values: Vec::new() };
    network.visit(&mut collected);
    vec![
        ("the model's picture", numbers(picture)),
        ("the sampled picture", numbers(sampled)),
        ("the model's gradients", collected.values),
    ]
}

fn picture_by(network: &PatchUNet, device: &Device) -> Tensor<4> {
    let [height, width] = SIZE;
    let plane = |channels, phase| wave([1, channels, height, width], phase, device);
    let known = Conditioning {
        mask: plane(1, 1.0).greater_scalar(0.0).float(),
        masked: plane(3, 2.0),
        guide: plane(3, 3.0),
        trust: plane(1, 4.0).clamp(0.0, 1.0),
    };
    network.forward(plane(3, 5.0), Tensor::from_floats([500.0], device), &known)
}

/// Gives a network weights that are the same everywhere, about the size of trained ones.
struct Waves {
    phase: f32,
}

impl ModuleMapper for Waves {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.phase += 1.0;
        param.map(|tensor| {
            let shape = tensor.dims();
            let inputs = shape.iter().product::<usize>() / shape[0];
            let weights = wave(shape, self.phase, &tensor.device()) / (inputs as f64).sqrt();
            weights.detach().set_require_grad(tensor.is_require_grad())
        })
    }
}

struct Collect<'a> {
    gradients: &'a GradientsParams,
    values: Vec<f32>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.values.extend(self.gradients.get::<D>(param.id).into_iter().flat_map(numbers));
    }
}

fn leaf(shape: [usize; 4], phase: f32, device: &Device) -> Tensor<4> {
    wave(shape, phase, device).require_grad()
}

/// Numbers that are the same everywhere and look random enough.
fn wave<const D: usize>(shape: [usize; D], phase: f32, device: &Device) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i| (i as f32 * 0.7 + phase).sin()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap_or_default()
}

/// Norm of the difference over the norm; infinite when the counts differ.
fn relative_error(expected: &[f32], found: &[f32]) -> f64 {
    if expected.len() != found.len() {
        return f64::INFINITY;
    }
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut expected.iter().zip(found).map(|(a, b)| f64::from(a - b)));
    difference / norm(&mut expected.iter().map(|a| f64::from(*a)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_agrees_with_itself_and_every_result_is_there() {
        let outcome = run(&Device::flex()).expect("the CPU does not panic");
        assert!(outcome.passes() && outcome.errors.len() == 6, "{outcome}");
        for (name, values) in results(&Device::flex()) {
            assert!(values.iter().any(|v| v.abs() > 1e-3) && values.iter().all(|v| v.is_finite()), "{name}");
        }
    }

    #[test]
    fn wrong_and_missing_values_do_not_pass() {
        for found in [&[1.0, 2.1][..], &[1.0], &[1.0, f32::NAN]] {
            let errors = vec![("x", relative_error(&[1.0, 2.0], found))];
            assert!(!Outcome { errors, secs: 0.0 }.passes(), "{found:?}");
        }
    }
}
