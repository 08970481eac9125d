//! Moves a proposal into the target's light.
//!
//! Exposure, white balance and tone differ between photos, and so does the light on single surfaces. What both the proposal and the
//! target's known part show tells how: first one gain and offset a channel over the surfaces that agree, then a smooth correction
//! carried into the hole from known pixels that are near *and* of like colour. So a blue sky turns into the target's grey one while the
//! stone before it keeps its own correction. The same regression carries the measured disagreement into the hole.

mod agreement;
mod foreign;
mod kernel;
mod samples;
mod saturation;
mod tone;

pub(crate) use agreement::{blurred_within, contrast, shared_structure};
pub(crate) use foreign::foreign;
pub use saturation::Saturation;
pub use tone::Tone;

use crate::pyramid::{grey, resize_bilinear};
use crate::{Mask, Plane};
use agreement::{Agreement, measure};
use image::{Luma, Rgb, Rgb32FImage};
use kernel::{Bandwidth, Regression};
use samples::{Sample, choose};

/// Known pixels looked at, and of these the ones the smooth correction is carried from. More change the correction by less than a grey
/// level on the evaluation scenes.
const SAMPLES: usize = 3000;
/// Known pixels within this share of the longer side around the hole count.
pub const REACH: f32 = 0.25;
/// The correction is computed once every so many pixels.
pub(crate) const STRIDE: u32 = 4;
/// Colours this far from the tone's prediction no longer confirm it (of 1). Found on the evaluation scenes between 0.04 and 0.15.
const SAME_SURFACE: f32 = 0.08;
/// Kernels: a wide one for what a colour becomes in general, a near one for the rest. Distances are shares of the longer side.
const WIDE: Bandwidth = Bandwidth { place: 0.25, colour: 0.10, prior: 0.3 };
const NEAR: Bandwidth = Bandwidth { place: 0.06, colour: 0.07, prior: 0.3 };
const DOUBT: Bandwidth = Bandwidth { place: 0.10, colour: 0.10, prior: 0.3 };

/// How a proposal's colours become the target's, and how well it agreed where that could be seen.
#[derive(Clone, Debug)]
pub struct Light {
    /// For all pixels.
    pub tone: Tone,
    /// Added after the tone; one cell every four pixels.
    pub correction: Rgb32FImage,
    /// Expected disagreement 0 to 1, measured on known pixels, carried into the hole; at the proposal's size.
    pub doubt: Plane,
    /// Expected contrast of the target's own surface there, 0 (smooth) to 1, carried in the same way.
    pub texture: Plane,
    /// Mean disagreement of the known pixels around the hole, 0 to 1.
    pub rim_doubt: f32,
    /// Share of the known pixels looked at that are textured and show the same structure.
    pub agreeing: f32,
}

impl Light {
    /// The picture in the target's light, at its own size. It may be larger than what the light was estimated on.
    pub fn apply(&self, picture: &Rgb32FImage) -> Rgb32FImage {
        corrected(self.tone.apply_unclamped(picture), &self.correction)
    }

    /// A picture in the target's light without the smooth correction.
    pub(crate) fn toned(&self, lit: &Rgb32FImage) -> Rgb32FImage {
        let mut toned = lit.clone();
        let correction = resize_bilinear(&self.correction, lit.width(), lit.height());
        toned.iter_mut().zip(correction.iter()).for_each(|(v, c)| *v -= c);
        toned
    }
}

/// What a proposal and the target's known part both show.
struct Seen {
    samples: Vec<Sample>,
    /// The proposal, slightly blurred.
    soft: Rgb32FImage,
    /// 1 where both show something, and where the target does.
    known: Plane,
    outside: Plane,
}

