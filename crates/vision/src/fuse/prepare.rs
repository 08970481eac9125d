//! A proposal made comparable: moved to meet the known part, in the target's light.

use super::resample::resample;
use crate::flow::Flow;
use crate::light::{Light, Tone, blurred_within, estimate};
use crate::propose::{Proposal, ProposalKind, refinement};
use crate::pyramid::{gaussian_blur, grey, push_pull, resize_bilinear};
use crate::warp::{Sampling, remap};
use crate::{Mask, Plane};
use image::{Luma, Rgb32FImage};

/// The target at the size at which proposals are compared.
pub struct Canvas {
    /// Colours; those in the hole mean nothing.
    pub target: Rgb32FImage,
    /// The hole.
    pub mask: Mask,
    /// Distance of known pixels to the hole.
    pub distance: Plane,
    /// Distance of hole pixels to the known part.
    pub depth: Plane,
    /// What takes each reference to the target's tone; as it is where nothing is said.
    pub tones: Vec<Tone>,
}

impl Canvas {
    /// A target with its distances.
    pub fn new(target: Rgb32FImage, mask: Mask) -> Self {
        let (distance, depth) = (mask.distance_to_hole(), mask.distance_into_hole());
        Self { target, mask, distance, depth, tones: Vec::new() }
    }

    /// One value a pixel of the canvas, at another size: each pixel takes that of the one its centre lies in.
    pub fn enlarged<T: Copy>(&self, values: &[T], (w, h): (u32, u32)) -> Vec<T> {
        let (cw, ch) = self.target.dimensions();
        let along = |v: u32, to: u32, from: u32| ((2 * v as u64 + 1) * to as u64 / (2 * from as u64)) as usize;
        let row = |y: u32| along(y, ch, h) * cw as usize;
        (0..h).flat_map(|y| (0..w).map(move |x| values[row(y) + along(x, cw, w)])).collect()
    }

    fn tone_of(&self, reference: usize) -> Tone {
        self.tones.get(reference).copied().unwrap_or(Tone::NONE)
    }

    fn light_of(&self, reference: usize, colour: &Rgb32FImage, confidence: &Plane) -> Option<Light> {
        estimate(colour, confidence, &self.target, &self.mask, &self.distance, self.tone_of(reference))
    }
}

/// A proposal ready to compete.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Which proposal it was.
    pub index: usize,
    /// Which reference it comes from.
    pub reference: usize,
    /// How it was made.
    pub kind: ProposalKind,
    /// How it was moved, in pixels of the canvas.
    pub flow: Flow,
    /// How it was lit.
    pub light: Light,
    /// The colours, moved and lit.
    pub colour: Rgb32FImage,
    /// The confidence, moved.
    pub confidence: Plane,
    /// What the colours miss of the known ones at the hole's rim, 0 to 1, carried into the hole from the nearest part of the rim.
    pub rim: Plane,
}

impl Prepared {
    /// Moves and lights one proposal; `None` where it shows too little of the known part.
    #[tracing::instrument(name = "light and alignment", level = "info", skip_all)]
    pub fn new(index: usize, proposal: &Proposal, canvas: &Canvas) -> Option<Self> {
        let toned = grey(&canvas.tone_of(proposal.reference).apply(&proposal.colour));
        let flow = refinement(
            &toned,
            &proposal.confidence,
            &grey(&canvas.target),
            &canvas.mask,
            &canvas.distance,
            &canvas.depth,
            proposal.kind,
        );
        let (colour, confidence) = moved(&proposal.colour, &proposal.confidence, &flow);
        let light = canvas.light_of(proposal.reference, &colour, &confidence)?;
        let colour = light.apply(&colour);
        let rim = rim_miss(&colour, &confidence, canvas);
        Some(Self { rim, index, reference: proposal.reference, kind: proposal.kind, flow, light, colour, confidence })
    }

    /// The proposal at its full size, moved and lit; with its `reference`, in whose pixels the places are, as sharp as that shows it.
    pub fn rendered(&self, proposal: &Proposal, reference: Option<&Rgb32FImage>) -> Rgb32FImage {
        let (w, h) = proposal.colour.dimensions();
        let scale = w as f32 / self.flow.x.width() as f32;
        let enlarge = |p: &Plane| {
            let mut p = resize_bilinear(p, w, h);
            p.iter_mut().for_each(|v| *v *= scale);
            p
        };
        let flow = Flow { x: enlarge(&self.flow.x), y: enlarge(&self.flow.y) };
        // Seams and rim are healed to what lies beyond a picture's end too, so nothing is black there.
        let continued = proposal.places.continued(&proposal.colour);
        let mut colour = moved(&continued, &proposal.confidence, &flow).0;
        if let Some(reference) = reference {
            resample(&mut colour, proposal, &flow, reference);
        }
        self.light.apply(&colour)
    }

