//! Moves a proposal so that it meets the target's known pixels around the hole, and carries the motion into the hole.

use super::ProposalKind;
use super::common::common_motion;
use crate::flow::{Flow, FlowOptions, checked_flow};
use crate::light::blurred_within;
use crate::pyramid::{gaussian_blur, push_pull};
use crate::{Mask, Plane};
use image::Luma;

/// Motions longer than this share of the longer side are mistakes, not refinements.
const LONGEST: f32 = 0.03;
/// Depth in the hole, as a share of the longer side, at which half of the rim's motion is left.
const DEPTH: f32 = 0.15;

/// Where a proposal (grey, in the target's tone) has to be sampled so that it meets the known part of the target.
/// `distance` and `depth` are those to the hole and into it. What cameras see is in place but for what the target's camera errs, so it
/// takes the motion that most of the known part has in common; maps of planes end at the rim and take the motion beside them.
pub fn refinement(
    proposal: &Plane,
    confidence: &Plane,
    target: &Plane,
    mask: &Mask,
    distance: &Plane,
    depth: &Plane,
    kind: ProposalKind,
) -> Flow {
    let (w, h) = proposal.dimensions();
    let side = w.max(h) as f32;
    let near = |x, y| distance.get_pixel(x, y)[0] < 0.2 * side;
    let known = Plane::from_fn(w, h, |x, y| Luma([(!mask.is_hole(x, y) && near(x, y)) as u8 as f32]));
    let options = FlowOptions { finest_level: 1, ..Default::default() };
    let (there, error) = checked_flow((target, &known), (proposal, confidence), &options);
    let texture = local_contrast(target, &known);
    let weight = Plane::from_fn(w, h, |x, y| {
        let at = |p: &Plane| p.get_pixel(x, y)[0];
        let long = at(&there.x).hypot(at(&there.y)) > LONGEST * side;
        let sure = at(&known) > 0.0 && at(confidence) > 0.3 && at(&error) < 1.0 && !long;
        let near = (-at(distance) / (0.08 * side)).exp();
        Luma([if sure { (at(&texture) / 0.03).min(1.0) * near } else { 0.0 }])
    });
    if kind == ProposalKind::MultiView {
        return common_motion(&there, &weight, side);
    }
    Flow { x: carried(&there.x, &weight, depth, side), y: carried(&there.y, &weight, depth, side) }
}

fn local_contrast(grey: &Plane, known: &Plane) -> Plane {
    let mean = blurred_within(grey, known, 2.0);
    let square = blurred_within(
        &Plane::from_fn(grey.width(), grey.height(), |x, y| Luma([grey.get_pixel(x, y)[0].powi(2)])),
        known,
        2.0,
    );
    Plane::from_fn(grey.width(), grey.height(), |x, y| {
        Luma([(square.get_pixel(x, y)[0] - mean.get_pixel(x, y)[0].powi(2)).max(0.0).sqrt()])
    })
}

/// One component of the motion, smoothed where it is sure, filled elsewhere, fading with the depth in the hole.
fn carried(values: &Plane, weight: &Plane, depth: &Plane, side: f32) -> Plane {
    let sigma = 0.012 * side;
    let finite = Plane::from_fn(values.width(), values.height(), |x, y| {
        let v = values.get_pixel(x, y)[0];
        Luma([if v.is_finite() { v } else { 0.0 }])
    });
    let mean = blurred_within(&finite, weight, sigma);
    let mut sure = gaussian_blur(weight, sigma);
    sure.iter_mut().for_each(|v| *v = (4.0 * *v).min(1.0));
    let mut out = push_pull(&mean, &sure);
    for (v, d) in out.iter_mut().zip(depth.iter()) {
        let d = if d.is_finite() { d / (DEPTH * side) } else { f32::MAX };
        *v /= 1.0 + d * d;
    }
    out
}