/// `None` where too little of the known part is seen.
fn seen(colour: &Rgb32FImage, confidence: &Plane, target: &Rgb32FImage, mask: &Mask, distance: &Plane) -> Option<Seen> {
    let where_true = |is: &dyn Fn(u32, u32) -> bool| {
        Plane::from_fn(colour.width(), colour.height(), |x, y| Luma([f32::from(u8::from(is(x, y)))]))
    };
    let is_seen = |x: u32, y: u32| confidence.get_pixel(x, y)[0] > 0.3;
    let known = where_true(&|x, y| !mask.is_hole(x, y) && is_seen(x, y));
    let (seen, outside) = (where_true(&is_seen), where_true(&|x, y| !mask.is_hole(x, y)));
    let (soft, soft_target) = (blurred_within(colour, &seen, 1.5), blurred_within(target, &outside, 1.5));
    let side = colour.width().max(colour.height()) as f32;
    let first = measure(&grey(colour), &grey(target), &known, side);
    let mut samples = choose(&known, distance, REACH * side, SAMPLES);
    if samples.len() < 100 {
        return None;
    }
    fill_samples(&mut samples, &soft, &soft_target, &first, confidence);
    Some(Seen { samples, soft, known, outside })
}

/// Which hues the target keeps of several proposals (colour and confidence); with them all, since a photo in black and white but for one
/// colour has lost the others whichever photo shows them.
pub fn saturation<'a>(
    proposals: impl Iterator<Item = (&'a Rgb32FImage, &'a Plane)>,
    target: &Rgb32FImage,
    mask: &Mask,
    distance: &Plane,
) -> Saturation {
    let seen = proposals.filter_map(|(colour, confidence)| seen(colour, confidence, target, mask, distance));
    Saturation::fit(&seen.flat_map(|seen| seen.samples).collect::<Vec<_>>())
}

/// The tone that takes one photo to the target's, from several proposals of it (colour and confidence): wherever they place it, it is
/// the same photo. `neutral` asks for one that leaves grey grey.
pub fn tone<'a>(
    proposals: impl Iterator<Item = (&'a Rgb32FImage, &'a Plane)>,
    target: &Rgb32FImage,
    mask: &Mask,
    distance: &Plane,
    neutral: bool,
) -> Tone {
    let seen = proposals.filter_map(|(colour, confidence)| seen(colour, confidence, target, mask, distance));
    Tone::fit(&seen.flat_map(|seen| seen.samples).collect::<Vec<_>>(), neutral)
}

/// Estimates the light between a proposal and the target, after the photo's `tone`. `confidence` says where the proposal shows something,
/// `distance` is that of known pixels to the hole. `None` where too little of the known part is seen.
pub fn estimate(
    colour: &Rgb32FImage,
    confidence: &Plane,
    target: &Rgb32FImage,
    mask: &Mask,
    distance: &Plane,
    tone: Tone,
) -> Option<Light> {
    let Seen { mut samples, soft, known, outside } = seen(colour, confidence, target, mask, distance)?;
    let side = colour.width().max(colour.height()) as f32;
    let agreeing = samples.iter().map(|s| s.agrees * (1.0 - s.flat)).sum::<f32>() / samples.len() as f32;
    let toned = tone.apply_unclamped(&soft);
    for s in &mut samples {
        s.colour = tone.of(s.colour);
        s.miss = std::array::from_fn(|c| s.wanted[c] - s.colour[c]);
    }
    let cells = Cells::around(&toned, mask, distance, side);
    let correction = cells.correction(&samples, side);
    let lit = corrected(tone.apply_unclamped(colour), &correction);
    let after = measure(&grey(&lit), &grey(target), &known, side);
    let rough = contrast(&grey(target), &outside, 2.0);
    let rim_doubt = observe(&mut samples, &after, &rough, &toned, distance, side);
    let [doubt, texture] = carried(&mut samples, &cells, side).map(|p| resize_bilinear(&p, lit.width(), lit.height()));
    Some(Light { tone, correction, doubt, texture, rim_doubt, agreeing })
}

/// A toned picture, not clamped yet since the correction was found so, with its correction; 0 to 1.
fn corrected(mut lit: Rgb32FImage, correction: &Rgb32FImage) -> Rgb32FImage {
    let correction = resize_bilinear(correction, lit.width(), lit.height());
    lit.iter_mut().zip(correction.iter()).for_each(|(v, c)| *v = (*v + c).clamp(0.0, 1.0));
    lit
}

fn fill_samples(
    samples: &mut [Sample],
    soft: &Rgb32FImage,
    soft_target: &Rgb32FImage,
    agreement: &Agreement,
    confidence: &Plane,
) {
    for s in samples {
        let (x, y) = (s.x, s.y);
        s.colour = soft.get_pixel(x, y).0;
        s.wanted = soft_target.get_pixel(x, y).0;
        s.agrees = agreement.agrees.get_pixel(x, y)[0] * confidence.get_pixel(x, y)[0];
        s.flat = 1.0 - agreement.texture.get_pixel(x, y)[0];
    }
}

