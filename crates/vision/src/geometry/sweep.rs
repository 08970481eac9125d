//! How well the photos agree on each depth of each pixel: a plane sweep in the first view.
//!
//! For a depth hypothesis every other photo is pulled into the first view and compared, photo with photo and (where it is known) with the
//! first, on windows of 7×7 pixels. Windows follow the surface that the hypotheses move around, so a slanted base surface gives slanted
//! windows. The cost is that of the better half of the pairs, so that an occlusion in some photos does no harm. A photo whose own surface
//! lies before a point has no say there, even where that surface is not sure: what it shows is something else, which agrees by chance.

use super::occluder::{Occluder, Relation};
use super::rays::{Hit, Projector, RayGrid, level_for};
use super::views::Views;
use crate::Plane;
use crate::linalg::vectorised;
use crate::pyramid::{scale_of_level, shrink_to};
use rayon::prelude::*;

/// Half the window's side less one half.
const RADIUS: usize = 3;
/// Noise variance of photos, in squared grey levels: keeps correlations of flat windows near zero.
const NOISE: f32 = 20.0;
/// The same for the contrast term, where it makes flat beside flat a match.
const CONTRAST_NOISE: f32 = 40.0;
/// Share of the contrast term (which flat windows pass and textured beside flat fails) against plain correlation, and weight of tones.
/// Tried without both on the ten scenes: flat walls and sky then took any depth.
const CONTRAST_SHARE: f32 = 0.7;
const TONE_WEIGHT: f32 = 0.3;
/// Cost where no two photos see a point.
pub const NEUTRAL: f32 = 0.6;
/// What a point's lying on another photo's own surface, or in front of it, adds to the cost.
const ON_SURFACE: f32 = -0.1;
const SEEN_THROUGH: f32 = 0.2;
/// Weight of pairs with the first view against those among the others, where it is known.
const FIRST_SHARE: f32 = 0.7;

/// Costs of depth hypotheses, hypothesis by hypothesis for each pixel of a grid.
#[derive(Clone, Debug)]
pub struct CostVolume {
    /// Grid size.
    pub size: (usize, usize),
    /// Hypotheses a pixel.
    pub depths: usize,
    /// `cost[pixel * depths + hypothesis]`, 0 (all agree) to 1.3.
    pub cost: Vec<f32>,
}

/// A view's photos prepared for sweeps at one working size.
pub struct Sweeper<'a> {
    views: &'a Views,
    /// The first view's rays.
    pub grid: RayGrid,
    /// The first view's grey picture at the working size, 0 to 255.
    pub grey: Plane,
    /// 1 where the first view is known.
    pub known: Vec<f32>,
    projectors: Vec<Projector>,
    occluders: &'a [Option<Occluder>],
    first: Moments,
    known_share: Vec<f32>,
}

/// Mean and variance in windows.
struct Moments {
    mean: Vec<f32>,
    variance: Vec<f32>,
}

impl<'a> Sweeper<'a> {
    /// Prepares the first view at `size` pixels. `occluders` are the other views' surfaces where they are known already, or empty.
    pub fn new(views: &'a Views, size: (usize, usize), occluders: &'a [Option<Occluder>]) -> Self {
        let grid = RayGrid::new(&views.cameras[0], size);
        let grey = shrink_to(&views.grey[0][0], size.0 as u32, size.1 as u32);
        let known = known_at(views, size);
        let known_share = boxed(&known, size);
        let weighted: Vec<f32> = grey.iter().zip(&known).map(|(g, k)| g * k).collect();
        let first = masked_moments(&weighted, &grey, &known_share, size);
        let projectors = views.cameras[1..].iter().map(|c| Projector::new(&views.cameras[0], c)).collect();
        Self { views, grid, grey, known, projectors, occluders, first, known_share }
    }

