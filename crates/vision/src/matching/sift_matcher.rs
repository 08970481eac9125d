//! SIFT as a matcher: plain at first; fainter points where that finds few matches, simulated slants where it finds hardly any.

use super::{Correspondence, Match, MatchOptions, Matcher, Pose, View, match_features, point_pairs};
use crate::features::{Features, Keypoint, SiftOptions, sift, sift_tilted, turns_for_tilt};
use crate::pyramid::{grey, push_pull};
use crate::robust::{PointPair, RobustOptions, fundamental};
use crate::{Mask, Plane};
use nalgebra::Vector2;
use rayon::prelude::*;
use std::collections::HashSet;
use std::sync::OnceLock;

/// Matches SIFT features by ratio and mutual nearness.
#[derive(Clone, Debug)]
pub struct SiftMatcher {
    /// How features are found.
    pub features: SiftOptions,
    /// What counts as a match.
    pub matching: MatchOptions,
    /// Points closer to a hole than this are left out, in pixels. Default 8.
    pub hole_margin_px: u32,
    /// A pair with fewer epipolar inliers is matched again with fainter points: what stands before a textured wall shows few, and without
    /// them the camera's place is loose. With more the sharper points alone are more exact (docs/notes/geometry.md). Default 400.
    pub plenty: usize,
    /// Contrast threshold of that. Default 0.012.
    pub faint_contrast: f32,
    /// A pair with fewer even then gets a second try with slants. Default 80; 0 switches it off.
    pub enough: usize,
    /// Contrast threshold of the second try. Default 0.008.
    pub second_contrast: f32,
    /// Tilts of the second try's simulated views. Default 1.6 and 2.6.
    pub tilts: Vec<f32>,
}

impl Default for SiftMatcher {
    fn default() -> Self {
        Self {
            features: SiftOptions::default(),
            matching: MatchOptions::default(),
            hole_margin_px: 8,
            plenty: 400,
            faint_contrast: 0.012,
            enough: 80,
            second_contrast: 0.008,
            tilts: vec![1.6, 2.6],
        }
    }
}

impl Matcher for SiftMatcher {
    fn correspondences(&self, views: &[View], pairs: &[(usize, usize)]) -> Vec<Vec<Correspondence>> {
        let prepared: Vec<Prepared> = views.iter().map(|v| Prepared::new(self, v)).collect();
        pairs.iter().map(|&(a, b)| self.pair(&prepared[a], &prepared[b])).collect()
    }
}

/// A photo with its features; those of the second try are found when first needed.
struct Prepared {
    grey: Plane,
    allow: Option<Vec<bool>>,
    plain: Features,
    faint: OnceLock<Features>,
    slanted: OnceLock<Vec<Features>>,
}

impl Prepared {
    fn new(matcher: &SiftMatcher, view: &View) -> Self {
        let grey = without_hole(&grey(view.image), view.hole);
        let allow = view.hole.map(|hole| away_from(hole, matcher.hole_margin_px));
        let plain = sift(&grey, allow.as_deref(), &matcher.features);
        Self { grey, allow, plain, faint: OnceLock::new(), slanted: OnceLock::new() }
    }

    fn faint(&self, matcher: &SiftMatcher) -> &Features {
        if self.plain.len() >= matcher.features.max_features {
            return &self.plain; // fainter ones would be left out again
        }
        self.faint.get_or_init(|| {
            let options = SiftOptions { contrast_threshold: matcher.faint_contrast, ..matcher.features.clone() };
            sift(&self.grey, self.allow.as_deref(), &options)
        })
    }

    /// Fainter features first, then those of every simulated view.
    fn slanted(&self, matcher: &SiftMatcher) -> &[Features] {
        self.slanted.get_or_init(|| {
            let options =
                SiftOptions { contrast_threshold: matcher.second_contrast, doubled: false, ..matcher.features.clone() };
            let views =
                matcher.tilts.iter().flat_map(|&tilt| turns_for_tilt(tilt).into_iter().map(move |turn| (tilt, turn)));
            let mut all = vec![(1.0, 0.0)];
            all.extend(views);
            all.par_iter()
                .map(|&(tilt, turn)| sift_tilted(&self.grey, self.allow.as_deref(), tilt, turn, &options))
                .collect()
        })
    }
}

