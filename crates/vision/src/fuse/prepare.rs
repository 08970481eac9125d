//! A proposal made comparable: moved to meet the known part, in the target's light.

use crate::flow::Flow;
use crate::light::{Light, estimate};
use crate::propose::{Proposal, ProposalKind, refinement};
use crate::pyramid::{grey, resize_bilinear};
use crate::warp::{Sampling, remap};
use crate::{Mask, Plane};
use image::Rgb32FImage;

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
}

impl Canvas {
    /// A target with its distances.
    pub fn new(target: Rgb32FImage, mask: Mask) -> Self {
        let (distance, depth) = (mask.distance_to_hole(), mask.distance_into_hole());
        Self { target, mask, distance, depth }
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
}

impl Prepared {
    /// Moves and lights one proposal; `None` where it shows too little of the known part.
    pub fn new(index: usize, proposal: &Proposal, canvas: &Canvas) -> Option<Self> {
        let first = estimate(&proposal.colour, &proposal.confidence, &canvas.target, &canvas.mask, &canvas.distance)?;
        let toned = grey(&first.tone.apply(&proposal.colour));
        let flow = refinement(
            &toned,
            &proposal.confidence,
            &grey(&canvas.target),
            &canvas.mask,
            &canvas.distance,
            &canvas.depth,
        );
        let (colour, confidence) = moved(&proposal.colour, &proposal.confidence, &flow);
        let light = estimate(&colour, &confidence, &canvas.target, &canvas.mask, &canvas.distance)?;
        let colour = light.apply(&colour);
        Some(Self { index, reference: proposal.reference, kind: proposal.kind, flow, light, colour, confidence })
    }

    /// The proposal at its full size, moved and lit.
    pub fn rendered(&self, proposal: &Proposal) -> Rgb32FImage {
        let (w, h) = proposal.colour.dimensions();
        let scale = w as f32 / self.flow.x.width() as f32;
        let enlarge = |p: &Plane| {
            let mut p = resize_bilinear(p, w, h);
            p.iter_mut().for_each(|v| *v *= scale);
            p
        };
        let flow = Flow { x: enlarge(&self.flow.x), y: enlarge(&self.flow.y) };
        self.light.apply(&moved(&proposal.colour, &proposal.confidence, &flow).0)
    }

    /// Mean cost over the hole, uncovered pixels at the cost of inventing.
    pub fn cost(&self, mask: &Mask, invented: f32) -> f32 {
        let (mut sum, mut count) = (0.0, 0);
        for ((hole, doubt), confidence) in mask.holes().iter().zip(self.light.doubt.iter()).zip(self.confidence.iter())
        {
            if *hole {
                let c = confidence.clamp(0.0, 1.0);
                sum += c * (doubt + 0.3 * (1.0 - c)) + (1.0 - c) * invented;
                count += 1;
            }
        }
        sum / count.max(1) as f32
    }
}

fn moved(colour: &Rgb32FImage, confidence: &Plane, flow: &Flow) -> (Rgb32FImage, Plane) {
    let (x, y) = flow.maps();
    let colour = remap(colour, &x, &y, Sampling::Bicubic).image;
    let moved = remap(confidence, &x, &y, Sampling::Bilinear);
    let mut confidence = moved.image;
    confidence.iter_mut().zip(moved.valid.iter()).for_each(|(c, v)| *c *= v);
    (colour, confidence)
}
