//! References pulled into the target's view through its depth, each with what it can be trusted for.

use super::depth::DepthMap;
use super::occluder::{Occluder, Relation};
use super::rays::{Projector, RayGrid, level_for};
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
pub fn project(views: &Views, view: usize, photo: &Rgb32FImage, depth: &DepthMap, own: Option<&Occluder>) -> Projected {
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
        let visible = match own.map_or(Relation::Unknown, |own| own.relation(&hit)) {
            Relation::On => AGREES,
            Relation::Unknown | Relation::Through => UNDECIDED,
            Relation::Hidden => HIDDEN,
        };
        *confidence = visible / (1.0 + (cost.as_raw()[i] / HALF_COST).powi(3));
    });
    let size = "one value a pixel";
    Projected {
        colour: Rgb32FImage::from_raw(w, h, colour).expect(size),
        confidence: Plane::from_raw(w, h, confidence).expect(size),
    }
}

/// The photo shrunk so that a step in the target is about one of its pixels.
fn at_scale(photo: &Rgb32FImage, scale: f32) -> Rgb32FImage {
    let mut source = photo.clone();
    for _ in 0..level_for(scale, 5) {
        source = half(&gaussian_blur(&source, 0.7));
    }
    source
}
