//! The last part of a depth step: depths are moved continuously to where the photos agree best.
//!
//! The sweep compares windows at whole hypotheses, so that surfaces lie between two steps and edges some pixels beside their places. Here the
//! photos are pulled through the depth and compared pixel by pixel, grey values and gradients of every two of them, linearised in the
//! depth and robust, and solved for together with smoothness: optical flow in the manner of Brox et al. (ECCV 2004) with the one
//! unknown that cameras leave of its two.

use super::depth::DepthMap;
use super::occluder::{Occluder, Relation};
use super::rays::{Hit, Projector, RayGrid, level_for};
use super::views::Views;
use crate::Plane;
use crate::flow::{Board, EPSILON, FlowOptions, OMEGA, System, ZETA, diffusivities, gradients};
use crate::pyramid::{gaussian_blur, picture, scale_of_level};
use crate::warp::{Sampling, sample};
use rayon::prelude::*;

/// Times the photos are pulled anew, robust weights found for each, and relaxation sweeps for each of those.
const ROUNDS: usize = 3;
const OUTER_STEPS: usize = 5;
const INNER_STEPS: usize = 10;
/// Blur of what is compared, in pixels.
const BLUR: f32 = 0.7;
/// Depths move by this much at most, in pixels of the view that moves most: what is farther away is the sweep's to find.
const REACH_PX: f32 = 1.0;
/// Depth to either side between which slopes are taken, in the same pixels.
const BESIDE_PX: f32 = 0.5;

/// The first view's depth, which has the view's size, moved to where the photos agree. `occluders` are the other views' surfaces.
#[tracing::instrument(level = "info", skip_all)]
pub fn settled(views: &Views, depth: &DepthMap, occluders: &[Option<Occluder>]) -> DepthMap {
    let (w, h) = views.size();
    let grid = RayGrid::new(&views.cameras[0], (w as usize, h as usize));
    let unit = (depth.range.1 - depth.range.0) / depth.motion_px;
    let before: Vec<f32> = depth.inverse.iter().map(|inverse| inverse / unit).collect();
    let first = Pulled::first(views);
    let mut field = before.clone();
    for _ in 0..ROUNDS {
        let pull = |view: usize| Pulled::new(views, view, &grid, &field, unit, occluders[view - 1].as_ref());
        let pulled: Vec<Pulled> = (1..views.cameras.len()).into_par_iter().map(pull).collect();
        let photos: Vec<&Pulled> = std::iter::once(&first).chain(&pulled).collect();
        field = solved(&photos, &field, grid.size);
    }
    let reached = field.iter().zip(&before).map(|(f, before)| f.clamp(before - REACH_PX, before + REACH_PX));
    let inverse = picture(w, h, reached.map(|f| (unit * f).max(1e-6)).collect());
    DepthMap { inverse, cost: depth.cost.clone(), margin: depth.margin.clone(), ..*depth }
}

/// A photo in the first view, and how it changes with the depth there.
struct Pulled {
    value: Signal,
    /// Per pixel of motion.
    slope: Signal,
    seen: Vec<bool>,
}

/// Grey values (0 to 255) and their gradients.
struct Signal {
    value: Plane,
    across: Plane,
    down: Plane,
}

impl Signal {
    fn new(value: Plane) -> Self {
        let (across, down) = gradients(&value);
        Self { value, across, down }
    }

    fn at(&self, i: usize) -> [f32; 3] {
        [&self.value, &self.across, &self.down].map(|plane| plane.as_raw()[i])
    }
}

impl Pulled {
    /// The first view itself, which no depth changes, where it is known.
    fn first(views: &Views) -> Self {
        let (w, h) = views.size();
        let seen = match &views.holes[0] {
            Some(hole) => hole.holes().iter().map(|hole| !hole).collect(),
            None => vec![true; (w * h) as usize],
        };
        let value = Signal::new(gaussian_blur(&views.grey[0][0], BLUR));
        Self { value, slope: Signal::new(Plane::new(w, h)), seen }
    }

