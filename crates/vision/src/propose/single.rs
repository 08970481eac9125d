//! What one reference proposes without cameras: its motions as planes, and simpler maps where a plane would run wild.
//!
//! Matches fall into groups that obey one homography each. Far from its matches a homography extrapolates badly, so the affine map and
//! the similarity of the same group are proposed as well; the known pixels around the hole decide between them later. The last
//! proposal takes at each pixel the group whose matches are nearest. Where no group is found, the few matches of a thing may still agree on a
//! similarity.

use super::posed::{Posed, agreed_similarity};
use super::wild::{is_slanted, leave_out_wild};
use super::{Proposal, ProposalKind};
use crate::Plane;
use crate::geometry::{PairMatches, Visibility};
use crate::matching::{Correspondence, point_pairs};
use crate::pyramid::{at_level, sampled_level};
use crate::robust::{PointPair, RobustOptions, affine, homographies, similarity};
use crate::warp::{Places, Sampling, Warped, perspective_map, warp_perspective};
use image::{Luma, Rgb, Rgb32FImage};
use nalgebra::{Matrix3, Vector2, Vector3};

/// Motions looked for in one reference.
const GROUPS: usize = 5;
/// Groups whose affine map and similarity are proposed too.
const SIMPLER: usize = 3;
/// Fewer matches are no motion: eight agree by chance among a few hundred.
const MIN_INLIERS: usize = 10;

/// Proposals of every reference on its own. `matches` are as in [`crate::geometry::multi_view_proposals`]; `visibility`, where cameras are
/// known, keeps what hides the continued plane from being pasted.
#[tracing::instrument(level = "info", skip_all)]
pub fn single_reference_proposals(
    size: (u32, u32),
    references: &[Rgb32FImage],
    matches: &[PairMatches],
    visibility: Option<&Visibility>,
) -> Vec<Proposal> {
    let of = |(i, reference)| {
        let found = towards_target(matches, i + 1);
        proposals_of(size, reference, i, &found, visibility)
    };
    references.iter().enumerate().flat_map(of).collect()
}

/// The matches from a photo to the target, the right way round.
fn towards_target(matches: &[PairMatches], photo: usize) -> Vec<Correspondence> {
    let mut found = Vec::new();
    for m in matches {
        if m.pair == (0, photo) {
            found.extend(m.matches.iter().map(Correspondence::reversed));
        } else if m.pair == (photo, 0) {
            found.extend(m.matches.iter().copied());
        }
    }
    found
}

fn proposals_of(
    size: (u32, u32),
    picture: &Rgb32FImage,
    reference: usize,
    matches: &[Correspondence],
    visibility: Option<&Visibility>,
) -> Vec<Proposal> {
    let side = size.0.max(size.1) as f64;
    let pairs = &point_pairs(matches);
    let options = RobustOptions { threshold_px: 3.0 * side / 768.0, min_inliers: MIN_INLIERS, ..Default::default() };
    let groups = homographies(pairs, GROUPS, &options);
    let mut planes: Vec<(Matrix3<f64>, Vec<usize>)> = Vec::new();
    let mut simpler = Vec::new();
    for (k, group) in groups.into_iter().enumerate() {
        if k < SIMPLER {
            simpler.extend(simpler_maps(pairs, &group.inliers, &options));
        }
        if sane(&group.matrix, picture) {
            planes.push((group.matrix, group.inliers));
        }
    }
    if planes.is_empty() && simpler.is_empty() {
        let posed: Vec<Posed> = matches.iter().filter_map(|m| Posed::new(m.points, m.pose)).collect();
        simpler.extend(agreed_similarity(&posed, side));
    }
    let warped = |h: &Matrix3<f64>, measured: &[Vector2<f64>]| {
        let w = warp_prefiltered(picture, h, size, measured);
        let mut confidence = w.valid;
        leave_out_wild(&mut confidence, h, measured);
        if let Some(visibility) = visibility {
            leave_out_hidden(&mut confidence, h, |at, there| visibility.hidden(reference, at, there));
        }
        Proposal { colour: w.image, confidence, places: places_of(h, size), reference, kind: ProposalKind::Plane }
    };
    let plane = |(h, inliers): &(Matrix3<f64>, Vec<usize>)| {
        warped(h, &inliers.iter().map(|&i| pairs[i].to).collect::<Vec<_>>())
    };
    let all: Vec<Proposal> = planes.iter().map(plane).collect();
    let nearest = (planes.len() > 1).then(|| nearest_plane(&all, &planes, pairs));
    let simpler = simpler.iter().filter(|h| sane(h, picture) && !is_slanted(h)).map(|h| warped(h, &[]));
    all.into_iter().take(SIMPLER).chain(simpler).chain(nearest).collect()
}

