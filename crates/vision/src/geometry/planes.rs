//! Planes among the reconstructed points: surfaces whose slant the sweep's windows should follow.

use nalgebra::{Matrix3, Vector3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Planes looked for.
const MOST: usize = 6;
/// Points that a plane needs.
const FEWEST: usize = 12;
const SAMPLES: usize = 800;
/// Neighbours that half of the samples are drawn from: a plane's points lie together.
const NEIGHBOURS: usize = 40;

/// A point as a view sees it.
#[derive(Clone, Copy, Debug)]
pub struct InverseDepth {
    /// Its ray of unit depth.
    pub ray: Vector3<f64>,
    /// Its inverse depth.
    pub inverse: f64,
    /// Pixels that its image moves in some other photo for one unit of inverse depth: how well its depth is known.
    pub motion_px: f64,
}

/// Planes as `q` with `inverse depth = q·ray`, best supported first. `tolerance` is in pixels of motion.
pub fn planes(points: &[InverseDepth], tolerance: f64) -> Vec<Vector3<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut left: Vec<InverseDepth> = points.to_vec();
    let mut found = Vec::new();
    while found.len() < MOST && left.len() >= 20 {
        let Some(plane) = best_plane(&left, tolerance, &mut rng) else { break };
        let support = left.iter().filter(|p| distance(&plane, p) < tolerance).count();
        if support < FEWEST.max(points.len() / 40) {
            break;
        }
        left.retain(|p| distance(&plane, p) >= 2.0 * tolerance);
        found.push(plane);
    }
    found
}

/// How far the point's image is from where the plane has it, in pixels.
fn distance(plane: &Vector3<f64>, point: &InverseDepth) -> f64 {
    (plane.dot(&point.ray) - point.inverse).abs() * point.motion_px
}

fn best_plane(points: &[InverseDepth], tolerance: f64, rng: &mut ChaCha8Rng) -> Option<Vector3<f64>> {
    let mut best: Option<(usize, Vector3<f64>)> = None;
    for i in 0..SAMPLES {
        let near = if i % 2 == 0 { nearest(points, rng.random_range(0..points.len())) } else { Vec::new() };
        let mut draw = || {
            let k = rng.random_range(0..if near.is_empty() { points.len() } else { near.len() });
            if near.is_empty() { points[k] } else { points[near[k]] }
        };
        let Some(plane) = through(&[draw(), draw(), draw()]) else { continue };
        let support = points.iter().filter(|p| distance(&plane, p) < tolerance).count();
        if best.as_ref().is_none_or(|b| support > b.0) {
            best = Some((support, plane));
        }
    }
    let mut plane = best?.1;
    for _ in 0..3 {
        plane = fit(points.iter().filter(|p| distance(&plane, p) < 1.5 * tolerance)).unwrap_or(plane);
    }
    Some(plane)
}

fn nearest(points: &[InverseDepth], centre: usize) -> Vec<usize> {
    let far = |i: &usize| (points[*i].ray - points[centre].ray).norm_squared();
    let mut order: Vec<usize> = (0..points.len()).collect();
    let count = NEIGHBOURS.min(order.len() - 1);
    order.select_nth_unstable_by(count, |a, b| far(a).total_cmp(&far(b)));
    order.truncate(count);
    order
}

fn through(sample: &[InverseDepth; 3]) -> Option<Vector3<f64>> {
    let rows = Matrix3::from_rows(&[sample[0].ray.transpose(), sample[1].ray.transpose(), sample[2].ray.transpose()]);
    let plane = rows.try_inverse()? * Vector3::new(sample[0].inverse, sample[1].inverse, sample[2].inverse);
    plane.iter().all(|v| v.is_finite()).then_some(plane)
}

fn fit<'a>(points: impl Iterator<Item = &'a InverseDepth>) -> Option<Vector3<f64>> {
    let (a, b) = points.fold((Matrix3::zeros(), Vector3::zeros()), |(a, b), p| {
        let w = p.motion_px * p.motion_px;
        (a + p.ray * p.ray.transpose() * w, b + p.ray * (p.inverse * w))
    });
    a.try_inverse().map(|inverse| inverse * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_and_a_wall_are_told_apart() {
        let (floor, wall) = (Vector3::new(0.0, 0.5, 0.02), Vector3::new(0.1, 0.0, 0.2));
        let point = |i: usize| {
            let ray = Vector3::new((i * 17 % 101) as f64 / 101.0 - 0.5, (i * 31 % 97) as f64 / 97.0 - 0.5, 1.0);
            let inverse = match i % 5 {
                0 => 0.05 + (i * 7 % 13) as f64 / 30.0,
                1 | 2 => wall.dot(&ray),
                _ => floor.dot(&ray),
            };
            InverseDepth { ray, inverse, motion_px: 500.0 }
        };
        let points: Vec<_> = (0..400).map(point).collect();
        let found = planes(&points, 2.0);
        for wanted in [floor, wall] {
            assert!(found.iter().any(|p| (p - wanted).norm() < 0.02), "{found:?}");
        }
    }

    #[test]
    fn few_points_make_no_plane() {
        assert!(planes(&[InverseDepth { ray: Vector3::z(), inverse: 0.2, motion_px: 500.0 }; 10], 2.0).is_empty());
    }
}
