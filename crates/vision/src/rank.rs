//! How believable a filled picture is, measured without knowing the truth: by what the references show, by the seam, by the guide.
//!
//! RealFill (Tang et al. 2024, section 4) ranks samples by correspondences between the filled region and the references. Here they are also
//! verified: they must obey the geometry that the known part and the reference have in common.

use crate::features::{Features, SiftOptions, sift};
use crate::guide::Guide;
use crate::matching::{MatchOptions, match_features};
use crate::pyramid::{gaussian_blur, grey};
use crate::robust::{PointPair, RobustOptions, fundamental, sampson_squared};
use crate::{Mask, Plane};
use image::Rgb32FImage;
use nalgebra::Matrix3;
use rayon::prelude::*;

/// Distance from an epipolar line at which a match stops counting, in pixels.
const EPIPOLAR_PX: f64 = 3.0;
/// Width of the band of known pixels that tells how much neighbours usually differ, in pixels.
const BAND_PX: f32 = 8.0;
/// Blur before comparing with the guide, in pixels: sharpness and small shifts are not its matter.
const GUIDE_BLUR: f32 = 1.5;

/// The parts of a candidate's score.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct RankParts {
    /// Verified correspondences per area in the hole over those in the known part, as a share r / (1 + r): 0 (none) to 1; more is better.
    pub correspondences: f64,
    /// How many there are, over all references.
    pub verified: usize,
    /// Mean step across the hole's rim over the mean step between neighbours just outside: about 1 is invisible, more is a seam.
    pub seam: f64,
    /// Mean difference from the guide in the hole, weighted by trust, in colour values of 0 to 1; less is better. 0 without trust.
    pub guide: f64,
}

/// What ranking the candidates of one scene needs, computed once.
pub struct Ranker {
    hole: Mask,
    /// The part of the hole that says something of a candidate.
    counted: Mask,
    target: Features,
    references: Vec<Reference>,
}

/// A reference with what links it to the target's known part.
struct Reference {
    features: Features,
    /// The fundamental matrix from the target and its inliers' number; `None` where too little matches.
    geometry: Option<(Matrix3<f64>, usize)>,
}

impl Ranker {
    /// Prepares for candidates of the size of `target`; `references` in any size.
    ///
    /// # Panics
    /// When the mask has another size than the target.
    pub fn new(target: &Rgb32FImage, hole: &Mask, references: &[Rgb32FImage]) -> Self {
        assert_eq!((hole.width(), hole.height()), target.dimensions(), "a mask of the target's size");
        let known: Vec<bool> = hole.dilate(BAND_PX).holes().iter().map(|h| !h).collect();
        let target = sift(&grey(target), Some(&known), &SiftOptions::default());
        let references = references.par_iter().map(|image| Reference::new(&target, image)).collect();
        Self { hole: hole.clone(), counted: hole.clone(), target, references }
    }

    /// The same where only that part of the hole says something of a candidate.
    pub fn counting(self, part: &Mask) -> Self {
        Self { counted: part.clone(), ..self }
    }

    /// The parts of one candidate's score.
    ///
    /// # Panics
    /// When the candidate or the guide has another size than the target.
    pub fn parts(&self, candidate: &Rgb32FImage, guide: &Guide) -> RankParts {
        let size = (self.hole.width(), self.hole.height());
        assert!(
            candidate.dimensions() == size && guide.trust.dimensions() == size,
            "candidate and guide of {}×{}",
            size.0,
            size.1
        );
        let (correspondences, verified) = self.correspondences(candidate);
        let seam = seam_energy(candidate, &self.hole, &self.counted);
        RankParts { correspondences, verified, seam, guide: guide_difference(candidate, guide, &self.counted) }
    }

