//! What a photo's own depth says about points of another view: on its surface, behind it, or in front of it where it sees through.

use super::depth::DepthMap;
use super::rays::Hit;
use crate::Plane;

/// Depths agree within this many of the photo's own depth steps.
const TOLERANCE_STEPS: f32 = 2.5;
/// A depth is believed when its lead over other depths is above this. Textured places have 0.1 and more, flat ones 0.02.
const SURE_MARGIN: f32 = 0.04;
/// And when photos agree on it: paving and leaves have leads by chance, at costs of 0.5 and more.
const SURE_COST: f32 = 0.42;

/// How a point lies to a photo's surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// On it.
    On,
    /// Behind it, which is sure: the photo shows something else there.
    Hidden,
    /// Behind it, as far as the photo's depth is known, which is not well enough.
    Behind,
    /// In front of it, which is sure: the photo would have seen the point instead.
    Through,
    /// The photo's depth is not known well enough.
    Unknown,
}

/// A photo's surface with the slack of a pixel to each side.
#[derive(Clone, Debug)]
pub struct Occluder {
    far: Plane,
    near: Plane,
    sure: Vec<bool>,
    scale: (f32, f32),
    tolerance: f32,
}

impl Occluder {
    /// From the photo's depth and its size in pixels.
    pub fn new(depth: &DepthMap, photo: (u32, u32)) -> Self {
        let (w, h) = depth.inverse.dimensions();
        Self {
            far: extreme(&depth.inverse, f32::min),
            near: extreme(&depth.inverse, f32::max),
            sure: depth.margin.iter().zip(depth.cost.iter()).map(|(&m, &c)| m > SURE_MARGIN && c < SURE_COST).collect(),
            scale: (w as f32 / photo.0 as f32, h as f32 / photo.1 as f32),
            tolerance: TOLERANCE_STEPS * depth.step,
        }
    }

    /// How a point seen at `hit` lies.
    #[inline]
    pub fn relation(&self, hit: &Hit) -> Relation {
        let (w, h) = self.far.dimensions();
        let x = (((hit.x + 0.5) * self.scale.0) as usize).min(w as usize - 1);
        let y = (((hit.y + 0.5) * self.scale.1) as usize).min(h as usize - 1);
        let at = y * w as usize + x;
        if hit.inverse_depth < self.far.as_raw()[at] - self.tolerance {
            if self.sure[at] { Relation::Hidden } else { Relation::Behind }
        } else if hit.inverse_depth <= self.near.as_raw()[at] + self.tolerance {
            Relation::On
        } else if self.sure[at] {
            Relation::Through
        } else {
            Relation::Unknown
        }
    }
}

/// The least or greatest of 3×3 pixels.
fn extreme(plane: &Plane, pick: fn(f32, f32) -> f32) -> Plane {
    let (w, h) = plane.dimensions();
    Plane::from_fn(w, h, |x, y| {
        let mut value = plane.get_pixel(x, y)[0];
        for v in y.saturating_sub(1)..=(y + 1).min(h - 1) {
            for u in x.saturating_sub(1)..=(x + 1).min(w - 1) {
                value = pick(value, plane.get_pixel(u, v)[0]);
            }
        }
        image::Luma([value])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_before_on_and_behind_a_surface_are_told_apart() {
        let plane = |v: f32| Plane::from_pixel(8, 6, image::Luma([v]));
        let depth = |margin| DepthMap {
            inverse: plane(0.5),
            cost: plane(0.1),
            margin: plane(margin),
            step: 0.01,
            range: (0.1, 1.0),
            motion_px: 100.0,
        };
        let hit = |inverse_depth| Hit { x: 40.0, y: 30.0, inverse_depth };
        let sure = Occluder::new(&depth(0.2), (80, 60));
        assert_eq!(
            [0.4, 0.51, 0.7].map(|d| sure.relation(&hit(d))),
            [Relation::Hidden, Relation::On, Relation::Through]
        );
        let unsure = Occluder::new(&depth(0.001), (80, 60));
        assert_eq!([0.4, 0.7].map(|d| unsure.relation(&hit(d))), [Relation::Behind, Relation::Unknown]);
    }
}
