//! Cameras corrected by all that the references show of the target's known part.
//!
//! With two references the matched points, which crowd on texture, leave the cameras loose: what lies at another depth than most of them
//! lands beside its place. So the references are pulled into the target's view through a depth of their own, dense flow says how far
//! that misses the known part, and its places, spread over the picture, are adjusted together with the matched points.

use super::TARGET;
use super::adjust::{AdjustOptions, Lens, Sight, adjust, residual};
use super::camera::Camera;
use super::depth::{DepthMap, coarse_depth};
use super::occluder::Occluder;
use super::project::project;
use super::range::fitted;
use super::triangulate::triangulate;
use super::views::{GREY_SCALE, Views, tone};
use crate::flow::{Flow, FlowOptions, checked_flow, gradients};
use crate::pyramid::{grey, shrink_to};
use crate::resize::{Filter, resize_plane};
use crate::warp::Places;
use crate::{Mask, Plane};
use image::{Luma, Rgb32FImage};
use nalgebra::{Vector2, Vector3};

/// References that leave the cameras loose. With three and more the correction helps at some places and harms at others, so that what
/// was seen before it stays a proposal (docs/notes/geometry.md).
pub const LOOSE: usize = 2;
/// Longer side at which the flow is computed at most, in pixels.
const SIDE: u32 = 1024;
/// Parts of the picture along the longer side, and places taken from each.
const PARTS: u32 = 21;
const PLACES: usize = 8;
/// Fewer places than this correct nothing.
const FEWEST: usize = 24;
/// Confidence from which pixels tell the tone.
const TONE_CONFIDENCE: f32 = 0.3;
/// What a place needs: confidence in the pulled picture, agreement of flow there and back in pixels, gradient.
const CONFIDENCE: f32 = 0.1;
const AGREEMENT_PX: f32 = 0.7;
const GRADIENT: f32 = 0.015;
/// Distance between a triangulated place and its images, in pixels.
const TOLERANCE_PX: f64 = 1.5;
const STEPS: usize = 30;
/// A lens is taken for decentred where that leaves this share of the error or less. Rendered scenes, whose lenses are true, leave 0.994 and more.
const DECENTRED: f64 = 0.975;

/// A point with the views that show it and where, scaled.
type Track = (Vector3<f64>, Vec<(usize, Vector2<f64>)>);

/// The cameras of all views and the places of all points after the correction; `None` where there is nothing to correct by.
/// `photos` are those of the views, in their order.
#[tracing::instrument(level = "info", skip_all)]
pub fn realigned(
    views: &Views,
    photos: &[&Rgb32FImage],
    own: &[Option<Occluder>],
) -> Option<(Vec<Camera>, Vec<Vector3<f64>>)> {
    let known = views.holes[0].as_ref()?;
    let mut unseen = views.clone(); // the target's place must not decide the depth that corrects it
    unseen.holes[0] = Some(Mask::new(known.width(), known.height(), vec![true; known.holes().len()]));
    let depth = coarse_depth(&unseen, TARGET, own, None)?.resized(views.size());
    let spread = Followed::new(&unseen, photos, known, &depth, own).tracks();
    if spread.len() < FEWEST {
        return None;
    }
    let scaled = |seen: &[(usize, Vector2<f64>)]| {
        seen.iter().map(|(view, at)| (*view, views.cameras[*view].scaled(at))).collect::<Vec<_>>()
    };
    let matched = views.points.iter().map(|point| (point.position, scaled(&point.seen)));
    let (mut points, mut sights) = (Vec::new(), Vec::new());
    for (position, seen) in matched.chain(spread) {
        sights.extend(seen.into_iter().map(|(camera, at)| Sight { camera, point: points.len(), at }));
        points.push(position);
    }
    let adjusted = |lens: Lens| {
        let (mut cameras, mut points) = (views.cameras.clone(), points.clone());
        let cost = adjust(&mut cameras, &mut points, &sights, AdjustOptions { fixed: 1, lens, steps: STEPS });
        (cost, cameras, points)
    };
    let (plain, decentred) = (adjusted(Lens::Radial), adjusted(Lens::Decentred));
    let (_, cameras, mut points) = if decentred.0 <= DECENTRED * plain.0 { decentred } else { plain };
    points.truncate(views.points.len());
    Some((cameras, points))
}

