//! Which hues the target has lost: a photo in black and white but for one colour keeps that one alone.

use super::samples::Sample;
use crate::pyramid::luma;
use image::Rgb32FImage;
use std::f32::consts::{FRAC_1_SQRT_2, TAU};

/// Hues told apart.
const HUES: usize = 12;
/// How far a hue speaks for others: concentration of von Mises' distribution, about 25 degrees.
const NARROW: f32 = 6.0;
/// Chroma (of 1) that counts as a residual, and rounds in which samples that do not fare as most of their hue lose their weight.
const RESIDUAL: f32 = 0.06;
const ROUNDS: usize = 8;
/// What is assumed of a hue weighs as much as this share of all that was seen.
const ASSUMED: f32 = 0.002;
/// A hue whose own measure speaks for so much of it is surely seen; one that then keeps less than this is grey in the target, and hues that were
/// not seen are taken for grey too.
const SURE: f32 = 0.9;
const GREY: f32 = 0.15;
/// A hue that keeps less than the first of its chroma is lost as far as was measured, one that keeps more than the second is left alone:
/// what lies between photos of one kind is the correction's part.
const LOST: f32 = 0.3;
const LEFT: f32 = 0.45;

/// Share of the chroma that the target keeps, by hue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saturation {
    kept: [f32; HUES],
}

impl Saturation {
    /// Every hue stays as it is.
    pub const FULL: Self = Self { kept: [1.0; HUES] };

    /// What the samples' colours keep of their chroma in the target, whatever its hue there: another white balance or another surface
    /// is no loss. A hue that is hardly seen is assumed to fare as those that are do on the average, or as the worst of them where one is
    /// surely grey: a photo that keeps one colour alone has lost the others, seen or not.
    pub(super) fn fit(samples: &[Sample]) -> Self {
        let pairs: Vec<Pair> = samples.iter().map(Pair::of).collect();
        let assumed = ASSUMED * pairs.iter().map(|p| p.weight * dot(p.shown, p.shown)).sum::<f32>() + f32::MIN_POSITIVE;
        let found: [Kept; HUES] = std::array::from_fn(|hue| Kept::of(&pairs, TAU * hue as f32 / HUES as f32));
        let voice = |kept: &Kept| kept.seen / (kept.seen + assumed);
        let all = found.iter().map(voice).sum::<f32>() + 0.1;
        let mean = (found.iter().map(|kept| voice(kept) * kept.share).sum::<f32>() + 0.1) / all;
        let least = found.iter().filter(|kept| voice(kept) > SURE).map(|kept| kept.share).fold(1.0, f32::min);
        let unseen = if least < GREY { least } else { mean };
        Self { kept: found.map(|kept| voice(&kept) * kept.share + (1.0 - voice(&kept)) * unseen).map(as_lost) }
    }

    /// Whether some hue is lost.
    pub fn has_lost_some(&self) -> bool {
        self.kept.iter().any(|kept| *kept < LOST)
    }

    /// A colour as the target would have it.
    pub fn of(&self, colour: [f32; 3]) -> [f32; 3] {
        let place = hue(chroma(colour)).rem_euclid(TAU) / TAU * HUES as f32;
        let (first, between) = (place as usize % HUES, place.fract());
        let kept = self.kept[first] * (1.0 - between) + self.kept[(first + 1) % HUES] * between;
        if kept == 1.0 {
            return colour;
        }
        let grey = luma(colour);
        colour.map(|v| grey + kept * (v - grey))
    }

    /// A picture as the target would have it.
    pub fn apply(&self, picture: &mut Rgb32FImage) {
        if *self != Self::FULL {
            picture.pixels_mut().for_each(|p| p.0 = self.of(p.0));
        }
    }
}

/// A share as it is, if it is so low that the hue is lost; else 1.
fn as_lost(share: f32) -> f32 {
    let left = ((share - LOST) / (LEFT - LOST)).clamp(0.0, 1.0);
    share * (1.0 - left) + left
}

/// The share of the chroma that most of one hue keeps (root mean square), and how much was seen of it.
struct Kept {
    share: f32,
    seen: f32,
}

impl Kept {
    fn of(pairs: &[Pair], hue: f32) -> Self {
        let weight = |p: &Pair| p.weight * (NARROW * ((p.hue - hue).cos() - 1.0)).exp();
        let first: Vec<f32> = pairs.iter().map(weight).collect();
        let sums = |along: f32| {
            let (mut wanted, mut joint, mut seen) = (f32::MIN_POSITIVE, 0.0, f32::MIN_POSITIVE); // of nothing, all is kept
            for (p, first) in pairs.iter().zip(&first) {
                let off = [0, 1].map(|k| p.wanted[k] - along * p.shown[k]);
                let weight = first / (1.0 + dot(off, off) / (RESIDUAL * RESIDUAL));
                wanted += weight * dot(p.wanted, p.wanted);
                joint += weight * dot(p.wanted, p.shown);
                seen += weight * dot(p.shown, p.shown);
            }
            (wanted, joint, seen)
        };
        let along = (0..ROUNDS).fold(1.0, |along, _| {
            let (_, joint, seen) = sums(along);
            joint / seen
        });
        let (wanted, _, seen) = sums(along);
        Self { share: (wanted / seen).sqrt(), seen }
    }
}

