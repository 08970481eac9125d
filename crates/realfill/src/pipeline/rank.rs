//! Ranking the candidates: the most believable first, by what the references, the seam, the guide and the other
//! candidates say.

use super::view::hole_shares;
use super::{Part, Working};
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

/// One completed photo of several.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The seed it came from.
    pub seed: u64,
    /// What fills each part of the photo.
    pub filled: Vec<Filled>,
    /// What it was judged by.
    pub parts: RankParts,
    /// Root mean square distance in the hole from the mean of all candidates that are numbers, in colour values of 0 to 1.
    /// The one nearest to the mean has the least expected error when all are as likely (minimum Bayes risk, Kumar & Byrne
    /// 2004).
    pub apart: f64,
    /// Higher is better; negative infinity where the model drew what is no number.
    pub score: f64,
}

/// A part of the photo, completed at working size.
#[derive(Clone, Debug)]
pub struct Filled {
    /// The completed picture, colours 0 to 1.
    pub picture: Rgb32FImage,
    /// The guide it was made with.
    pub guide: Arc<Guide>,
}

/// What fills the parts, with its seeds, as candidates, best first; equal ones in the order of their seeds, those that are no numbers
/// last. All are compared with `likeliest`, each part's guide that takes the likeliest labels. Each part counts by the share of the holes
/// that lies in it.
#[tracing::instrument(level = "info", skip_all)]
pub fn rank(working: &Working, likeliest: &[&Guide], completed: Vec<(u64, Vec<Filled>)>) -> Vec<Candidate> {
    let judge = |i: usize| {
        let pictures: Vec<&Rgb32FImage> = completed.iter().map(|(_, filled)| &filled[i].picture).collect();
        Judge::new(&working.parts[i], &working.references, likeliest[i], mean_of(&pictures))
    };
    let judges: Vec<Judge> = (0..working.parts.len()).map(judge).collect();
    let shares = hole_shares(&working.parts);
    let judged = |(seed, filled): (u64, Vec<Filled>)| {
        let each: Vec<Judged> =
            judges.iter().zip(&filled).map(|(judge, filled)| judge.judged(&filled.picture)).collect();
        let Judged { parts, apart_squared } = together(&each, &shares);
        let apart = apart_squared.sqrt();
        Candidate { seed, filled, parts, apart, score: score(&parts, apart) }
    };
    let mut candidates: Vec<Candidate> = completed.into_par_iter().map(judged).collect();
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates
}

/// What judges the pictures of one part.
struct Judge<'a> {
    ranker: Ranker,
    /// As far as it is kept.
    hole: &'a Mask,
    likeliest: &'a Guide,
    /// Of all candidates that are numbers.
    mean: Rgb32FImage,
}

impl<'a> Judge<'a> {
    fn new(part: &'a Part, references: &[Rgb32FImage], likeliest: &'a Guide, mean: Rgb32FImage) -> Self {
        let ranker = Ranker::new(&part.target, &part.mask, references).counting(&part.kept);
        Self { ranker, hole: &part.kept, likeliest, mean }
    }

    fn judged(&self, picture: &Rgb32FImage) -> Judged {
        let parts = self.ranker.parts(picture, self.likeliest);
        Judged { parts, apart_squared: distance_squared(picture, &self.mean, self.hole) }
    }
}

/// What a picture is judged by.
struct Judged {
    parts: RankParts,
    apart_squared: f64,
}

/// The pictures of all parts as one, each by its share of the holes.
fn together(each: &[Judged], shares: &[f64]) -> Judged {
    let mean =
        |of: fn(&Judged) -> f64| -> f64 { each.iter().zip(shares).map(|(judged, share)| share * of(judged)).sum() };
    let parts = RankParts {
        correspondences: mean(|judged| judged.parts.correspondences),
        verified: each.iter().map(|judged| judged.parts.verified).sum(),
        seam: mean(|judged| judged.parts.seam),
        guide: mean(|judged| judged.parts.guide),
    };
    Judged { parts, apart_squared: mean(|judged| judged.apart_squared) }
}

