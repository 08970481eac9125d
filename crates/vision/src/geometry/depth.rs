//! The depth of each of a view's pixels: a full sweep at a small size, then a narrow one around its result at full size.

use super::drawn::Agreed;
use super::filters::{edge_preserving, median_filter, nearest_resize};
use super::occluder::Occluder;
use super::planes::planes;
use super::range::{depth_range, fitted, moving_points, seen_points};
use super::sgm::{Chosen, MAX_DEPTHS, Smoothness, choose};
use super::specks::without_specks;
use super::sweep::{CostVolume, Sweeper};
use super::views::Views;
use crate::Plane;
use crate::pyramid::{gaussian_blur, resize_bilinear};
use nalgebra::Vector3;
use rayon::prelude::*;

/// Hypotheses to either side of a slanted plane.
const PLANE_REACH: usize = 10;
/// Hypotheses to either side of the coarse surface, at most.
const REFINE_REACH: usize = 16;
/// A point within this of a plane, in pixels of motion, belongs to it.
const PLANE_TOLERANCE_PX: f64 = 1.5;
/// Share of windows of twice the size in the cost.
const LARGE_WINDOWS: f32 = 0.4;
const SMOOTH: Smoothness = Smoothness { small: 0.05, jump: 1.0 };
const SMOOTH_FINE: Smoothness = Smoothness { small: 0.05, jump: 0.6 };

/// Inverse depths of a view with how surely they are known.
#[derive(Clone, Debug)]
pub struct DepthMap {
    /// Inverse depth along rays of unit depth.
    pub inverse: Plane,
    /// Matching cost, 0 (all photos agree) to 1.3.
    pub cost: Plane,
    /// Lead over other depths; 0 is undecided.
    pub margin: Plane,
    /// Inverse depth between two hypotheses.
    pub step: f32,
    /// Inverse depths between which was searched.
    pub range: (f32, f32),
    /// Motion over the whole range in the photo that moves most, in pixels of the view.
    pub motion_px: f32,
}

/// How finely to look.
#[derive(Clone, Copy, Debug)]
pub struct DepthOptions {
    /// Longer side of the working size.
    pub side: u32,
    /// Hypotheses at most.
    pub depths: usize,
}

/// Depth of the first view over the whole range of its points; `occluders` are the other views' surfaces where they are known, `agreed` what
/// they say of the hole. `None` where too few points are seen.
#[tracing::instrument(level = "info", skip_all)]
pub fn coarse_depth(
    views: &Views,
    options: DepthOptions,
    occluders: &[Option<Occluder>],
    agreed: Option<&Agreed>,
) -> Option<DepthMap> {
    let points = seen_points(views);
    let size = fitted(views.size(), options.side);
    let scale = size.0 as f32 / views.size().0 as f32;
    let ((low, high), motion_px) = depth_range(views, &points, 2.5 * options.depths as f32 / scale)?;
    let depths = ((motion_px * scale) as usize).clamp(32, options.depths.min(MAX_DEPTHS - 1)) + 1;
    let step = (high - low) / (depths - 1) as f32;
    let sweeper = Sweeper::new(views, size, occluders);
    let slanted = planes(&moving_points(views, &points), PLANE_TOLERANCE_PX);
    let sweep = |sweeper: &Sweeper| {
        let mut volume = sweeper.volume(depths, |_, k| low + k as f32 * step);
        slanted.iter().for_each(|plane| add_slanted(sweeper, &mut volume, plane, low, step));
        volume
    };
    let mut volume = sweep(&sweeper);
    blend(&mut volume, &sweep(&Sweeper::new(views, halved(size), occluders)));
    let flat = vec![0.0; size.0 * size.1];
    let mut chosen = choose(&volume, &flat, step, &edges(&sweeper, None), SMOOTH);
    if let Some(hole) = &views.holes[0] {
        let first: Vec<f32> = chosen.index.iter().map(|k| low + k * step).collect();
        chosen = choose(&volume, &flat, step, &edges(&sweeper, Some(&first)), SMOOTH);
        agreed.inspect(|agreed| agreed.settle(&mut chosen.index, &volume, hole, (low, step)));
    }
    Some(depth_map(chosen, size, step, (low, high), motion_px, |_| low))
}

/// Depth of the first view at up to `side` pixels, around a coarse one.
#[tracing::instrument(level = "info", skip_all)]
pub fn refined_depth(views: &Views, coarse: &DepthMap, side: u32, occluders: &[Option<Occluder>]) -> DepthMap {
    let size = fitted(views.size(), side);
    let clean = without_specks(&coarse.inverse, coarse.step);
    let smooth = edge_preserving(&median_filter(&clean), 3.0 * coarse.step);
    let large = nearest_resize(&smooth, size);
    let base = edge_preserving(&large, 2.0 * coarse.step);
    let step = 0.75 * (coarse.range.1 - coarse.range.0) / coarse.motion_px.max(32.0);
    let reach = ((2.0 * coarse.step / step).ceil() as usize + 2).min(REFINE_REACH);
    let lowest = |i: usize| base.as_raw()[i] - reach as f32 * step;
    let sweeper = Sweeper::new(views, size, occluders);
    let volume = sweeper.volume(2 * reach + 1, |i, k| lowest(i) + k as f32 * step);
    let chosen = choose(&volume, base.as_raw(), step, &edges(&sweeper, Some(base.as_raw())), SMOOTH_FINE);
    let mut map = depth_map(chosen, size, step, coarse.range, coarse.motion_px, lowest);
    map.inverse = median_filter(&map.inverse);
    map.inverse.iter_mut().for_each(|d| *d = d.max(1e-6));
    map
}

