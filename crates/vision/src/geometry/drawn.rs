//! The references' own surfaces drawn into the target's view: what depth they say its hole has.
//!
//! The sweep does not see what is in the hole, so that outlines there are swollen. A reference's own depth follows the outlines in its
//! picture. Where most references that draw a place agree on another depth than the sweep's, it is taken.

use super::depth::DepthMap;
use super::range::fitted;
use super::rays::{Hit, Projector, RayGrid};
use super::realign::LOOSE;
use super::sweep::CostVolume;
use super::views::Views;
use crate::Mask;
use rayon::prelude::*;

/// Neighbours further apart than this many of the reference's depth steps lie on different surfaces.
const APART_STEPS: f32 = 4.0;
/// A cell drawn on more pixels than this many times its own is seen too flatly.
const STRETCH: f32 = 9.0;
/// Depths within this many steps are one surface.
const SAME_STEPS: f32 = 3.0;
/// How much more the drawn depth may cost than the sweep's where there are two references. They err together, since each has its depth
/// from the other.
const COSTLIER: f32 = 0.1;

/// The depth that references agree on, in the first view.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// Inverse depths, one a pixel of the coarse size; `None` where they do not agree.
    inverse: Vec<Option<f32>>,
    /// Inverse depths this near to each other are one surface.
    same: f32,
    /// How much more they may cost than those of the sweep.
    costlier: f32,
}

impl Agreed {
    /// From the depths of all views but the first, which has `side` pixels at most.
    pub fn new(views: &Views, own: &[Option<DepthMap>], side: u32) -> Self {
        let size = fitted(views.size(), side);
        let same = SAME_STEPS * own.iter().flatten().map(|depth| depth.step).fold(0.0, f32::max);
        let draw = |view: usize| Some(drawn(views, view, own[view - 1].as_ref()?, size));
        let drawn: Vec<Vec<f32>> = (1..views.cameras.len()).into_par_iter().filter_map(draw).collect();
        let at = |i: usize| {
            let depths: Vec<f32> = drawn.iter().map(|depths| depths[i]).filter(|depth| *depth > 0.0).collect();
            agreed(&depths, same)
        };
        let costlier = if drawn.len() > LOOSE { f32::INFINITY } else { COSTLIER };
        Self { inverse: (0..size.0 * size.1).map(at).collect(), same, costlier }
    }

    /// The same where everything is `by` times as near.
    pub fn nearer(mut self, by: f32) -> Self {
        self.inverse.iter_mut().flatten().for_each(|inverse| *inverse *= by);
        self.same *= by;
        self
    }

    /// Puts these depths in place of the `chosen` ones of the hole, hypotheses `low + k · step`, where they are others and do not cost too much.
    pub fn settle(&self, chosen: &mut [f32], volume: &CostVolume, hole: &Mask, (low, step): (f32, f32)) {
        let hole = hole.resized_max(volume.size.0 as u32, volume.size.1 as u32);
        let same = self.same.max(SAME_STEPS * step) / step;
        let pixels =
            chosen.iter_mut().zip(volume.cost.chunks_exact(volume.depths)).zip(&self.inverse).zip(hole.holes());
        for (((chosen, costs), inverse), _) in pixels.filter(|(_, is_hole)| **is_hole) {
            let Some(inverse) = inverse else { continue };
            let drawn = (inverse - low) / step;
            let is_another = (drawn - *chosen).abs() > same && drawn >= 0.0 && drawn < volume.depths as f32;
            if is_another && least_near(costs, drawn) < least_near(costs, *chosen) + self.costlier {
                *chosen = drawn;
            }
        }
    }
}

/// The depth that more than half of those who draw a place have, and two at least; of two as many the nearer.
fn agreed(depths: &[f32], same: f32) -> Option<f32> {
    let beside = |depth: f32| depths.iter().copied().filter(move |other| (other - depth).abs() <= same);
    let support = |depth: f32| beside(depth).count();
    let best = depths.iter().copied().max_by(|a, b| support(*a).cmp(&support(*b)).then(a.total_cmp(b)))?;
    let count = support(best);
    (count >= 2 && 2 * count > depths.len()).then(|| beside(best).sum::<f32>() / count as f32)
}

