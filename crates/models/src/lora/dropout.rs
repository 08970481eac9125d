//! What is dropped from an adapter while it is tuned, decided by a seeded source that is passed in.

use crate::kernels::Dropout;
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

    /// What is dropped of a layer's input; none when the layer is.
    pub(crate) fn decide(&self) -> Option<Dropout> {
        let rng = &mut *self.rng.borrow_mut();
        let DropRates { layer, input } = self.rates;
        if rng.random_bool(layer.clamp(0.0, 1.0)) {
            return None;
        }
        Some(Dropout { rate: input.clamp(0.0, 1.0) as f32, seed: rng.random() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decisions(dropout: &LoraDropout) -> Vec<Option<Dropout>> {
        (0..2000).map(|_| dropout.decide()).collect()
    }

    #[test]
    fn layers_are_dropped_at_their_rate_and_by_seed() {
        let decide = |seed| decisions(&LoraDropout::new(DropRates { layer: 0.1, input: 0.0 }, seed));
        let dropped = decide(3).iter().filter(|decision| decision.is_none()).count();
        assert!((150..250).contains(&dropped), "{dropped} of 2000 at 0.1");
        assert_eq!(decide(3), decide(3));
        assert_ne!(decide(3), decide(4));
    }

    #[test]
    fn every_layer_has_a_mask_of_its_own_and_a_pass_that_is_run_again_has_the_same() {
        let dropout = LoraDropout::new(DropRates { layer: 0.0, input: 0.25 }, 5);
        let before = dropout.decide();
        let again = dropout.fork();
        let first = decisions(&dropout);
        assert_eq!(first, decisions(&again));
        assert!(first.iter().all(|next| next.is_some_and(|next| next.rate == 0.25)));
        assert!(first.windows(2).all(|pair| pair[0] != pair[1]) && before != first[0]);
    }
}