    /// Costs of the depths `depth(pixel, hypothesis)` (inverse), for `depths` hypotheses.
    pub fn volume(&self, depths: usize, depth: impl Fn(usize, usize) -> f32 + Sync) -> CostVolume {
        let slices: Vec<Vec<f32>> = (0..depths).into_par_iter().map(|k| self.slice(&|i| depth(i, k))).collect();
        let mut cost = vec![0.0; self.grid.rays.len() * depths];
        cost.par_chunks_mut(depths).with_min_len(1024).enumerate().for_each(|(i, out)| {
            out.iter_mut().zip(&slices).for_each(|(o, s)| *o = s[i]);
        });
        CostVolume { size: self.grid.size, depths, cost }
    }

    /// The first view's grey values, 0 to 255, with the hole as the other photos have it at the given inverse depths (the mean of those
    /// that see a point; 0 where none does).
    pub fn completed(&self, depth: &[f32]) -> Vec<f32> {
        let pulled: Vec<Pulled> = (0..self.projectors.len()).map(|j| self.pull(j, &|i| depth[i])).collect();
        let other = |i: usize| {
            let seen = pulled.iter().filter(|p| p.seen[i]);
            let (sum, count) = seen.fold((0.0, 0.0f32), |(s, n), p| (s + p.values[i], n + 1.0));
            sum / count.max(1.0)
        };
        let grey = self.grey.as_raw();
        (0..grey.len()).map(|i| if self.known[i] > 0.5 { grey[i] } else { other(i) }).collect()
    }

    fn slice(&self, depth: &impl Fn(usize) -> f32) -> Vec<f32> {
        let pulled: Vec<Pulled> = (0..self.projectors.len()).map(|j| self.pull(j, depth)).collect();
        let (n, strict) = (self.grid.rays.len(), !self.occluders.is_empty());
        let mut with_first = BetterMean::new(n, pulled.len(), strict);
        let mut among = BetterMean::new(n, pulled.len() * (pulled.len() - 1) / 2, strict);
        for (j, a) in pulled.iter().enumerate() {
            self.compare_with_first(a, self.views.spread[0][j + 1], &mut with_first);
            for (k, b) in pulled.iter().enumerate().skip(j + 1) {
                self.compare(a, b, self.views.spread[j + 1][k + 1], &mut among);
            }
        }
        let (with_first, among) = (with_first.means(), among.means());
        let joined = |i: usize| {
            let matching = match (with_first[i], among[i]) {
                (a, b) if a.is_finite() && b.is_finite() => FIRST_SHARE * a + (1.0 - FIRST_SHARE) * b,
                (a, b) if a.is_finite() || b.is_finite() => a.min(b),
                _ => NEUTRAL,
            };
            let votes: f32 = pulled.iter().map(|p| p.votes.get(i).copied().unwrap_or(0.0)).sum();
            matching + votes / pulled.len() as f32
        };
        (0..n).map(joined).collect()
    }

    /// Photo `j` in the first view at these depths.
    fn pull(&self, j: usize, depth: &impl Fn(usize) -> f32) -> Pulled {
        let (projector, levels) = (&self.projectors[j], &self.views.grey[j + 1]);
        let level = level_for(projector.scale(&self.grid, depth), levels.len());
        let source = Source::new(&levels[level], level);
        let n = self.grid.rays.len();
        let occluder = self.occluders.get(j).and_then(|o| o.as_ref());
        let (mut values, mut seen) = (vec![0.0; n], vec![false; n]);
        let mut votes = vec![0.0; if occluder.is_some() { n } else { 0 }];
        let width = self.grid.size.0;
        let (mut x, mut y, mut inverse) = (vec![0.0; width], vec![0.0; width], vec![0.0; width]);
        let mut depths = vec![0.0; width];
        for (row, rays) in self.grid.rays.chunks_exact(width).enumerate() {
            depths.iter_mut().enumerate().for_each(|(k, d)| *d = depth(row * width + k));
            projector.hits(rays, &depths, &mut x, &mut y, &mut inverse);
            for k in (0..width).filter(|&k| depths[k] >= 0.0 && !x[k].is_nan()) {
                let i = row * width + k;
                values[i] = source.at(x[k], y[k]);
                seen[i] = true;
                let hit = Hit { x: x[k], y: y[k], inverse_depth: inverse[k] };
                match occluder.map_or(Relation::Unknown, |o| o.relation(&hit)) {
                    Relation::On => votes[i] = ON_SURFACE,
                    Relation::Through => votes[i] = SEEN_THROUGH,
                    Relation::Hidden | Relation::Behind => seen[i] = false,
                    Relation::Unknown => {}
                }
            }
        }
        let moments = moments(&values, self.grid.size);
        Pulled { values, seen, votes, moments }
    }

