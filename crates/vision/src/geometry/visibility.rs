//! Whether a reference can show a point of the target where a map without cameras says it does.
//!
//! A plane carried on beyond its matches knows no occlusion: it pastes the house that stands before the continued wall. Where cameras are
//! known, the two pixels it joins have a depth, and the reference's own surface tells whether something stands before it.

use super::camera::Camera;
use super::occluder::{Occluder, Relation};
use super::rays::Hit;
use nalgebra::{Matrix3, Vector2, Vector3};

/// The target's camera, and those of the references with their surfaces.
#[derive(Clone, Debug)]
pub struct Visibility {
    target: Camera,
    references: Vec<Option<Reference>>,
}

#[derive(Clone, Debug)]
struct Reference {
    camera: Camera,
    own: Occluder,
    rotation: Matrix3<f64>,
    translation: Vector3<f64>,
}

impl Visibility {
    /// `references` are cameras and surfaces where they are known.
    pub(super) fn new(target: Camera, references: Vec<Option<(Camera, Occluder)>>) -> Self {
        let placed = |(camera, own): (Camera, Occluder)| {
            let (rotation, translation) = camera.relative_to(&target);
            Reference { camera, own, rotation, translation }
        };
        let references = references.into_iter().map(|r| r.map(placed)).collect();
        Self { target, references }
    }

    /// Whether something surely stands before the point that is at pixel `at` of the target and at pixel `there` of the reference.
    pub fn hidden(&self, reference: usize, at: Vector2<f64>, there: Vector2<f64>) -> bool {
        let Some(Some(seen_by)) = self.references.get(reference) else { return false };
        let (w, h) = (seen_by.camera.size.0 as f64, seen_by.camera.size.1 as f64);
        if !(there.x > 0.0 && there.y > 0.0 && there.x < w - 1.0 && there.y < h - 1.0) {
            return false;
        }
        let Some(inverse_depth) = self.inverse_depth(seen_by, at, there) else { return false };
        let hit = Hit { x: there.x as f32, y: there.y as f32, inverse_depth: inverse_depth as f32 };
        seen_by.own.relation(&hit) == Relation::Hidden
    }

    /// The point's inverse depth in the reference; `None` where the two rays part.
    fn inverse_depth(&self, r: &Reference, at: Vector2<f64>, there: Vector2<f64>) -> Option<f64> {
        let slope = self.target.slope(&self.target.scaled(&at));
        let (a, t) = (r.rotation * Vector3::new(slope.x, slope.y, 1.0), r.translation);
        let seen = r.camera.slope(&r.camera.scaled(&there));
        // (a + d·t) seen at slope s: s·(a_z + d·t_z) = a_xy + d·t_xy, for d by least squares.
        let factor = seen * t.z - t.xy();
        let d = factor.dot(&(a.xy() - seen * a.z)) / factor.norm_squared().max(1e-12);
        let z = a.z + d * t.z;
        (z > 1e-4).then_some(d.max(0.0) / z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plane;
    use crate::geometry::depth::DepthMap;

    #[test]
    fn a_point_behind_the_references_own_surface_is_hidden() {
        let target = Camera::new((100, 80), 1.0);
        let camera = Camera { translation: Vector3::new(-0.2, 0.0, 0.1), ..target.clone() };
        let plane = |v: f32| Plane::from_pixel(50, 40, image::Luma([v]));
        let (inverse, cost, margin) = (plane(0.5), plane(0.1), plane(0.2));
        let depth = DepthMap { inverse, cost, margin, step: 0.01, range: (0.1, 1.0), motion_px: 50.0 };
        let own = Occluder::new(&depth, (100, 80));
        let visibility = Visibility::new(target.clone(), vec![None, Some((camera.clone(), own))]);
        let hidden = |depth: f64| {
            let point = Vector3::new(0.1, -0.05, 1.0) * depth;
            let pixel = |c: &Camera| c.pixel(&c.image_of_local(&c.local(&point)));
            visibility.hidden(1, pixel(&target), pixel(&camera))
        };
        assert_eq!([1.5, 1.9, 4.0].map(hidden), [false, false, true]);
        assert!(!visibility.hidden(0, Vector2::new(50.0, 40.0), Vector2::new(50.0, 40.0)));
    }
}
