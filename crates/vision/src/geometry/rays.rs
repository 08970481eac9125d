//! Rays of one view's pixels and where points along them are seen in another.

use super::camera::{self, Camera};
use crate::linalg::vectorised;
use nalgebra::{Vector2, Vector3};

/// A view's pixel grid at a working size, with rays of unit depth.
#[derive(Clone, Debug)]
pub struct RayGrid {
    /// Grid size.
    pub size: (usize, usize),
    /// Rays in the view's frame, row by row; their depth component is 1.
    pub rays: Vec<[f32; 3]>,
}

impl RayGrid {
    /// The rays of `camera`'s photo sampled on a grid of `size`.
    pub fn new(camera: &Camera, size: (usize, usize)) -> Self {
        let (sx, sy) = (camera.size.0 as f64 / size.0 as f64, camera.size.1 as f64 / size.1 as f64);
        let ray = |i: usize| {
            let (x, y) = ((i % size.0) as f64, (i / size.0) as f64);
            let pixel = Vector2::new((x + 0.5) * sx - 0.5, (y + 0.5) * sy - 0.5);
            let slope = camera.slope(&camera.scaled(&pixel));
            [slope.x as f32, slope.y as f32, 1.0]
        };
        Self { size, rays: (0..size.0 * size.1).map(ray).collect() }
    }
}

/// As the camera has it.
const RADIAL_LIMIT: f32 = camera::RADIAL_LIMIT as f32;

/// Projects points given as a ray of the first camera and an inverse depth into a second camera.
#[derive(Clone, Debug)]
pub struct Projector {
    rotation: [[f32; 3]; 3],
    translation: [f32; 3],
    focal: f32,
    radial: f32,
    decentring: [f32; 2],
    centre: [f32; 2],
    side: f32,
    middle: [f32; 2],
    last: [f32; 2],
}

/// Where a point is seen.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// Pixel in the second photo.
    pub x: f32,
    /// Pixel in the second photo.
    pub y: f32,
    /// Inverse depth there.
    pub inverse_depth: f32,
}

impl Projector {
    /// From `first`'s rays to `second`'s pixels.
    pub fn new(first: &Camera, second: &Camera) -> Self {
        let (r, t): (_, Vector3<f64>) = second.relative_to(first);
        let (w, h) = (second.size.0 as f32, second.size.1 as f32);
        Self {
            rotation: std::array::from_fn(|i| std::array::from_fn(|j| r[(i, j)] as f32)),
            translation: [t.x as f32, t.y as f32, t.z as f32],
            focal: second.focal as f32,
            radial: second.radial as f32,
            decentring: [second.decentring.x as f32, second.decentring.y as f32],
            centre: [second.centre.x as f32, second.centre.y as f32],
            side: second.side() as f32,
            middle: [(w - 1.0) / 2.0, (h - 1.0) / 2.0],
            last: [w - 1.0, h - 1.0],
        }
    }

    /// The point's image; `None` behind the camera or outside the photo.
    #[inline]
    pub fn hit(&self, ray: &[f32; 3], inverse_depth: f32) -> Option<Hit> {
        let axis = |i: usize| {
            let r = &self.rotation[i];
            r[0] * ray[0] + r[1] * ray[1] + r[2] * ray[2] + inverse_depth * self.translation[i]
        };
        let z = axis(2);
        if z <= 1e-4 {
            return None;
        }
        let [x, y] = self.pixel(axis(0) / z, axis(1) / z);
        let inside = x > 0.0 && y > 0.0 && x < self.last[0] && y < self.last[1];
        inside.then_some(Hit { x, y, inverse_depth: inverse_depth / z })
    }

    /// The second photo's pixel for a slope, as [`Camera::image_of_local`] has it.
    #[inline(always)]
    fn pixel(&self, u: f32, v: f32) -> [f32; 2] {
        let square = u * u + v * v;
        let bent = square.min(RADIAL_LIMIT);
        let within = if square > RADIAL_LIMIT { RADIAL_LIMIT / square } else { 1.0 };
        let [p, q] = self.decentring;
        let gain = self.focal * (1.0 + self.radial * bent + 2.0 * within * (p * u + q * v));
        let x = (gain * u + self.focal * p * bent + self.centre[0]) * self.side + self.middle[0];
        let y = (gain * v + self.focal * q * bent + self.centre[1]) * self.side + self.middle[1];
        [x, y]
    }

