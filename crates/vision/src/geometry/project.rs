//! References pulled into the target's view through its depth, each with what it can be trusted for.

use super::depth::DepthMap;
use super::occluder::{Occluder, Relation};
use super::rays::{Hit, Projector, RayGrid};
use super::views::Views;
use crate::Plane;
use crate::pyramid::{at_level, gaussian_blur, sampled_level, scale_of_level};
use crate::warp::{Places, Sampling, sample};
use image::Rgb32FImage;
use rayon::prelude::*;

/// Confidence where the reference's own depth agrees, where it says nothing, and where it has something in front.
const AGREES: f32 = 1.0;
const UNDECIDED: f32 = 0.55;
const HIDDEN: f32 = 0.05;
/// Matching cost at which confidence is halved.
const HALF_COST: f32 = 0.55;

/// A surface nearer by more than this many depth steps hides what lies behind it.
const CLAIM_STEPS: f32 = 4.0;
/// Lead in matching cost from which the nearer surface is surely right, and what a hidden point is worth then, and else.
const CLAIM_LEAD: f32 = 0.05;
const CLAIMED: [f32; 2] = [0.08, 0.5];
/// Cells of the reference that claims are kept for have this side, in pixels.
const CLAIM_CELL: f32 = 2.0;

/// Which surface of the target each place of a reference shows: the nearest. A place that shows a near surface cannot show the wall behind
/// it as well, so the wall has to be taken from elsewhere; else it wears the surface's ghost. A nearer surface that matches worse may be
/// false itself and only casts doubt.
struct Claims {
    width: usize,
    nearest: Vec<(f32, f32)>,
    tolerance: f32,
}

impl Claims {
    fn new(
        grid: &RayGrid,
        projector: &Projector,
        size: (u32, u32),
        inverse: &[f32],
        cost: &[f32],
        tolerance: f32,
    ) -> Self {
        let cells = |n: u32| (n as f32 / CLAIM_CELL).ceil() as usize + 1;
        let (width, height) = (cells(size.0), cells(size.1));
        let mut claims = Self { width, nearest: vec![(0.0, f32::MAX); width * height], tolerance };
        for ((ray, &inverse), &cost) in grid.rays.iter().zip(inverse).zip(cost) {
            if let Some(hit) = projector.hit(ray, inverse)
                && cost < HALF_COST
            {
                let at = claims.cell(&hit);
                if hit.inverse_depth > claims.nearest[at].0 {
                    claims.nearest[at] = (hit.inverse_depth, cost);
                }
            }
        }
        claims
    }

    fn cell(&self, hit: &Hit) -> usize {
        (hit.y / CLAIM_CELL) as usize * self.width + (hit.x / CLAIM_CELL) as usize
    }

    /// What a point seen at `hit`, whose depth has that matching cost, keeps of its confidence.
    fn share(&self, hit: &Hit, cost: f32) -> f32 {
        let (nearest, claim) = self.nearest[self.cell(hit)];
        if nearest <= hit.inverse_depth + self.tolerance {
            1.0
        } else if claim + CLAIM_LEAD < cost {
            CLAIMED[0]
        } else {
            CLAIMED[1]
        }
    }
}

/// A reference in the target's view.
#[derive(Clone, Debug)]
pub struct Projected {
    /// Its colours there.
    pub colour: Rgb32FImage,
    /// 0 (outside the reference) to 1.
    pub confidence: Plane,
    /// Where in the reference they are.
    pub places: Places,
}

