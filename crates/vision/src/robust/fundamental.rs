//! Fundamental matrices: what two photos of a rigid scene have in common whatever its depth, `toᵀ·F·from = 0`.

use super::homography::{Homography, transfer_squared};
use super::ransac::{Estimate, Problem, RobustOptions, ransac};
use super::{PointPair, apply_affine, homogeneous, normalisations};
use crate::linalg::{cubic_roots, null_space_7x9, smallest_eigenvector};
use nalgebra::{Matrix3, SMatrix, SVector, Vector3};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Samples for the plane that most pairs lie on; it only serves proposals.
const PLANE_SAMPLES: usize = 500;

/// The fundamental matrix that most pairs obey, of rank 2 and norm 1; distances are Sampson's, in pixels.
///
/// Besides seven-point samples it tries plane-and-parallax ones (the dominant homography and two pairs off its plane, as in
/// DEGENSAC, Chum, Werner and Matas 2005), so that a scene that is mostly one plane does not decide the epipoles by noise.
pub fn fundamental(pairs: &[PointPair], options: &RobustOptions) -> Option<Estimate> {
    let plane_options = RobustOptions { max_iterations: PLANE_SAMPLES, ..options.clone() };
    let plane = ransac(&Homography, pairs, &plane_options).map(|e| e.matrix);
    let off_plane = plane.map_or(Vec::new(), |h| {
        let far = (3.0 * options.threshold_px).powi(2);
        (0..pairs.len()).filter(|&i| transfer_squared(&h, &pairs[i]) > far).collect()
    });
    let mut estimate = ransac(&Fundamental { plane, off_plane }, pairs, options)?;
    estimate.matrix /= estimate.matrix.norm();
    Some(estimate)
}

/// Squared Sampson distance of a pair, in pixels squared (Hartley and Zisserman, equation 11.9).
pub fn sampson_squared(f: &Matrix3<f64>, pair: &PointPair) -> f64 {
    let (value, slope) = algebraic(f, pair);
    if slope > 0.0 { value * value / slope } else { f64::INFINITY }
}

/// The epipoles (in the first and the second photo) as unit homogeneous vectors: `F·e = 0`, `Fᵀ·e' = 0`.
pub fn epipoles(f: &Matrix3<f64>) -> (Vector3<f64>, Vector3<f64>) {
    let null = |m: Matrix3<f64>| smallest_eigenvector(&(m.transpose() * m)).unwrap_or_else(Vector3::z);
    (null(*f), null(f.transpose()))
}

/// `toᵀ·F·from` and the squared length of its gradient.
#[inline]
fn algebraic(f: &Matrix3<f64>, pair: &PointPair) -> (f64, f64) {
    let line = f * homogeneous(&pair.from);
    let back = f.tr_mul(&homogeneous(&pair.to));
    let value = pair.to.x * line.x + pair.to.y * line.y + line.z;
    (value, line.x * line.x + line.y * line.y + back.x * back.x + back.y * back.y)
}

struct Fundamental {
    plane: Option<Matrix3<f64>>,
    off_plane: Vec<usize>,
}

impl Problem for Fundamental {
    const SAMPLE: usize = 7;

    fn minimal(&self, sample: &[PointPair]) -> Vec<Matrix3<f64>> {
        let models = seven_point(sample).unwrap_or_default();
        models.into_iter().filter(|f| one_side(f, sample)).collect()
    }

    fn proposal(&self, pairs: &[PointPair], rng: &mut ChaCha8Rng) -> Option<Matrix3<f64>> {
        let h = self.plane.filter(|_| self.off_plane.len() >= 2)?;
        let mut line = || {
            let pair = &pairs[self.off_plane[rng.random_range(0..self.off_plane.len())]];
            (h * homogeneous(&pair.from)).cross(&homogeneous(&pair.to)).normalize()
        };
        let epipole = line().cross(&line());
        (epipole.norm() > 1e-6).then(|| epipole.normalize().cross_matrix() * h)
    }

    fn fit(&self, pairs: &[PointPair], weights: &[f64], start: &Matrix3<f64>) -> Option<Matrix3<f64>> {
        // Dividing by the gradient at the last model turns algebraic errors into Sampson's.
        let sampson: Vec<f64> = pairs.iter().zip(weights).map(|(p, w)| w / algebraic(start, p).1.max(1e-300)).collect();
        eight_point(pairs, &sampson, weights)
    }

