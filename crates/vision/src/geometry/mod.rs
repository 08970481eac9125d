//! Multi-view geometry: where the photos were taken from, how deep the target's pixels lie, and what each reference shows there.
//!
//! The way of the data: pairwise matches ([`PairMatches`]), cameras and points ([`reconstruct`]), a depth for every pixel of the target,
//! decided by the references' agreement inside the hole, and each reference pulled through that depth ([`multi_view_proposals`]).
//! docs/notes/geometry.md has what was measured.

mod adjust;
mod camera;
mod depth;
mod drawn;
mod essential;
mod filters;
mod occluder;
mod planes;
mod project;
mod range;
mod rays;
mod realign;
mod reconstruct;
mod resection;
mod sgm;
mod specks;
mod sweep;
#[cfg(test)]
mod test_scene;
mod tracks;
mod triangulate;
mod variational;
mod views;
mod visibility;

pub use camera::Camera;
pub use depth::DepthMap;
pub use reconstruct::{Reconstruction, ScenePoint, reconstruct};
pub use tracks::PairMatches;
pub use visibility::Visibility;

use crate::Mask;
use crate::propose::{Proposal, ProposalKind, is_mostly_streaks};
use depth::{DepthOptions, coarse_depth, refined_depth};
use drawn::Agreed;
use image::Rgb32FImage;
use nalgebra::Vector3;
use occluder::Occluder;
use rayon::prelude::*;
use realign::{LOOSE, realigned};
use variational::settled;
use views::{SparsePoint, Views, median};

/// Working sizes and depth counts: the target's first sweep, the references' own sweep, and the target's second.
const TARGET: DepthOptions = DepthOptions { side: 384, depths: 192 };
const REFERENCE: DepthOptions = DepthOptions { side: 288, depths: 112 };
const FINE_SIDE: u32 = 768;
/// Points of the target at which its camera is as good as known; fewer lower the confidence.
const SURE_POINTS: f32 = 60.0;
/// A target seen by fewer points has no camera worth using.
const FEWEST_POINTS: usize = 16;

/// Cameras, the target's depth and the proposals made with them.
#[derive(Clone, Debug)]
pub struct MultiView {
    /// Cameras and points of all photos; photo 0 is the target.
    pub reconstruction: Reconstruction,
    /// The target's depth at its full size.
    pub depth: DepthMap,
    /// One proposal a placed reference; where three or more are placed and the cameras were corrected, a second one as the
    /// cameras were before: which are right differs from place to place.
    pub proposals: Vec<Proposal>,
    /// What the references' own surfaces hide.
    pub visibility: Visibility,
}

/// Each reference as seen from the target's camera. Needs two or more references of a rigid scene; empty where cameras cannot be found.
/// `matches` are between photos, 0 the target, 1 + i reference i, in pixels; the target's must lie outside the hole.
pub fn multi_view_proposals(
    target: &Rgb32FImage,
    mask: &Mask,
    references: &[Rgb32FImage],
    matches: &[PairMatches],
) -> Vec<Proposal> {
    multi_view(target, mask, references, matches).map_or_else(Vec::new, |m| m.proposals)
}

/// As [`multi_view_proposals`], with what they were made from. `None` where cameras or depth cannot be found.
#[tracing::instrument(level = "info", skip_all)]
pub fn multi_view(
    target: &Rgb32FImage,
    mask: &Mask,
    references: &[Rgb32FImage],
    matches: &[PairMatches],
) -> Option<MultiView> {
    if references.len() < 2 {
        return None;
    }
    let photos: Vec<&Rgb32FImage> = std::iter::once(target).chain(references).collect();
    let sizes: Vec<_> = photos.iter().map(|p| p.dimensions()).collect();
    let mut reconstruction = reconstruct(matches, &sizes)?;
    let target_points = reconstruction.points.iter().filter(|p| p.seen.iter().any(|s| s.0 == 0)).count();
    let placed = reconstruction.cameras.iter().flatten().count();
    if reconstruction.cameras[0].is_none() || placed < 3 || target_points < FEWEST_POINTS {
        return None;
    }
    let (mut views, photo_of) = Views::new(&photos, mask, &reconstruction);
    let mut own = Own::new(&views);
    let placed: Vec<&Rgb32FImage> = photo_of.iter().map(|&photo| photos[photo]).collect();
    let sure = (target_points as f32 / SURE_POINTS).min(1.0);
    let through = |views: &Views, own: &Own| seen_through(views, &placed, &photo_of, own, sure);
    let before = if placed.len() > LOOSE + 1 { Some(through(&views, &own)?) } else { None };
    // Cameras that see streaks were placed by what moved, and so would their correction be.
    let is_right = before.as_ref().is_none_or(|(_, proposals)| !proposals.iter().any(is_mostly_streaks));
    let corrected = if is_right { realigned(&views, &placed, &own.surfaces) } else { None };
    let (depth, proposals) = match (corrected, before) {
        (None, Some(before)) => before,
        (None, None) => through(&views, &own)?,
        (Some(corrected), before) => {
            let nearer = nearer(&views, &corrected);
            reconstruction.take(corrected, &photo_of);
            views = Views::new(&photos, mask, &reconstruction).0;
            own = if before.is_some() { own.nearer(nearer) } else { Own::new(&views) };
            let (depth, mut proposals) = through(&views, &own)?;
            proposals.extend(before.into_iter().flat_map(|(_, proposals)| proposals));
            (depth, proposals)
        }
    };
    let surface = |photo: usize| {
        let view = photo_of.iter().position(|&p| p == photo)?;
        Some((views.cameras[view].clone(), own.surfaces[view - 1].clone()?))
    };
    let surfaces = (1..photos.len()).map(surface).collect();
    let visibility = Visibility::new(views.cameras[0].clone(), surfaces);
    Some(MultiView { reconstruction, depth, proposals, visibility })
}

