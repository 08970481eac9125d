//! One gain and offset a channel, or for all three.

use super::SAME_SURFACE;
use super::samples::Sample;
use image::Rgb32FImage;
use std::ops::Range;

/// `out = gain · in + offset`, for red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    /// Factors.
    pub gain: [f32; 3],
    /// What is added.
    pub offset: [f32; 3],
}

impl Tone {
    /// Colours as they are.
    pub const NONE: Self = Self { gain: [1.0; 3], offset: [0.0; 3] };

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

    /// Robust fit to the samples that show the same surface; flat ones join as far as they confirm it. A `neutral` tone is the same for all
    /// channels.
    pub(super) fn fit(samples: &[Sample], neutral: bool) -> Self {
        let mut tone = Self::NONE;
        let mut weights: Vec<f32> = samples.iter().map(|s| s.agrees * s.agrees + 1e-4).collect();
        for _ in 0..3 {
            for c in 0..3 {
                let channels = if neutral { 0..3 } else { c..c + 1 };
                (tone.gain[c], tone.offset[c]) = line(samples, &weights, channels);
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

/// A line through some channels' samples, iteratively reweighted, drawn a little towards gain 1. Its gain is the ratio of both spreads (the
/// reduced major axis): a proposal that lies a little off varies as much as the target but not with it, and the least squares would take
/// its contrast away. Below a correlation of 0.3 the gain falls with it.
fn line(samples: &[Sample], weights: &[f32], channels: Range<usize>) -> (f32, f32) {
    const RIDGE: f32 = 0.002;
    const LEAST_CORRELATION: f32 = 0.3;
    let (mut gain, mut offset) = (1.0, 0.0);
    let of_channel = |c: usize| samples.iter().zip(weights).map(move |(s, w)| (s.colour[c], s.wanted[c], *w));
    let pairs: Vec<(f32, f32, f32)> = channels.flat_map(of_channel).collect();
    let mut w = pairs.iter().map(|pair| pair.2).collect::<Vec<_>>();
    for _ in 0..10 {
        let total = w.iter().sum::<f32>() + 1e-6;
        let mean =
            |f: &dyn Fn(f32, f32) -> f32| pairs.iter().zip(&w).map(|(p, w)| w * f(p.0, p.1)).sum::<f32>() / total;
        let (x, y) = (mean(&|shown, _| shown), mean(&|_, wanted| wanted));
        let spread = mean(&|shown, _| (shown - x).powi(2));
        let joint = mean(&|shown, wanted| (shown - x) * (wanted - y));
        let wanted_spread = mean(&|_, wanted| (wanted - y).powi(2));
        let both = (joint / LEAST_CORRELATION).min((spread * wanted_spread).sqrt());
        gain = ((both + RIDGE) / (spread + RIDGE)).clamp(0.3, 3.0);
        offset = y - gain * x;
        for (w, (shown, wanted, first)) in w.iter_mut().zip(&pairs) {
            let r = (gain * shown + offset - wanted) / 0.05;
            *w = first / (1.0 + r * r);
        }
    }
    (gain, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_that_lies_a_little_off_keeps_its_contrast() {
        let shown = |i: usize| [0.5 + 0.3 * (0.7 * i as f32).sin(); 3];
        let sample = |i: usize| Sample { colour: shown(i), wanted: shown(i + 1), agrees: 1.0, ..Default::default() };
        let tone = Tone::fit(&(0..200).map(sample).collect::<Vec<_>>(), false);
        assert!(tone.gain.iter().all(|g| (g - 1.0).abs() < 0.1), "{:?}", tone.gain);
        let in_fog = |i: usize| Sample { wanted: [0.5; 3], ..sample(i) };
        let tone = Tone::fit(&(0..200).map(in_fog).collect::<Vec<_>>(), false);
        assert!(tone.gain.iter().all(|g| *g < 0.5), "{:?}", tone.gain);
    }

    #[test]
    fn a_neutral_tone_is_one_for_all_channels_and_another_is_not() {
        let sample = |i: usize| {
            let v = 0.1 + 0.008 * i as f32;
            Sample { colour: [v, v, v], wanted: [0.9 * v, 0.7 * v + 0.05, 0.5 * v], agrees: 1.0, ..Default::default() }
        };
        let samples: Vec<Sample> = (0..100).map(sample).collect();
        let [red, green, blue] = Tone::fit(&samples, true).of([0.5; 3]);
        assert_eq!((red, green), (green, blue), "grey stays grey");
        assert!((red - 0.35).abs() < 0.1, "{red}");
        let own = Tone::fit(&samples, false).of([0.5; 3]);
        assert!((0..3).all(|c| (own[c] - [0.45, 0.4, 0.25][c]).abs() < 0.02), "{own:?}");
    }
}