/// The references pulled into the target's view and followed from there to what the target shows.
struct Followed<'a> {
    views: &'a Views,
    size: (u32, u32),
    /// One a reference.
    references: Vec<Reference>,
}

struct Reference {
    flow: Flow,
    /// Gradient of the target, a step in grey values a pixel, where the flow is to be believed, else 0.
    worth: Plane,
    /// Where in the reference the pulled picture's pixels are, at the target's size.
    places: Places,
}

impl<'a> Followed<'a> {
    fn new(views: &'a Views, photos: &[&Rgb32FImage], hole: &Mask, depth: &DepthMap, own: &[Option<Occluder>]) -> Self {
        let size = fitted(views.size(), SIDE);
        let size = (size.0 as u32, size.1 as u32);
        let target = grey(&shrink_to(photos[0], size.0, size.1));
        let hole = hole.resized_max(size.0, size.1);
        let known = Plane::from_fn(size.0, size.1, |x, y| Luma([!hole.is_hole(x, y) as u8 as f32]));
        let (across, down) = gradients(&target);
        let follow = |view: usize| {
            let seen = project(views, view, photos[view], depth, own[view - 1].as_ref());
            let confidence = resize_plane(&seen.confidence, size.0, size.1, Filter::Bilinear);
            let shown = toned(grey(&shrink_to(&seen.colour, size.0, size.1)), &target, &known, &confidence);
            let (flow, error) = checked_flow((&target, &known), (&shown, &confidence), &FlowOptions::default());
            let worth = Plane::from_fn(size.0, size.1, |x, y| {
                let at = |plane: &Plane| plane.get_pixel(x, y)[0];
                let sure = at(&known) > 0.0 && at(&confidence) > CONFIDENCE && at(&error) < AGREEMENT_PX;
                let gradient = at(&across).abs() + at(&down).abs();
                Luma([if sure && gradient > GRADIENT { gradient } else { 0.0 }])
            });
            Reference { flow, worth, places: seen.places }
        };
        Self { views, size, references: (1..photos.len()).map(follow).collect() }
    }

    /// Points that two or more references and the target show, a few from each part of the picture.
    fn tracks(&self) -> Vec<Track> {
        let (w, h) = self.size;
        let side = w.max(h).div_ceil(PARTS);
        let parts = (0..h.div_ceil(side)).flat_map(|j| (0..w.div_ceil(side)).map(move |i| (i * side, j * side)));
        parts.flat_map(|part| self.of_part(part, side)).collect()
    }

    fn of_part(&self, (left, top): (u32, u32), side: u32) -> Vec<Track> {
        let worth = |&(x, y): &(u32, u32)| self.references.iter().map(|r| r.worth.get_pixel(x, y)[0]).sum::<f32>();
        let (right, bottom) = ((left + side).min(self.size.0), (top + side).min(self.size.1));
        let pixels = (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y)));
        let mut usable: Vec<_> = pixels.filter(|at| worth(at) > 0.0).collect();
        usable.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
        usable.iter().step_by((usable.len() / PLACES).max(4)).filter_map(|&at| self.track(at)).collect()
    }

    fn track(&self, (x, y): (u32, u32)) -> Option<Track> {
        let mut seen = Vec::new();
        for (reference, view) in self.references.iter().zip(1..) {
            if reference.worth.get_pixel(x, y)[0] == 0.0 {
                continue;
            }
            let flow = [&reference.flow.x, &reference.flow.y].map(|plane| plane.get_pixel(x, y)[0] as f64);
            let from = self.target_pixel(x as f64 + flow[0], y as f64 + flow[1]);
            if let Some(place) = reference.places.between(from.x as f32, from.y as f32) {
                seen.push((view, self.views.cameras[view].scaled(&Vector2::from(place.map(f64::from)))));
            }
        }
        let ray =
            |(view, at): &(usize, Vector2<f64>)| (&self.views.cameras[*view], self.views.cameras[*view].slope(at));
        let rays: Vec<_> = seen.iter().map(ray).collect();
        let position = (rays.len() >= 2).then(|| triangulate(&rays)).flatten()?;
        let fits = |(view, at): &(usize, Vector2<f64>)| {
            let (off, depth) = residual(&self.views.cameras[*view], &position, at);
            off.norm() < TOLERANCE_PX && depth > 0.0
        };
        let target = &self.views.cameras[0];
        let is_one_point = seen.iter().all(fits) && target.local(&position).z > 0.0;
        seen.push((0, target.scaled(&self.target_pixel(x as f64, y as f64))));
        is_one_point.then_some((position, seen))
    }

    /// A place at the flow's size as the target's pixel.
    fn target_pixel(&self, x: f64, y: f64) -> Vector2<f64> {
        let (w, h) = self.views.size();
        let scale = (w as f64 / self.size.0 as f64, h as f64 / self.size.1 as f64);
        Vector2::new((x + 0.5) * scale.0 - 0.5, (y + 0.5) * scale.1 - 0.5)
    }
}