fn score(parts: &RankParts, apart: f64) -> f64 {
    let score = CORRESPONDENCES * parts.correspondences + SEAM * parts.seam.ln() + GUIDE * parts.guide + APART * apart;
    if score.is_finite() { score } else { f64::NEG_INFINITY }
}

/// The mean of those that are numbers everywhere; of all where none is, and then it is no number either.
fn mean_of(pictures: &[&Rgb32FImage]) -> Rgb32FImage {
    let are_numbers = |picture: &&Rgb32FImage| picture.iter().all(|value| value.is_finite());
    let numbers: Vec<&Rgb32FImage> = pictures.iter().copied().filter(are_numbers).collect();
    let counted = if numbers.is_empty() { pictures } else { numbers.as_slice() };
    let [first, others @ ..] = counted else { return Rgb32FImage::default() };
    let mut mean = (*first).clone();
    for picture in others {
        mean.iter_mut().zip(picture.iter()).for_each(|(mean, value)| *mean += value);
    }
    let share = 1.0 / counted.len() as f32;
    mean.iter_mut().for_each(|value| *value *= share);
    mean
}

/// Mean square over the hole.
fn distance_squared(a: &Rgb32FImage, b: &Rgb32FImage, hole: &Mask) -> f64 {
    let pairs = a.pixels().zip(b.pixels()).zip(hole.holes()).filter(|(_, hole)| **hole);
    let (sum, count) = pairs.fold((0.0, 0usize), |(sum, count), ((a, b), _)| {
        (sum + (0..3).map(|c| f64::from(a[c] - b[c]).powi(2)).sum::<f64>() / 3.0, count + 1)
    });
    sum / count.max(1) as f64
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
    fn what_is_no_number_is_worst_and_in_no_mean() {
        let flat = |value: f32| Rgb32FImage::from_pixel(4, 1, Rgb([value; 3]));
        let mut broken = flat(0.9);
        broken.put_pixel(3, 0, Rgb([0.9, f32::NAN, 0.9]));
        let pictures = [broken, flat(0.2), flat(0.6)];
        assert!(mean_of(&pictures.each_ref()).iter().all(|value| (value - 0.4).abs() < 1e-6));
        assert!(mean_of(&[&pictures[0]]).iter().any(|value| value.is_nan()));
        let parts = RankParts { correspondences: 0.3, verified: 40, seam: 1.2, guide: 0.02 };
        assert_eq!([f64::NAN, -f64::NAN, f64::INFINITY].map(|apart| score(&parts, apart)), [f64::NEG_INFINITY; 3]);
        assert_eq!(score(&RankParts { seam: f64::NAN, ..parts }, 0.01), f64::NEG_INFINITY);
    }

    #[test]
    fn the_mean_and_the_distance_from_it_are_of_the_hole() {
        let flat = |value: f32| Rgb32FImage::from_pixel(4, 1, Rgb([value; 3]));
        let pictures = [flat(0.2), flat(0.6)];
        let mean = mean_of(&pictures.each_ref());
        assert!((mean.get_pixel(0, 0)[0] - 0.4).abs() < 1e-6);
        let mut known_differs = flat(0.5);
        known_differs.put_pixel(0, 0, Rgb([1.0; 3]));
        let hole = Mask::new(4, 1, vec![false, true, true, true]);
        assert!((distance_squared(&known_differs, &mean, &hole) - 0.01).abs() < 1e-6);
    }

    #[test]
    fn parts_count_by_their_share_of_the_holes_and_one_alone_as_it_is() {
        let judged = |value: f64, verified| {
            let parts = RankParts { correspondences: value, verified, seam: 2.0 * value, guide: value / 3.0 };
            Judged { parts, apart_squared: value * value }
        };
        let both = together(&[judged(0.5, 3), judged(1.0, 4)], &[0.75, 0.25]);
        assert_eq!((both.parts.correspondences, both.parts.verified, both.parts.seam), (0.625, 7, 1.25));
        assert_eq!(both.apart_squared, 0.4375);
        let alone = together(&[judged(0.1, 3)], &[1.0]);
        assert_eq!((alone.parts, alone.apart_squared), (judged(0.1, 3).parts, judged(0.1, 3).apart_squared));
    }
}