/// What a proposal and the target show at one place.
struct Pair {
    shown: [f32; 2],
    wanted: [f32; 2],
    hue: f32,
    weight: f32,
}

impl Pair {
    fn of(s: &Sample) -> Self {
        let shown = chroma(s.colour);
        Self { shown, wanted: chroma(s.wanted), hue: hue(shown), weight: s.agrees * s.agrees + 1e-4 }
    }
}

/// Two opponent axes: red against green and blue, green against blue.
fn chroma([r, g, b]: [f32; 3]) -> [f32; 2] {
    [(r - 0.5 * (g + b)) * (2.0f32 / 3.0).sqrt(), (g - b) * FRAC_1_SQRT_2]
}

fn hue([a, b]: [f32; 2]) -> f32 {
    b.atan2(a)
}

fn dot(a: [f32; 2], b: [f32; 2]) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURS: [[f32; 3]; 6] =
        [[0.8, 0.1, 0.1], [0.5, 0.1, 0.05], [0.1, 0.5, 0.2], [0.2, 0.3, 0.7], [0.6, 0.5, 0.2], [0.4, 0.4, 0.42]];

    fn fit(wanted: impl Fn([f32; 3]) -> [f32; 3]) -> Saturation {
        let sample = |&colour: &[f32; 3]| Sample { colour, wanted: wanted(colour), agrees: 1.0, ..Default::default() };
        Saturation::fit(&COLOURS.iter().cycle().take(300).map(sample).collect::<Vec<_>>())
    }

    fn grey(colour: [f32; 3]) -> [f32; 3] {
        [luma(colour); 3]
    }

    fn far(a: [f32; 3], b: [f32; 3]) -> f32 {
        (0..3).map(|c| (a[c] - b[c]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_photo_that_keeps_red_alone_loses_the_rest_whatever_its_brightness() {
        let red_alone = |c: [f32; 3]| if c[0] > 2.0 * c[1].max(c[2]) { c } else { grey(c) };
        let found = fit(red_alone);
        for colour in [[0.7, 0.15, 0.1], [0.1, 0.8, 0.3], [0.05, 0.1, 0.3], [0.2, 0.6, 0.7]] {
            assert!(far(found.of(colour), red_alone(colour)) < 0.1, "{colour:?} becomes {:?}", found.of(colour));
        }
    }

    #[test]
    fn a_hue_that_was_never_seen_is_lost_where_another_surely_is() {
        let red_and_green = [[0.8, 0.1, 0.1], [0.5, 0.1, 0.05], [0.2, 0.6, 0.2], [0.1, 0.5, 0.15]];
        let kept_red = |c: [f32; 3]| if c[0] > c[1] { c } else { grey(c) };
        let sample =
            |&colour: &[f32; 3]| Sample { colour, wanted: kept_red(colour), agrees: 1.0, ..Default::default() };
        let samples: Vec<Sample> = red_and_green.iter().cycle().take(300).map(sample).collect();
        let found = Saturation::fit(&samples);
        let (blue, red) = ([0.2, 0.3, 0.7], [0.7, 0.15, 0.1]);
        assert!(far(found.of(blue), grey(blue)) < 0.1, "{:?}", found.of(blue));
        assert!(far(found.of(red), red) < 0.1, "{:?}", found.of(red));
    }

    #[test]
    fn colours_a_little_paler_or_of_another_tone_are_left_to_the_correction() {
        assert_eq!(fit(|c| std::array::from_fn(|k| grey(c)[k] + 0.7 * (c[k] - grey(c)[k]))), Saturation::FULL);
        assert_eq!(fit(|c| [1.1 * c[0], c[1], 0.8 * c[2]]), Saturation::FULL);
        assert_eq!(fit(|c| [0.6 * c[0], 0.8 * c[1], c[2]]), Saturation::FULL);
        assert_eq!(fit(|c| [c[2], c[0], c[1]]), Saturation::FULL, "other surfaces");
        assert_eq!(Saturation::fit(&[]), Saturation::FULL);
        assert_eq!(Saturation::FULL.of([0.2, 0.3, 0.7]), [0.2, 0.3, 0.7]);
    }
}
