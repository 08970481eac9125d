//! What each proposal costs at each pixel: the disagreement measured on the known part and carried into the hole, and that with the
//! other proposals right there.

use super::RIM;
use super::majority::{alone, smooth_cost};
use super::prepare::{Canvas, Prepared};
use crate::Plane;
use crate::light::contrast;
use crate::pyramid::{Picture, gaussian_blur, grey};
use image::{Luma, Rgb32FImage};
use rayon::prelude::*;

/// Costs for [`super::trws::Grid`].
pub(super) struct Costs {
    /// Per pixel, per label, smoothed.
    pub unary: Vec<f32>,
    /// The same before smoothing, from which trust is made.
    pub doubts: Vec<f32>,
}

/// Doubt of an invented pixel: about that of the worst proposal. Where any proposal shows something, invention is a choice only on smooth
/// surfaces ([`smooth_cost`]): everywhere, at a cost of 2 or 3, it took the can's label and the dress of a person who moved, and left smears.
pub(super) const INVENTED: f32 = 3.0;
/// Cost of no confidence at all.
const UNSURE: f32 = 0.15;
/// Weight of the disagreement with the other proposals against that with the known part, and the colour difference that counts 1.
const OTHERS: f32 = 0.6;
const OTHERS_APART: f32 = 0.10;
/// A proposal moved from the same reference confirms less than one from another.
const SAME_REFERENCE: f32 = 0.3;
/// Weight of showing what most references do not.
const ALONE: f32 = 0.6;
/// Nothing is shown there.
const NEVER: f32 = 20.0;

/// Costs of all prepared proposals and, last, of the invented picture.
pub(super) fn costs(canvas: &Canvas, prepared: &[Prepared], invented: &Rgb32FImage) -> Costs {
    let (w, h) = canvas.target.dimensions();
    let side = w.max(h) as f32;
    let soft: Vec<Rgb32FImage> = prepared.par_iter().map(|p| gaussian_blur(&p.colour, 1.5)).collect();
    let contrasts = contrasts(prepared, 0.004 * side);
    let planes: Vec<(Plane, Plane)> = (0..prepared.len())
        .into_par_iter()
        .map(|a| {
            let own = own_cost(prepared, &soft, &contrasts, a);
            (smoothed(&own, &prepared[a].confidence, 0.006 * side), own)
        })
        .collect();
    let smooth = smooth_cost(prepared, side);
    let soft_target = gaussian_blur(&canvas.target, 0.7);
    let n = (w * h) as usize;
    let labels = prepared.len() + 1;
    let (mut unary, mut doubts) = (vec![0.0; n * labels], vec![0.0; n * labels]);
    for i in 0..n {
        let rim = !canvas.mask.holes()[i] && canvas.distance.as_raw()[i] <= RIM;
        for (a, (smooth, own)) in planes.iter().enumerate() {
            let shown = prepared[a].confidence.as_raw()[i] > 0.1;
            let on_rim = 2.0 * (apart(&soft[a], &canvas.target, i) / 0.1).min(3.0);
            doubts[i * labels + a] = if shown { own.as_raw()[i] } else { INVENTED };
            unary[i * labels + a] = match (shown, rim) {
                (false, false) => NEVER,
                (false, true) => 6.0,
                (true, true) => on_rim,
                (true, false) => smooth.as_raw()[i],
            };
        }
        let last = i * labels + labels - 1;
        doubts[last] = INVENTED;
        let any = prepared.iter().any(|p| p.confidence.as_raw()[i] > 0.1);
        unary[last] = match (any, rim) {
            (_, true) => 2.0 * (apart(invented, &soft_target, i) / 0.1).min(3.0),
            (true, false) => smooth.get(i).copied().flatten().unwrap_or(NEVER),
            (false, false) => INVENTED,
        };
    }
    Costs { unary, doubts }
}

fn apart(a: &Rgb32FImage, b: &Rgb32FImage, i: usize) -> f32 {
    let (a, b) = (&a.as_raw()[3 * i..3 * i + 3], &b.as_raw()[3 * i..3 * i + 3]);
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / 3.0
}

/// Contrast of each proposal.
fn contrasts(prepared: &[Prepared], sigma: f32) -> Vec<Plane> {
    let contrast_of = |p: &Prepared| {
        let everywhere = Plane::from_pixel(p.colour.width(), p.colour.height(), Luma([1.0]));
        contrast(&grey(&p.colour), &everywhere, sigma)
    };
    prepared.par_iter().map(contrast_of).collect()
}

/// Doubt carried from the known part, missing confidence, distance from what the others show, and showing what most do not.
fn own_cost(prepared: &[Prepared], soft: &[Rgb32FImage], contrasts: &[Plane], a: usize) -> Plane {
    let me = &prepared[a];
    let (w, h) = me.colour.dimensions();
    let mut out = Plane::new(w, h);
    for i in 0..out.len() {
        let (mut sum, mut total) = (0.0, 0.0);
        for (b, other) in prepared.iter().enumerate() {
            let confidence = other.confidence.as_raw()[i];
            if a != b && confidence > 0.1 {
                let kin = if other.reference == me.reference { SAME_REFERENCE } else { 1.0 };
                let weight = kin * confidence * (-(other.light.doubt.as_raw()[i] / 0.3).powi(2)).exp();
                sum += weight * apart(&soft[a], &soft[b], i).min(2.0 * OTHERS_APART);
                total += weight;
            }
        }
        // With nobody to ask, a middling disagreement is assumed.
        let others = (sum + 0.05 * 0.06) / (total + 0.05);
        let confidence = me.confidence.as_raw()[i].clamp(0.0, 1.0);
        out.as_mut()[i] = me.doubt(i)
            + OTHERS * (others / OTHERS_APART).min(1.0)
            + ALONE * alone(prepared, contrasts, a, i)
            + UNSURE * (1.0 - confidence);
    }
    out
}

fn smoothed(cost: &Plane, confidence: &Plane, sigma: f32) -> Plane {
    let weight: Picture<Luma<f32>> =
        Plane::from_fn(cost.width(), cost.height(), |x, y| Luma([(confidence.get_pixel(x, y)[0] > 0.1) as u8 as f32]));
    crate::light::blurred_within(cost, &weight, sigma)
}
