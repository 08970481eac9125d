//! Affine maps and similarities, for few or clustered matches where a homography would be fitted to noise.

use super::PointPair;
use super::ransac::{Estimate, Problem, RobustOptions, ransac};
use nalgebra::{Matrix2, Matrix3, Vector2};

/// The affine map that most pairs obey: a 3×3 with last row 0 0 1.
pub fn affine(pairs: &[PointPair], options: &RobustOptions) -> Option<Estimate> {
    ransac(&Affine, pairs, options)
}

/// The similarity (turn, scale, shift; no reflection) that most pairs obey: a 3×3 with last row 0 0 1.
pub fn similarity(pairs: &[PointPair], options: &RobustOptions) -> Option<Estimate> {
    ransac(&Similarity, pairs, options)
}

struct Affine;
struct Similarity;

impl Problem for Affine {
    const SAMPLE: usize = 3;

    fn minimal(&self, sample: &[PointPair]) -> Vec<Matrix3<f64>> {
        let edges = |f: fn(&PointPair) -> Vector2<f64>| {
            Matrix2::from_columns(&[f(&sample[1]) - f(&sample[0]), f(&sample[2]) - f(&sample[0])])
        };
        let (from, to) = (edges(|p| p.from), edges(|p| p.to));
        if flat(&from) || flat(&to) {
            return Vec::new();
        }
        let linear = from.try_inverse().map(|inverse| to * inverse);
        linear.map(|l| assembled(&l, sample[0].from, sample[0].to)).into_iter().collect()
    }

    fn fit(&self, pairs: &[PointPair], weights: &[f64], _start: &Matrix3<f64>) -> Option<Matrix3<f64>> {
        let (from, to) = centroids(pairs, weights);
        let (mut moments, mut cross) = (Matrix2::zeros(), Matrix2::zeros());
        for (p, &w) in pairs.iter().zip(weights) {
            let (a, b) = (p.from - from, p.to - to);
            moments += w * a * a.transpose();
            cross += w * b * a.transpose();
        }
        Some(assembled(&(cross * moments.try_inverse()?), from, to))
    }

    fn squared(&self, model: &Matrix3<f64>, pair: &PointPair) -> f64 {
        affine_squared(model, pair)
    }
}

impl Problem for Similarity {
    const SAMPLE: usize = 2;

    fn minimal(&self, sample: &[PointPair]) -> Vec<Matrix3<f64>> {
        self.fit(sample, &[1.0; 2], &Matrix3::identity()).into_iter().collect()
    }

    fn fit(&self, pairs: &[PointPair], weights: &[f64], _start: &Matrix3<f64>) -> Option<Matrix3<f64>> {
        let (from, to) = centroids(pairs, weights);
        let (mut dot, mut turn, mut size) = (0.0, 0.0, 0.0);
        for (p, &w) in pairs.iter().zip(weights) {
            let (a, b) = (p.from - from, p.to - to);
            dot += w * a.dot(&b);
            turn += w * a.perp(&b);
            size += w * a.norm_squared();
        }
        let (c, s) = (dot / size, turn / size);
        let sound = c.is_finite() && s.is_finite() && c.hypot(s) > 1e-6;
        sound.then(|| assembled(&Matrix2::new(c, -s, s, c), from, to))
    }

    fn squared(&self, model: &Matrix3<f64>, pair: &PointPair) -> f64 {
        affine_squared(model, pair)
    }
}

/// Whether a triangle's height is a small part of its sides.
fn flat(edges: &Matrix2<f64>) -> bool {
    edges.determinant().abs() < 0.02 * edges.norm_squared()
}

fn affine_squared(model: &Matrix3<f64>, pair: &PointPair) -> f64 {
    (super::apply_affine(model, &pair.from) - pair.to).norm_squared()
}

fn centroids(pairs: &[PointPair], weights: &[f64]) -> (Vector2<f64>, Vector2<f64>) {
    let total: f64 = weights.iter().sum();
    let side = |f: fn(&PointPair) -> Vector2<f64>| {
        pairs.iter().zip(weights).map(|(p, w)| f(p) * *w).sum::<Vector2<f64>>() / total
    };
    (side(|p| p.from), side(|p| p.to))
}

/// x -> to + linear · (x - from)
fn assembled(linear: &Matrix2<f64>, from: Vector2<f64>, to: Vector2<f64>) -> Matrix3<f64> {
    let shift = to - linear * from;
    Matrix3::new(linear[(0, 0)], linear[(0, 1)], shift.x, linear[(1, 0)], linear[(1, 1)], shift.y, 0.0, 0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robust::test_pairs::{noisy_pairs, with_outliers};

    #[test]
    fn both_are_found_among_wrong_pairs() {
        let turn = Matrix2::new(0.8, -0.3, 0.3, 0.8);
        let sheared = Matrix2::new(1.1, 0.2, -0.1, 0.7);
        let options = RobustOptions { best_first: false, ..Default::default() };
        for (linear, estimator) in [(turn, similarity as fn(&_, &_) -> _), (sheared, affine)] {
            let truth = assembled(&linear, Vector2::zeros(), Vector2::new(15.0, -7.0));
            let pairs = with_outliers(noisy_pairs(80, 0.3, 1, |p| super::super::apply_affine(&truth, p)), 120, 2);
            let pairs: &[PointPair] = &pairs;
            let found: Estimate = Option::expect(estimator(pairs, &options), "a model");
            assert!(found.inliers.iter().filter(|&&i| i < 80).count() >= 79);
            assert!((found.matrix - truth).fixed_view::<2, 2>(0, 0).norm() < 5e-3, "{}", found.matrix);
        }
    }

    #[test]
    fn points_that_coincide_have_no_similarity() {
        let pairs = vec![PointPair::new([3.0, 4.0], [5.0, 6.0]); 20];
        assert!(similarity(&pairs, &RobustOptions::default()).is_none());
    }
}
