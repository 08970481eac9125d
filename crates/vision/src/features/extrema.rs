//! Points where the difference of Gaussians is extreme in place and scale, refined below the pixel (Lowe 2004, sections 3 and 4).

use super::scale_space::Octave;
use crate::Plane;
use nalgebra::{Matrix3, Vector3};
use rayon::prelude::*;

/// Pixels left out along the border.
const BORDER: usize = 5;
/// Steps after which a point that still wanders is given up.
const MAX_STEPS: usize = 5;

/// A refined extremum, in its octave's pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extremum {
    pub x: f32,
    pub y: f32,
    /// Nearest blurred level.
    pub level: usize,
    /// Level with its fraction.
    pub scale: f32,
    pub contrast: f32,
}

/// Limits that an extremum must pass.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub scales: usize,
    pub contrast: f32,
    pub edge: f32,
}

/// All extrema of an octave, row by row.
pub(super) fn extrema(octave: &Octave, limits: Limits) -> Vec<Extremum> {
    let (w, h) = octave.differences[0].dimensions();
    if (w.min(h) as usize) <= 2 * BORDER {
        return Vec::new();
    }
    let rows: Vec<_> = (1..=limits.scales).flat_map(|l| (BORDER..h as usize - BORDER).map(move |y| (l, y))).collect();
    rows.par_iter().map(|&(level, y)| row_extrema(octave, limits, level, y)).collect::<Vec<_>>().concat()
}

fn row_extrema(octave: &Octave, limits: Limits, level: usize, y: usize) -> Vec<Extremum> {
    let width = octave.differences[level].width() as usize;
    let row = &octave.differences[level].as_raw()[y * width..][..width];
    let least = 0.5 * limits.contrast / limits.scales as f32;
    (BORDER..width - BORDER)
        .filter(|&x| row[x].abs() > least && is_extreme(octave, level, x, y))
        .filter_map(|x| refine(octave, limits, level, x, y))
        .collect()
}

fn is_extreme(octave: &Octave, level: usize, x: usize, y: usize) -> bool {
    let width = octave.differences[level].width() as usize;
    let at = y * width + x;
    let centre = octave.differences[level].as_raw()[at];
    let sign = centre.signum();
    // The own level first: it rules out nearly every pixel.
    [level, level - 1, level + 1].into_iter().all(|l| {
        let plane = octave.differences[l].as_raw();
        [at - width, at, at + width].into_iter().all(|i| plane[i - 1..=i + 1].iter().all(|v| sign * v <= sign * centre))
    })
}

/// Newton steps on the 3D quadratic; `None` where it leaves the octave, is too faint or lies on an edge.
fn refine(octave: &Octave, limits: Limits, level: usize, x: usize, y: usize) -> Option<Extremum> {
    let (width, height) = (octave.differences[0].width() as i64, octave.differences[0].height() as i64);
    let (mut x, mut y, mut level) = (x as i64, y as i64, level as i64);
    for _ in 0..MAX_STEPS {
        let local = Local::new(&octave.differences[level as usize - 1..=level as usize + 1], x as usize, y as usize);
        let offset = -local.hessian.lu().solve(&local.gradient)?;
        if offset.iter().all(|o| o.abs() < 0.5) {
            return local.accept(limits, offset).then(|| Extremum {
                x: x as f32 + offset.x,
                y: y as f32 + offset.y,
                level: level as usize,
                scale: level as f32 + offset.z,
                contrast: local.contrast(offset),
            });
        }
        if offset.iter().any(|o| !o.is_finite() || o.abs() > 1e6) {
            return None;
        }
        (x, y, level) = (x + offset.x.round() as i64, y + offset.y.round() as i64, level + offset.z.round() as i64);
        let border = BORDER as i64;
        if !(1..=limits.scales as i64).contains(&level)
            || !(border..width - border).contains(&x)
            || !(border..height - border).contains(&y)
        {
            return None;
        }
    }
    None
}

/// Value and derivatives in x, y and scale by central differences.
struct Local {
    value: f32,
    gradient: Vector3<f32>,
    hessian: Matrix3<f32>,
}

impl Local {
    fn new(levels: &[Plane], x: usize, y: usize) -> Self {
        let width = levels[0].width() as usize;
        let at = |dx: i64, dy: i64, dl: i64| {
            levels[(1 + dl) as usize].as_raw()[((y as i64 + dy) * width as i64 + x as i64 + dx) as usize]
        };
        let value = at(0, 0, 0);
        let slope = |dx, dy, dl| 0.5 * (at(dx, dy, dl) - at(-dx, -dy, -dl));
        let bend = |dx, dy, dl| at(dx, dy, dl) + at(-dx, -dy, -dl) - 2.0 * value;
        let (xx, yy, ss) = (bend(1, 0, 0), bend(0, 1, 0), bend(0, 0, 1));
        let xy = 0.25 * (at(1, 1, 0) - at(-1, 1, 0) - at(1, -1, 0) + at(-1, -1, 0));
        let xs = 0.25 * (at(1, 0, 1) - at(-1, 0, 1) - at(1, 0, -1) + at(-1, 0, -1));
        let ys = 0.25 * (at(0, 1, 1) - at(0, -1, 1) - at(0, 1, -1) + at(0, -1, -1));
        let gradient = Vector3::new(slope(1, 0, 0), slope(0, 1, 0), slope(0, 0, 1));
        Self { value, gradient, hessian: Matrix3::new(xx, xy, xs, xy, yy, ys, xs, ys, ss) }
    }

    fn contrast(&self, offset: Vector3<f32>) -> f32 {
        (self.value + 0.5 * self.gradient.dot(&offset)).abs()
    }

    fn accept(&self, limits: Limits, offset: Vector3<f32>) -> bool {
        let (xx, yy, xy) = (self.hessian[(0, 0)], self.hessian[(1, 1)], self.hessian[(0, 1)]);
        let (trace, det) = (xx + yy, xx * yy - xy * xy);
        let corner = det > 0.0 && trace * trace * limits.edge < (limits.edge + 1.0).powi(2) * det;
        corner && self.contrast(offset) * limits.scales as f32 >= limits.contrast
    }
}