/// The target's depth at its full size, and what each reference shows through it, with confidence times `sure`.
fn seen_through(
    views: &Views,
    placed: &[&Rgb32FImage],
    photo_of: &[usize],
    own: &Own,
    sure: f32,
) -> Option<(DepthMap, Vec<Proposal>)> {
    let coarse = coarse_depth(views, TARGET, &own.surfaces, Some(&own.agreed))?;
    let depth = refined_depth(views, &coarse, FINE_SIDE, &own.surfaces).resized(placed[0].dimensions());
    let depth = settled(views, &depth, &own.surfaces);
    let propose = |view: usize| {
        let mut seen = project::project(views, view, placed[view], &depth, own.surfaces[view - 1].as_ref());
        seen.confidence.iter_mut().for_each(|c| *c *= sure);
        Proposal {
            colour: seen.colour,
            confidence: seen.confidence,
            places: seen.places,
            reference: photo_of[view] - 1,
            kind: ProposalKind::MultiView,
        }
    };
    let proposals = (1..photo_of.len()).map(propose).collect();
    Some((depth, proposals))
}

/// How many times as near the target's points are with corrected cameras: matches fix no scale.
fn nearer(views: &Views, (cameras, positions): &(Vec<Camera>, Vec<Vector3<f64>>)) -> f32 {
    let seen = views.points.iter().zip(positions).filter(|(point, _)| point.seen.iter().any(|(view, _)| *view == 0));
    let before = |point: &SparsePoint| views.cameras[0].local(&point.position).z;
    median(seen.map(|(point, after)| (before(point) / cameras[0].local(after).z) as f32).collect())
}

/// What the references' own depths say.
struct Own {
    /// One a reference.
    surfaces: Vec<Option<Occluder>>,
    /// In the target's hole.
    agreed: Agreed,
}

impl Own {
    fn new(views: &Views) -> Self {
        let depth = |view: usize| coarse_depth(&views.seen_from(view), REFERENCE, &[], None);
        let depths: Vec<_> = (1..views.cameras.len()).into_par_iter().map(depth).collect();
        let surface = |(depth, camera): (&Option<DepthMap>, &Camera)| Some(Occluder::new(depth.as_ref()?, camera.size));
        let surfaces = depths.iter().zip(&views.cameras[1..]).map(surface).collect();
        Self { surfaces, agreed: Agreed::new(views, &depths, TARGET.side) }
    }

    /// Where everything is `by` times as near. The surfaces stay as they are, which serves better (docs/notes/geometry.md, "The scale").
    fn nearer(self, by: f32) -> Self {
        Self { agreed: self.agreed.nearer(by), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_scene::card_before_wall;

    /// Mean difference to the truth within the hole, and the mean confidence there.
    fn in_hole(p: &Proposal, truth: &Rgb32FImage, hole: &Mask) -> (f32, f32) {
        let (mut error, mut confidence, mut count) = (0.0, 0.0, 0.0);
        for (x, y, c) in p.colour.enumerate_pixels().filter(|(x, y, _)| hole.is_hole(*x, *y)) {
            let t = truth.get_pixel(x, y);
            error += c.0.iter().zip(t.0).map(|(a, b)| (a - b).abs()).sum::<f32>() / 3.0;
            confidence += p.confidence.get_pixel(x, y)[0];
            count += 1.0;
        }
        (error / count, confidence / count)
    }

    #[test]
    fn the_hole_is_seen_through_the_references() {
        let scene = card_before_wall();
        let target = Rgb32FImage::from_fn(200, 150, |x, y| {
            if scene.hole.is_hole(x, y) { image::Rgb([1.0; 3]) } else { *scene.photos[0].get_pixel(x, y) }
        });
        let found = multi_view(&target, &scene.hole, &scene.photos[1..], &scene.matches).unwrap();
        assert!(found.reconstruction.rms_px < 0.3, "{} px", found.reconstruction.rms_px);
        let of_each = |r: usize| found.proposals.iter().filter(|p| p.reference == r).count();
        assert_eq!([0, 1, 2].map(of_each), [2; 3], "before and after the cameras were corrected");
        for p in &found.proposals {
            let (error, confidence) = in_hole(p, &scene.photos[0], &scene.hole);
            assert!(
                error < 0.04 && confidence > 0.5,
                "reference {}: error {error}, confidence {confidence}",
                p.reference
            );
        }
    }

    #[test]
    fn without_matches_or_a_second_reference_nothing_is_proposed() {
        let scene = card_before_wall();
        let (target, references) = (&scene.photos[0], &scene.photos[1..]);
        assert!(multi_view_proposals(target, &scene.hole, references, &[]).is_empty());
        assert!(multi_view_proposals(target, &scene.hole, &references[..1], &scene.matches[..1]).is_empty());
    }
}