    fn correspondences(&self, candidate: &Rgb32FImage) -> (f64, usize) {
        let filled = sift(&grey(candidate), Some(self.counted.holes()), &SiftOptions::default());
        let found: Vec<(f64, usize)> = self.references.par_iter().map(|r| r.verified(&filled)).collect();
        let (gain, verified) = found.iter().fold((0.0, 0), |sum, f| (sum.0 + f.0, sum.1 + f.1));
        let known: usize = self.references.iter().filter_map(|r| r.geometry).map(|g| g.1).sum();
        let (share, known_share) = (self.counted.hole_share(), 1.0 - self.hole.hole_share());
        if known == 0 || self.target.is_empty() || share <= 0.0 || known_share <= 0.0 {
            return (0.0, verified);
        }
        let ratio = (gain / share) / (known as f64 / known_share);
        (ratio / (1.0 + ratio), verified)
    }
}

impl Reference {
    fn new(target: &Features, image: &Rgb32FImage) -> Self {
        let features = sift(&grey(image), None, &SiftOptions::default());
        let pairs = matched(target, &features);
        let options = RobustOptions { threshold_px: EPIPOLAR_PX, min_inliers: 16, ..RobustOptions::default() };
        let geometry = fundamental(&pairs, &options).map(|e| (e.matrix, e.inliers.len()));
        Self { features, geometry }
    }

    /// Matches of the filled region that obey the geometry: the sum of their weights (1 on the line, 0 at the limit), and their number.
    fn verified(&self, filled: &Features) -> (f64, usize) {
        let Some((f, _)) = self.geometry else { return (0.0, 0) };
        let limit = EPIPOLAR_PX * EPIPOLAR_PX;
        let weights = matched(filled, &self.features)
            .into_iter()
            .map(|p| 1.0 - sampson_squared(&f, &p) / limit)
            .filter(|w| *w > 0.0);
        weights.fold((0.0, 0), |(sum, count), w| (sum + w, count + 1))
    }
}

fn matched(a: &Features, b: &Features) -> Vec<PointPair> {
    let point = |f: &Features, i: usize| [f.keypoints[i].x as f64, f.keypoints[i].y as f64];
    let matches = match_features(a, b, &MatchOptions::default());
    matches.iter().map(|m| PointPair::new(point(a, m.a), point(b, m.b))).collect()
}

/// Steps across the rim of what counts of the hole over steps between known neighbours near the hole.
fn seam_energy(candidate: &Rgb32FImage, hole: &Mask, counted: &Mask) -> f64 {
    let near = hole.distance_to_hole();
    let (w, h) = candidate.dimensions();
    let (mut across, mut beside) = (Mean::default(), Mean::default());
    for (x, y, pixel) in candidate.enumerate_pixels() {
        for (i, j) in [(x + 1, y), (x, y + 1)].into_iter().filter(|&(i, j)| i < w && j < h) {
            let step =
                pixel.0.iter().zip(candidate.get_pixel(i, j).0).map(|(a, b)| (a - b).abs() as f64).sum::<f64>() / 3.0;
            match (hole.is_hole(x, y), hole.is_hole(i, j)) {
                (false, false) if near.get_pixel(x, y)[0] <= BAND_PX => beside.add(step, 1.0),
                (a, b) if a != b && (counted.is_hole(x, y) || counted.is_hole(i, j)) => across.add(step, 1.0),
                _ => {}
            }
        }
    }
    // A quarter of an 8-bit step keeps flat surroundings from making any seam infinite.
    let floor = 0.25 / 255.0;
    if across.weight > 0.0 { (across.value() + floor) / (beside.value() + floor) } else { 1.0 }
}

fn guide_difference(candidate: &Rgb32FImage, guide: &Guide, hole: &Mask) -> f64 {
    let (a, b) = (gaussian_blur(candidate, GUIDE_BLUR), gaussian_blur(&guide.colour, GUIDE_BLUR));
    let trust: &Plane = &guide.trust;
    let mut mean = Mean::default();
    for ((p, q), (trust, hole)) in a.pixels().zip(b.pixels()).zip(trust.iter().zip(hole.holes())) {
        let difference = p.0.iter().zip(q.0).map(|(a, b)| (a - b).abs() as f64).sum::<f64>() / 3.0;
        mean.add(difference, if *hole { *trust as f64 } else { 0.0 });
    }
    mean.value()
}