    /// Another view at inverse depths `field · unit`.
    fn new(views: &Views, view: usize, grid: &RayGrid, field: &[f32], unit: f32, occluder: Option<&Occluder>) -> Self {
        let projector = Projector::new(&views.cameras[0], &views.cameras[view]);
        let levels = &views.grey[view];
        let level = level_for(projector.scale(grid, |i| unit * field[i]), levels.len());
        let source = gaussian_blur(&levels[level], BLUR);
        let scale = scale_of_level(level);
        let grey = |hit: &Hit| {
            let mut out = [0.0];
            let [x, y] = [hit.x, hit.y].map(|at| (at + 0.5) * scale - 0.5);
            sample(&source, x, y, Sampling::Bicubic, &mut out);
            out[0]
        };
        let (w, h) = views.size();
        let (mut value, mut slope, mut seen) = (Plane::new(w, h), Plane::new(w, h), vec![false; field.len()]);
        let mut shown = seen.clone();
        for (i, ray) in grid.rays.iter().enumerate() {
            let at = |beside: f32| projector.hit(ray, unit * (field[i] + beside));
            let (Some(here), Some(nearer), Some(farther)) = (at(0.0), at(BESIDE_PX), at(-BESIDE_PX)) else { continue };
            value.as_mut()[i] = grey(&here);
            slope.as_mut()[i] = (grey(&nearer) - grey(&farther)) / (2.0 * BESIDE_PX);
            shown[i] = true;
            seen[i] = occluder.is_none_or(|o| o.relation(&here) != Relation::Hidden);
        }
        let seen = inner(&seen, &shown, (w, h));
        Self { value: Signal::new(value), slope: Signal::new(slope), seen }
    }
}

/// Those of `seen` whose four neighbours are `shown`: beside nothing a gradient would be a step to black.
fn inner(seen: &[bool], shown: &[bool], (w, h): (u32, u32)) -> Vec<bool> {
    let (w, h) = (w as usize, h as usize);
    let is_inner = |i: usize| {
        let (x, y) = (i % w, i / w);
        (x == 0 || shown[i - 1])
            && (x + 1 == w || shown[i + 1])
            && (y == 0 || shown[i - w])
            && (y + 1 == h || shown[i + w])
    };
    (0..seen.len()).map(|i| seen[i] && is_inner(i)).collect()
}

/// The field at which the photos, pulled at `field`, agree best.
fn solved(photos: &[&Pulled], field: &[f32], (w, h): (usize, usize)) -> Vec<f32> {
    let (options, nothing) = (FlowOptions::default(), vec![0.0; w * h]);
    let mut whole = field.to_vec();
    for _ in 0..OUTER_STEPS {
        let smoothness = diffusivities(&whole, &nothing, w, h, options.smoothness);
        let term = |i: usize| {
            let (a, b) = agreement(photos, i, whole[i] - field[i], &options);
            [a, 0.0, 1.0, b + a * field[i], 0.0]
        };
        let terms: Vec<[f32; 5]> = (0..w * h).into_par_iter().with_min_len(4096).map(term).collect();
        let system = System::new(&terms, &smoothness, w, h);
        let (mut board, mut unused) = (Board::split(&whole, w, h), Board::split(&nothing, w, h));
        (0..INNER_STEPS).for_each(|_| system.relax(&mut board, &mut unused, OMEGA));
        whole = board.joined();
    }
    whole
}