    /// The same for many points at once, written to `x`, `y` and `inverse` (not numbers where there is no image): the plain loop over
    /// [`Projector::hit`] without its branches, so that it is vectorised.
    pub fn hits(&self, rays: &[[f32; 3]], depths: &[f32], x: &mut [f32], y: &mut [f32], inverse: &mut [f32]) {
        vectorised(|| {
            let outs = x.iter_mut().zip(y).zip(inverse);
            for ((ray, &d), ((x, y), inverse)) in rays.iter().zip(depths).zip(outs) {
                let axis = |i: usize| {
                    let r = &self.rotation[i];
                    r[0] * ray[0] + r[1] * ray[1] + r[2] * ray[2] + d * self.translation[i]
                };
                let z = axis(2);
                [*x, *y] = self.pixel(axis(0) / z, axis(1) / z);
                *inverse = d / z;
                let inside = (z > 1e-4) & (*x > 0.0) & (*y > 0.0) & (*x < self.last[0]) & (*y < self.last[1]);
                *x = if inside { *x } else { f32::NAN };
            }
        });
    }

    /// How many of the second photo's pixels one step of the grid covers, at typical places; 1 where nothing is seen.
    pub fn scale(&self, grid: &RayGrid, inverse_depth: impl Fn(usize) -> f32) -> f32 {
        let (w, h) = grid.size;
        let at = |x: usize, y: usize| {
            let i = y * w + x;
            let d = inverse_depth(i);
            Some((self.hit(&grid.rays[i], d)?, self.hit(&grid.rays[i + 1], d)?, self.hit(&grid.rays[i + w], d)?))
        };
        let places = (0..100).map(|k| ((k % 10 * 2 + 1) * (w - 1) / 20, (k / 10 * 2 + 1) * (h - 1) / 20));
        let scales = places.filter_map(|(x, y)| {
            let (a, b, c) = at(x.min(w - 2), y.min(h - 2))?;
            let area = (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
            Some(area.abs().sqrt())
        });
        let scales: Vec<f32> = scales.collect();
        if scales.is_empty() { 1.0 } else { super::views::median(scales) }
    }
}

/// The pyramid level whose pixels are nearest to `scale` of the finest's.
pub fn level_for(scale: f32, levels: usize) -> usize {
    (scale.max(1e-3).log2().round().max(0.0) as usize).min(levels - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Rotation3;

    #[test]
    fn hits_agree_with_the_cameras_and_scales_with_the_distance() {
        let first = Camera::new((640, 480), 1.0);
        let second = Camera {
            rotation: Rotation3::from_euler_angles(0.02, 0.1, 0.05),
            translation: Vector3::new(-0.3, 0.1, 1.5),
            radial: -0.05,
            decentring: Vector2::new(0.003, -0.004),
            ..Camera::new((800, 600), 0.9)
        };
        let grid = RayGrid::new(&first, (64, 48));
        let projector = Projector::new(&first, &second);
        let ray = grid.rays[20 * 64 + 30];
        let hit = projector.hit(&ray, 0.25).unwrap();
        let local = second.local(&(Vector3::new(ray[0] as f64, ray[1] as f64, 1.0) * 4.0));
        let pixel = second.pixel(&second.image_of_local(&local));
        assert!((hit.x as f64 - pixel.x).abs() < 1e-2 && (hit.y as f64 - pixel.y).abs() < 1e-2);
        assert!((hit.inverse_depth as f64 - 1.0 / local.z).abs() < 1e-5);
        let near = Projector::new(&first, &first).scale(&grid, |_| 0.25);
        assert!((near - 10.0).abs() < 0.01, "{near}");
        assert_eq!((level_for(10.0, 5), level_for(0.5, 5)), (3, 0));
    }

    #[test]
    fn many_points_at_once_are_seen_where_single_ones_are() {
        let turn = Rotation3::from_euler_angles(0.1, 0.5, 0.05);
        let second =
            Camera { rotation: turn, translation: Vector3::new(-0.3, 0.1, -1.5), ..Camera::new((800, 600), 0.9) };
        let first = Camera::new((640, 480), 1.0);
        let (grid, projector) = (RayGrid::new(&first, (64, 48)), Projector::new(&first, &second));
        let depths: Vec<f32> = (0..grid.rays.len()).map(|i| (i * 37 % 101) as f32 / 80.0).collect();
        let mut rows = vec![vec![0.0; depths.len()]; 3];
        let [x, y, inverse] = rows.get_disjoint_mut([0, 1, 2]).expect("three rows");
        projector.hits(&grid.rays, &depths, x, y, inverse);
        let mut seen = 0;
        for (i, ray) in grid.rays.iter().enumerate() {
            match projector.hit(ray, depths[i]) {
                Some(hit) => {
                    seen += 1;
                    assert_eq!((hit.x, hit.y, hit.inverse_depth), (x[i], y[i], inverse[i]));
                }
                None => assert!(x[i].is_nan()),
            }
        }
        assert!(seen > 200 && seen < depths.len(), "{seen}");
    }
}