    fn squared(&self, model: &Matrix3<f64>, pair: &PointPair) -> f64 {
        sampson_squared(model, pair)
    }
}

/// One equation of `toᵀ·F·from = 0` in F's entries, row by row.
fn equation(from: [f64; 2], to: [f64; 2]) -> SVector<f64, 9> {
    let ([x, y], [u, v]) = (from, to);
    SVector::from([u * x, u * y, u, v * x, v * y, v, x, y, 1.0])
}

/// Up to three matrices through seven pairs (Hartley and Zisserman, section 11.1.2).
fn seven_point(sample: &[PointPair]) -> Option<Vec<Matrix3<f64>>> {
    let (t_from, t_to) = normalisations(sample, &[1.0; 7])?;
    let mut equations = SMatrix::<f64, 7, 9>::zeros();
    for (i, pair) in sample.iter().enumerate() {
        let row = equation(apply_affine(&t_from, &pair.from).into(), apply_affine(&t_to, &pair.to).into());
        equations.set_row(i, &row.transpose());
    }
    let [a, b] = null_space_7x9(equations)?.map(|v| Matrix3::from_row_slice((v / v.norm()).as_slice()));
    // det(a + x·b) is a cubic in x: its values at four places give its coefficients.
    let det = |x: f64| (a + b * x).determinant();
    let (d0, d3) = (a.determinant(), b.determinant());
    let (sum, difference) = (0.5 * (det(1.0) + det(-1.0)), 0.5 * (det(1.0) - det(-1.0)));
    let roots = cubic_roots([d0, difference - d3, sum - d0, d3]);
    let f = |x: f64| t_to.transpose() * (a + b * x) * t_from;
    Some(roots.into_iter().map(f).filter(|f| f.norm() > 0.0).map(|f| f / f.norm()).collect())
}

/// Oriented epipolar constraint: all points of a rigid scene lie in front of both cameras (Chum, Werner and Matas 2004).
fn one_side(f: &Matrix3<f64>, sample: &[PointPair]) -> bool {
    let (_, epipole) = epipoles_by_cross(f);
    let side = |p: &PointPair| epipole.cross(&homogeneous(&p.to)).dot(&(f * homogeneous(&p.from)));
    sample.iter().all(|p| side(p) > 0.0) || sample.iter().all(|p| side(p) < 0.0)
}

/// Null vectors of a rank-2 matrix as the longest cross product of rows (right) and columns (left); not normalised.
fn epipoles_by_cross(f: &Matrix3<f64>) -> (Vector3<f64>, Vector3<f64>) {
    let longest = |m: Matrix3<f64>| {
        let c = |i: usize, j: usize| m.column(i).cross(&m.column(j));
        [c(0, 1), c(0, 2), c(1, 2)]
            .into_iter()
            .max_by(|a, b| a.norm_squared().total_cmp(&b.norm_squared()))
            .expect("three products")
    };
    (longest(f.transpose()), longest(*f))
}

