//! Gaussian scale space and its differences, an octave at a time (Lowe 2004, section 3).

use crate::Plane;
use crate::linalg::vectorised;
use crate::pyramid::{gaussian_blur, picture, resize_bilinear};
use rayon::prelude::*;

/// Blur of the first level of an octave, in its pixels: Lowe's choice.
pub(super) const BASE_SIGMA: f32 = 1.6;
/// Blur that photos are taken to have already, in their own pixels: Lowe's assumption.
const CAMERA_SIGMA: f32 = 0.5;

/// One octave: `scales + 3` blurred pictures of one size and their `scales + 2` differences.
pub(super) struct Octave {
    pub blurred: Vec<Plane>,
    pub differences: Vec<Plane>,
}

/// The octaves of a picture; the first at twice its size when `doubled`, else at its own.
pub(super) fn scale_space(grey: &Plane, scales: usize, doubled: bool) -> Vec<Octave> {
    let size = if doubled { 2 } else { 1 };
    // Half-pixel phases, as OpenCV doubles by default: it finds 12 % more fine points on a photo than with every second pixel kept exact.
    let first = resize_bilinear(grey, size * grey.width(), size * grey.height());
    let count = (first.width().min(first.height()) as f32).log2().round() as i32 - 2;
    let missing = (BASE_SIGMA.powi(2) - (size as f32 * CAMERA_SIGMA).powi(2)).sqrt();
    let mut base = gaussian_blur(&first, missing);
    let mut octaves = Vec::new();
    for _ in 0..count.max(1) {
        let octave = Octave::new(base, scales);
        base = every_second(&octave.blurred[scales]);
        octaves.push(octave);
    }
    octaves
}

impl Octave {
    fn new(base: Plane, scales: usize) -> Self {
        let mut blurred = vec![base];
        for level in 1..scales + 3 {
            let sigma = |l: usize| BASE_SIGMA * 2f32.powf(l as f32 / scales as f32);
            let step = (sigma(level).powi(2) - sigma(level - 1).powi(2)).sqrt();
            blurred.push(gaussian_blur(&blurred[level - 1], step));
        }
        let differences = blurred.windows(2).map(|pair| difference(&pair[1], &pair[0])).collect();
        Self { blurred, differences }
    }
}

fn difference(a: &Plane, b: &Plane) -> Plane {
    let row = a.width().max(1) as usize;
    let mut out = vec![0.0; a.len()];
    out.par_chunks_mut(row).zip(a.as_raw().par_chunks(row).zip(b.as_raw().par_chunks(row))).for_each(
        |(out, (a, b))| {
            vectorised(|| out.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (a, b))| *o = a - b));
        },
    );
    picture(a.width(), a.height(), out)
}

fn every_second(image: &Plane) -> Plane {
    let (w, h) = (image.width() / 2, image.height() / 2);
    Plane::from_fn(w, h, |x, y| *image.get_pixel(2 * x, 2 * y))
}
