//! The one similarity that a few matches agree on by their own size and turn.
//!
//! A thing that is not flat, or small before another background, leaves too few matches for a plane: ten have to obey one, since eight do
//! so by chance. A match of features says more than two points, though: how large they are and which way they point. Each match alone is
//! a similarity, and that a handful of them agree in all of it is no chance (Lowe 2004, sections 7.3 and 7.4).

use crate::matching::Pose;
use crate::robust::{PointPair, RobustOptions, similarity};
use nalgebra::{Matrix3, Vector2};
use std::f64::consts::PI;

/// Matches that have to agree. Of photos that share nothing, at most three do (docs/notes/matching.md).
const AGREEING: usize = 5;
/// How far a match may lie beside its place, as a share of the longer side and of its distance from the match that is asked.
const BESIDE: f64 = 0.01;
const BESIDE_FAR: f64 = 0.12;
/// Matches farther away than this share of the longer side belong to something else.
const REACH: f64 = 0.6;
/// Difference in size (binary logarithm) and turn (radians) that views of one thing may have.
const SIZE: f64 = 0.5;
const TURN: f64 = 0.35;
/// Matches nearer to each other than this many pixels are one.
const SAME: f64 = 4.0;

/// A match from a reference to the target, with its size and turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Posed {
    points: PointPair,
    pose: Pose,
}

impl Posed {
    /// `None` where the matcher did not say how the surroundings change.
    pub fn new(points: PointPair, pose: Option<Pose>) -> Option<Self> {
        Some(Self { points, pose: pose? })
    }

    /// Where this match alone puts a point of the reference.
    fn moved(&self, from: Vector2<f64>) -> Vector2<f64> {
        let (sin, cos) = self.pose.turn.sin_cos();
        let p = self.pose.scale * (from - self.points.from);
        self.points.to + Vector2::new(cos * p.x - sin * p.y, sin * p.x + cos * p.y)
    }

    fn agrees(&self, other: &Self, side: f64) -> bool {
        let far = (other.points.to - self.points.to).norm();
        let turned = (other.pose.turn - self.pose.turn + PI).rem_euclid(2.0 * PI) - PI;
        far < REACH * side
            && (other.pose.scale / self.pose.scale).log2().abs() < SIZE
            && turned.abs() < TURN
            && (self.moved(other.points.from) - other.points.to).norm() < BESIDE * side + BESIDE_FAR * far
    }
}

/// The similarity from reference to target that most matches agree on; `side` is the target's longer one, in pixels. `None` where hardly any do.
pub(super) fn agreed_similarity(matches: &[Posed], side: f64) -> Option<Matrix3<f64>> {
    let agreeing = |asked: &Posed| -> Vec<PointPair> {
        let mut kept: Vec<PointPair> = Vec::new();
        let apart = |a: Vector2<f64>, b: Vector2<f64>| (a - b).norm() >= SAME;
        for p in matches.iter().filter(|m| asked.agrees(m, side)).map(|m| m.points) {
            if kept.iter().all(|k| apart(k.from, p.from) && apart(k.to, p.to)) {
                kept.push(p);
            }
        }
        kept
    };
    let best = matches.iter().map(agreeing).max_by_key(Vec::len).filter(|group| group.len() >= AGREEING)?;
    let loose = RobustOptions { threshold_px: 2.0 * BESIDE * side, min_inliers: AGREEING - 1, ..Default::default() };
    similarity(&best, &loose).map(|found| found.matrix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const SIDE: f64 = 600.0;

    fn chance(rng: &mut ChaCha8Rng) -> Posed {
        let mut point = || Vector2::new(rng.random_range(0.0..SIDE), rng.random_range(0.0..SIDE));
        let points = PointPair { from: point(), to: point() };
        let pose = Pose { scale: rng.random_range(-2.0f64..2.0).exp2(), turn: rng.random_range(0.0..2.0 * PI) };
        Posed { points, pose }
    }

    /// Matches of a thing that is turned by 0.4 and 1.5 times larger, each some pixels beside its place, hidden among wrong ones.
    fn with_thing(count: usize) -> (Matrix3<f64>, Vec<Posed>) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (sin, cos) = 0.4f64.sin_cos();
        let (a, b) = (1.5 * cos, 1.5 * sin);
        let truth = Matrix3::new(a, -b, 40.0, b, a, -60.0, 0.0, 0.0, 1.0);
        let mut matches: Vec<Posed> = (0..100).map(|_| chance(&mut rng)).collect();
        for _ in 0..count {
            let mut near = |v: f64, by: f64| v + rng.random_range(-by..by);
            let from = Vector2::new(near(250.0, 60.0), near(260.0, 60.0));
            let to = (truth * from.push(1.0)).xy() + Vector2::new(near(0.0, 3.0), near(0.0, 3.0));
            let pose = Pose { scale: near(1.5, 0.2), turn: near(0.4, 0.1) };
            matches.push(Posed { points: PointPair { from, to }, pose });
        }
        (truth, matches)
    }

    #[test]
    fn a_handful_of_matches_that_agree_is_found_among_many_that_do_not() {
        let (truth, matches) = with_thing(7);
        let found = agreed_similarity(&matches, SIDE).expect("a similarity");
        let middle = Vector2::new(250.0, 260.0).push(1.0);
        let apart = ((found * middle) - (truth * middle)).norm();
        assert!(apart < 6.0, "{apart} px beside its place");
    }

    #[test]
    fn chance_is_no_thing_and_neither_is_one_point_that_is_matched_often() {
        assert!(agreed_similarity(&with_thing(0).1, SIDE).is_none());
        assert!(agreed_similarity(&with_thing(2).1, SIDE).is_none());
        let one = with_thing(1).1[100];
        assert!(agreed_similarity(&[one; 20], SIDE).is_none());
        assert!(agreed_similarity(&[], SIDE).is_none());
    }

    #[test]
    fn matches_turn_the_short_way_round() {
        let at =
            |x: f64, turn: f64| Posed { points: PointPair::new([x, 0.0], [x, 0.0]), pose: Pose { scale: 1.0, turn } };
        assert!(at(0.0, 0.1).agrees(&at(50.0, 2.0 * PI - 0.1), SIDE));
        assert!(!at(0.0, 0.0).agrees(&at(50.0, PI), SIDE));
    }

    /// Copies of a point lie a few pixels beside each other, in cells of any grid.
    #[test]
    fn three_points_that_are_matched_twice_are_three() {
        let pose = Pose { scale: 1.0, turn: 0.0 };
        let points = [(400.0, 400.0), (200.0, 200.0), (120.0, 320.0)];
        let twice = points.into_iter().flat_map(|(x, y)| [-1.0, 1.0].map(|by| Vector2::new(x + by, y)));
        let matches: Vec<Posed> = twice.map(|p| Posed { points: PointPair { from: p, to: p }, pose }).collect();
        assert!(agreed_similarity(&matches, SIDE).is_none());
    }
}
