//! Refinement of a dense field: brightness and gradients should stay, the field should be smooth, and all of it robustly.
//!
//! Brox, Bruhn, Papenberg, Weickert, ECCV 2004, at one warp a level; data terms normalised as by Zimmer et al. (2011).

use super::checkerboard::{Board, System};
use super::pixels::gradients;
use super::{Flow, FlowOptions, Level};
use crate::Plane;
use crate::linalg::vectorised;
use crate::pyramid::picture;
use crate::warp::{Sampling, remap};
use rayon::prelude::*;

/// Rounds off the robust penalties at zero, squared.
pub(crate) const EPSILON: f32 = 1e-3 * 1e-3;
/// Keeps the normalisation of data terms finite in flat parts, squared (grey values of 0 to 255).
pub(crate) const ZETA: f32 = 0.1 * 0.1;
/// Over-relaxation.
pub(crate) const OMEGA: f32 = 1.6;

/// The refined field.
pub(super) fn refine(level: &Level, flow: Flow, options: &FlowOptions) -> Flow {
    let data = Derivatives::new(level, &flow);
    let (w, h) = (level.from.width() as usize, level.from.height() as usize);
    let (u, v) = (flow.x.as_raw(), flow.y.as_raw());
    // The unknowns are the whole displacements; the data terms are linear in the increments.
    let (mut whole_u, mut whole_v) = (u.clone(), v.clone());
    for _ in 0..options.outer_steps {
        let smoothness = diffusivities(&whole_u, &whole_v, w, h, options.smoothness);
        let system = data.system(u, v, &whole_u, &whole_v, &smoothness, options);
        let (mut board_u, mut board_v) = (Board::split(&whole_u, w, h), Board::split(&whole_v, w, h));
        for _ in 0..options.inner_steps {
            system.relax(&mut board_u, &mut board_v, OMEGA);
        }
        (whole_u, whole_v) = (board_u.joined(), board_v.joined());
    }
    Flow { x: picture(w as u32, h as u32, whole_u), y: picture(w as u32, h as u32, whole_v) }
}

/// Differences between the first picture and the second pulled onto it, and their slopes.
struct Derivatives {
    ix: Plane,
    iy: Plane,
    iz: Plane,
    ixx: Plane,
    ixy: Plane,
    iyy: Plane,
    ixz: Plane,
    iyz: Plane,
    weight: Plane,
}

impl Derivatives {
    fn new(level: &Level, flow: &Flow) -> Self {
        let (map_x, map_y) = flow.maps();
        let moved = remap(&level.to, &map_x, &map_y, Sampling::Bicubic);
        let their_weight = remap(&level.to_weight, &map_x, &map_y, Sampling::Bilinear).image;
        let weight = combine(&combine(&level.from_weight, &their_weight, |a, b| a * b), &moved.valid, |a, b| a * b);
        let (fx, fy) = gradients(&level.from);
        let (mx, my) = gradients(&moved.image);
        let mean = |a: &Plane, b: &Plane| combine(a, b, |a, b| 0.5 * (a + b));
        let (ix, iy) = (mean(&fx, &mx), mean(&fy, &my));
        let ((ixx, ixy), (_, iyy)) = (gradients(&ix), gradients(&iy));
        let difference = |a: &Plane, b: &Plane| combine(a, b, |a, b| a - b);
        let (iz, ixz, iyz) = (difference(&moved.image, &level.from), difference(&mx, &fx), difference(&my, &fy));
        Self { ix, iy, iz, ixx, ixy, iyy, ixz, iyz, weight }
    }

