//! The pose of a camera from points whose place is known: three-point samples (Grunert's quartic, as in Haralick et al. 1994), scored on all.

use nalgebra::{Complex, Matrix3, Rotation3, Vector2, Vector3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Samples at most; stops early when a clean one must have been drawn.
const SAMPLES: usize = 1500;

/// A pose with its supporters.
#[derive(Clone, Debug)]
pub struct Resection {
    /// Turns world vectors into the camera's frame.
    pub rotation: Rotation3<f64>,
    /// The world's origin in the camera's frame.
    pub translation: Vector3<f64>,
    /// Points that are seen within the tolerance.
    pub inliers: usize,
    /// Sum of gains, 1 for an exact point.
    pub score: f64,
}

/// The pose from which most `points` are seen at their `slopes`; `tolerance` in slope units. `None` for fewer than 8 supporters.
pub fn resection(points: &[Vector3<f64>], slopes: &[Vector2<f64>], tolerance: f64, seed: u64) -> Option<Resection> {
    if points.len() < 8 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut best, mut drawn, mut needed): (Option<Resection>, usize, usize) = (None, 0, SAMPLES);
    while drawn < needed {
        drawn += 1;
        let sample: [usize; 3] = std::array::from_fn(|_| rng.random_range(0..points.len()));
        for (rotation, translation) in three_point(sample.map(|i| points[i]), sample.map(|i| slopes[i])) {
            let found = scored(rotation, translation, points, slopes, tolerance);
            if best.as_ref().is_none_or(|b| found.score > b.score) {
                let clean = (found.inliers as f64 / points.len() as f64).powi(3).clamp(1e-6, 0.999_999);
                needed = SAMPLES.min(drawn + (-9.0 / (1.0 - clean).ln()) as usize);
                best = Some(found);
            }
        }
    }
    best.filter(|b| b.inliers >= 8)
}

fn scored(
    rotation: Rotation3<f64>,
    translation: Vector3<f64>,
    points: &[Vector3<f64>],
    slopes: &[Vector2<f64>],
    tolerance: f64,
) -> Resection {
    let (mut inliers, mut score) = (0, 0.0);
    for (point, slope) in points.iter().zip(slopes) {
        let local = rotation * point + translation;
        if local.z > 1e-9 {
            let gain = 1.0 - ((local.xy() / local.z - slope).norm() / tolerance).powi(2);
            inliers += (gain > 0.0) as usize;
            score += gain.max(0.0);
        }
    }
    Resection { rotation, translation, inliers, score }
}

/// All poses that see three points along three rays.
fn three_point(p: [Vector3<f64>; 3], slopes: [Vector2<f64>; 3]) -> Vec<(Rotation3<f64>, Vector3<f64>)> {
    let j = slopes.map(|s| s.push(1.0).normalize());
    let (a2, b2, c2) = ((p[1] - p[2]).norm_squared(), (p[0] - p[2]).norm_squared(), (p[0] - p[1]).norm_squared());
    if a2.min(b2).min(c2) < 1e-12 {
        return Vec::new();
    }
    let (cos_a, cos_b, cos_c) = (j[1].dot(&j[2]), j[0].dot(&j[2]), j[0].dot(&j[1]));
    let (minus, plus, a, c) = ((a2 - c2) / b2, (a2 + c2) / b2, a2 / b2, c2 / b2);
    let coefficients = [
        (1.0 + minus).powi(2) - 4.0 * a * cos_c * cos_c,
        4.0 * (-minus * (1.0 + minus) * cos_b + 2.0 * a * cos_c * cos_c * cos_b - (1.0 - plus) * cos_a * cos_c),
        2.0 * (minus * minus - 1.0 + 2.0 * minus * minus * cos_b * cos_b + 2.0 * (1.0 - c) * cos_a * cos_a
            - 4.0 * plus * cos_a * cos_b * cos_c
            + 2.0 * (1.0 - a) * cos_c * cos_c),
        4.0 * (minus * (1.0 - minus) * cos_b - (1.0 - plus) * cos_a * cos_c + 2.0 * c * cos_a * cos_a * cos_b),
        (minus - 1.0).powi(2) - 4.0 * c * cos_a * cos_a,
    ];
    let distances = quartic_roots(coefficients).into_iter().filter(|v| *v > 0.0).filter_map(|v| {
        let below = 2.0 * (cos_c - v * cos_a);
        let u = ((minus - 1.0) * v * v - 2.0 * minus * cos_b * v + 1.0 + minus) / below;
        let first = (b2 / (1.0 + v * v - 2.0 * v * cos_b)).sqrt();
        (u > 0.0 && u.is_finite() && first.is_finite()).then_some([first, u * first, v * first])
    });
    distances.filter_map(|d| align(&p, &[j[0] * d[0], j[1] * d[1], j[2] * d[2]])).collect()
}