impl DepthMap {
    /// The same at another size; steps of depth stay steps.
    pub fn resized(&self, (w, h): (u32, u32)) -> Self {
        if self.inverse.dimensions() == (w, h) {
            return self.clone();
        }
        let resize = |p: &Plane| resize_bilinear(p, w, h);
        let inverse = edge_preserving(&nearest_resize(&self.inverse, (w as usize, h as usize)), 3.0 * self.step);
        Self { inverse, cost: resize(&self.cost), margin: resize(&self.margin), ..*self }
    }
}

fn depth_map(
    chosen: Chosen,
    size: (usize, usize),
    step: f32,
    range: (f32, f32),
    motion_px: f32,
    lowest: impl Fn(usize) -> f32,
) -> DepthMap {
    let plane = |v: Vec<f32>| Plane::from_raw(size.0 as u32, size.1 as u32, v).expect("one value a pixel");
    let inverse = chosen.index.iter().enumerate().map(|(i, k)| lowest(i) + k * step).collect();
    DepthMap { inverse: plane(inverse), cost: plane(chosen.cost), margin: plane(chosen.margin), step, range, motion_px }
}

/// Mixes in costs at half the size: larger windows, where small ones hold too little.
fn blend(fine: &mut CostVolume, coarse: &CostVolume) {
    let ((w, h), (cw, ch), depths) = (fine.size, coarse.size, fine.depths);
    let weights = |at: usize, n: usize, cn: usize| {
        let p = ((at as f32 + 0.5) * cn as f32 / n as f32 - 0.5).clamp(0.0, (cn - 1) as f32);
        (p as usize, (p as usize + 1).min(cn - 1), p.fract())
    };
    fine.cost.par_chunks_mut(w * depths).enumerate().for_each(|(y, row)| {
        let (y0, y1, fy) = weights(y, h, ch);
        for (x, out) in row.chunks_exact_mut(depths).enumerate() {
            let (x0, x1, fx) = weights(x, w, cw);
            let at = |x: usize, y: usize| &coarse.cost[(y * cw + x) * depths..][..depths];
            let corners = [at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1)];
            let shares = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
            for (k, out) in out.iter_mut().enumerate() {
                let large: f32 = corners.iter().zip(shares).map(|(c, s)| c[k] * s).sum();
                *out = (1.0 - LARGE_WINDOWS) * *out + LARGE_WINDOWS * large;
            }
        }
    });
}

fn halved(size: (usize, usize)) -> (usize, usize) {
    (size.0.div_ceil(2), size.1.div_ceil(2))
}

/// Lowers the volume's costs where windows slanted like a plane match better.
fn add_slanted(sweeper: &Sweeper, volume: &mut CostVolume, plane: &Vector3<f64>, low: f32, step: f32) {
    let q = plane.map(|v| v as f32);
    let base: Vec<f32> = sweeper.grid.rays.iter().map(|r| q.x * r[0] + q.y * r[1] + q.z * r[2]).collect();
    let high = low + (volume.depths - 1) as f32 * step;
    let usable = |b: f32| b > 0.5 * low && b < 1.5 * high && b > 1e-6;
    let mut sizes: Vec<f32> = base.iter().copied().filter(|&b| usable(b)).collect();
    if sizes.len() * 100 < base.len() {
        return;
    }
    let at = sizes.len() * 4 / 5;
    let delta = step / *sizes.select_nth_unstable_by(at, f32::total_cmp).1;
    let factor = |k: f32| 1.0 + (k - PLANE_REACH as f32) * delta;
    let slanted =
        sweeper.volume(2 * PLANE_REACH + 1, |i, k| if usable(base[i]) { base[i] * factor(k as f32) } else { -1.0 });
    let depths = volume.depths;
    volume.cost.par_chunks_mut(depths).zip(slanted.cost.par_chunks(slanted.depths)).enumerate().for_each(
        |(i, (out, slanted))| {
            if !usable(base[i]) {
                return;
            }
            let ends = [0.0, 2.0 * PLANE_REACH as f32].map(|k| (base[i] * factor(k) - low) / step);
            let first = ends[0].ceil().max(0.0) as usize;
            let end = (ends[1].floor() + 1.0).max(0.0) as usize;
            for (k, out) in out.iter_mut().enumerate().take(end).skip(first) {
                let at = ((low + k as f32 * step) / base[i] - 1.0) / delta + PLANE_REACH as f32;
                let j = (at.max(0.0) as usize).min(2 * PLANE_REACH - 1);
                let f = at - j as f32;
                *out = out.min(slanted[j] * (1.0 - f) + slanted[j + 1] * f);
            }
        },
    );
}

/// The first view's grey values 0 to 1, slightly blurred; the hole as the others have it at `depth`, or 0.
fn edges(sweeper: &Sweeper, depth: Option<&[f32]>) -> Vec<f32> {
    let (w, h) = sweeper.grey.dimensions();
    let values = match depth {
        Some(depth) => sweeper.completed(depth),
        None => sweeper.grey.iter().zip(&sweeper.known).map(|(g, k)| g * k).collect(),
    };
    let plane = Plane::from_raw(w, h, values).expect("one value a pixel");
    gaussian_blur(&plane, 1.0).iter().map(|v| v / 255.0).collect()
}
