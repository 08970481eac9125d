//! Where a sampler's noise comes from. It is passed in and never read from a global generator, so that a candidate is
//! reproducible from its seed alone, whatever the batch, the device or the number of threads it was drawn with.

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

/// Unit Gaussian noise for a batch of candidates, one candidate a row.
///
/// Draws are numbered: 0 is the noise a run starts from, `i + 1` belongs to step `i`. A source returns the same values
/// for the same number however often and in whatever order it is asked.
pub trait NoiseSource {
    /// Rows this source draws for: the batch size that the sampled tensor must have.
    fn rows(&self) -> usize;

    /// The draw of number `index`, in the shape `[rows, c, h, w]`, on the device and in the dtype of `like`.
    fn draw(&mut self, index: u64, like: &Tensor<4>) -> Tensor<4>;

    /// Goes on with these rows only, in this order. Each is below [`rows`](Self::rows).
    fn keep(&mut self, rows: &[usize]);
}

/// The noise of candidates that each have their own seed: ChaCha with 8 rounds, keyed by the seed, one stream a draw.
///
/// Values are made on the CPU in row-major order and then moved, so every device sees the same ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeededNoise {
    seeds: Vec<u64>,
}

impl SeededNoise {
    /// One candidate for each seed.
    pub fn new(seeds: impl Into<Vec<u64>>) -> Self {
        Self { seeds: seeds.into() }
    }

    /// The seeds of the rows, in order; shrinks when a run drops candidates.
    pub fn seeds(&self) -> &[u64] {
        &self.seeds
    }

    /// Draw 0, the noise to start a run from: `[rows, c, h, w]` in f32 for `dims` = `[c, h, w]`.
    pub fn initial(&self, dims: [usize; 3], device: &Device) -> Tensor<4> {
        self.tensor(0, dims, device)
    }

    fn tensor(&self, index: u64, [c, h, w]: [usize; 3], device: &Device) -> Tensor<4> {
        let values: Vec<f32> = self.seeds.iter().flat_map(|&seed| gaussians(seed, index).take(c * h * w)).collect();
        Tensor::from_data(TensorData::new(values, [self.seeds.len(), c, h, w]), device)
    }
}

impl NoiseSource for SeededNoise {
    fn rows(&self) -> usize {
        self.seeds.len()
    }

    fn draw(&mut self, index: u64, like: &Tensor<4>) -> Tensor<4> {
        let [_, c, h, w] = like.dims();
        self.tensor(index, [c, h, w], &like.device()).cast(like.dtype())
    }

    fn keep(&mut self, rows: &[usize]) {
        self.seeds = rows.iter().map(|&row| self.seeds[row]).collect();
    }
}

/// The endless sequence of one seed's draw.
fn gaussians(seed: u64, index: u64) -> impl Iterator<Item = f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    std::iter::repeat_with(move || StandardNormal.sample(&mut rng))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIMS: [usize; 3] = [2, 8, 8];

    fn values(x: Tensor<4>) -> Vec<f32> {
        x.into_data().try_to_vec().expect("f32 noise")
    }

    fn draw(seeds: &[u64], index: u64) -> Vec<f32> {
        let device = Device::flex();
        let like = Tensor::zeros([seeds.len(), DIMS[0], DIMS[1], DIMS[2]], &device);
        values(SeededNoise::new(seeds).draw(index, &like))
    }

    #[test]
    fn a_candidate_has_the_same_noise_in_any_batch() {
        let batch = draw(&[3, 7, 11], 4);
        for (row, &seed) in batch.chunks(2 * 8 * 8).zip(&[3, 7, 11]) {
            assert_eq!(row, draw(&[seed], 4));
        }
    }

    #[test]
    fn draws_and_seeds_differ_from_each_other() {
        assert_ne!(draw(&[3], 0), draw(&[3], 1));
        assert_ne!(draw(&[3], 0), draw(&[4], 0));
    }

    #[test]
    fn kept_rows_go_on_with_their_own_noise() {
        let mut noise = SeededNoise::new([3, 7, 11]);
        noise.keep(&[2, 0]);
        assert_eq!(noise.seeds(), [11, 3]);
        let like = Tensor::zeros([2, DIMS[0], DIMS[1], DIMS[2]], &Device::flex());
        assert_eq!(values(noise.draw(5, &like)), draw(&[11, 3], 5));
    }

    #[test]
    fn noise_is_gaussian_with_unit_variance() {
        let x = values(SeededNoise::new([1, 2]).initial([4, 64, 64], &Device::flex()));
        let n = x.len() as f64;
        let moment = |k: i32| x.iter().map(|&v| f64::from(v).powi(k)).sum::<f64>() / n;
        assert!(moment(1).abs() < 0.02, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.03, "variance {}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.2, "fourth moment {}", moment(4));
    }

    #[test]
    fn a_seed_gives_these_very_values_on_every_machine_and_version() {
        let first: Vec<f32> = gaussians(42, 0).take(3).collect();
        assert_eq!(first, [0.477_981_24, 1.334_070_6, -0.210_866_69]);
    }
}
