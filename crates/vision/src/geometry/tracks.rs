//! Points followed through several photos, strung together from pairwise matches.

use crate::matching::Correspondence;
use crate::robust::{RobustOptions, fundamental};
use nalgebra::Vector2;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// Epipolar distance up to which a match is believed, in pixels of the shrunk photos.
const EPIPOLAR_PX: f64 = 2.0;
/// Fewer verified matches than this say nothing about a pair.
const MIN_MATCHES: usize = 12;

/// Correspondences of one pair of photos; photo 0 is the target, photo 1 + i is reference i.
#[derive(Clone, Debug)]
pub struct PairMatches {
    /// The two photos.
    pub pair: (usize, usize),
    /// Points in pixels of both.
    pub matches: Vec<Correspondence>,
}

/// One point of the scene as seen in one photo.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Which photo.
    pub photo: usize,
    /// Which track.
    pub track: usize,
    /// Where, in pixels.
    pub pixel: Vector2<f64>,
}

/// Keeps the matches that obey an epipolar geometry; pairs with too few are dropped. Tolerances grow with the photos' `sides`.
pub fn verified(pairs: &[PairMatches], sides: &[f64]) -> Vec<PairMatches> {
    let keep = |p: &PairMatches| {
        let side = sides[p.pair.0].max(sides[p.pair.1]);
        let options = RobustOptions {
            threshold_px: EPIPOLAR_PX * (side / 1024.0).max(1.0),
            max_iterations: 5000,
            ..Default::default()
        };
        let points: Vec<_> = p.matches.iter().map(|m| m.points).collect();
        let found = fundamental(&points, &options)?;
        let matches: Vec<_> = found.inliers.iter().map(|&i| p.matches[i]).collect();
        (matches.len() >= MIN_MATCHES).then_some(PairMatches { pair: p.pair, matches })
    };
    pairs.par_iter().filter_map(keep).collect()
}

/// Strings matches together. A track that reaches two points of one photo keeps the photos it sees once.
pub fn tracks(pairs: &[PairMatches]) -> Vec<Observation> {
    let mut points = Points::default();
    for p in pairs {
        for m in &p.matches {
            let (a, b) = (points.id(p.pair.0, m.points.from), points.id(p.pair.1, m.points.to));
            points.join(a, b);
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for id in 0..points.seen.len() {
        let root = points.root(id);
        groups.entry(root).or_default().push(id);
    }
    let mut observations = Vec::new();
    let mut track = 0;
    for group in groups.values() {
        let times = |photo: usize| group.iter().filter(|&&i| points.seen[i].0 == photo).count();
        let once: Vec<_> = group.iter().map(|&i| points.seen[i]).filter(|(photo, _)| times(*photo) == 1).collect();
        if once.len() >= 2 {
            observations.extend(once.into_iter().map(|(photo, pixel)| Observation { photo, track, pixel }));
            track += 1;
        }
    }
    observations
}

/// Disjoint sets of image points.
#[derive(Default)]
struct Points {
    seen: Vec<(usize, Vector2<f64>)>,
    parent: Vec<usize>,
    known: HashMap<(usize, i64, i64), usize>,
}

impl Points {
    fn id(&mut self, photo: usize, pixel: Vector2<f64>) -> usize {
        let key = (photo, (pixel.x * 4.0).round() as i64, (pixel.y * 4.0).round() as i64);
        *self.known.entry(key).or_insert_with(|| {
            self.seen.push((photo, pixel));
            self.parent.push(self.parent.len());
            self.parent.len() - 1
        })
    }

    fn root(&mut self, mut id: usize) -> usize {
        while self.parent[id] != id {
            self.parent[id] = self.parent[self.parent[id]];
            id = self.parent[id];
        }
        id
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robust::PointPair;

    fn matched(pair: (usize, usize), points: &[([f64; 2], [f64; 2])]) -> PairMatches {
        let matches =
            points.iter().map(|(a, b)| Correspondence { points: PointPair::new(*a, *b), confidence: 0.5, pose: None });
        PairMatches { pair, matches: matches.collect() }
    }

    #[test]
    fn matches_that_share_a_point_become_one_track() {
        let pairs = [matched((0, 1), &[([1.0, 2.0], [3.0, 4.0])]), matched((1, 2), &[([3.0, 4.0], [5.0, 6.0])])];
        let found = tracks(&pairs);
        assert_eq!(found.iter().map(|o| (o.photo, o.track)).collect::<Vec<_>>(), [(0, 0), (1, 0), (2, 0)]);
    }

    #[test]
    fn a_photo_seen_twice_by_a_track_is_left_out_of_it() {
        let pairs = [
            matched((0, 1), &[([1.0, 2.0], [3.0, 4.0])]),
            matched((1, 2), &[([3.0, 4.0], [5.0, 6.0])]),
            matched((0, 2), &[([9.0, 9.0], [5.0, 6.0])]),
        ];
        assert!(tracks(&pairs).iter().all(|o| o.photo != 0));
    }
}
