//! Ranking the candidates: the most believable first, by what the references, the seam and the guide say.

use super::Working;
use image::Rgb32FImage;
use rayon::prelude::*;
use realfill_vision::Guide;
use realfill_vision::rank::{RankParts, Ranker};

/// What each part counts in the score. Chosen on the candidates of ten scenes: see docs/notes/ranking.md.
const CORRESPONDENCES: f64 = 1.0;
const SEAM: f64 = -0.1;
const GUIDE: f64 = -2.0;

/// A completed picture at working size.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The seed it came from.
    pub seed: u64,
    /// The completed picture, colours 0 to 1.
    pub picture: Rgb32FImage,
    /// What it was judged by.
    pub parts: RankParts,
    /// Higher is better.
    pub score: f64,
}

/// The candidates, best first; equal ones in the order of their seeds.
pub fn rank(working: &Working, guide: &Guide, completed: impl Iterator<Item = (u64, Rgb32FImage)>) -> Vec<Candidate> {
    let ranker = Ranker::new(&working.target, &working.mask, &working.references);
    let completed: Vec<(u64, Rgb32FImage)> = completed.collect();
    let judge = |(seed, picture): (u64, Rgb32FImage)| {
        let parts = ranker.parts(&picture, guide);
        Candidate { seed, picture, parts, score: score(&parts) }
    };
    let mut candidates: Vec<Candidate> = completed.into_par_iter().map(judge).collect();
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates
}

fn score(parts: &RankParts) -> f64 {
    CORRESPONDENCES * parts.correspondences + SEAM * parts.seam.ln() + GUIDE * parts.guide
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_in_its_own_direction() {
        let plain = RankParts { correspondences: 0.3, verified: 40, seam: 1.2, guide: 0.02 };
        assert!(score(&RankParts { correspondences: 0.4, ..plain }) > score(&plain));
        assert!(score(&RankParts { seam: 2.0, ..plain }) < score(&plain));
        assert!(score(&RankParts { guide: 0.05, ..plain }) < score(&plain));
    }
}
