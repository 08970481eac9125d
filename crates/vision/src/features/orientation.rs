//! Dominant gradient directions around a point (Lowe 2004, section 5).

use super::gradients::Gradients;
use std::f32::consts::TAU;

const BINS: usize = 36;
/// Standard deviation of the window, in the point's own.
const WINDOW: f32 = 1.5;
/// Directions this close to the strongest make a point of their own.
const PEAK_RATIO: f32 = 0.8;

/// Directions in radians at a point of `sigma` pixels, all in the level's pixels.
pub(super) fn orientations(gradients: &Gradients, x: f32, y: f32, sigma: f32) -> Vec<f32> {
    let histogram = smoothed(&histogram(gradients, x, y, sigma));
    let highest = histogram.iter().cloned().fold(0.0, f32::max);
    let peak = |i: usize| {
        let (before, at, after) = (histogram[(i + BINS - 1) % BINS], histogram[i], histogram[(i + 1) % BINS]);
        let is_peak = at > before && at > after && at >= PEAK_RATIO * highest;
        is_peak.then(|| {
            (i as f32 + 0.5 * (before - after) / (before - 2.0 * at + after)).rem_euclid(BINS as f32) * TAU
                / BINS as f32
        })
    };
    (0..BINS).filter_map(peak).collect()
}

fn histogram(gradients: &Gradients, x: f32, y: f32, sigma: f32) -> [f32; BINS] {
    let window = WINDOW * sigma;
    let radius = (3.0 * window).round();
    let scale = -0.5 / (window * window);
    let (x, y) = (x.round(), y.round());
    let span =
        |c: f32, n: usize| ((c - radius).max(1.0) as usize)..=((c + radius).min(n as f32 - 2.0).max(0.0) as usize);
    let columns = span(x, gradients.width);
    let weights: Vec<f32> = columns.clone().map(|i| ((i as f32 - x).powi(2) * scale).exp()).collect();
    let mut histogram = [0.0; BINS];
    for j in span(y, gradients.height) {
        let wy = ((j as f32 - y).powi(2) * scale).exp();
        let row = j * gradients.width;
        for (i, wx) in columns.clone().zip(&weights) {
            let bin = (gradients.turn[row + i] * BINS as f32).round() as usize % BINS;
            histogram[bin] += wx * wy * gradients.size[row + i];
        }
    }
    histogram
}

fn smoothed(h: &[f32; BINS]) -> [f32; BINS] {
    std::array::from_fn(|i| {
        let at = |d: usize| h[(i + d) % BINS];
        (at(BINS - 2) + at(2)) / 16.0 + (at(BINS - 1) + at(1)) / 4.0 + at(0) * 6.0 / 16.0
    })
}
