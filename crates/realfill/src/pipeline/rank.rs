//! Ranking the candidates: the most believable first, by what the references, the seam, the guide and the other
//! candidates say.

use super::Working;
use image::Rgb32FImage;
use rayon::prelude::*;
use realfill_vision::rank::{RankParts, Ranker};
use realfill_vision::{Guide, Mask};
use std::sync::Arc;

/// What each part counts in the score. Between candidates that differ little the guide decides, which is the only part that
/// told the better one from the worse on evaluation scenes; correspondences and the seam decide between candidates that
/// differ much (docs/notes/ranking.md).
const CORRESPONDENCES: f64 = 1.0;
const SEAM: f64 = -0.1;
const GUIDE: f64 = -50.0;
const APART: f64 = -1.0;

/// A completed picture at working size.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The seed it came from.
    pub seed: u64,
    /// The completed picture, colours 0 to 1.
    pub picture: Rgb32FImage,
    /// The guide it was made with.
    pub guide: Arc<Guide>,
    /// What it was judged by.
    pub parts: RankParts,
    /// Root mean square distance in the hole from the mean of all candidates, in colour values of 0 to 1. The one nearest
    /// to the mean has the least expected error when all are as likely (minimum Bayes risk, Kumar & Byrne 2004).
    pub apart: f64,
    /// Higher is better.
    pub score: f64,
}

/// The completed pictures with their seeds and guides as candidates, best first; equal ones in the order of their seeds. All are compared
/// with `likeliest`, the guide that takes the likeliest labels.
#[tracing::instrument(level = "info", skip_all)]
pub fn rank(
    working: &Working,
    likeliest: &Guide,
    completed: impl Iterator<Item = (u64, Arc<Guide>, Rgb32FImage)>,
) -> Vec<Candidate> {
    let ranker = Ranker::new(&working.target, &working.mask, &working.references);
    let completed: Vec<_> = completed.collect();
    let mean = mean_of(completed.iter().map(|(_, _, picture)| picture));
    let judge = |(seed, guide, picture): (u64, Arc<Guide>, Rgb32FImage)| {
        let parts = ranker.parts(&picture, likeliest);
        let apart = distance(&picture, &mean, &working.mask);
        Candidate { seed, picture, guide, parts, apart, score: score(&parts, apart) }
    };
    let mut candidates: Vec<Candidate> = completed.into_par_iter().map(judge).collect();
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates
}

fn score(parts: &RankParts, apart: f64) -> f64 {
    CORRESPONDENCES * parts.correspondences + SEAM * parts.seam.ln() + GUIDE * parts.guide + APART * apart
}

fn mean_of<'a>(mut pictures: impl ExactSizeIterator<Item = &'a Rgb32FImage>) -> Rgb32FImage {
    let share = 1.0 / pictures.len().max(1) as f32;
    let mut mean = pictures.next().cloned().unwrap_or_default();
    for picture in pictures {
        mean.iter_mut().zip(picture.iter()).for_each(|(mean, value)| *mean += value);
    }
    mean.iter_mut().for_each(|value| *value *= share);
    mean
}

/// Root mean square over the hole.
fn distance(a: &Rgb32FImage, b: &Rgb32FImage, hole: &Mask) -> f64 {
    let pairs = a.pixels().zip(b.pixels()).zip(hole.holes()).filter(|(_, hole)| **hole);
    let (sum, count) = pairs.fold((0.0, 0usize), |(sum, count), ((a, b), _)| {
        (sum + (0..3).map(|c| f64::from(a[c] - b[c]).powi(2)).sum::<f64>() / 3.0, count + 1)
    });
    (sum / count.max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn every_part_counts_in_its_own_direction() {
        let plain = RankParts { correspondences: 0.3, verified: 40, seam: 1.2, guide: 0.02 };
        assert!(score(&RankParts { correspondences: 0.4, ..plain }, 0.01) > score(&plain, 0.01));
        assert!(score(&RankParts { seam: 2.0, ..plain }, 0.01) < score(&plain, 0.01));
        assert!(score(&RankParts { guide: 0.05, ..plain }, 0.01) < score(&plain, 0.01));
        assert!(score(&plain, 0.02) < score(&plain, 0.01));
    }

    #[test]
    fn the_mean_and_the_distance_from_it_are_of_the_hole() {
        let flat = |value: f32| Rgb32FImage::from_pixel(4, 1, Rgb([value; 3]));
        let pictures = [flat(0.2), flat(0.6)];
        let mean = mean_of(pictures.iter());
        assert!((mean.get_pixel(0, 0)[0] - 0.4).abs() < 1e-6);
        let mut known_differs = flat(0.5);
        known_differs.put_pixel(0, 0, Rgb([1.0; 3]));
        let hole = Mask::new(4, 1, vec![false, true, true, true]);
        assert!((distance(&known_differs, &mean, &hole) - 0.1).abs() < 1e-6);
    }
}