    fn compare(&self, a: &Pulled, b: &Pulled, spread: f32, out: &mut BetterMean) {
        let products: Vec<f32> = a.values.iter().zip(&b.values).map(|(a, b)| a * b).collect();
        let costs = window_costs(&boxed(&products, self.grid.size), &a.moments, &b.moments, spread);
        out.add(costs, a.seen.iter().zip(&b.seen).map(|(a, b)| a & b));
    }

    fn compare_with_first(&self, b: &Pulled, spread: f32, out: &mut BetterMean) {
        let size = self.grid.size;
        if self.views.holes[0].is_none() {
            let products: Vec<f32> = b.values.iter().zip(self.grey.iter()).map(|(b, g)| b * g).collect();
            let costs = window_costs(&boxed(&products, size), &self.first, &b.moments, spread);
            return out.add(costs, b.seen.iter().copied());
        }
        if self.known_share.iter().all(|&k| k <= 0.5) {
            return;
        }
        let known: Vec<f32> = b.values.iter().zip(&self.known).map(|(b, k)| b * k).collect();
        let there = masked_moments(&known, &b.values, &self.known_share, size);
        let products: Vec<f32> = known.iter().zip(self.grey.iter()).map(|(b, g)| b * g).collect();
        let products = boxed(&products, size);
        let covariances: Vec<f32> = products.iter().zip(&self.known_share).map(|(p, share)| p / share).collect();
        let costs = window_costs(&covariances, &self.first, &there, spread);
        let known = self.known.iter().zip(&self.known_share).map(|(known, share)| (*known > 0.5) & (*share > 0.5));
        out.add(costs, b.seen.iter().zip(known).map(|(seen, known)| seen & known));
    }
}

struct Pulled {
    values: Vec<f32>,
    seen: Vec<bool>,
    /// What this photo's own surface says; empty where it is unknown.
    votes: Vec<f32>,
    moments: Moments,
}

/// The costs of pairs of windows from the means of their products and their moments.
fn window_costs(products: &[f32], a: &Moments, b: &Moments, spread: f32) -> Vec<f32> {
    let mut costs = vec![0.0; products.len()];
    vectorised(|| {
        let (means, variances) = (a.mean.iter().zip(&b.mean), a.variance.iter().zip(&b.variance));
        let windows = products.iter().zip(means).zip(variances);
        for (cost, ((product, (ma, mb)), (va, vb))) in costs.iter_mut().zip(windows) {
            *cost = window_cost(product - ma * mb, *va, *vb, ma - mb, spread);
        }
    });
    costs
}

/// The cost of one pair of windows: correlation, contrast and tone.
#[inline(always)]
fn window_cost(covariance: f32, va: f32, vb: f32, tone: f32, spread: f32) -> f32 {
    let correlation = (covariance / ((va + NOISE) * (vb + NOISE)).sqrt()).max(0.0);
    let contrast = ((2.0 * covariance + CONTRAST_NOISE) / (va + vb + CONTRAST_NOISE)).max(0.0);
    let tone = (tone.abs() / (4.0 * spread)).min(1.0);
    1.0 - (1.0 - CONTRAST_SHARE) * correlation - CONTRAST_SHARE * contrast + TONE_WEIGHT * tone
}

