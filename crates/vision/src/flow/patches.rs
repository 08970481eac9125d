//! Patches of the first picture searched in the second by Gauss-Newton steps whose gradients are computed once (inverse search).

use super::pixels::{gradients, padded};
use super::{Flow, FlowOptions, Level};
use crate::Plane;
use crate::linalg::vectorised;
use rayon::prelude::*;

/// Side of a patch in pixels.
pub(super) const SIDE: usize = 8;
const AREA: usize = SIDE * SIDE;
/// Pixels repeated around the second picture, so that patches may hang over its edge.
const PAD: usize = SIDE * 2;
/// A patch that walks further than this from its start got lost, in pixels.
const LOST: f32 = SIDE as f32;
/// Steps shorter than this end a search, in pixels.
const SHORT: f32 = 0.01;

type Patch = [f32; AREA];

/// Displacements on a grid of patches.
pub(super) struct Patches {
    /// Left and upper edges.
    pub lefts: Vec<usize>,
    pub tops: Vec<usize>,
    /// Row by row.
    pub found: Vec<Found>,
}

/// Where a patch went.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub dx: f32,
    pub dy: f32,
    /// Mean squared difference without the means.
    cost: f32,
    /// Share of the patch that is to be believed.
    pub weight: f32,
}

/// Searches every patch from the given flow, then again from its neighbours' results where those fit better.
pub(super) fn search(level: &Level, start: &Flow, options: &FlowOptions) -> Patches {
    let (w, h) = (level.from.width() as usize, level.from.height() as usize);
    let (lefts, tops) = (positions(w, options.stride), positions(h, options.stride));
    let searcher = Searcher::new(level, options);
    let grid: Vec<(usize, usize)> = tops.iter().flat_map(|&y| lefts.iter().map(move |&x| (x, y))).collect();
    let templates: Vec<Template> = grid.par_iter().map(|&(x, y)| searcher.template(level, x, y)).collect();
    let centre =
        |plane: &Plane, x: usize, y: usize| plane.as_raw()[(y + SIDE / 2).min(h - 1) * w + (x + SIDE / 2).min(w - 1)];
    let mut found: Vec<Found> = grid
        .par_iter()
        .zip(&templates)
        .map(|(&(x, y), t)| searcher.descend(t, (x, y), (centre(&start.x, x, y), centre(&start.y, x, y))))
        .collect();
    for _ in 0..2 {
        let last = found.clone();
        found = (0..grid.len())
            .into_par_iter()
            .map(|i| searcher.propagate(&templates[i], grid[i], i, &last, lefts.len()))
            .collect();
    }
    Patches { lefts, tops, found }
}

/// Patch positions along one side, the last flush with the edge.
fn positions(size: usize, stride: usize) -> Vec<usize> {
    let last = size - SIDE;
    let mut all: Vec<usize> = (0..last).step_by(stride.max(1)).collect();
    all.push(last);
    all
}

/// What is known of a patch beforehand.
struct Template {
    values: Patch,
    gx: Patch,
    gy: Patch,
    /// How far to believe each pixel, over the sum of all: weights of a mean.
    shares: Patch,
    /// Inverse of the structure tensor (xx, xy, yy), all 0 for a patch without structure.
    inverse: [f32; 3],
    weight: f32,
}

struct Searcher<'a> {
    padded: Plane,
    gx: Plane,
    gy: Plane,
    size: (f32, f32),
    options: &'a FlowOptions,
}

impl<'a> Searcher<'a> {
    fn new(level: &Level, options: &'a FlowOptions) -> Self {
        let (gx, gy) = gradients(&level.from);
        let size = (level.from.width() as f32, level.from.height() as f32);
        Self { padded: padded(&level.to, PAD), gx, gy, size, options }
    }

    fn template(&self, level: &Level, x: usize, y: usize) -> Template {
        let valid = cut(&level.from_weight, x, y);
        let total = valid.iter().sum::<f32>();
        let shares = valid.map(|v| v / total.max(1e-6));
        let [values, plain_x, plain_y] =
            [&level.from, &self.gx, &self.gy].map(|plane| without_mean(cut(plane, x, y), &shares));
        // Scaled so that a whole patch has the plain sums.
        let weighted = |g: Patch| std::array::from_fn::<f32, AREA, _>(|k| g[k] * shares[k] * AREA as f32);
        let (gx, gy) = (weighted(plain_x), weighted(plain_y));
        let dot = |a: &Patch, b: &Patch| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let (xx, xy, yy) = (dot(&gx, &plain_x), dot(&gx, &plain_y), dot(&gy, &plain_y));
        // A little of the trace keeps edges and flat patches from running away.
        let ridge = 1e-3 * (xx + yy) + AREA as f32 * 0.05;
        let det = (xx + ridge) * (yy + ridge) - xy * xy;
        let inverse = [(yy + ridge) / det, -xy / det, (xx + ridge) / det];
        Template { values, gx, gy, shares, inverse, weight: total / AREA as f32 }
    }