/// Pulls view `view` (whose picture is `photo`, whose own depth is `own`) into the first view, whose depth is `depth` at its full size.
#[tracing::instrument(level = "info", skip_all)]
pub fn project(views: &Views, view: usize, photo: &Rgb32FImage, depth: &DepthMap, own: Option<&Occluder>) -> Projected {
    let (w, h) = views.size();
    let grid = RayGrid::new(&views.cameras[0], (w as usize, h as usize));
    let projector = Projector::new(&views.cameras[0], &views.cameras[view]);
    let inverse = depth.inverse.as_raw();
    let level = sampled_level(projector.scale(&grid, |i| inverse[i]));
    let (source, scale) = (at_level(photo, level), scale_of_level(level));
    let cost = gaussian_blur(&depth.cost, 2.0);
    let claims = Claims::new(&grid, &projector, photo.dimensions(), inverse, cost.as_raw(), CLAIM_STEPS * depth.step);
    let mut colour = vec![0.0; grid.rays.len() * 3];
    let mut confidence = vec![0.0; grid.rays.len()];
    colour.par_chunks_mut(3).zip(&mut confidence).enumerate().with_min_len(4096).for_each(|(i, (out, confidence))| {
        let Some(hit) = projector.hit(&grid.rays[i], inverse[i]) else { return };
        let (x, y) = ((hit.x + 0.5) * scale - 0.5, (hit.y + 0.5) * scale - 0.5);
        sample(&source, x, y, Sampling::Bicubic, out);
        out.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        let claimed = claims.share(&hit, cost.as_raw()[i]);
        let visible = match own.map_or(Relation::Unknown, |own| own.relation(&hit)) {
            Relation::On => AGREES,
            Relation::Unknown | Relation::Behind | Relation::Through => UNDECIDED,
            Relation::Hidden => HIDDEN,
        };
        *confidence = claimed * visible / (1.0 + (cost.as_raw()[i] / HALF_COST).powi(3));
    });
    let size = "one value a pixel";
    let mut confidence = Plane::from_raw(w, h, confidence).expect(size);
    drop_islands(&mut confidence);
    let places = Places::from_fn(w, h, |x, y| {
        let i = (y * w + x) as usize;
        projector.hit(&grid.rays[i], inverse[i]).map(|hit| [hit.x, hit.y])
    });
    Projected { colour: Rgb32FImage::from_raw(w, h, colour).expect(size), confidence, places }
}

/// Confidence from which a place counts as shown, the reach of its surroundings (of the longer side), and the share of them that must be
/// shown too.
const SHOWN: f32 = 0.1;
const SURROUNDINGS: f32 = 0.03;
const SHARED: f32 = 0.35;

/// Small places that agree in the midst of what does not are chance: people who moved leave confetti.
fn drop_islands(confidence: &mut Plane) {
    let (w, h) = confidence.dimensions();
    let shown = Plane::from_fn(w, h, |x, y| image::Luma([(confidence.get_pixel(x, y)[0] > SHOWN) as u8 as f32]));
    let around = gaussian_blur(&shown, SURROUNDINGS * w.max(h) as f32);
    confidence.iter_mut().zip(around.iter()).filter(|(_, share)| **share < SHARED).for_each(|(c, _)| *c = 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::camera::Camera;
    use nalgebra::Vector3;

    #[test]
    fn a_place_that_shows_a_near_surface_shows_no_wall_behind_it() {
        let first = Camera::new((100, 80), 1.0);
        let second = Camera { translation: Vector3::new(-0.2, 0.0, 0.0), ..first.clone() };
        let grid = RayGrid::new(&first, (100, 80));
        let inverse: Vec<f32> = (0..8000).map(|i| if (40..60).contains(&(i % 100)) { 1.0 } else { 0.5 }).collect();
        let projector = Projector::new(&first, &second);
        let cost: Vec<f32> = inverse.iter().map(|d| if *d > 0.7 { 0.1 } else { 0.2 }).collect();
        let claims = Claims::new(&grid, &projector, (100, 80), &inverse, &cost, 0.05);
        let share = |x: usize| {
            let i = 40 * 100 + x;
            claims.share(&projector.hit(&grid.rays[i], inverse[i]).expect("it is seen"), cost[i])
        };
        // The near strip moves 20 px and the wall 10, so the ten columns left of the strip lie behind it.
        assert_eq!([share(20), share(35), share(50), share(70)], [1.0, CLAIMED[0], 1.0, 1.0]);
    }

    #[test]
    fn specks_go_and_the_rest_stays() {
        let speck = |x: u32, y: u32| x < 60 || ((80..84).contains(&x) && (40..44).contains(&y));
        let mut confidence = Plane::from_fn(120, 90, |x, y| image::Luma([speck(x, y) as u8 as f32]));
        drop_islands(&mut confidence);
        assert!(confidence.enumerate_pixels().all(|(x, _, c)| (c[0] > 0.0) == (x < 60)));
    }
}
