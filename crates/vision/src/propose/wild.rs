//! Where a proposal runs wild: far from its matches a homography stretches its picture into streaks, which no known pixel contradicts, and
//! so do cameras that were placed by what moved between the photos.

use super::Proposal;
use crate::Plane;
use crate::warp::Places;
use image::Luma;
use nalgebra::{Matrix2, Matrix3, Vector2};

/// How much more a pixel may be stretched than the matches are, lengthwise, and beside how it is stretched crosswise.
const MOST: f64 = 2.5;
/// Beyond this ratio of the two, features are not found again (simulated slants reach 2.6): nothing was measured there.
const MOST_SLANTED: f64 = 5.0;
/// Side of the cells that are judged together, in pixels.
const CELL: u32 = 4;

/// Confidence 0 where the map stretches much more than where it was measured; `measured` are the target's points of its matches.
pub(super) fn leave_out_wild(confidence: &mut Plane, target_from_reference: &Matrix3<f64>, measured: &[Vector2<f64>]) {
    let Some(inverse) = target_from_reference.try_inverse() else { return };
    let stretch = |at: Vector2<f64>| Stretch::of(target_from_reference, &inverse, at);
    let seen: Vec<Stretch> = measured.iter().filter_map(|&at| stretch(at)).collect();
    let Some(usual) = Stretch::most(&seen) else { return };
    let (w, h) = confidence.dimensions();
    let tame = Plane::from_fn(w.div_ceil(CELL), h.div_ceil(CELL), |x, y| {
        let here = stretch(Vector2::new(x as f64, y as f64) * CELL as f64 + Vector2::repeat(1.5));
        let is_tame = |s: Stretch| s.long <= MOST * usual.long && s.ratio <= (MOST * usual.ratio).min(MOST_SLANTED);
        Luma([here.is_some_and(is_tame) as u8 as f32])
    });
    for (x, y, c) in confidence.enumerate_pixels_mut() {
        c[0] *= tame.get_pixel(x / CELL, y / CELL)[0];
    }
}

/// Whether an affine map is slanted more than features are found again; few matches often say so, and are wrong.
pub(super) fn is_slanted(h: &Matrix3<f64>) -> bool {
    const MOST: f64 = 3.0;
    let stretch = h.fixed_view::<2, 2>(0, 0).into_owned().singular_values();
    stretch.max() > MOST * stretch.min()
}

/// Whether most of a proposal is streaks: places that change much more slowly in some direction than elsewhere, or than crosswise. A camera
/// that gives such a picture is wrong; a right one has streaks only where it looks along a surface.
pub fn is_mostly_streaks(proposal: &Proposal) -> bool {
    const SIDE: u32 = 16;
    let (w, h) = proposal.confidence.dimensions();
    let corners = (0..h).step_by(SIDE as usize).flat_map(|y| (0..w).step_by(SIDE as usize).map(move |x| (x, y)));
    let cells: Vec<Stretch> = corners.filter_map(|at| Stretch::of_places(&proposal.places, at, SIDE)).collect();
    let mut long: Vec<f64> = cells.iter().map(|s| s.long).collect();
    long.sort_by(f64::total_cmp);
    let Some(&usual) = long.get(long.len() / 4) else { return false };
    let streaks = |s: &&Stretch| s.long > MOST_SLANTED * usual || s.ratio > MOST_SLANTED;
    2 * cells.iter().filter(streaks).count() > cells.len()
}

/// How a map stretches around one of the target's points.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// Target pixels for one of the reference, in the direction where they are most.
    long: f64,
    /// That beside the direction where they are fewest.
    ratio: f64,
}

impl Stretch {
    /// `None` behind the camera or on the horizon.
    fn of(h: &Matrix3<f64>, inverse: &Matrix3<f64>, at: Vector2<f64>) -> Option<Self> {
        let there = inverse * at.push(1.0);
        let there = Vector2::new(there.x / there.z, there.y / there.z);
        let depth = (h * there.push(1.0)).z;
        let slope = (h.fixed_view::<2, 2>(0, 0) - at * h.fixed_view::<1, 2>(2, 0)) / depth;
        let values = Matrix2::from(slope).singular_values();
        let (long, short) = (values.max(), values.min());
        (depth > 0.0 && long.is_finite() && short > 1e-9).then(|| Self { long, ratio: long / short })
    }

