//! Pairs of points that tests are made of.

use super::PointPair;
use nalgebra::Vector2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// `count` points spread over 640×480, moved by `motion`, with noise of about `noise` pixels a coordinate.
pub(crate) fn noisy_pairs(
    count: usize,
    noise: f64,
    seed: u64,
    motion: impl Fn(&Vector2<f64>) -> Vector2<f64>,
) -> Vec<PointPair> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pairs = Vec::new();
    for _ in 0..count {
        let from = Vector2::new(640.0 * rng.random::<f64>(), 480.0 * rng.random::<f64>());
        // Three uniform numbers make a fair Gaussian.
        let mut jitter = || noise * 2.0 * (rng.random::<f64>() + rng.random::<f64>() + rng.random::<f64>() - 1.5);
        let to = motion(&from) + Vector2::new(jitter(), jitter());
        pairs.push(PointPair { from, to });
    }
    pairs
}

/// The pairs followed by `count` that mean nothing.
pub(crate) fn with_outliers(mut pairs: Vec<PointPair>, count: usize, seed: u64) -> Vec<PointPair> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut point = || [640.0 * rng.random::<f64>(), 480.0 * rng.random::<f64>()];
    pairs.extend((0..count).map(|_| PointPair::new(point(), point())));
    pairs
}