/// Normalised eight-point algorithm with weights, made of rank 2. `spread` weights the normalisation.
fn eight_point(pairs: &[PointPair], weights: &[f64], spread: &[f64]) -> Option<Matrix3<f64>> {
    let (t_from, t_to) = normalisations(pairs, spread)?;
    let largest = weights.iter().cloned().fold(0.0, f64::max);
    let mut normal = SMatrix::<f64, 9, 9>::zeros();
    for (pair, w) in pairs.iter().zip(weights) {
        let row = equation(apply_affine(&t_from, &pair.from).into(), apply_affine(&t_to, &pair.to).into());
        normal.ger(w / largest, &row, &row, 1.0);
    }
    let f = Matrix3::from_row_slice(smallest_eigenvector(&normal)?.as_slice());
    let mut svd = f.svd(true, true);
    let (least, _) = svd.singular_values.argmin();
    svd.singular_values[least] = 0.0;
    let f = t_to.transpose() * svd.recompose().ok()? * t_from;
    (f.norm() > 0.0 && f.iter().all(|v| v.is_finite())).then(|| f / f.norm())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robust::test_pairs::with_outliers;
    use nalgebra::{Rotation3, Vector2};
    use rand::SeedableRng;

    /// Pairs of a camera that turns and moves past points of the given depths; and the true F.
    fn scene(
        count: usize,
        noise: f64,
        seed: u64,
        depth: impl Fn(f64, f64, f64) -> f64,
    ) -> (Vec<PointPair>, Matrix3<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let k = Matrix3::new(600.0, 0.0, 320.0, 0.0, 600.0, 240.0, 0.0, 0.0, 1.0);
        let rotation = Rotation3::from_euler_angles(0.03, -0.12, 0.05);
        let shift = Vector3::new(0.9, 0.1, 0.2);
        let back = k.try_inverse().unwrap();
        let mut pairs = Vec::new();
        while pairs.len() < count {
            let from = Vector2::new(640.0 * rng.random::<f64>(), 480.0 * rng.random::<f64>());
            let point = back * homogeneous(&from) * depth(from.x, from.y, rng.random());
            let to = k * (rotation * point + shift);
            let mut jitter = || noise * 2.0 * (rng.random::<f64>() + rng.random::<f64>() + rng.random::<f64>() - 1.5);
            pairs.push(PointPair { from, to: to.xy() / to.z + Vector2::new(jitter(), jitter()) });
        }
        let f = back.transpose() * shift.cross_matrix() * rotation.matrix() * back;
        (pairs, f / f.norm())
    }

    fn distance(a: &Matrix3<f64>, b: &Matrix3<f64>) -> f64 {
        (a - b).norm().min((a + b).norm())
    }

    #[test]
    fn seven_exact_pairs_include_the_true_matrix() {
        for seed in 0..20 {
            let (pairs, truth) = scene(7, 0.0, seed, |_, _, r| 3.0 + 6.0 * r);
            let found = seven_point(&pairs).unwrap();
            assert!(found.iter().any(|f| distance(f, &truth) < 1e-6), "seed {seed}");
        }
    }

    #[test]
    fn wrong_pairs_do_no_harm() {
        let (pairs, truth) = scene(150, 0.4, 5, |_, _, r| 3.0 + 6.0 * r);
        let clean = scene(100, 0.0, 6, |_, _, r| 3.0 + 6.0 * r).0;
        let pairs = with_outliers(pairs, 150, 7);
        let options = RobustOptions { threshold_px: 1.5, best_first: false, ..Default::default() };
        let found = fundamental(&pairs, &options).unwrap();
        assert!(found.inliers.iter().filter(|&&i| i < 150).count() >= 147);
        let rms = (clean.iter().map(|p| sampson_squared(&found.matrix, p)).sum::<f64>() / 100.0).sqrt();
        assert!(rms < 0.25 && found.matrix.determinant().abs() < 1e-12, "{rms} px, {truth}");
    }

    #[test]
    fn a_scene_that_is_mostly_a_plane_keeps_its_epipoles() {
        let depth = |x: f64, _: f64, r: f64| if r < 0.9 { 5.0 + x / 400.0 } else { 2.5 + 10.0 * (r - 0.9) };
        let (pairs, truth) = scene(300, 0.3, 8, depth);
        let pairs = with_outliers(pairs, 60, 9);
        let options = RobustOptions { threshold_px: 1.5, best_first: false, ..Default::default() };
        let found = fundamental(&pairs, &options).unwrap();
        let (_, e) = epipoles(&found.matrix);
        let (_, t) = epipoles(&truth);
        let angle = |v: Vector3<f64>| (v.y / v.z).atan2(v.x / v.z);
        assert!((angle(e) - angle(t)).abs() < 0.1, "{} instead of {}", angle(e), angle(t));
        let clean = scene(200, 0.0, 10, |_, _, r| 2.5 + 6.0 * r).0;
        let rms = (clean.iter().map(|p| sampson_squared(&found.matrix, p)).sum::<f64>() / 200.0).sqrt();
        assert!(rms < 1.5, "{rms} px off the plane");
    }

    #[test]
    fn both_ways_of_finding_epipoles_agree() {
        let (_, truth) = scene(1, 0.0, 1, |_, _, _| 4.0);
        let ((a, b), (c, d)) = (epipoles(&truth), epipoles_by_cross(&truth));
        assert!(a.cross(&c.normalize()).norm() < 1e-6 && b.cross(&d.normalize()).norm() < 1e-6);
    }
}