/// Means of the better ones of up to `most` numbers a pixel: of half of them, or (`strict`) of one more than half. The latter where hidden
/// photos are left out already: with four photos a thin white object is absent in the better half of pairs at a wrong depth.
struct BetterMean {
    most: usize,
    strict: bool,
    /// The smallest number of each pixel, the next one, and so on; infinite where there is none.
    smallest: Vec<Vec<f32>>,
    counts: Vec<u8>,
}

impl BetterMean {
    fn new(pixels: usize, most: usize, strict: bool) -> Self {
        let kept = most.min(most / 2 + 1);
        Self { most, strict, smallest: vec![vec![f32::INFINITY; pixels]; kept], counts: vec![0; pixels] }
    }

    /// One number for each pixel that is `there`: what it displaces among the smallest is handed on to the next.
    fn add(&mut self, mut values: Vec<f32>, there: impl Iterator<Item = bool>) {
        for ((value, count), there) in values.iter_mut().zip(&mut self.counts).zip(there) {
            *value = if there { *value } else { f32::INFINITY };
            *count += u8::from(there);
        }
        debug_assert!(self.counts.iter().all(|&count| usize::from(count) <= self.most));
        vectorised(|| {
            for plane in &mut self.smallest {
                for (kept, value) in plane.iter_mut().zip(&mut values) {
                    (*kept, *value) = (kept.min(*value), kept.max(*value));
                }
            }
        });
    }

    /// The mean of each pixel's better ones, infinite where there is none.
    fn means(&self) -> Vec<f32> {
        let (mut sums, strict) = (vec![0.0; self.counts.len()], self.strict);
        let better = |count: u8| if strict { (count / 2 + 1).min(count) } else { count.div_ceil(2) };
        for (k, plane) in self.smallest.iter().enumerate() {
            let rows = sums.iter_mut().zip(plane).zip(&self.counts);
            rows.for_each(|((sum, value), &count)| *sum += if k < usize::from(better(count)) { *value } else { 0.0 });
        }
        let mean = |(sum, &count): (f32, &u8)| if count == 0 { f32::INFINITY } else { sum / f32::from(better(count)) };
        sums.into_iter().zip(&self.counts).map(mean).collect()
    }
}

/// Bilinear samples of a pyramid level by pixels of the finest.
struct Source<'a> {
    values: &'a [f32],
    width: usize,
    height: usize,
    scale: f32,
}

impl<'a> Source<'a> {
    fn new(plane: &'a Plane, level: usize) -> Self {
        let (w, h) = plane.dimensions();
        Self { values: plane.as_raw(), width: w as usize, height: h as usize, scale: scale_of_level(level) }
    }

    #[inline]
    fn at(&self, x: f32, y: f32) -> f32 {
        let x = ((x + 0.5) * self.scale - 0.5).clamp(0.0, (self.width - 1) as f32 - 1e-3);
        let y = ((y + 0.5) * self.scale - 0.5).clamp(0.0, (self.height - 1) as f32 - 1e-3);
        // By way of 32 bits, which is quicker.
        let (x0, y0) = (x as i32 as usize, y as i32 as usize);
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let rows = &self.values[y0 * self.width + x0..][..self.width + 2];
        let (upper, lower) =
            (rows[0] + fx * (rows[1] - rows[0]), rows[self.width] + fx * (rows[self.width + 1] - rows[self.width]));
        upper + fy * (lower - upper)
    }
}

fn known_at(views: &Views, size: (usize, usize)) -> Vec<f32> {
    let Some(hole) = &views.holes[0] else { return vec![1.0; size.0 * size.1] };
    let (sx, sy) = (hole.width() as f32 / size.0 as f32, hole.height() as f32 / size.1 as f32);
    let known = |i: usize| {
        let span = |at: usize, s: f32, n: u32| {
            let first = (at as f32 * s - s).floor().max(0.0) as u32;
            first..(((at + 2) as f32 * s).ceil() as u32).min(n)
        };
        let (xs, ys) = (span(i % size.0, sx, hole.width()), span(i / size.0, sy, hole.height()));
        !ys.into_iter().any(|y| xs.clone().any(|x| hole.is_hole(x, y)))
    };
    (0..size.0 * size.1).map(|i| known(i) as u8 as f32).collect()
}