impl SiftMatcher {
    fn pair(&self, a: &Prepared, b: &Prepared) -> Vec<Correspondence> {
        let first = correspondences(&a.plain, &b.plain, &self.matching);
        let options = RobustOptions { max_iterations: 2000, ..RobustOptions::default() };
        let verified = |c: &[Correspondence]| fundamental(&point_pairs(c), &options).map_or(0, |e| e.inliers.len());
        let count = verified(&first);
        if count >= self.plenty {
            return first;
        }
        let faint = correspondences(a.faint(self), b.faint(self), &self.matching);
        let first = if verified(&faint) > count { faint } else { first };
        if self.enough == 0 || verified(&first) >= self.enough {
            return first;
        }
        let (from, to) = (a.slanted(self), b.slanted(self));
        // A view against the other's straight one, both ways: two slants at once are rare and cost the square.
        let straight = std::iter::once((0, 0));
        let combinations = straight.chain((1..from.len()).map(|i| (i, 0))).chain((1..to.len()).map(|j| (0, j)));
        let more = combinations
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(i, j)| correspondences(&from[i], &to[j], &self.matching));
        distinct(first, more.collect::<Vec<_>>().concat())
    }
}

fn correspondences(a: &Features, b: &Features, options: &MatchOptions) -> Vec<Correspondence> {
    let point = |f: &Features, i: usize| Vector2::new(f.keypoints[i].x as f64, f.keypoints[i].y as f64);
    let pose = |a: &Keypoint, b: &Keypoint| Pose {
        scale: f64::from(b.sigma) / f64::from(a.sigma),
        turn: f64::from(b.angle) - f64::from(a.angle),
    };
    let found = match_features(a, b, options).into_iter().map(|m: Match| Correspondence {
        points: PointPair { from: point(a, m.a), to: point(b, m.b) },
        confidence: 1.0 - m.ratio,
        pose: Some(pose(&a.keypoints[m.a], &b.keypoints[m.b])),
    });
    distinct(found.collect(), Vec::new())
}

/// All of `first`, then those of `more` that join other points; of those that join the same (to a pixel) the surest. Surest first.
fn distinct(first: Vec<Correspondence>, mut more: Vec<Correspondence>) -> Vec<Correspondence> {
    more.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let key = |p: &PointPair| [p.from.x, p.from.y, p.to.x, p.to.y].map(|v| v.round() as i64);
    let mut seen = HashSet::new();
    let mut kept: Vec<_> = first.into_iter().chain(more).filter(|c| seen.insert(key(&c.points))).collect();
    kept.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    kept
}

/// The hole filled smoothly, so that its painted edge shows in no descriptor.
fn without_hole(grey: &Plane, hole: Option<&Mask>) -> Plane {
    let Some(hole) = hole else { return grey.clone() };
    let near = away_from(hole, 2);
    let known = Plane::from_raw(grey.width(), grey.height(), near.iter().map(|&k| k as u8 as f32).collect());
    known.map_or_else(|| grey.clone(), |known| push_pull(grey, &known))
}