/// The coarse cells for which corrections are wanted: the hole and a band around it.
struct Cells {
    width: u32,
    height: u32,
    at: Vec<(u32, u32)>,
    colours: Vec<[f32; 3]>,
    places: Vec<[f32; 2]>,
}

impl Cells {
    fn around(toned: &Rgb32FImage, mask: &Mask, distance: &Plane, side: f32) -> Self {
        let (width, height) = (toned.width().div_ceil(STRIDE), toned.height().div_ceil(STRIDE));
        let small = resize_bilinear(toned, width, height);
        let (sx, sy) = (toned.width() as f32 / width as f32, toned.height() as f32 / height as f32);
        let mut cells = Self { width, height, at: Vec::new(), colours: Vec::new(), places: Vec::new() };
        for (x, y, p) in small.enumerate_pixels() {
            let (fx, fy) = ((x as f32 + 0.5) * sx, (y as f32 + 0.5) * sy);
            let (px, py) = ((fx as u32).min(mask.width() - 1), (fy as u32).min(mask.height() - 1));
            if mask.is_hole(px, py) || distance.get_pixel(px, py)[0] < 0.06 * side {
                cells.at.push((x, y));
                cells.colours.push(p.0);
                cells.places.push([fx / side, fy / side]);
            }
        }
        cells
    }

    fn correction(&self, samples: &[Sample], side: f32) -> Rgb32FImage {
        let mut wide = Regression::new(samples, side, &WIDE);
        wide.drop_unconfirmed(2);
        let rest: Vec<[f32; 3]> = {
            let explained = wide.at(&wide.places, &wide.colours);
            wide.values.iter().zip(explained).map(|(v, e)| std::array::from_fn(|c| v[c] - e[c])).collect()
        };
        let near = Regression { values: rest, bandwidth: &NEAR, ..wide.clone() };
        let (a, b) = (wide.at(&self.places, &self.colours), near.at(&self.places, &self.colours));
        let mut out = Rgb32FImage::new(self.width, self.height);
        for ((&(x, y), a), b) in self.at.iter().zip(a).zip(b) {
            out.put_pixel(x, y, Rgb(std::array::from_fn(|c| a[c] + b[c])));
        }
        out
    }
}

/// Contrast of the target at which a surface is not smooth at all.
const ROUGH: f32 = 0.03;

/// Notes on each sample how much it disagrees `after` all corrections and how `rough` the target is there, as the first two values of
/// what it misses. Gives the mean disagreement around the hole.
fn observe(
    samples: &mut [Sample],
    after: &Agreement,
    rough: &Plane,
    toned: &Rgb32FImage,
    distance: &Plane,
    side: f32,
) -> f32 {
    for s in samples.iter_mut() {
        let off = s.miss.iter().map(|m| m.abs()).sum::<f32>() / 3.0;
        let flat = (off / 0.15).min(1.0);
        let texture = after.texture.get_pixel(s.x, s.y)[0];
        let bad = texture * after.distance.get_pixel(s.x, s.y)[0] + (1.0 - texture) * flat;
        s.miss = [bad, (rough.get_pixel(s.x, s.y)[0] / ROUGH).min(1.0), 0.0];
        s.agrees = 1.0;
        s.flat = 0.0;
        s.colour = toned.get_pixel(s.x, s.y).0;
    }
    let near = samples.iter().filter(|s| distance.get_pixel(s.x, s.y)[0] < 0.05 * side);
    let rim: Vec<f32> = near.map(|s| s.miss[0]).collect();
    if rim.is_empty() { mean_miss(samples, 0) } else { rim.iter().sum::<f32>() / rim.len() as f32 }
}

fn mean_miss(samples: &[Sample], c: usize) -> f32 {
    samples.iter().map(|s| s.miss[c]).sum::<f32>() / samples.len() as f32
}