/// The rigid motion that takes three points to three others.
fn align(from: &[Vector3<f64>; 3], to: &[Vector3<f64>; 3]) -> Option<(Rotation3<f64>, Vector3<f64>)> {
    let frame = |p: &[Vector3<f64>; 3]| {
        let x = (p[1] - p[0]).try_normalize(1e-9)?;
        let z = x.cross(&(p[2] - p[0])).try_normalize(1e-9)?;
        Some(Matrix3::from_columns(&[x, z.cross(&x), z]))
    };
    let rotation = Rotation3::from_matrix_unchecked(frame(to)? * frame(from)?.transpose());
    Some((rotation, to[0] - rotation * from[0]))
}

/// Real roots of `c[0] + … + c[4]·x⁴` (Durand and Kerner's iteration).
fn quartic_roots(c: [f64; 5]) -> Vec<f64> {
    let size = c.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if c[4].abs() < 1e-12 * size || !size.is_finite() {
        return Vec::new();
    }
    let monic: [f64; 4] = std::array::from_fn(|i| c[i] / c[4]);
    let value = |x: Complex<f64>| monic.iter().rev().fold(Complex::new(1.0, 0.0), |sum, &k| sum * x + k);
    let mut roots: [Complex<f64>; 4] = std::array::from_fn(|i| Complex::new(0.4, 0.9).powu(i as u32));
    for _ in 0..60 {
        for i in 0..4 {
            let others = (0..4).filter(|&k| k != i).fold(Complex::new(1.0, 0.0), |p, k| p * (roots[i] - roots[k]));
            let step = value(roots[i]) / others;
            if step.re.is_finite() && step.im.is_finite() {
                roots[i] -= step;
            }
        }
    }
    roots.into_iter().filter(|r| r.im.abs() < 1e-5 * (1.0 + r.re.abs())).map(|r| r.re).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_placed_among_wrong_points() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let rotation = Rotation3::from_euler_angles(0.3, -0.4, 1.2);
        let translation = Vector3::new(0.4, -0.2, 0.6);
        let points: Vec<_> = (0..120)
            .map(|_| Vector3::new(rng.random::<f64>() - 0.5, rng.random::<f64>() - 0.5, 2.0 + rng.random::<f64>()))
            .collect();
        let slopes: Vec<_> = points
            .iter()
            .enumerate()
            .map(|(i, p)| {
                let q = rotation * p + translation;
                let wrong = if i % 3 == 0 { 0.3 } else { 1e-4 };
                q.xy() / q.z + Vector2::new(rng.random::<f64>() - 0.5, rng.random::<f64>() - 0.5) * wrong
            })
            .collect();
        let found = resection(&points, &slopes, 3e-3, 1).unwrap();
        assert!(found.inliers >= 78 && found.rotation.angle_to(&rotation) < 0.01);
        assert!((found.translation - translation).norm() < 0.02, "{}", found.translation);
    }

    #[test]
    fn roots_of_a_quartic_are_all_found() {
        let mut roots = quartic_roots([24.0, -50.0, 35.0, -10.0, 1.0]);
        roots.sort_by(f64::total_cmp);
        assert!(roots.iter().zip([1.0, 2.0, 3.0, 4.0]).all(|(a, b)| (a - b).abs() < 1e-6) && roots.len() == 4);
    }
}
