//! Homographies: how the image of a plane, or of everything under a turned camera, moves.

use super::ransac::{Estimate, Problem, RobustOptions, ransac};
use super::{PointPair, apply_affine, homogeneous, normalisations};
use crate::linalg::{LmOptions, levenberg_marquardt, smallest_eigenvector};
use nalgebra::{DMatrix, DVector, Matrix3, SMatrix, SVector, Vector2, Vector3};

/// The homography that most pairs obey, `to ~ H·from`, with residuals measured at `to`.
///
/// H is scaled to |h33| = 1 (where that is not 0), with a positive third coordinate for the points it was found on.
pub fn homography(pairs: &[PointPair], options: &RobustOptions) -> Option<Estimate> {
    let mut estimate = ransac(&Homography, pairs, options)?;
    let kept: Vec<PointPair> = estimate.inliers.iter().map(|&i| pairs[i]).collect();
    estimate.matrix = scaled(estimate.matrix, &kept);
    Some(estimate)
}

/// The weighted least-squares homography: normalised DLT (Hartley and Zisserman, algorithm 4.2), then Levenberg-Marquardt on the
/// transfer error. `None` for fewer than four pairs of positive weight or degenerate ones.
pub fn homography_weighted(pairs: &[PointPair], weights: &[f64]) -> Option<Matrix3<f64>> {
    let h = scaled(direct(pairs, weights)?, pairs);
    Some(scaled(refined(&h, pairs, weights), pairs))
}

/// A point moved by a homography; `None` on or beyond its horizon.
pub fn transfer(h: &Matrix3<f64>, point: &Vector2<f64>) -> Option<Vector2<f64>> {
    let q = h * homogeneous(point);
    (q.z > 1e-12).then(|| q.xy() / q.z)
}

/// Squared distance in pixels between `to` and the moved `from`; infinite beyond the horizon.
pub fn transfer_squared(h: &Matrix3<f64>, pair: &PointPair) -> f64 {
    let q = h * homogeneous(&pair.from);
    if q.z > 1e-12 { (q.xy() / q.z - pair.to).norm_squared() } else { f64::INFINITY }
}

pub(super) struct Homography;

impl Problem for Homography {
    const SAMPLE: usize = 4;

    fn minimal(&self, sample: &[PointPair]) -> Vec<Matrix3<f64>> {
        four_point(sample).into_iter().collect()
    }

    fn fit(&self, pairs: &[PointPair], weights: &[f64], _start: &Matrix3<f64>) -> Option<Matrix3<f64>> {
        let h = scaled(direct(pairs, weights)?, pairs);
        Some(if pairs.len() <= 400 { refined(&h, pairs, weights) } else { h })
    }

    fn squared(&self, model: &Matrix3<f64>, pair: &PointPair) -> f64 {
        transfer_squared(model, pair)
    }
}

/// Exact homography through four pairs by way of the projective basis; `None` where three points are nearly in line or
/// the four would be seen from behind.
fn four_point(sample: &[PointPair]) -> Option<Matrix3<f64>> {
    let (t_from, t_to) = normalisations(sample, &[1.0; 4])?;
    let from: Vec<Vector3<f64>> = sample.iter().map(|p| t_from * homogeneous(&p.from)).collect();
    let to: Vec<Vector3<f64>> = sample.iter().map(|p| t_to * homogeneous(&p.to)).collect();
    if !same_orientation(&from, &to) {
        return None;
    }
    let h = basis(&to)? * basis(&from)?.try_inverse()?;
    let h = t_to.try_inverse()? * h * t_from;
    Some(scaled(h, sample))
}

/// Each of the four triangles must turn the same way in both photos, and none may be flat.
fn same_orientation(from: &[Vector3<f64>], to: &[Vector3<f64>]) -> bool {
    const FLAT: f64 = 0.02;
    let turn =
        |p: &[Vector3<f64>], i: usize, j: usize, k: usize| Matrix3::from_columns(&[p[i], p[j], p[k]]).determinant();
    [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)].into_iter().all(|(i, j, k)| {
        let (a, b) = (turn(from, i, j, k), turn(to, i, j, k));
        a.abs() > FLAT && b.abs() > FLAT && a * b > 0.0
    })
}

/// The matrix that maps the standard projective basis to four points.
fn basis(p: &[Vector3<f64>]) -> Option<Matrix3<f64>> {
    let columns = Matrix3::from_columns(&[p[0], p[1], p[2]]);
    let scale = columns.try_inverse()? * p[3];
    Some(columns * Matrix3::from_diagonal(&scale))
}

/// Normalised DLT.
fn direct(pairs: &[PointPair], weights: &[f64]) -> Option<Matrix3<f64>> {
    if weights.iter().filter(|w| **w > 0.0).count() < 4 {
        return None;
    }
    let (t_from, t_to) = normalisations(pairs, weights)?;
    let mut normal = SMatrix::<f64, 9, 9>::zeros();
    for (pair, &w) in pairs.iter().zip(weights) {
        let (p, q) = (apply_affine(&t_from, &pair.from), apply_affine(&t_to, &pair.to));
        let u = SVector::<f64, 9>::from([p.x, p.y, 1.0, 0.0, 0.0, 0.0, -q.x * p.x, -q.x * p.y, -q.x]);
        let v = SVector::<f64, 9>::from([0.0, 0.0, 0.0, p.x, p.y, 1.0, -q.y * p.x, -q.y * p.y, -q.y]);
        normal.ger(w, &u, &u, 1.0);
        normal.ger(w, &v, &v, 1.0);
    }
    let h = smallest_eigenvector(&normal)?;
    let h = t_to.try_inverse()? * Matrix3::from_row_slice(h.as_slice()) * t_from;
    h.iter().all(|v| v.is_finite()).then_some(h)
}