/// The least cost at a hypothesis and its neighbours.
fn least_near(costs: &[f32], hypothesis: f32) -> f32 {
    let k = (hypothesis.round() as usize).min(costs.len() - 1);
    costs[k.saturating_sub(1)..(k + 2).min(costs.len())].iter().copied().fold(f32::MAX, f32::min)
}

/// Inverse depths of a view's surface as the first view sees it, at `size`; 0 where it shows none. The surface is torn where its depth jumps.
fn drawn(views: &Views, view: usize, depth: &DepthMap, size: (usize, usize)) -> Vec<f32> {
    let (w, h) = (depth.inverse.width() as usize, depth.inverse.height() as usize);
    let grid = RayGrid::new(&views.cameras[view], (w, h));
    let projector = Projector::new(&views.cameras[view], &views.cameras[0]);
    let inverse = depth.inverse.as_raw();
    let scale = (size.0 as f32 / views.size().0 as f32, size.1 as f32 / views.size().1 as f32);
    let corner = |i: usize| {
        let hit = projector.hit(&grid.rays[i], inverse[i])?;
        Some(Hit { x: (hit.x + 0.5) * scale.0 - 0.5, y: (hit.y + 0.5) * scale.1 - 0.5, ..hit })
    };
    let corners: Vec<Option<Hit>> = (0..w * h).map(corner).collect();
    let largest = STRETCH * ((size.0 * size.1) as f32 / (w * h) as f32).max(0.25);
    let mut nearest = Nearest { size, inverse: vec![0.0; size.0 * size.1], largest };
    for (x, y) in (0..h - 1).flat_map(|y| (0..w - 1).map(move |x| (x, y))) {
        let cell = [0, 1, w, w + 1].map(|step| y * w + x + step);
        let [Some(a), Some(b), Some(c), Some(d)] = cell.map(|i| corners[i]) else { continue };
        let depths = cell.map(|i| inverse[i]);
        let spread = depths.iter().fold(f32::MIN, |m, d| m.max(*d)) - depths.iter().fold(f32::MAX, |m, d| m.min(*d));
        if spread <= APART_STEPS * depth.step {
            nearest.draw([a, b, c]);
            nearest.draw([b, d, c]);
        }
    }
    nearest.inverse
}

/// The nearest surface at each pixel.
struct Nearest {
    size: (usize, usize),
    inverse: Vec<f32>,
    /// Triangles of more pixels than this are not drawn.
    largest: f32,
}

impl Nearest {
    /// A triangle that faces the view.
    fn draw(&mut self, corners: [Hit; 3]) {
        let [a, b, c] = corners.map(|hit| (hit.x, hit.y));
        let area = twice_the_area(a, b, c);
        if area <= 1e-6 || area > 2.0 * self.largest {
            return;
        }
        for y in pixels_between([a.1, b.1, c.1], self.size.1) {
            for x in pixels_between([a.0, b.0, c.0], self.size.0) {
                let p = (x as f32, y as f32);
                let shares =
                    [twice_the_area(b, c, p), twice_the_area(c, a, p), twice_the_area(a, b, p)].map(|s| s / area);
                if shares.iter().all(|share| *share >= -1e-4) {
                    let inverse = corners.iter().zip(shares).map(|(hit, share)| hit.inverse_depth * share).sum();
                    let slot = &mut self.inverse[y * self.size.0 + x];
                    *slot = slot.max(inverse);
                }
            }
        }
    }
}

/// Positive where the corners turn as the axes do.
fn twice_the_area(p: (f32, f32), q: (f32, f32), r: (f32, f32)) -> f32 {
    (q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0)
}

