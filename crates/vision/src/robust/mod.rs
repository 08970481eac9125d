//! Models of how points move from one photo to another, estimated although many matches are wrong.
//!
//! Every estimator is the same loop (`ransac`): seeded samples, models scored with MAGSAC++'s loss, local optimisation by reweighting.
//! Models are 3×3 matrices on homogeneous pixel coordinates.

mod affine;
mod fundamental;
mod homography;
mod magsac;
mod multi;
mod ransac;
#[cfg(test)]
pub(crate) mod test_pairs;

pub use affine::{affine, similarity};
pub use fundamental::{epipoles, fundamental, sampson_squared};
pub use homography::{homography, homography_weighted, transfer, transfer_squared};
pub use multi::homographies;
pub use ransac::{Estimate, RobustOptions};

use nalgebra::{Matrix3, Vector2, Vector3};

/// The same point in two photos, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointPair {
    /// Where it is in the first photo.
    pub from: Vector2<f64>,
    /// Where it is in the second.
    pub to: Vector2<f64>,
}

impl PointPair {
    /// A pair from coordinates.
    pub fn new(from: [f64; 2], to: [f64; 2]) -> Self {
        Self { from: Vector2::from(from), to: Vector2::from(to) }
    }
}

/// A point as a homogeneous vector.
pub(crate) fn homogeneous(p: &Vector2<f64>) -> Vector3<f64> {
    Vector3::new(p.x, p.y, 1.0)
}

/// Hartley's normalisation: weighted centroid to the origin, mean distance √2. `None` when the points coincide.
pub(crate) fn normalisation(points: impl Iterator<Item = (Vector2<f64>, f64)> + Clone) -> Option<Matrix3<f64>> {
    let total: f64 = points.clone().map(|(_, w)| w).sum();
    let centre = points.clone().fold(Vector2::zeros(), |sum, (p, w)| sum + p * w) / total;
    let spread = points.map(|(p, w)| (p - centre).norm() * w).sum::<f64>() / total;
    let s = std::f64::consts::SQRT_2 / spread;
    s.is_finite().then(|| Matrix3::new(s, 0.0, -s * centre.x, 0.0, s, -s * centre.y, 0.0, 0.0, 1.0))
}

/// Normalisations of both sides of weighted pairs.
pub(crate) fn normalisations(pairs: &[PointPair], weights: &[f64]) -> Option<(Matrix3<f64>, Matrix3<f64>)> {
    let side =
        |f: fn(&PointPair) -> Vector2<f64>| normalisation(pairs.iter().zip(weights).map(move |(p, w)| (f(p), *w)));
    Some((side(|p| p.from)?, side(|p| p.to)?))
}

/// Applies an affine 3×3 (last row 0 0 1) to a point.
pub(crate) fn apply_affine(t: &Matrix3<f64>, p: &Vector2<f64>) -> Vector2<f64> {
    (t * homogeneous(p)).xy()
}