/// Levenberg-Marquardt on the weighted transfer errors, over the nine entries at unit norm.
fn refined(h: &Matrix3<f64>, pairs: &[PointPair], weights: &[f64]) -> Matrix3<f64> {
    let Some((t_from, t_to)) = normalisations(pairs, weights) else { return *h };
    let (Some(back), Some(from_normal)) = (t_to.try_inverse(), t_from.try_inverse()) else { return *h };
    let start = t_to * h * from_normal;
    let start = start / start.norm();
    let normal: Vec<(Vector3<f64>, Vector2<f64>, f64)> = pairs
        .iter()
        .zip(weights)
        .map(|(p, w)| (t_from * homogeneous(&p.from), apply_affine(&t_to, &p.to), w.sqrt()))
        .collect();
    let evaluate = |x: &DVector<f64>| residuals_and_jacobian(&Matrix3::from_row_slice(x.as_slice()), &normal);
    let options = LmOptions { max_iterations: 10, ..LmOptions::default() };
    let found = levenberg_marquardt(DVector::from_row_slice(start.transpose().as_slice()), evaluate, &options);
    back * Matrix3::from_row_slice(found.x.as_slice()) * t_from
}

fn residuals_and_jacobian(
    h: &Matrix3<f64>,
    points: &[(Vector3<f64>, Vector2<f64>, f64)],
) -> Option<(DVector<f64>, DMatrix<f64>)> {
    let mut residuals = DVector::zeros(2 * points.len());
    let mut jacobian = DMatrix::zeros(2 * points.len(), 9);
    for (i, (p, to, w)) in points.iter().enumerate() {
        let q = h * p;
        if q.z.abs() < 1e-9 {
            return None;
        }
        let moved = q.xy() / q.z;
        for axis in 0..2 {
            let row = 2 * i + axis;
            residuals[row] = w * (moved[axis] - to[axis]);
            for k in 0..3 {
                jacobian[(row, 3 * axis + k)] = w * p[k] / q.z;
                jacobian[(row, 6 + k)] = -w * moved[axis] * p[k] / q.z;
            }
        }
    }
    Some((residuals, jacobian))
}

/// Scaled to |h33| = 1 with the points in front.
fn scaled(h: Matrix3<f64>, pairs: &[PointPair]) -> Matrix3<f64> {
    let front: f64 = pairs.iter().map(|p| (h * homogeneous(&p.from)).z.signum()).sum();
    let sign = if front < 0.0 { -1.0 } else { 1.0 };
    let size = if h[(2, 2)].abs() > 1e-9 * h.norm() { h[(2, 2)].abs() } else { h.norm() };
    h * (sign / size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robust::test_pairs::{noisy_pairs, with_outliers};

    fn truth() -> Matrix3<f64> {
        Matrix3::new(0.9, 0.1, 30.0, -0.12, 1.05, -20.0, 2e-4, -1e-4, 1.0)
    }

    #[test]
    fn four_exact_pairs_give_the_exact_homography() {
        let pairs = noisy_pairs(4, 0.0, 3, |p| transfer(&truth(), p).unwrap());
        let h = four_point(&pairs).expect("a sample in general position");
        assert!((h - truth()).norm() < 1e-6, "{h}");
    }

    #[test]
    fn least_squares_averages_noise() {
        let pairs = noisy_pairs(500, 1.0, 4, |p| transfer(&truth(), p).unwrap());
        let h = homography_weighted(&pairs, &vec![1.0; 500]).unwrap();
        let clean = noisy_pairs(200, 0.0, 5, |p| transfer(&truth(), p).unwrap());
        let rms = (clean.iter().map(|p| transfer_squared(&h, p)).sum::<f64>() / 200.0).sqrt();
        assert!(rms < 0.2, "{rms} px");
    }

    #[test]
    fn three_quarters_of_wrong_pairs_do_no_harm() {
        let pairs = with_outliers(noisy_pairs(100, 0.5, 6, |p| transfer(&truth(), p).unwrap()), 300, 7);
        let found = homography(&pairs, &RobustOptions { best_first: false, ..Default::default() }).unwrap();
        assert!(found.inliers.iter().filter(|&&i| i < 100).count() >= 98);
        assert!(found.inliers.iter().filter(|&&i| i >= 100).count() <= 6);
        assert!((0..100).all(|i| transfer_squared(&found.matrix, &pairs[i]) < 9.0));
    }

    #[test]
    fn the_same_seed_gives_the_same_bits() {
        let pairs = with_outliers(noisy_pairs(60, 0.5, 8, |p| transfer(&truth(), p).unwrap()), 60, 9);
        let run = || homography(&pairs, &RobustOptions { seed: 5, ..Default::default() }).unwrap().matrix;
        assert_eq!(run(), run());
    }

    #[test]
    fn points_in_line_or_too_few_have_no_homography() {
        let line = noisy_pairs(50, 0.0, 10, |p| *p)
            .iter()
            .map(|p| PointPair::new([p.from.x, 5.0], [p.to.x, 5.0]))
            .collect::<Vec<_>>();
        assert!(homography(&line, &RobustOptions::default()).is_none());
        assert!(homography(&line[..3], &RobustOptions::default()).is_none());
    }
}
