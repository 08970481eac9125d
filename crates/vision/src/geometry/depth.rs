//! The depth of each of a view's pixels: a full sweep at a small size, then a narrow one around its result at full size.

use super::occluder::Occluder;
use super::planes::{InverseDepth, planes};
use super::rays::{Projector, RayGrid};
use super::sgm::{Chosen, MAX_DEPTHS, Smoothness, choose};
use super::sweep::{CostVolume, Sweeper};
use super::views::{Views, median};
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

/// Depth of the first view over the whole range of its points; `occluders` are the other views' surfaces where they are known. `None` where too few points are seen.
pub fn coarse_depth(views: &Views, options: DepthOptions, occluders: &[Option<Occluder>]) -> Option<DepthMap> {
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
    if views.holes[0].is_some() {
        let first: Vec<f32> = chosen.index.iter().map(|k| low + k * step).collect();
        chosen = choose(&volume, &flat, step, &edges(&sweeper, Some(&first)), SMOOTH);
    }
    Some(depth_map(chosen, size, step, (low, high), motion_px, |_| low))
}

/// Depth of the first view at up to `side` pixels, around a coarse one.
pub fn refined_depth(views: &Views, coarse: &DepthMap, side: u32, occluders: &[Option<Occluder>]) -> DepthMap {
    let size = fitted(views.size(), side);
    let smooth = edge_preserving(&median_filter(&coarse.inverse), 3.0 * coarse.step);
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
    /// The same at another size.
    pub fn resized(&self, (w, h): (u32, u32)) -> Self {
        let resize = |p: &Plane| if p.dimensions() == (w, h) { p.clone() } else { resize_bilinear(p, w, h) };
        Self { inverse: resize(&self.inverse), cost: resize(&self.cost), margin: resize(&self.margin), ..*self }
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

/// A point in the first view's frame.
struct SeenPoint {
    ray: Vector3<f64>,
    inverse: f64,
    parallax_degrees: f64,
}

/// Points in front of the first view and (nearly) within its picture.
fn seen_points(views: &Views) -> Vec<SeenPoint> {
    let camera = &views.cameras[0];
    let (w, h) = (camera.size.0 as f64, camera.size.1 as f64);
    let seen = views.points.iter().filter_map(|p| {
        let local = camera.local(&p.position);
        let pixel = camera.pixel(&camera.image_of_local(&local));
        let near = |v: f64, n: f64| v > -0.05 * n && v < 1.05 * n;
        (local.z > 0.0 && near(pixel.x, w) && near(pixel.y, h)).then(|| SeenPoint {
            ray: local / local.z,
            inverse: 1.0 / local.z,
            parallax_degrees: p.parallax_degrees,
        })
    });
    seen.collect()
}

/// The inverse depths to search, with the motion over them; farther percentiles of near points are given up while the motion is over `most_px`.
fn depth_range(views: &Views, points: &[SeenPoint], most_px: f32) -> Option<((f32, f32), f32)> {
    let mut angles: Vec<f64> = points.iter().map(|p| p.parallax_degrees).collect();
    angles.sort_by(f64::total_cmp);
    let enough = (0.5 * angles.get(angles.len() / 2)?).min(1.0);
    let mut sure: Vec<f64> = points.iter().filter(|p| p.parallax_degrees > enough).map(|p| p.inverse).collect();
    let mut all: Vec<f64> = points.iter().map(|p| p.inverse).collect();
    if sure.len() < 12 {
        return None;
    }
    sure.sort_by(f64::total_cmp);
    all.sort_by(f64::total_cmp);
    let at = |v: &[f64], share: f64| v[((v.len() - 1) as f64 * share).round() as usize];
    let low = at(&sure, 0.01).min(at(&all, 0.03));
    let mut result = None;
    for share in [0.996, 0.99, 0.98, 0.96, 0.93, 0.9] {
        let span = at(&sure, share) - low;
        let range = ((low - 0.1 * span - 0.1 * low).max(0.0) as f32, (at(&sure, share) + 0.1 * span) as f32);
        if !(range.1 > range.0) {
            return None;
        }
        let motion = motion_px(views, range);
        result = Some((range, motion));
        if motion <= most_px {
            break;
        }
    }
    result
}

/// How far the image moves in the photo that moves most while the inverse depth runs over the range, in the first view's pixels.
fn motion_px(views: &Views, (low, high): (f32, f32)) -> f32 {
    const PIECES: usize = 16;
    let grid = RayGrid::new(&views.cameras[0], fitted(views.size(), 64));
    let piece = (high - low) / 512.0;
    let motion = |camera| {
        let projector = Projector::new(&views.cameras[0], camera);
        let relative = views.cameras[0].side() as f32 / camera.side() as f32;
        let moved = (0..PIECES).filter_map(|k| {
            let d = low + k as f32 * (high - low) / PIECES as f32;
            let step = |ray| {
                let (a, b) = (projector.hit(ray, d)?, projector.hit(ray, d + piece)?);
                Some((a.x - b.x).hypot(a.y - b.y))
            };
            let mut steps: Vec<f32> = grid.rays.iter().filter_map(step).collect();
            let at = steps.len() * 3 / 4;
            (!steps.is_empty()).then(|| *steps.select_nth_unstable_by(at, f32::total_cmp).1 * 512.0 * relative)
        });
        median(moved.collect())
    };
    views.cameras[1..].iter().map(motion).fold(16.0, f32::max)
}

/// The points with how far each one's image moves in the photo that moves most, where that is enough to tell depths.
fn moving_points(views: &Views, points: &[SeenPoint]) -> Vec<InverseDepth> {
    let projectors: Vec<_> = views.cameras[1..].iter().map(|c| Projector::new(&views.cameras[0], c)).collect();
    let moving = |p: &SeenPoint| {
        let (ray, d) = ([p.ray.x as f32, p.ray.y as f32, 1.0], p.inverse as f32);
        let piece = 0.01 * d.max(1e-3);
        let motion = |projector: &Projector| {
            let (a, b) = (projector.hit(&ray, d)?, projector.hit(&ray, d + piece)?);
            Some(((a.x - b.x).hypot(a.y - b.y) / piece) as f64)
        };
        let motion_px = projectors.iter().filter_map(motion).fold(0.0, f64::max);
        InverseDepth { ray: p.ray, inverse: p.inverse, motion_px }
    };
    let all: Vec<_> = points.iter().map(moving).collect();
    let typical = median(all.iter().map(|p| p.motion_px as f32).collect()) as f64;
    all.into_iter().filter(|p| p.motion_px > 0.2 * typical).collect()
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
            for k in ends[0].ceil().max(0.0) as usize..=(ends[1].floor().max(-1.0) + 1.0).min(depths as f32) as usize {
                if k >= depths || k as f32 > ends[1] {
                    break;
                }
                let at = ((low + k as f32 * step) / base[i] - 1.0) / delta + PLANE_REACH as f32;
                let j = (at.max(0.0) as usize).min(2 * PLANE_REACH - 1);
                let f = at - j as f32;
                out[k] = out[k].min(slanted[j] * (1.0 - f) + slanted[j + 1] * f);
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

/// `size` shrunk to the longer side, if it is larger.
fn fitted(size: (u32, u32), side: u32) -> (usize, usize) {
    let scale = (side as f64 / size.0.max(size.1) as f64).min(1.0);
    let fit = |n: u32| ((n as f64 * scale).round() as usize).max(8);
    (fit(size.0), fit(size.1))
}

fn nearest_resize(plane: &Plane, (w, h): (usize, usize)) -> Plane {
    let (sx, sy) = (plane.width() as f32 / w as f32, plane.height() as f32 / h as f32);
    Plane::from_fn(w as u32, h as u32, |x, y| {
        *plane.get_pixel(((x as f32 + 0.5) * sx) as u32, ((y as f32 + 0.5) * sy) as u32)
    })
}

/// Medians of 5×5 pixels.
fn median_filter(plane: &Plane) -> Plane {
    windowed(plane, 2, |values, _| *values.select_nth_unstable_by(values.len() / 2, f32::total_cmp).1)
}

/// Means of 7×7 pixels that weigh values `spread` away by a half.
fn edge_preserving(plane: &Plane, spread: f32) -> Plane {
    windowed(plane, 3, |values, centre| {
        let weight = |v: f32| 1.0 / (1.0 + ((v - centre) / spread).powi(4));
        let total: f32 = values.iter().map(|&v| weight(v)).sum();
        values.iter().map(|&v| v * weight(v)).sum::<f32>() / total
    })
}

fn windowed(plane: &Plane, radius: usize, value: impl Fn(&mut [f32], f32) -> f32 + Sync) -> Plane {
    let (w, h) = (plane.width() as usize, plane.height() as usize);
    let source = plane.as_raw();
    let mut out = vec![0.0; w * h];
    out.par_chunks_mut(w).enumerate().for_each(|(y, row)| {
        let mut window = Vec::with_capacity(64);
        for (x, out) in row.iter_mut().enumerate() {
            window.clear();
            for v in y.saturating_sub(radius)..(y + radius + 1).min(h) {
                window.extend_from_slice(&source[v * w + x.saturating_sub(radius)..v * w + (x + radius + 1).min(w)]);
            }
            *out = value(&mut window, source[y * w + x]);
        }
    });
    Plane::from_raw(w as u32, h as u32, out).expect("one value a pixel")
}
