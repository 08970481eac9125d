//! Which colours of a proposal belong to another background.

use super::kernel::{Bandwidth, Regression};
use super::samples::Sample;
use super::{STRIDE, Seen, seen};
use crate::pyramid::resize_bilinear;
use crate::{Mask, Plane};
use image::Rgb32FImage;

/// Kernel of the votes, mostly by colour.
const VOTES: Bandwidth = Bandwidth { place: 0.15, colour: 0.06, prior: 0.3 };
/// Votes of a sample that shows the same surface for one that shows another.
const SAME: f32 = 4.0;
/// Distance of colours (mean over channels, of 1) that may be light, and that is surely more.
const LIGHT: f32 = 0.04;
const OTHER: f32 = 0.10;

/// How likely each colour shown is one of another background, 0 to 1, one cell every [`STRIDE`] pixels: what the known part shows of it is
/// of another structure *and* another colour. `toned` is the proposal in the target's tone. `None` where too little of the known part is
/// seen.
pub(crate) fn foreign(
    toned: &Rgb32FImage,
    confidence: &Plane,
    target: &Rgb32FImage,
    mask: &Mask,
    distance: &Plane,
) -> Option<Plane> {
    let Seen { samples, .. } = seen(toned, confidence, target, mask, distance)?;
    let side = toned.width().max(toned.height()) as f32;
    let mut votes = Regression::new(&samples, side, &VOTES);
    let weights: Vec<(f32, f32)> = samples.iter().take(votes.values.len()).map(votes_of).collect();
    votes.weights = weights.iter().map(|(other, same)| other + same).collect();
    votes.values = weights.iter().map(|(other, same)| [other / (other + same).max(1e-6), 0.0, 0.0]).collect();
    let (w, h) = (toned.width().div_ceil(STRIDE), toned.height().div_ceil(STRIDE));
    let colours: Vec<[f32; 3]> = resize_bilinear(toned, w, h).pixels().map(|p| p.0).collect();
    let along = |v: u32, from: u32, to: u32| (v as f32 + 0.5) * to as f32 / from as f32 / side;
    let place = |i: u32| [along(i % w, w, toned.width()), along(i / w, h, toned.height())];
    let found = votes.at(&(0..w * h).map(place).collect::<Vec<_>>(), &colours);
    Plane::from_raw(w, h, found.iter().map(|v| v[0]).collect())
}

/// How surely a sample shows another surface, and how surely the same one. A flat place has its agreement from the texture beside it, which
/// says nothing if its colour is another: so close to the outline of a thing that both show.
fn votes_of(s: &Sample) -> (f32, f32) {
    let off = (0..3).map(|c| (s.wanted[c] - s.colour[c]).abs()).sum::<f32>() / 3.0;
    let is_off = ((off - LIGHT) / (OTHER - LIGHT)).clamp(0.0, 1.0);
    let agrees = s.agrees * (1.0 - s.flat * is_off);
    ((1.0 - agrees) * is_off, SAME * agrees)
}
