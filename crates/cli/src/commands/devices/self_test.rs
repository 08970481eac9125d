//! A few seconds of a model's own operations on a device and on the CPU: forward and gradients must agree.

use burn::tensor::activation::silu;
use burn::tensor::module::{attention, conv2d};
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{Device, Tensor, TensorData};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Largest relative error that passes. Correct devices are far below (a software Vulkan driver had 6e-5), wrong ones
/// far above.
const TOLERANCE: f64 = 1e-3;

/// What came out of a test.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Relative error to the CPU of each result.
    errors: Vec<(&'static str, f64)>,
    secs: f64,
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
        write!(f, "{verdict} (relative error")?;
        for (name, error) in &self.errors {
            write!(f, " {name} {error:.0e}")?;
        }
        write!(f, "; {:.1} s)", self.secs)
    }
}

/// Runs the test; a device that panics is an error with its words.
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

/// Named results and gradients as plain numbers.
fn results(device: &Device) -> Vec<(&'static str, Vec<f32>)> {
    let device = device.clone().autodiff();
    let (picture, kernel) = (wave([2, 4, 16, 16], 1.0, &device), wave([8, 4, 3, 3], 2.0, &device));
    let convolved = conv2d(picture.clone(), kernel.clone(), None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
    let queries = silu(convolved.clone()).reshape([2, 2, 4, 256]).swap_dims(2, 3);
    let attended = attention(queries.clone(), queries.clone(), queries, None, None, AttentionModuleOptions::default());
    let gradients = attended.clone().powf_scalar(2.0).sum().backward();
    vec![
        ("convolution", numbers(convolved)),
        ("attention", numbers(attended)),
        (
            "gradients",
            [picture.grad(&gradients), kernel.grad(&gradients)].into_iter().flatten().flat_map(numbers).collect(),
        ),
    ]
}

/// Numbers that are the same everywhere and look random enough.
fn wave(shape: [usize; 4], phase: f32, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i| (i as f32 * 0.7 + phase).sin()).collect();
    Tensor::<4>::from_data(TensorData::new(values, shape), device).require_grad()
}

fn numbers(tensor: Tensor<4>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap_or_default()
}

/// Norm of the difference over the norm; infinite when the counts differ.
fn relative_error(expected: &[f32], found: &[f32]) -> f64 {
    if expected.len() != found.len() {
        return f64::INFINITY;
    }
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = square(&mut expected.iter().zip(found).map(|(a, b)| f64::from(a - b)));
    difference / square(&mut expected.iter().map(|a| f64::from(*a)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_agrees_with_itself_and_every_result_is_there() {
        let outcome = run(&Device::flex()).expect("the CPU does not panic");
        assert!(outcome.passes() && outcome.errors.len() == 3, "{outcome}");
        assert!(results(&Device::flex()).iter().all(|(_, values)| values.iter().any(|v| v.abs() > 1e-3)));
    }

    #[test]
    fn wrong_and_missing_values_do_not_pass() {
        for found in [&[1.0, 2.1][..], &[1.0], &[1.0, f32::NAN]] {
            let errors = vec![("x", relative_error(&[1.0, 2.0], found))];
            assert!(!Outcome { errors, secs: 0.0 }.passes(), "{found:?}");
        }
    }
}
