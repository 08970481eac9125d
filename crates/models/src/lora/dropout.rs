//! What is dropped from an adapter while it is tuned, decided by a seeded source that is passed in.

use burn::tensor::{Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;

/// Probabilities, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropRates {
    /// A layer's factors take no part in the pass; the paper's is 0.1.
    pub layer: f64,
    /// A value of a layer's input is zero for its factors, and the others are scaled up (PEFT's `lora_dropout`).
    pub input: f64,
}

/// The decisions of one pass, or of several in a row. Same seed and same passes, same decisions.
#[derive(Debug)]
pub struct LoraDropout {
    rates: DropRates,
    rng: RefCell<ChaCha8Rng>,
}

impl LoraDropout {
    /// A source of decisions; a new one a step makes a step reproducible alone.
    pub fn new(rates: DropRates, seed: u64) -> Self {
        Self { rates, rng: RefCell::new(ChaCha8Rng::seed_from_u64(seed)) }
    }

    /// The same decisions from here on, for a pass that is run again.
    pub(crate) fn fork(&self) -> Self {
        Self { rates: self.rates, rng: self.rng.clone() }
    }

    /// The input that the factors see; none when the layer is dropped.
    pub(crate) fn apply(&self, x: Tensor<3>) -> Option<Tensor<3>> {
        let rng = &mut *self.rng.borrow_mut();
        if rng.random_bool(self.rates.layer.clamp(0.0, 1.0)) {
            return None;
        }
        let rate = self.rates.input.clamp(0.0, 1.0) as f32;
        if rate == 0.0 {
            return Some(x);
        }
        let keep = if rate < 1.0 { 1.0 / (1.0 - rate) } else { 0.0 };
        let dims = x.dims();
        let count = dims.iter().product();
        let mask: Vec<f32> = (0..count).map(|_| if rng.random::<f32>() < rate { 0.0 } else { keep }).collect();
        let mask = Tensor::from_data(TensorData::new(mask, dims), &x.device().without_autodiff());
        Some(x * mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn ones() -> Tensor<3> {
        Tensor::ones([2, 50, 20], &Device::flex())
    }

    #[test]
    fn layers_are_dropped_at_their_rate_and_by_seed() {
        let decide = |seed| -> Vec<bool> {
            let dropout = LoraDropout::new(DropRates { layer: 0.1, input: 0.0 }, seed);
            (0..2000).map(|_| dropout.apply(Tensor::ones([1, 1, 1], &Device::flex())).is_none()).collect()
        };
        let dropped = decide(3).iter().filter(|&&d| d).count();
        assert!((150..250).contains(&dropped), "{dropped} of 2000 at 0.1");
        assert_eq!(decide(3), decide(3));
        assert_ne!(decide(3), decide(4));
    }

    #[test]
    fn dropped_inputs_keep_the_mean() {
        let dropout = LoraDropout::new(DropRates { layer: 0.0, input: 0.25 }, 5);
        let x = dropout.apply(ones()).unwrap();
        let values = x.into_data().try_to_vec::<f32>().unwrap();
        let zeros = values.iter().filter(|&&v| v == 0.0).count();
        assert!((400..600).contains(&zeros), "{zeros} of 2000 at 0.25");
        assert!(values.iter().all(|&v| v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6));
    }
}
