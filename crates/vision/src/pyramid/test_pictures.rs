//! Pictures that tests are made of.

use crate::Plane;
use image::{Luma, Rgb, Rgb32FImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// White noise, 0 to 1.
pub(crate) fn noise(width: u32, height: u32, seed: u64) -> Plane {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Plane::from_fn(width, height, |_, _| Luma([rng.random::<f32>()]))
}

/// White noise in three channels.
pub(crate) fn noise_rgb(width: u32, height: u32, seed: u64) -> Rgb32FImage {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Rgb32FImage::from_fn(width, height, |_, _| Rgb(rng.random::<[f32; 3]>()))
}

/// Noise at several scales with values about 0 to 1: blobs, edges and fine grain, as a photo has.
pub(crate) fn texture(width: u32, height: u32, seed: u64) -> Plane {
    let mut sum = Plane::new(width, height);
    for (i, sigma) in [1.0f32, 2.0, 4.0, 8.0, 16.0].into_iter().enumerate() {
        let layer = super::gaussian_blur(&noise(width, height, seed * 16 + i as u64), sigma);
        for (s, l) in sum.iter_mut().zip(layer.iter()) {
            *s += (l - 0.5) * sigma;
        }
    }
    sum.iter_mut().for_each(|s| *s = (*s * 0.6 + 0.5).clamp(0.0, 1.0));
    sum
}