/// The pulled picture in the target's tone.
fn toned(mut shown: Plane, target: &Plane, known: &Plane, confidence: &Plane) -> Plane {
    let both = (0..shown.len()).filter(|&i| known.as_raw()[i] > 0.0 && confidence.as_raw()[i] > TONE_CONFIDENCE);
    let pairs: Vec<_> = both.map(|i| (GREY_SCALE * target.as_raw()[i], GREY_SCALE * shown.as_raw()[i])).collect();
    if let Some((gain, offset)) = tone(&pairs) {
        shown.iter_mut().for_each(|v| *v = gain * *v + offset / GREY_SCALE);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::test_scene::card_before_wall;
    use crate::geometry::{Own, reconstruct};

    /// Mean distance in the target between where its points are seen and where its camera puts them, in pixels.
    fn off(camera: &Camera, positions: &[Vector3<f64>], seen: &[Option<Vector2<f64>>]) -> f64 {
        let points = positions.iter().zip(seen).filter_map(|(position, at)| Some((position, (*at)?)));
        let off: Vec<f64> = points.map(|(position, at)| residual(camera, position, &at).0.norm()).collect();
        off.iter().sum::<f64>() / off.len() as f64
    }

    #[test]
    fn a_camera_that_stands_beside_its_place_finds_back_by_what_it_shows() {
        let scene = card_before_wall();
        let photos: Vec<&Rgb32FImage> = scene.photos[..3].iter().collect();
        let matches: Vec<_> = scene.matches.into_iter().filter(|m| m.pair.1 < 3).collect();
        let mut found = reconstruct(&matches, &[(200, 150); 3]).unwrap();
        let right = found.cameras[0].clone().expect("it was placed");
        let in_target = |seen: &[(usize, Vector2<f64>)]| seen.iter().find(|s| s.0 == 0).map(|s| right.scaled(&s.1));
        let seen: Vec<_> = found.points.iter().map(|p| in_target(&p.seen)).collect();
        found.points.iter_mut().for_each(|p| p.seen.retain(|s| s.0 != 0)); // nothing else says where it stands
        found.cameras[0] = Some(Camera { translation: right.translation + Vector3::new(0.05, 0.02, 0.0), ..right });
        let (views, _) = Views::new(&photos, &scene.hole, &found);
        let positions: Vec<_> = found.points.iter().map(|p| p.position).collect();
        let before = off(&views.cameras[0], &positions, &seen);
        let (cameras, positions) = realigned(&views, &photos, &Own::new(&views).surfaces).unwrap();
        let after = off(&cameras[0], &positions, &seen);
        assert!(cameras.iter().all(|c| c.decentring == Vector2::zeros()), "rendered lenses are true");
        assert!(before > 1.5 && after < 0.25 * before, "{before} to {after} px");
    }
}
