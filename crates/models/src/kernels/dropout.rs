//! Dropout (Srivastava et al. 2014) without a stored mask: a hash of the seed and of a value's place says what becomes of it, so a
//! pass back works it out again, and neither threads nor the kind of processor change it.

use rayon::prelude::*;

/// What the hash multiplies by: Wellons's lowbias32 (hash-prospector, 2018).
pub(super) const MULTIPLIERS: [u32; 2] = [0x7feb_352d, 0x846c_a68b];

/// From one chance to the next: they have 24 bits, as many as a number of `f32`.
pub(super) const STEP: f32 = 1.0 / (1 << 24) as f32;

/// Values of `[..., width]` become zero, each by a chance of its own; the others are scaled up, so that the mean stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dropout {
    /// Share of values that become zero, 0 to 1.
    pub rate: f32,
    pub seed: u64,
}

impl Dropout {
    /// Every value stays as it is.
    pub const OFF: Self = Self { rate: 0.0, seed: 0 };

    pub fn is_on(self) -> bool {
        self.rate > 0.0
    }

    /// What values are multiplied by that do not become zero.
    pub fn scale(self) -> f32 {
        if self.rate < 1.0 { 1.0 / (1.0 - self.rate) } else { 0.0 }
    }

    /// What the chances of a row are drawn from.
    pub fn key(self, row: usize) -> [u32; 2] {
        let (seed, place) = ([self.seed as u32, (self.seed >> 32) as u32], 2 * row as u32);
        [hash(seed, place), hash(seed, place + 1)]
    }

    /// What each value of `[rows, width]` is multiplied by.
    pub fn factors(self, rows: usize, width: usize) -> Vec<f32> {
        let (mut factors, scale) = (vec![0.0; rows * width], self.scale());
        factors.par_chunks_exact_mut(width).enumerate().for_each(|(row, factors)| {
            let key = self.key(row);
            for (column, factor) in (0..).zip(factors) {
                *factor = if chance(key, column) < self.rate { 0.0 } else { scale };
            }
        });
        factors
    }
}

/// From 0 to less than 1; the value becomes zero where it is below the rate.
fn chance(key: [u32; 2], column: u32) -> f32 {
    (hash(key, column) >> 8) as f32 * STEP
}

/// Wellons's lowbias32 of a place, with a key's parts before its multiplications.
fn hash(key: [u32; 2], place: u32) -> u32 {
    let bits = place ^ key[0];
    let bits = (bits ^ (bits >> 16)).wrapping_mul(MULTIPLIERS[0]);
    let bits = (bits ^ (bits >> 15) ^ key[1]).wrapping_mul(MULTIPLIERS[1]);
    bits ^ (bits >> 16)
}

#[cfg(test)]
mod tests {
    use super::Dropout;

    const ROWS: usize = 300;
    const WIDTH: usize = 320;

    fn zeros(seed: u64) -> Vec<bool> {
        Dropout { rate: 0.1, seed }.factors(ROWS, WIDTH).iter().map(|&factor| factor == 0.0).collect()
    }

    /// The share of the values for which this holds.
    fn share(holds: impl Iterator<Item = bool>) -> f64 {
        let all: Vec<bool> = holds.collect();
        all.iter().filter(|&&holds| holds).count() as f64 / all.len() as f64
    }

    #[test]
    fn values_become_zero_at_the_rate_and_the_mean_stays() {
        let dropout = Dropout { rate: 0.25, seed: 5 };
        let factors = dropout.factors(ROWS, WIDTH);
        assert!((share(factors.iter().map(|&factor| factor == 0.0)) - 0.25).abs() < 0.01);
        assert!(factors.iter().all(|&factor| factor == 0.0 || (factor - 4.0 / 3.0).abs() < 1e-6));
        assert!(Dropout { rate: 1.0, seed: 5 }.factors(2, 3).iter().all(|&factor| factor == 0.0));
        assert!(Dropout::OFF.factors(2, 3).iter().all(|&factor| factor == 1.0) && !Dropout::OFF.is_on());
    }

    /// Beside each other in a row and in a column, and at one place with seeds that differ in one bit of either half.
    #[test]
    fn what_becomes_of_one_value_says_nothing_of_another() {
        for seed in [0, 1, 77] {
            let zero = zeros(seed);
            let shares = [
                share((1..zero.len()).map(|i| zero[i] && zero[i - 1])),
                share((WIDTH..zero.len()).map(|i| zero[i] && zero[i - WIDTH])),
                share(zero.iter().zip(zeros(seed ^ 2)).map(|(&a, b)| a && b)),
                share(zero.iter().zip(zeros(seed ^ (1 << 40))).map(|(&a, b)| a && b)),
            ];
            assert!(shares.iter().all(|share| (share - 0.01).abs() < 0.002), "{shares:?} of both at 0.1 each");
            for row in zero.chunks(WIDTH) {
                assert!(share(row.iter().copied()) < 0.2, "a row is dropped as a whole");
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_mask_every_time() {
        assert!(zeros(3) == zeros(3) && zeros(3) != zeros(4));
    }
}