fn moments(values: &[f32], size: (usize, usize)) -> Moments {
    let mean = boxed(values, size);
    let squares: Vec<f32> = values.iter().map(|v| v * v).collect();
    let mut variance = boxed(&squares, size);
    variance.iter_mut().zip(&mean).for_each(|(v, m)| *v = (*v - m * m).max(0.0));
    Moments { mean, variance }
}

/// Moments over the known pixels only; `weighted` is `values` where known and 0 elsewhere.
fn masked_moments(weighted: &[f32], values: &[f32], share: &[f32], size: (usize, usize)) -> Moments {
    let mut mean = boxed(weighted, size);
    mean.iter_mut().zip(share).for_each(|(m, s)| *m /= s.max(1e-3));
    let squares: Vec<f32> = weighted.iter().zip(values).map(|(a, b)| a * b).collect();
    let mut variance = boxed(&squares, size);
    for ((v, m), s) in variance.iter_mut().zip(&mean).zip(share) {
        *v = (*v / s.max(1e-3) - m * m).max(0.0);
    }
    Moments { mean, variance }
}

/// Means over windows of 7×7 pixels, cut at the edges.
fn boxed(values: &[f32], size: (usize, usize)) -> Vec<f32> {
    vectorised(|| box_means(values, size))
}

#[inline(always)]
fn box_means(values: &[f32], (w, h): (usize, usize)) -> Vec<f32> {
    let mut across = vec![0.0; w * h];
    let blocks = values.chunks_exact(ROWS * w).zip(across.chunks_exact_mut(ROWS * w));
    blocks.for_each(|(rows, out)| row_means::<ROWS>(rows, w, out));
    let rest = h / ROWS * ROWS * w;
    let rows = values[rest..].chunks_exact(w).zip(across[rest..].chunks_exact_mut(w));
    rows.for_each(|(row, out)| row_means::<1>(row, w, out));
    let mut out = vec![0.0; w * h];
    let mut sums = vec![0.0; w];
    (0..RADIUS.min(h)).for_each(|y| sums.iter_mut().zip(&across[y * w..]).for_each(|(s, v)| *s += v));
    for y in 0..h {
        if y + RADIUS < h {
            sums.iter_mut().zip(&across[(y + RADIUS) * w..]).for_each(|(s, v)| *s += v);
        }
        if y > RADIUS {
            sums.iter_mut().zip(&across[(y - RADIUS - 1) * w..]).for_each(|(s, v)| *s -= v);
        }
        let count = ((y + RADIUS).min(h - 1) + 1 - y.saturating_sub(RADIUS)) as f32;
        out[y * w..(y + 1) * w].iter_mut().zip(&sums).for_each(|(o, s)| *o = s / count);
    }
    out
}

/// Rows that are summed along at a time: each sum waits for itself alone.
const ROWS: usize = 8;

/// Means of up to seven neighbours along each of `N` rows.
#[inline(always)]
fn row_means<const N: usize>(rows: &[f32], w: usize, out: &mut [f32]) {
    let (rows, mut out): ([&[f32]; N], [&mut [f32]; N]) = (array(rows.chunks_exact(w)), array(out.chunks_exact_mut(w)));
    let mut sums = rows.map(|row| row[..RADIUS.min(w)].iter().sum::<f32>());
    for x in 0..w {
        if x + RADIUS < w {
            (0..N).for_each(|r| sums[r] += rows[r][x + RADIUS]);
        }
        if x > RADIUS {
            (0..N).for_each(|r| sums[r] -= rows[r][x - RADIUS - 1]);
        }
        let count = ((x + RADIUS).min(w - 1) + 1 - x.saturating_sub(RADIUS)) as f32;
        (0..N).for_each(|r| out[r][x] = sums[r] / count);
    }
}