/// A weighted mean in the making.
#[derive(Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    fn add(&mut self, value: f64, weight: f64) {
        self.sum += value * weight;
        self.weight += weight;
    }

    fn value(&self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;
    use crate::warp::{Sampling, warp_perspective};
    use image::{Luma, Rgb};

    fn coloured(grey: &Plane) -> Rgb32FImage {
        Rgb32FImage::from_fn(grey.width(), grey.height(), |x, y| Rgb([grey.get_pixel(x, y)[0]; 3]))
    }

    fn scene() -> (Rgb32FImage, Mask, Rgb32FImage, Rgb32FImage) {
        let truth = texture(320, 240, 41);
        let moved = Matrix3::new(0.98, 0.05, 6.0, -0.04, 1.02, 9.0, 1e-4, 0.0, 1.0);
        let reference = warp_perspective(&truth, &moved, (320, 240), Sampling::Bicubic).image;
        let hole = Mask::from_fn(320, 240, |x, y| (110..210).contains(&x) && (80..160).contains(&y));
        let other = texture(320, 240, 42);
        let wrong = Plane::from_fn(320, 240, |x, y| *if hole.is_hole(x, y) { &other } else { &truth }.get_pixel(x, y));
        (coloured(&truth), hole, coloured(&reference), coloured(&wrong))
    }

    #[test]
    fn the_truth_beats_other_content_in_every_part() {
        let (truth, hole, reference, wrong) = scene();
        let guide =
            Guide { colour: truth.clone(), trust: Plane::from_pixel(320, 240, Luma([1.0])), ..Guide::empty(320, 240) };
        let ranker = Ranker::new(&truth, &hole, &[reference]);
        let (good, bad) = (ranker.parts(&truth, &guide), ranker.parts(&wrong, &guide));
        assert!(good.correspondences > 0.35 && good.correspondences > 4.0 * bad.correspondences, "{good:?} {bad:?}");
        assert!(good.verified > 5 * bad.verified.max(1), "{good:?} {bad:?}");
        assert!(good.seam < 1.3 && bad.seam > 1.5 * good.seam, "{good:?} {bad:?}");
        assert!(good.guide < 1e-6 && bad.guide > 0.02, "{good:?} {bad:?}");
    }

    #[test]
    fn what_does_not_count_says_nothing() {
        let (truth, hole, reference, wrong) = scene();
        let guide =
            Guide { colour: truth.clone(), trust: Plane::from_pixel(320, 240, Luma([1.0])), ..Guide::empty(320, 240) };
        let half = Rgb32FImage::from_fn(320, 240, |x, y| *if x < 165 { &truth } else { &wrong }.get_pixel(x, y));
        let ranker = Ranker::new(&truth, &hole, &[reference]);
        assert!(ranker.parts(&half, &guide).guide > 0.005);
        let ranker = ranker.counting(&Mask::from_fn(320, 240, |x, y| x < 150 && hole.is_hole(x, y)));
        let (parts, whole) = (ranker.parts(&half, &guide), ranker.parts(&truth, &guide));
        assert!(parts.guide < 1e-6 && parts.seam == whole.seam, "{parts:?} {whole:?}");
        assert!(parts.correspondences > 0.2, "{parts:?}");
        let none = ranker.counting(&Mask::from_fn(320, 240, |_, _| false)).parts(&wrong, &guide);
        assert_eq!((none.correspondences, none.seam, none.guide), (0.0, 1.0, 0.0));
    }

    #[test]
    fn references_of_another_place_and_guides_without_trust_say_nothing() {
        let (truth, hole, _, _) = scene();
        let elsewhere = coloured(&texture(300, 200, 77));
        let parts = Ranker::new(&truth, &hole, &[elsewhere]).parts(&truth, &Guide::empty(320, 240));
        assert!(parts.correspondences < 0.1 && parts.guide == 0.0, "{parts:?}");
        let none = Ranker::new(&truth, &hole, &[]).parts(&truth, &Guide::empty(320, 240));
        assert_eq!((none.correspondences, none.verified), (0.0, 0));
    }
}