    /// Of the places in a square cell of the target, by the medians of their differences over half its side, so that an edge in depth
    /// across it does not count. `None` where few are known.
    fn of_places(places: &Places, (left, top): (u32, u32), side: u32) -> Option<Self> {
        let (w, h) = places.x.dimensions();
        let reach = side / 2;
        let mut slopes: [Vec<f64>; 4] = Default::default();
        for (x, y) in (top..(top + side).min(h)).flat_map(|y| (left..(left + side).min(w)).map(move |x| (x, y))) {
            if x + reach >= w || y + reach >= h {
                continue;
            }
            if let (Some(a), Some(b), Some(c)) = (places.get(x, y), places.get(x + reach, y), places.get(x, y + reach))
            {
                let by = |there: [f32; 2], k: usize| f64::from(there[k] - a[k]) / f64::from(reach);
                [by(b, 0), by(c, 0), by(b, 1), by(c, 1)].into_iter().zip(&mut slopes).for_each(|(v, s)| s.push(v));
            }
        }
        if slopes[0].len() < (side * side / 8) as usize {
            return None;
        }
        let middle = slopes[0].len() / 2;
        let [a, b, c, d] = slopes.map(|mut s| *s.select_nth_unstable_by(middle, f64::total_cmp).1);
        let values = Matrix2::new(a, b, c, d).singular_values();
        let (most, fewest) = (values.max().max(1e-6), values.min().max(1e-6));
        Some(Self { long: 1.0 / fewest, ratio: most / fewest })
    }

    /// What nine in ten stay under.
    fn most(all: &[Self]) -> Option<Self> {
        let ninth = |value: fn(&Self) -> f64| {
            let mut values: Vec<f64> = all.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() * 9 / 10).copied()
        };
        Some(Self { long: ninth(|s| s.long)?, ratio: ninth(|s| s.ratio)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_in(h: &Matrix3<f64>) -> Plane {
        let measured: Vec<_> = (0..50).map(|i| Vector2::new((i % 10) as f64 * 5.0, (i / 10) as f64 * 10.0)).collect();
        let mut confidence = Plane::from_pixel(200, 100, Luma([1.0]));
        leave_out_wild(&mut confidence, h, &measured);
        confidence
    }

    #[test]
    fn a_proposal_whose_places_mostly_hardly_move_is_streaks() {
        let slow_from = |row: f32| {
            let down = move |y: f32| y.min(row) + 0.1 * (y - row).max(0.0);
            is_mostly_streaks(&Proposal {
                colour: image::Rgb32FImage::new(128, 128),
                confidence: Plane::from_pixel(128, 128, Luma([1.0])),
                places: Places::from_fn(128, 128, |x, y| Some([x as f32, down(y as f32)])),
                reference: 0,
                kind: crate::propose::ProposalKind::MultiView,
            })
        };
        assert!(!slow_from(80.0) && slow_from(40.0));
    }

    #[test]
    fn a_similarity_is_tame_everywhere() {
        let h = Matrix3::new(0.8, -0.6, 20.0, 0.6, 0.8, 5.0, 0.0, 0.0, 0.5);
        assert!(left_in(&h).iter().all(|c| *c == 1.0));
    }

    #[test]
    fn a_plane_that_rises_to_meet_the_camera_is_left_out_where_it_does() {
        // Depth falls from 1 to 0 along x of the reference.
        let h = Matrix3::new(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, -0.01, 0.0, 1.0);
        let left = left_in(&h);
        assert_eq!(left.get_pixel(20, 20)[0], 1.0);
        assert_eq!(left.get_pixel(190, 20)[0], 0.0);
    }
}