/// The picture as a plane shows it, shrunk beforehand where it is seen smaller, as most of the `measured` points of the target are (or its
/// middle): else it aliases.
fn warp_prefiltered(
    picture: &Rgb32FImage,
    target_from_reference: &Matrix3<f64>,
    size: (u32, u32),
    measured: &[Vector2<f64>],
) -> Warped<Rgb<f32>> {
    let middle = Vector2::new(f64::from(size.0) / 2.0, f64::from(size.1) / 2.0);
    let places = if measured.is_empty() { std::slice::from_ref(&middle) } else { measured };
    let level = sampled_level(typical_shrinking(target_from_reference, places) as f32);
    let step = 2f64.powi(level as i32);
    let shift = 0.5 * (step - 1.0);
    let reference_from_level = Matrix3::new(step, 0.0, shift, 0.0, step, shift, 0.0, 0.0, 1.0);
    let h = target_from_reference * reference_from_level;
    warp_perspective(&at_level(picture, level), &h, size, Sampling::Bicubic)
}

/// The middle one of how many pixels of the reference a step covers at places of the target; 1 where there is none.
fn typical_shrinking(target_from_reference: &Matrix3<f64>, places: &[Vector2<f64>]) -> f64 {
    let Some(inverse) = target_from_reference.try_inverse() else { return 1.0 };
    let moved = |at: Vector2<f64>| {
        let there = inverse * at.push(1.0);
        there.xy() / there.z
    };
    let step = |at: &Vector2<f64>| {
        let [across, down] = [Vector2::x(), Vector2::y()].map(|by| moved(at + by) - moved(*at));
        across.perp(&down).abs().sqrt()
    };
    let mut steps: Vec<f64> = places.iter().map(step).filter(|step| step.is_finite()).collect();
    let middle = steps.len() / 2;
    if steps.is_empty() { 1.0 } else { *steps.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

fn places_of(target_from_reference: &Matrix3<f64>, size: (u32, u32)) -> Places {
    let (x, y) = perspective_map(&target_from_reference.try_inverse().unwrap_or_default(), size);
    Places { x, y }
}

/// Confidence 0 where the map joins a target's pixel with one of the reference's that shows something else in front.
fn leave_out_hidden(
    confidence: &mut Plane,
    target_from_reference: &Matrix3<f64>,
    hidden: impl Fn(Vector2<f64>, Vector2<f64>) -> bool,
) {
    const CELL: u32 = 4;
    let Some(inverse) = target_from_reference.try_inverse() else { return };
    let (w, h) = confidence.dimensions();
    let shown = Plane::from_fn(w.div_ceil(CELL), h.div_ceil(CELL), |x, y| {
        let at = Vector2::new((x * CELL) as f64 + 1.5, (y * CELL) as f64 + 1.5);
        let there = inverse * at.push(1.0);
        Luma([!hidden(at, there.xy() / there.z) as u8 as f32])
    });
    for (x, y, c) in confidence.enumerate_pixels_mut() {
        c[0] *= shown.get_pixel(x / CELL, y / CELL)[0];
    }
}

/// Similarity and affine map of one group of matches, with a tolerance that lets most of the group stay in.
fn simpler_maps(pairs: &[PointPair], inliers: &[usize], options: &RobustOptions) -> Vec<Matrix3<f64>> {
    let group: Vec<PointPair> = inliers.iter().map(|&i| pairs[i]).collect();
    let loose = RobustOptions { threshold_px: 3.0 * options.threshold_px, ..options.clone() };
    [similarity(&group, &loose), affine(&group, &loose)].into_iter().flatten().map(|e| e.matrix).collect()
}

/// Whether the map keeps the orientation and the middle of the picture in front.
fn sane(h: &Matrix3<f64>, picture: &Rgb32FImage) -> bool {
    let middle = h * Vector3::new(picture.width() as f64 / 2.0, picture.height() as f64 / 2.0, 1.0);
    h.fixed_view::<2, 2>(0, 0).determinant() > 1e-4 && middle.z > 0.0
}

/// At each pixel the plane whose nearest match is closest.
fn nearest_plane(warped: &[Proposal], planes: &[(Matrix3<f64>, Vec<usize>)], pairs: &[PointPair]) -> Proposal {
    const CELL: usize = 4;
    let (w, h) = warped[0].colour.dimensions();
    let mut out = Proposal { kind: ProposalKind::Mosaic, ..warped[0].clone() };
    out.confidence = Plane::new(w, h);
    let seeds = |inliers: &Vec<usize>| inliers.iter().map(|&i| (pairs[i].to.x as f32, pairs[i].to.y as f32)).collect();
    let seeds: Vec<Vec<(f32, f32)>> = planes.iter().map(|(_, inliers)| seeds(inliers)).collect();
    for y0 in (0..h).step_by(CELL) {
        for x0 in (0..w).step_by(CELL) {
            let near = |s: &Vec<(f32, f32)>| {
                s.iter().map(|p| (p.0 - x0 as f32).powi(2) + (p.1 - y0 as f32).powi(2)).fold(f32::INFINITY, f32::min)
            };
            let mut order: Vec<(f32, usize)> = seeds.iter().map(near).zip(0..).collect();
            order.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (x, y) in (0..CELL as u32).flat_map(|j| (0..CELL as u32).map(move |i| (x0 + i, y0 + j))) {
                if x < w && y < h {
                    let first = order.iter().find(|(_, k)| warped[*k].confidence.get_pixel(x, y)[0] > 0.0);
                    if let Some((_, k)) = first {
                        out.colour.put_pixel(x, y, *warped[*k].colour.get_pixel(x, y));
                        out.confidence.put_pixel(x, y, Luma([1.0]));
                        out.places.put(x, y, warped[*k].places.get(x, y));
                    }
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::{resize_bilinear, test_pictures::noise_rgb};

    #[test]
    fn a_plane_seen_from_farther_away_does_not_alias_and_stays_in_place() {
        let near = resize_bilinear(&noise_rgb(25, 20, 5), 400, 320);
        let fine = Rgb32FImage::from_fn(400, 320, |x, y| {
            let check = if (x + y).is_multiple_of(2) { 0.1 } else { -0.1 };
            Rgb(near.get_pixel(x, y).0.map(|v| v + check))
        });
        // Pixel x of the target lies at 3x + 1 of the reference.
        let h = Matrix3::new(3.0, 0.0, 1.0, 0.0, 3.0, 1.0, 0.0, 0.0, 1.0).try_inverse().expect("a similarity");
        let seen = warp_prefiltered(&fine, &h, (130, 100), &[]).image;
        let off = |x: u32, y: u32| (seen.get_pixel(x, y)[1] - near.get_pixel(3 * x + 1, 3 * y + 1)[1]).abs();
        let worst = (10..120).flat_map(|x| (10..90).map(move |y| off(x, y))).fold(0.0, f32::max);
        assert!(worst < 0.05, "{worst}");
    }
}