/// True for the pixels that have no hole within a square of `margin` pixels around them.
fn away_from(hole: &Mask, margin: u32) -> Vec<bool> {
    let (w, h) = (hole.width() as usize, hole.height() as usize);
    let spread = |flags: &[bool], step: usize, length: usize, at: usize, i: usize| {
        let (first, last) = (i.saturating_sub(margin as usize), (i + margin as usize).min(length - 1));
        (first..=last).any(|k| flags[at - i * step + k * step])
    };
    let across: Vec<bool> = (0..w * h).map(|at| spread(hole.holes(), 1, w, at, at % w)).collect();
    (0..w * h).map(|at| !spread(&across, w, h, at, at / w)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;
    use crate::robust::{homography, transfer_squared};
    use crate::warp::{Sampling, warp_perspective};
    use image::{Rgb, Rgb32FImage};
    use nalgebra::Matrix3;

    fn coloured(grey: &Plane) -> Rgb32FImage {
        Rgb32FImage::from_fn(grey.width(), grey.height(), |x, y| Rgb([grey.get_pixel(x, y)[0]; 3]))
    }

    fn pair(h: &Matrix3<f64>) -> (Rgb32FImage, Rgb32FImage) {
        let image = texture(320, 260, 21);
        let moved = warp_perspective(&image, h, (320, 260), Sampling::Bicubic).image;
        (coloured(&image), coloured(&moved))
    }

    #[test]
    fn a_moved_photo_is_matched_outside_its_hole_only() {
        let h = Matrix3::new(0.95, 0.1, 10.0, -0.08, 1.02, 5.0, 1e-4, 0.0, 1.0);
        let (a, b) = pair(&h);
        let holes = (0..320 * 260).map(|i| (100..200).contains(&(i % 320)) && (80..180).contains(&(i / 320))).collect();
        let hole = Mask::new(320, 260, holes);
        let views = [View { image: &a, hole: None }, View { image: &b, hole: Some(&hole) }];
        let found = &SiftMatcher::default().correspondences(&views, &[(0, 1)])[0];
        assert!(found.len() > 60, "{}", found.len());
        let good = found.iter().filter(|c| transfer_squared(&h, &c.points) < 4.0).count();
        assert!(good * 10 > found.len() * 8, "{good} of {}", found.len());
        assert!(
            found.iter().all(|c| !((93.0..206.0).contains(&c.points.to.x) && (73.0..186.0).contains(&c.points.to.y)))
        );
    }

    #[test]
    fn a_match_says_how_much_larger_and_turned_its_surroundings_are() {
        let (scale, turn) = (1.3, 0.5f64);
        let (a, b) = (scale * turn.cos(), scale * turn.sin());
        let h = Matrix3::new(a, -b, 20.0, b, a, -120.0, 0.0, 0.0, 1.0);
        let (image, turned) = pair(&h);
        let views = [View { image: &image, hole: None }, View { image: &turned, hole: None }];
        let found = SiftMatcher::default().correspondences(&views, &[(0, 1)]).remove(0);
        let right: Vec<_> = found.iter().filter(|c| transfer_squared(&h, &c.points) < 4.0).collect();
        let is_alike = |c: &&&Correspondence| {
            let pose = c.pose.expect("SIFT tells");
            let off = pose.turn - turn;
            (pose.scale / scale).log2().abs() < 0.3 && off.sin().abs() < 0.2 && off.cos() > 0.0
        };
        let alike = right.iter().filter(is_alike).count();
        assert!(right.len() > 60 && 10 * alike > 9 * right.len(), "{alike} of {}", right.len());
        let back = right[0].reversed();
        assert_eq!((back.points.from, back.reversed().points), (right[0].points.to, right[0].points));
        assert!((back.pose.expect("kept").scale * right[0].pose.expect("told").scale - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_strong_slant_is_matched_on_the_second_try() {
        let h = Matrix3::new(0.36, 0.05, 60.0, -0.12, 0.95, 20.0, 0.0, 0.0, 1.0);
        let (a, b) = pair(&h);
        let views = [View { image: &a, hole: None }, View { image: &b, hole: None }];
        let right = |matcher: &SiftMatcher| {
            let found = matcher.correspondences(&views, &[(0, 1)]).remove(0);
            found.iter().filter(|c| transfer_squared(&h, &c.points) < 9.0).count()
        };
        let (once, twice) = (
            right(&SiftMatcher { enough: 0, ..Default::default() }),
            right(&SiftMatcher { enough: 10_000, ..Default::default() }),
        );
        assert!(twice >= 30 && twice > 2 * once, "{once} at first, {twice} with slants");
        let found = SiftMatcher::default().correspondences(&views, &[(0, 1)]).remove(0);
        assert!(homography(&point_pairs(&found), &RobustOptions::default()).is_some_and(|e| e.inliers.len() >= 20));
    }
}