    /// The linear system for the whole displacements at fixed robust weights.
    fn system(
        &self,
        u: &[f32],
        v: &[f32],
        whole_u: &[f32],
        whole_v: &[f32],
        smoothness: &[f32],
        options: &FlowOptions,
    ) -> System {
        let (w, h) = (self.iz.width() as usize, self.iz.height() as usize);
        let mut terms = vec![[0.0f32; 5]; w * h];
        terms.par_chunks_mut(w).enumerate().for_each(|(y, terms)| {
            let row = |plane: &Plane| plane.as_raw()[y * w..][..w].to_vec();
            let [ix, iy, iz, ixx, ixy, iyy, ixz, iyz, weight] =
                [&self.ix, &self.iy, &self.iz, &self.ixx, &self.ixy, &self.iyy, &self.ixz, &self.iyz, &self.weight]
                    .map(row);
            let at = y * w;
            vectorised(|| {
                for (x, out) in terms.iter_mut().enumerate() {
                    let i = at + x;
                    let (du, dv) = (whole_u[i] - u[i], whole_v[i] - v[i]);
                    let mut t = [0.0; 5];
                    add_term(&mut t, [ix[x], iy[x], iz[x]], (du, dv), options.brightness * weight[x]);
                    add_pair(
                        &mut t,
                        [ixx[x], ixy[x], ixz[x]],
                        [ixy[x], iyy[x], iyz[x]],
                        (du, dv),
                        options.gradients * weight[x],
                    );
                    // From increments to whole displacements.
                    t[3] += t[0] * u[i] + t[1] * v[i];
                    t[4] += t[1] * u[i] + t[2] * v[i];
                    *out = t;
                }
            });
        });
        System::new(&terms, smoothness, w, h)
    }
}

/// Adds a robust squared linear term (a·du + b·dv + c)² to the normal equations [A11, A12, A22, b1, b2].
#[inline(always)]
fn add_term(t: &mut [f32; 5], [a, b, c]: [f32; 3], (du, dv): (f32, f32), weight: f32) {
    let n = 1.0 / (a * a + b * b + ZETA);
    let r = a * du + b * dv + c;
    add_scaled(t, [a, b, c], weight * n / (r * r * n + EPSILON).sqrt());
}

/// Adds two terms under one robust penalty.
#[inline(always)]
fn add_pair(t: &mut [f32; 5], p: [f32; 3], q: [f32; 3], (du, dv): (f32, f32), weight: f32) {
    let normal = |[a, b, _]: [f32; 3]| 1.0 / (a * a + b * b + ZETA);
    let value = |[a, b, c]: [f32; 3]| a * du + b * dv + c;
    let (np, nq, rp, rq) = (normal(p), normal(q), value(p), value(q));
    let robust = weight / (rp * rp * np + rq * rq * nq + EPSILON).sqrt();
    add_scaled(t, p, robust * np);
    add_scaled(t, q, robust * nq);
}

#[inline(always)]
fn add_scaled(t: &mut [f32; 5], [a, b, c]: [f32; 3], s: f32) {
    t[0] += s * a * a;
    t[1] += s * a * b;
    t[2] += s * b * b;
    t[3] -= s * a * c;
    t[4] -= s * b * c;
}

/// How freely the field may differ between neighbours: small where it jumps.
pub(crate) fn diffusivities(u: &[f32], v: &[f32], w: usize, h: usize, weight: f32) -> Vec<f32> {
    let mut out = vec![0.0; w * h];
    out.par_chunks_mut(w).enumerate().for_each(|(y, out)| {
        let row = |field: &[f32], y: usize| field[y.min(h - 1) * w..][..w].to_vec();
        let [here_u, here_v, below_u, below_v] = [row(u, y), row(v, y), row(u, y + 1), row(v, y + 1)];
        for (x, out) in out.iter_mut().enumerate() {
            let next = (x + 1).min(w - 1);
            let (ux, vx) = (here_u[next] - here_u[x], here_v[next] - here_v[x]);
            let (uy, vy) = (below_u[x] - here_u[x], below_v[x] - here_v[x]);
            *out = weight / (ux * ux + uy * uy + vx * vx + vy * vy + EPSILON).sqrt();
        }
    });
    out
}

fn combine(a: &Plane, b: &Plane, f: impl Fn(f32, f32) -> f32) -> Plane {
    let samples = a.iter().zip(b.iter()).map(|(a, b)| f(*a, *b)).collect();
    picture(a.width(), a.height(), samples)
}