    fn descend(&self, t: &Template, at: (usize, usize), start: (f32, f32)) -> Found {
        let (mut dx, mut dy) = start;
        let mut best = Found { dx, dy, cost: f32::INFINITY, weight: t.weight };
        if t.weight < 0.25 {
            return best;
        }
        for _ in 0..self.options.search_steps.max(1) {
            let (step_x, step_y, cost) = vectorised(|| self.step(t, at, (dx, dy)));
            if cost >= best.cost {
                break;
            }
            best = Found { dx, dy, cost, ..best };
            (dx, dy) = self.confined(at, (dx - step_x, dy - step_y));
            if (dx - start.0).hypot(dy - start.1) > LOST || step_x.hypot(step_y) < SHORT {
                break;
            }
        }
        best
    }

    /// Starts from the best of four neighbours' displacements where it fits clearly better than the patch's own.
    fn propagate(&self, t: &Template, at: (usize, usize), i: usize, last: &[Found], columns: usize) -> Found {
        let own = last[i];
        if t.weight < 0.25 {
            return own;
        }
        let (column, row) = (i % columns, i / columns);
        let left = (column > 0).then(|| i - 1);
        let right = (column + 1 < columns).then(|| i + 1);
        let up = (row > 0).then(|| i - columns);
        let down = (i + columns < last.len()).then(|| i + columns);
        let cost = |f: &Found| vectorised(|| self.step(t, at, (f.dx, f.dy))).2;
        let differs = |f: &&Found| (f.dx - own.dx).abs() + (f.dy - own.dy).abs() > 0.5;
        let rivals = [left, right, up, down].into_iter().flatten().map(|n| &last[n]).filter(differs);
        let best = rivals.map(|f| (cost(f), f)).min_by(|a, b| a.0.total_cmp(&b.0));
        match best {
            Some((cost, f)) if cost < own.cost => {
                let found = self.descend(t, at, (f.dx, f.dy));
                if found.cost < own.cost { found } else { own }
            }
            _ => own,
        }
    }

    /// Keeps a patch at least half over the second picture.
    fn confined(&self, (x, y): (usize, usize), (dx, dy): (f32, f32)) -> (f32, f32) {
        let half = SIDE as f32 / 2.0;
        let within = |at: usize, d: f32, size: f32| (at as f32 + d).clamp(-half, size - half) - at as f32;
        (within(x, dx, self.size.0), within(y, dy, self.size.1))
    }

    /// The Gauss-Newton step at a displacement, and the cost there.
    #[inline(always)]
    fn step(&self, t: &Template, at: (usize, usize), displacement: (f32, f32)) -> (f32, f32, f32) {
        let moved = self.moved(at, self.confined(at, displacement));
        let mut means = [0.0f32; SIDE];
        for j in 0..SIDE {
            for i in 0..SIDE {
                means[i] += t.shares[j * SIDE + i] * moved[j * SIDE + i];
            }
        }
        let mean = means.iter().sum::<f32>();
        let (mut bx, mut by, mut cost) = ([0.0f32; SIDE], [0.0f32; SIDE], [0.0f32; SIDE]);
        for j in 0..SIDE {
            for i in 0..SIDE {
                let k = j * SIDE + i;
                let residual = moved[k] - mean - t.values[k];
                bx[i] += t.gx[k] * residual;
                by[i] += t.gy[k] * residual;
                cost[i] += t.shares[k] * residual * residual;
            }
        }
        let [bx, by, cost] = [bx, by, cost].map(|v| v.iter().sum::<f32>());
        let [xx, xy, yy] = t.inverse;
        (xx * bx + xy * by, xy * bx + yy * by, cost)
    }

    /// The second picture's patch at a displacement, bilinear; one fraction serves all its pixels.
    #[inline(always)]
    fn moved(&self, (x, y): (usize, usize), (dx, dy): (f32, f32)) -> Patch {
        let (px, py) = (x as f32 + dx + PAD as f32, y as f32 + dy + PAD as f32);
        let (x0, y0) = (px as usize, py as usize);
        let (fx, fy) = (px - x0 as f32, py - y0 as f32);
        let [a, b, c, d] = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
        let width = self.padded.width() as usize;
        let mut out = [0.0; AREA];
        for j in 0..SIDE {
            let upper = &self.padded.as_raw()[(y0 + j) * width + x0..][..SIDE + 1];
            let lower = &self.padded.as_raw()[(y0 + j + 1) * width + x0..][..SIDE + 1];
            for i in 0..SIDE {
                out[j * SIDE + i] = a * upper[i] + b * upper[i + 1] + c * lower[i] + d * lower[i + 1];
            }
        }
        out
    }
}

fn cut(plane: &Plane, x: usize, y: usize) -> Patch {
    let width = plane.width() as usize;
    std::array::from_fn(|k| plane.as_raw()[(y + k / SIDE) * width + x + k % SIDE])
}

fn without_mean(patch: Patch, shares: &Patch) -> Patch {
    let mean = patch.iter().zip(shares).map(|(v, s)| v * s).sum::<f32>();
    patch.map(|v| v - mean)
}