fn array<T, const N: usize>(mut rows: impl Iterator<Item = T>) -> [T; N] {
    std::array::from_fn(|_| rows.next().expect("as many rows"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::depth::DepthMap;
    use crate::geometry::reconstruct::reconstruct;
    use crate::geometry::test_scene::card_before_wall;
    use crate::geometry::views::{SparsePoint, median};

    #[test]
    fn a_photo_whose_own_surface_lies_before_a_point_has_no_say() {
        let scene = card_before_wall();
        let photos: Vec<_> = scene.photos.iter().collect();
        let sizes: Vec<_> = photos.iter().map(|photo| photo.dimensions()).collect();
        let found = reconstruct(&scene.matches, &sizes).unwrap();
        let (views, _) = Views::new(&photos, &scene.hole, &found);
        let inverse = |point: &SparsePoint| views.cameras[0].local(&point.position).z.recip() as f32;
        let there = median(views.points.iter().map(inverse).collect());
        let costs = [0.2, 0.001].map(|margin| {
            let plane = |value: f32| Plane::from_pixel(50, 38, image::Luma([value]));
            let (inverse, cost, margin) = (plane(5.0 * there), plane(0.1), plane(margin));
            let depth = DepthMap { inverse, cost, margin, step: 0.01 * there, range: (0.0, 1.0), motion_px: 100.0 };
            let surfaces = vec![Some(Occluder::new(&depth, sizes[1])); 3];
            let volume = Sweeper::new(&views, (100, 75), &surfaces).volume(1, |_, _| there);
            volume.cost[37 * 100 + 50]
        });
        assert_eq!(costs, [NEUTRAL; 2], "surely hidden, and unsurely");
    }

    #[test]
    fn window_means_are_those_of_the_plain_sum() {
        let (w, h) = (13, 9);
        let values: Vec<f32> = (0..w * h).map(|i| ((i * 37) % 101) as f32).collect();
        let fast = boxed(&values, (w, h));
        for (x, y) in [(0, 0), (6, 4), (12, 8), (2, 7)] {
            let (mut sum, mut count) = (0.0, 0.0);
            for v in y.max(3) - 3..(y + 4).min(h) {
                for u in x.max(3) - 3..(x + 4).min(w) {
                    sum += values[v * w + u];
                    count += 1.0;
                }
            }
            assert!((fast[y * w + x] - sum / count).abs() < 1e-3);
        }
    }

    #[test]
    fn the_better_half_is_averaged() {
        let mut numbers = [BetterMean::new(2, 5, false), BetterMean::new(2, 5, true)];
        for value in [0.9, 0.1, 0.5, 0.3, 0.8] {
            numbers.iter_mut().for_each(|numbers| numbers.add(vec![value; 2], [false, true].into_iter()));
        }
        let means = numbers.map(|numbers| numbers.means());
        assert!((means[0][1] - 0.3).abs() < 1e-6 && means[0][0].is_infinite(), "{means:?}");
        assert!((means[1][1] - 0.3).abs() < 1e-6, "three of five either way: {means:?}");
        let mut pair = BetterMean::new(1, 2, true);
        [0.6, 0.2].into_iter().for_each(|value| pair.add(vec![value], [true].into_iter()));
        assert!((pair.means()[0] - 0.4).abs() < 1e-6, "one more than half");
    }

    #[test]
    fn equal_windows_cost_little_and_different_ones_much() {
        assert!(window_cost(500.0, 500.0, 500.0, 0.0, 10.0) < 0.03);
        assert!(window_cost(0.0, 4.0, 4.0, 1.0, 10.0) < 0.5, "flat beside flat");
        assert!(window_cost(0.0, 500.0, 4.0, 20.0, 10.0) > 0.9, "textured beside flat");
    }
}