/// Whole numbers from 0 to below `n` that lie between the least and the greatest of three.
fn pixels_between(values: [f32; 3], n: usize) -> std::ops::Range<usize> {
    let least = values.iter().copied().fold(f32::MAX, f32::min).ceil().max(0.0) as usize;
    let end = (values.iter().copied().fold(f32::MIN, f32::max).floor() + 1.0).max(0.0) as usize;
    least..end.min(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::test_scene::card_before_wall;
    use crate::geometry::views::median;
    use crate::geometry::{Own, reconstruct};
    use image::Rgb32FImage;

    #[test]
    fn the_card_in_the_hole_is_drawn_at_the_depth_of_its_points() {
        let scene = card_before_wall();
        let photos: Vec<&Rgb32FImage> = scene.photos.iter().collect();
        let found = reconstruct(&scene.matches, &[(200, 150); 4]).unwrap();
        let (views, _) = Views::new(&photos, &scene.hole, &found);
        let agreed = Own::new(&views).agreed.inverse;
        let target = &views.cameras[0];
        let points = views.points.iter().map(|point| target.local(&point.position));
        let points: Vec<_> = points.map(|at| (target.pixel(&target.image_of_local(&at)), 1.0 / at.z as f32)).collect();
        let in_hole = |x: f64, y: f64| (72.0..128.0).contains(&x) && (52.0..98.0).contains(&y);
        let on_wall = |x: f64, _: f64| x < 45.0;
        for part in [&in_hole as &dyn Fn(f64, f64) -> bool, &on_wall] {
            let places = agreed.iter().enumerate().filter(|(i, _)| part((i % 200) as f64, (i / 200) as f64));
            let places: Vec<Option<f32>> = places.map(|(_, inverse)| *inverse).collect();
            let seen = median(points.iter().filter(|(at, _)| part(at.x, at.y)).map(|(_, inverse)| *inverse).collect());
            let drawn = median(places.iter().flatten().copied().collect());
            assert!((drawn / seen - 1.0).abs() < 0.02, "{drawn} where the points have {seen}");
            let shown = places.iter().flatten().count() as f32 / places.len() as f32;
            assert!(part(0.0, 0.0) || shown > 0.9, "{shown} of the hole has a depth");
        }
    }

    #[test]
    fn most_decide_and_two_at_least() {
        let agreed = |depths: &[f32]| agreed(depths, 0.1);
        assert_eq!([&[][..], &[0.5], &[0.5, 0.9]].map(agreed), [None; 3]);
        assert_eq!(agreed(&[0.5, 0.54, 0.9, 0.93]), None, "half is not most");
        assert!((agreed(&[0.5, 0.9, 0.54]).expect("two of three") - 0.52).abs() < 1e-6);
    }

    #[test]
    fn the_nearer_surface_is_drawn_over_the_farther() {
        let hit = |x, y, inverse_depth| Hit { x, y, inverse_depth };
        let mut nearest = Nearest { size: (6, 6), inverse: vec![0.0; 36], largest: 100.0 };
        for (far, depth) in [(4.0, 0.5), (2.0, 0.8)] {
            nearest.draw([hit(0.0, 0.0, depth), hit(far, 0.0, depth), hit(0.0, far, depth)]);
        }
        nearest.draw([hit(0.0, 0.0, 0.9), hit(0.0, 4.0, 0.9), hit(4.0, 0.0, 0.9)]); // shows its back
        let row: Vec<i32> = nearest.inverse[..6].iter().map(|depth| (100.0 * depth).round() as i32).collect();
        assert_eq!(row, [80, 80, 80, 50, 50, 0]);
    }

    #[test]
    fn a_hole_takes_the_drawn_depth_unless_it_costs_too_much() {
        let volume = CostVolume {
            size: (6, 1),
            depths: 10,
            cost: [0.9, 0.9, 0.9, 0.1, 0.9, 0.9, 0.9, 0.9, 0.3, 0.9].repeat(6), // 8 costs 0.2 more than 3
        };
        let settled = |costlier| {
            let inverse = vec![Some(8.0), Some(3.4), Some(5.0), None, Some(8.0), Some(30.0)];
            let (agreed, mut chosen) = (Agreed { inverse, same: 1.0, costlier }, vec![3.0; 6]);
            agreed.settle(&mut chosen, &volume, &Mask::from_fn(6, 1, |x, _| x != 4), (0.0, 1.0));
            chosen
        };
        assert_eq!(settled(0.1), [3.0; 6], "too dear");
        assert_eq!(settled(0.3), [8.0, 3.0, 3.0, 3.0, 3.0, 3.0], "the same or too dear, none, known, out of reach");
        assert_eq!(settled(f32::INFINITY)[0], 8.0);
        let nearer = Agreed { inverse: vec![Some(8.0), None], same: 1.0, costlier: 0.1 }.nearer(0.75);
        assert_eq!((nearer.inverse, nearer.same), (vec![Some(6.0), None], 0.75));
    }
}