/// The normal equation a · step = b of all pairs that see a pixel, its robust weights those of the step so far; their mean.
fn agreement(photos: &[&Pulled], i: usize, step: f32, options: &FlowOptions) -> (f32, f32) {
    let (mut a, mut b, mut pairs) = (0.0, 0.0, 0.0);
    for (k, p) in photos.iter().enumerate().filter(|(_, p)| p.seen[i]) {
        for q in photos[k + 1..].iter().filter(|q| q.seen[i]) {
            let (here, there) = (p.value.at(i), q.value.at(i));
            let (slope, other) = (p.slope.at(i), q.slope.at(i));
            let apart: [f32; 3] = std::array::from_fn(|c| here[c] - there[c]);
            let change: [f32; 3] = std::array::from_fn(|c| slope[c] - other[c]);
            let left: [f32; 3] = std::array::from_fn(|c| apart[c] + change[c] * step);
            // As Zimmer et al. (2011): differences over slopes are distances; gradients are taken to be half as steep as grey values.
            let steep = 0.25 * ((here[1] + there[1]).powi(2) + (here[2] + there[2]).powi(2));
            let (of_grey, of_gradients) = (1.0 / (steep + ZETA), 1.0 / (0.25 * steep + ZETA));
            let grey = options.brightness * of_grey / (left[0].powi(2) * of_grey + EPSILON).sqrt();
            let bent = left[1].powi(2) + left[2].powi(2);
            let gradient = options.gradients * of_gradients / (bent * of_gradients + EPSILON).sqrt();
            for (weight, c) in [(grey, 0), (gradient, 1), (gradient, 2)] {
                a += weight * change[c] * change[c];
                b -= weight * change[c] * apart[c];
            }
            pairs += 1.0;
        }
    }
    (a / f32::max(pairs, 1.0), b / f32::max(pairs, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::depth::{coarse_depth, refined_depth};
    use crate::geometry::project::project;
    use crate::geometry::test_scene::card_before_wall;
    use crate::geometry::{FINE_SIDE, Own, TARGET, reconstruct};
    use image::Rgb32FImage;

    #[test]
    fn depths_beside_the_surfaces_are_moved_back() {
        let scene = card_before_wall();
        let photos: Vec<&Rgb32FImage> = scene.photos.iter().collect();
        let found = reconstruct(&scene.matches, &[(200, 150); 4]).unwrap();
        let (views, _) = Views::new(&photos, &scene.hole, &found);
        let own = Own::new(&views);
        let coarse = coarse_depth(&views, TARGET, &own.surfaces, Some(&own.agreed)).unwrap();
        let depth = refined_depth(&views, &coarse, FINE_SIDE, &own.surfaces).resized((200, 150));
        let unit = (depth.range.1 - depth.range.0) / depth.motion_px;
        let mut beside = depth.clone();
        for (x, y, inverse) in beside.inverse.enumerate_pixels_mut() {
            inverse[0] += 0.9 * unit * (x as f32 / 20.0).sin() * (y as f32 / 15.0).cos();
        }
        let in_hole = |value: &dyn Fn(usize) -> f32| {
            let values: Vec<f32> =
                scene.hole.holes().iter().enumerate().filter(|(_, hole)| **hole).map(|(i, _)| value(i)).collect();
            values.iter().sum::<f32>() / values.len() as f32
        };
        let error = |depth: &DepthMap| {
            let (shown, truth) = (project(&views, 1, photos[1], depth, None).colour, photos[0]);
            in_hole(&|i| (shown.as_raw()[3 * i + 1] - truth.as_raw()[3 * i + 1]).abs())
        };
        let right = settled(&views, &depth, &own.surfaces);
        assert!(error(&right) < error(&depth), "{} settled, {} as swept", error(&right), error(&depth));
        let off = |depth: &DepthMap| in_hole(&|i| (depth.inverse.as_raw()[i] - right.inverse.as_raw()[i]).abs() / unit);
        let (moved, back) = (off(&beside), off(&settled(&views, &beside, &own.surfaces)));
        assert!(back < 0.5 * moved, "{moved} px beside, {back} px after");
    }

    #[test]
    fn no_gradient_is_seen_where_a_photo_ends() {
        let scene = card_before_wall();
        let found = reconstruct(&scene.matches, &[(200, 150); 4]).unwrap();
        let grey = Rgb32FImage::from_pixel(200, 150, image::Rgb([0.5; 3]));
        let (views, _) = Views::new(&[&grey; 4], &scene.hole, &found);
        let (w, h) = views.size();
        let grid = RayGrid::new(&views.cameras[0], (w as usize, h as usize));
        // So near that part of the target lies beside each photo.
        let field = vec![1.0; grid.rays.len()];
        for view in 1..views.cameras.len() {
            let pulled = Pulled::new(&views, view, &grid, &field, 0.5, None);
            let seen = || (0..field.len()).filter(|&i| pulled.seen[i]);
            assert!((1..field.len()).contains(&seen().count()), "{} seen", seen().count());
            assert!(seen().all(|i| pulled.value.at(i)[1].abs() < 1.0 && pulled.value.at(i)[2].abs() < 1.0));
        }
    }
}