/// The first two values that the samples miss, carried to the cells; their mean elsewhere.
fn carried(samples: &mut [Sample], cells: &Cells, side: f32) -> [Plane; 2] {
    let mean = [mean_miss(samples, 0), mean_miss(samples, 1)];
    samples.iter_mut().for_each(|s| (0..2).for_each(|c| s.miss[c] -= mean[c]));
    let values = Regression::new(samples, side, &DOUBT).at(&cells.places, &cells.colours);
    std::array::from_fn(|c| {
        let mut plane = Plane::from_pixel(cells.width, cells.height, Luma([mean[c]]));
        for (&(x, y), v) in cells.at.iter().zip(&values) {
            plane.put_pixel(x, y, Luma([(v[c] + mean[c]).clamp(0.0, 1.0)]));
        }
        plane
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;

    /// A textured wall below a flat sky.
    fn scene(sky: [f32; 3], gain: f32) -> Rgb32FImage {
        let wall = texture(120, 90, 4);
        Rgb32FImage::from_fn(120, 90, |x, y| {
            let v = gain * (0.25 + 0.5 * wall.get_pixel(x, y)[0]);
            Rgb(if y < 40 { sky } else { [v, 0.9 * v, 0.8 * v] })
        })
    }

    #[test]
    fn a_photo_has_one_tone_though_a_proposal_of_it_lies_beside_its_place() {
        let (target, reference) = (scene([0.6, 0.6, 0.6], 0.8), scene([0.6, 0.6, 0.6], 1.0));
        let mask = Mask::from_fn(120, 90, |x, y| (45..75).contains(&x) && (20..70).contains(&y));
        let (distance, everywhere) = (mask.distance_to_hole(), Plane::from_pixel(120, 90, Luma([1.0])));
        let beside = Rgb32FImage::from_fn(120, 90, |x, y| *reference.get_pixel((x + 9) % 120, y));
        let of = |shown: &[&Rgb32FImage]| {
            tone(shown.iter().map(|p| (*p, &everywhere)), &target, &mask, &distance, false).of([0.5, 0.45, 0.4])
        };
        let (right, both) = (of(&[&reference]), of(&[&beside, &reference]));
        assert!(right.iter().zip([0.4, 0.36, 0.32]).all(|(a, b)| (a - b).abs() < 0.03), "{right:?}");
        assert!(right.iter().zip(both).all(|(a, b)| (a - b).abs() < 0.03), "{right:?}, {both:?}");
        assert_eq!(of(&[]), [0.5, 0.45, 0.4], "nothing shown, nothing changed");
    }

    #[test]
    fn what_the_tone_makes_brighter_than_white_is_corrected_from_there() {
        let light = Light {
            tone: Tone { gain: [1.3; 3], offset: [0.0; 3] },
            correction: Rgb32FImage::from_pixel(8, 8, Rgb([-0.255; 3])),
            doubt: Plane::new(32, 32),
            texture: Plane::new(32, 32),
            rim_doubt: 0.0,
            agreeing: 1.0,
        };
        let lit = light.apply(&Rgb32FImage::from_fn(32, 32, |x, _| Rgb([if x < 16 { 0.95 } else { 0.1 }; 3])));
        assert!((lit.get_pixel(4, 4)[0] - 0.98).abs() < 1e-4, "{}", lit.get_pixel(4, 4)[0]);
        assert_eq!(lit.get_pixel(24, 4)[0], 0.0);
    }

    #[test]
    fn sky_and_wall_get_their_own_corrections_inside_the_hole() {
        let (target, reference) = (scene([0.6, 0.6, 0.6], 0.8), scene([0.2, 0.4, 0.9], 1.0));
        let mask = Mask::from_fn(120, 90, |x, y| (45..75).contains(&x) && (20..70).contains(&y));
        let everywhere = Plane::from_pixel(120, 90, Luma([1.0]));
        let distance = mask.distance_to_hole();
        let tone = tone(std::iter::once((&reference, &everywhere)), &target, &mask, &distance, false);
        let light = estimate(&reference, &everywhere, &target, &mask, &distance, tone).expect("enough is seen");
        let lit = light.apply(&reference);
        for (x, y) in [(60, 28), (60, 60)] {
            let (a, b) = (lit.get_pixel(x, y).0, target.get_pixel(x, y).0);
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.08), "at {x}, {y}: {a:?}, not {b:?}");
        }
    }
}