    /// As [`Prepared::new`] without moving: enough to tell good proposals from bad ones.
    pub fn lit_only(index: usize, proposal: &Proposal, canvas: &Canvas) -> Option<Self> {
        let (colour, confidence) = (&proposal.colour, &proposal.confidence);
        let light = canvas.light_of(proposal.reference, colour, confidence)?;
        let colour = light.apply(colour);
        Some(Self {
            index,
            reference: proposal.reference,
            kind: proposal.kind,
            flow: Flow::zero(1, 1),
            rim: rim_miss(&colour, confidence, canvas),
            light,
            colour,
            confidence: confidence.clone(),
        })
    }

    /// Doubt of one pixel from what was measured against the target: carried by colour, around the whole hole, and at the nearest rim.
    /// The weights were found on the evaluation scenes.
    pub(super) fn doubt(&self, i: usize) -> f32 {
        self.light.doubt.as_raw()[i] + 0.5 * self.light.rim_doubt + 0.7 * self.rim.as_raw()[i]
    }

    /// Mean cost over the hole, uncovered pixels at the cost of inventing.
    pub fn cost(&self, mask: &Mask, invented: f32) -> f32 {
        let (mut sum, mut count) = (0.0, 0);
        for (i, _) in mask.holes().iter().enumerate().filter(|(_, hole)| **hole) {
            let c = self.confidence.as_raw()[i].clamp(0.0, 1.0);
            sum += c * self.doubt(i) + (1.0 - c) * invented;
            count += 1;
        }
        sum / count.max(1) as f32
    }
}

#[cfg(test)]
impl Prepared {
    /// A proposal that shows `colour` everywhere, lit as it is; its light doubts it by `doubt` and expects the target to be as rough as
    /// `texture` says.
    pub fn of(reference: usize, colour: Rgb32FImage, doubt: f32, texture: f32) -> Self {
        let (w, h) = colour.dimensions();
        let all = |v: f32| Plane::from_pixel(w, h, Luma([v]));
        let light = Light {
            tone: Tone::NONE,
            correction: Rgb32FImage::new(1, 1),
            doubt: all(doubt),
            texture: all(texture),
            rim_doubt: 0.0,
            agreeing: 1.0,
        };
        let flow = Flow::zero(w, h);
        let kind = ProposalKind::MultiView;
        Self { index: 0, reference, kind, flow, light, colour, confidence: all(1.0), rim: all(0.0) }
    }
}

/// Colour differences at the rim that count fully.
const RIM_APART: f32 = 0.25;

fn rim_miss(colour: &Rgb32FImage, confidence: &Plane, canvas: &Canvas) -> Plane {
    let (w, h) = colour.dimensions();
    let side = w.max(h) as f32;
    let band = Plane::from_fn(w, h, |x, y| {
        let near = !canvas.mask.is_hole(x, y) && canvas.distance.get_pixel(x, y)[0] < 0.03 * side;
        Luma([(near && confidence.get_pixel(x, y)[0] > 0.3) as u8 as f32])
    });
    let miss = Plane::from_fn(w, h, |x, y| {
        let (a, b) = (colour.get_pixel(x, y), canvas.target.get_pixel(x, y));
        let apart = (0..3).map(|c| (a[c] - b[c]).abs()).sum::<f32>() / 3.0;
        Luma([(apart / RIM_APART).min(1.0)])
    });
    let mean = blurred_within(&miss, &band, 0.04 * side);
    let mut sure = gaussian_blur(&band, 0.04 * side);
    sure.iter_mut().for_each(|v| *v = (10.0 * *v).min(1.0));
    push_pull(&mean, &sure)
}

fn moved(colour: &Rgb32FImage, confidence: &Plane, flow: &Flow) -> (Rgb32FImage, Plane) {
    let (x, y) = flow.maps();
    let colour = remap(colour, &x, &y, Sampling::Bicubic).image;
    let moved = remap(confidence, &x, &y, Sampling::Bilinear);
    let mut confidence = moved.image;
    confidence.iter_mut().zip(moved.valid.iter()).for_each(|(c, v)| *c *= v);
    (colour, confidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warp::Places;
    use image::Rgb;

    #[test]
    fn nothing_is_black_beyond_a_pictures_end() {
        let shown = |x: u32| x < 30;
        let proposal = Proposal {
            colour: Rgb32FImage::from_fn(64, 48, |x, _| Rgb([if shown(x) { 0.6 } else { 0.0 }; 3])),
            confidence: Plane::from_fn(64, 48, |x, _| Luma([f32::from(u8::from(shown(x)))])),
            places: Places::from_fn(64, 48, |x, y| shown(x).then_some([x as f32, y as f32])),
            reference: 0,
            kind: ProposalKind::MultiView,
        };
        let prepared = Prepared::of(0, proposal.colour.clone(), 0.0, 0.0);
        let rendered = prepared.rendered(&proposal, None);
        assert!(rendered.pixels().all(|p| (p[0] - 0.6).abs() < 1e-3), "{:?}", rendered.get_pixel(32, 20));
    }
}
