//! References pulled into the target's view through its depth, each with what it can be trusted for.

use super::depth::DepthMap;
use super::rays::{Hit, Projector, RayGrid, level_for};
use super::views::Views;
use crate::Plane;
use crate::pyramid::{gaussian_blur, half};
use crate::warp::{Sampling, sample};
use image::Rgb32FImage;
use rayon::prelude::*;

/// Confidence where the reference's own depth agrees, where it says nothing, and where it has something in front.
const AGREES: f32 = 1.0;
const UNDECIDED: f32 = 0.55;
const HIDDEN: f32 = 0.05;
/// Depths agree within this many of the reference's own depth steps.
const TOLERANCE_STEPS: f32 = 2.5;
/// A reference's depth is believed against the target's when its lead over other depths is above this.
const SURE_MARGIN: f32 = 0.012;
/// Matching cost at which confidence is halved.
const HALF_COST: f32 = 0.55;

/// A reference in the target's view.
#[derive(Clone, Debug)]
pub struct Projected {
    /// Its colours there.
    pub colour: Rgb32FImage,
    /// 0 (outside the reference) to 1.
    pub confidence: Plane,
}

/// Pulls view `view` (whose picture is `photo`, whose own depth is `own`) into the first view, whose depth is `depth` at its full size.
pub fn project(views: &Views, view: usize, photo: &Rgb32FImage, depth: &DepthMap, own: Option<&DepthMap>) -> Projected {
    let (w, h) = views.size();
    let grid = RayGrid::new(&views.cameras[0], (w as usize, h as usize));
    let projector = Projector::new(&views.cameras[0], &views.cameras[view]);
    let inverse = depth.inverse.as_raw();
    let source = at_scale(photo, projector.scale(&grid, |i| inverse[i]));
    let ratio = (source.width() as f32 / photo.width() as f32, source.height() as f32 / photo.height() as f32);
    let cost = gaussian_blur(&depth.cost, 2.0);
    let mut colour = vec![0.0; grid.rays.len() * 3];
    let mut confidence = vec![0.0; grid.rays.len()];
    colour.par_chunks_mut(3).zip(&mut confidence).enumerate().with_min_len(4096).for_each(|(i, (out, confidence))| {
        let Some(hit) = projector.hit(&grid.rays[i], inverse[i]) else { return };
        let (x, y) = ((hit.x + 0.5) * ratio.0 - 0.5, (hit.y + 0.5) * ratio.1 - 0.5);
        sample(&source, x, y, Sampling::Bicubic, out);
        out.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        let visible = own.map_or(UNDECIDED, |own| visibility(own, &hit, photo.dimensions()));
        *confidence = visible / (1.0 + (cost.as_raw()[i] / HALF_COST).powi(3));
    });
    let size = "one value a pixel";
    Projected {
        colour: Rgb32FImage::from_raw(w, h, colour).expect(size),
        confidence: Plane::from_raw(w, h, confidence).expect(size),
    }
}

/// What the reference's own depth says about a point at `hit`.
fn visibility(own: &DepthMap, hit: &Hit, size: (u32, u32)) -> f32 {
    let (w, h) = own.inverse.dimensions();
    let cell = |v: f32, n: u32, full: u32| (((v + 0.5) * n as f32 / full as f32) as u32).min(n - 1);
    let (x, y) = (cell(hit.x, w, size.0), cell(hit.y, h, size.1));
    let (mut far, mut near) = (f32::INFINITY, 0.0f32);
    for v in y.saturating_sub(1)..=(y + 1).min(h - 1) {
        for u in x.saturating_sub(1)..=(x + 1).min(w - 1) {
            let d = own.inverse.get_pixel(u, v)[0];
            (far, near) = (far.min(d), near.max(d));
        }
    }
    let tolerance = TOLERANCE_STEPS * own.step;
    if hit.inverse_depth < far - tolerance {
        return if own.margin.get_pixel(x, y)[0] > SURE_MARGIN { HIDDEN } else { UNDECIDED };
    }
    if hit.inverse_depth <= near + tolerance { AGREES } else { UNDECIDED }
}

/// The photo shrunk so that a step in the target is about one of its pixels.
fn at_scale(photo: &Rgb32FImage, scale: f32) -> Rgb32FImage {
    let mut source = photo.clone();
    for _ in 0..level_for(scale, 5) {
        source = half(&gaussian_blur(&source, 0.7));
    }
    source
}
