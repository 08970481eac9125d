//! Which depths a view's sweep must search, from the reconstructed points.

use super::planes::InverseDepth;
use super::rays::{Projector, RayGrid};
use super::views::{Views, median};
use nalgebra::Vector3;

/// A point in the first view's frame.
pub struct SeenPoint {
    /// Its ray of unit depth.
    pub ray: Vector3<f64>,
    /// Its inverse depth.
    pub inverse: f64,
    /// Widest angle between its rays.
    pub parallax_degrees: f64,
}

/// Points in front of the first view and (nearly) within its picture.
pub fn seen_points(views: &Views) -> Vec<SeenPoint> {
    let camera = &views.cameras[0];
    let (w, h) = (camera.size.0 as f64, camera.size.1 as f64);
    let seen = views.points.iter().filter_map(|p| {
        let local = camera.local(&p.position);
        let pixel = camera.pixel(&camera.image_of_local(&local));
        let near = |v: f64, n: f64| v > -0.05 * n && v < 1.05 * n;
        (local.z > 0.0 && near(pixel.x, w) && near(pixel.y, h)).then(|| SeenPoint {
            ray: local / local.z,
            inverse: 1.0 / local.z,
            parallax_degrees: p.parallax_degrees,
        })
    });
    seen.collect()
}

/// The inverse depths to search, with the motion over them; the nearest points are given up while the motion is over `most_px`.
pub fn depth_range(views: &Views, points: &[SeenPoint], most_px: f32) -> Option<((f32, f32), f32)> {
    let mut angles: Vec<f64> = points.iter().map(|p| p.parallax_degrees).collect();
    angles.sort_by(f64::total_cmp);
    let enough = (0.5 * angles.get(angles.len() / 2)?).min(1.0);
    let mut sure: Vec<f64> = points.iter().filter(|p| p.parallax_degrees > enough).map(|p| p.inverse).collect();
    let mut all: Vec<f64> = points.iter().map(|p| p.inverse).collect();
    if sure.len() < 12 {
        return None;
    }
    sure.sort_by(f64::total_cmp);
    all.sort_by(f64::total_cmp);
    let at = |v: &[f64], share: f64| v[((v.len() - 1) as f64 * share).round() as usize];
    let low = at(&sure, 0.01).min(at(&all, 0.03));
    let mut result = None;
    for share in [0.996, 0.99, 0.98, 0.96, 0.93, 0.9] {
        let span = at(&sure, share) - low;
        let range = ((low - 0.1 * span - 0.1 * low).max(0.0) as f32, (at(&sure, share) + 0.1 * span) as f32);
        if range.1.is_nan() || range.1 <= range.0 {
            return None;
        }
        let motion = motion_px(views, range);
        result = Some((range, motion));
        if motion <= most_px {
            break;
        }
    }
    result
}

/// How far the image moves in the photo that moves most while the inverse depth runs over the range, in the first view's pixels.
fn motion_px(views: &Views, (low, high): (f32, f32)) -> f32 {
    const PIECES: usize = 16;
    let grid = RayGrid::new(&views.cameras[0], fitted(views.size(), 64));
    let piece = (high - low) / 512.0;
    let motion = |camera| {
        let projector = Projector::new(&views.cameras[0], camera);
        let relative = views.cameras[0].side() as f32 / camera.side() as f32;
        let moved = (0..PIECES).filter_map(|k| {
            let d = low + k as f32 * (high - low) / PIECES as f32;
            let step = |ray| {
                let (a, b) = (projector.hit(ray, d)?, projector.hit(ray, d + piece)?);
                Some((a.x - b.x).hypot(a.y - b.y))
            };
            let mut steps: Vec<f32> = grid.rays.iter().filter_map(step).collect();
            let at = steps.len() * 3 / 4;
            (!steps.is_empty()).then(|| *steps.select_nth_unstable_by(at, f32::total_cmp).1 * 512.0 * relative)
        });
        median(moved.collect())
    };
    views.cameras[1..].iter().map(motion).fold(16.0, f32::max)
}

/// The points with how far each one's image moves in the photo that moves most, where that is enough to tell depths.
pub fn moving_points(views: &Views, points: &[SeenPoint]) -> Vec<InverseDepth> {
    let projectors: Vec<_> = views.cameras[1..].iter().map(|c| Projector::new(&views.cameras[0], c)).collect();
    let moving = |p: &SeenPoint| {
        let (ray, d) = ([p.ray.x as f32, p.ray.y as f32, 1.0], p.inverse as f32);
        let piece = 0.01 * d.max(1e-3);
        let motion = |projector: &Projector| {
            let (a, b) = (projector.hit(&ray, d)?, projector.hit(&ray, d + piece)?);
            Some(((a.x - b.x).hypot(a.y - b.y) / piece) as f64)
        };
        let motion_px = projectors.iter().filter_map(motion).fold(0.0, f64::max);
        InverseDepth { ray: p.ray, inverse: p.inverse, motion_px }
    };
    let all: Vec<_> = points.iter().map(moving).collect();
    let typical = median(all.iter().map(|p| p.motion_px as f32).collect()) as f64;
    all.into_iter().filter(|p| p.motion_px > 0.2 * typical).collect()
}

/// `size` shrunk to the longer side, if it is larger.
pub fn fitted(size: (u32, u32), side: u32) -> (usize, usize) {
    let scale = (side as f64 / size.0.max(size.1) as f64).min(1.0);
    let fit = |n: u32| ((n as f64 * scale).round() as usize).max(8);
    (fit(size.0), fit(size.1))
}
