//! One gain and offset a channel.

use super::SAME_SURFACE;
use super::samples::Sample;
use image::Rgb32FImage;

/// `out = gain · in + offset`, for red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    /// Factors.
    pub gain: [f32; 3],
    /// What is added.
    pub offset: [f32; 3],
}

impl Tone {
    /// One colour in the target's tone.
    pub fn of(&self, colour: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|c| self.gain[c] * colour[c] + self.offset[c])
    }

    /// A picture in the target's tone, 0 to 1.
    pub fn apply(&self, picture: &Rgb32FImage) -> Rgb32FImage {
        let mut out = self.apply_unclamped(picture);
        out.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        out
    }

    pub(super) fn apply_unclamped(&self, picture: &Rgb32FImage) -> Rgb32FImage {
        let mut out = picture.clone();
        out.pixels_mut().for_each(|p| p.0 = self.of(p.0));
        out
    }

    /// Robust fit to the samples that show the same surface; flat ones join as far as they confirm it.
    pub(super) fn fit(samples: &mut [Sample]) -> Self {
        let mut tone = Self { gain: [1.0; 3], offset: [0.0; 3] };
        let mut weights: Vec<f32> = samples.iter().map(|s| s.agrees * s.agrees + 1e-4).collect();
        for _ in 0..3 {
            for c in 0..3 {
                (tone.gain[c], tone.offset[c]) = line(samples, &weights, c);
            }
            for (w, s) in weights.iter_mut().zip(samples.iter()) {
                let off = off(&tone, s);
                *w = s.agrees * s.agrees + 0.1 * s.flat * (-(off / SAME_SURFACE).powi(2)).exp() + 1e-4;
            }
        }
        tone
    }
}

/// Mean absolute distance of a sample from the tone's prediction.
pub(super) fn off(tone: &Tone, s: &Sample) -> f32 {
    let toned = tone.of(s.colour);
    (0..3).map(|c| (s.wanted[c] - toned[c]).abs()).sum::<f32>() / 3.0
}

/// A line through one channel's samples by iteratively reweighted least squares, drawn a little towards gain 1.
fn line(samples: &[Sample], weights: &[f32], c: usize) -> (f32, f32) {
    const RIDGE: f32 = 0.002;
    let (mut gain, mut offset) = (1.0, 0.0);
    let mut w = weights.to_vec();
    for _ in 0..10 {
        let total = w.iter().sum::<f32>() + 1e-6;
        let mean = |f: &dyn Fn(&Sample) -> f32| samples.iter().zip(&w).map(|(s, w)| w * f(s)).sum::<f32>() / total;
        let (x, y) = (mean(&|s| s.colour[c]), mean(&|s| s.wanted[c]));
        let spread = mean(&|s| (s.colour[c] - x).powi(2));
        let joint = mean(&|s| (s.colour[c] - x) * (s.wanted[c] - y));
        gain = ((joint + RIDGE) / (spread + RIDGE)).clamp(0.3, 3.0);
        offset = y - gain * x;
        for ((w, s), first) in w.iter_mut().zip(samples).zip(weights) {
            let r = (gain * s.colour[c] + offset - s.wanted[c]) / 0.05;
            *w = first / (1.0 + r * r);
        }
    }
    (gain, offset)
}
