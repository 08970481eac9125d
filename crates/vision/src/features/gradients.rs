//! Gradient size and direction of a whole level at once, so that overlapping windows do not compute them again.

use crate::Plane;
use crate::linalg::vectorised;
use rayon::prelude::*;
use std::f32::consts::{FRAC_PI_2, PI};

/// Per pixel of a level: gradient size, and direction in units of a full turn, 0 to 1. Borders are 0.
pub(super) struct Gradients {
    pub width: usize,
    pub height: usize,
    pub size: Vec<f32>,
    pub turn: Vec<f32>,
}

impl Gradients {
    pub fn new(level: &Plane) -> Self {
        let (width, height) = (level.width() as usize, level.height() as usize);
        let (mut size, mut turn) = (vec![0.0; level.len()], vec![0.0; level.len()]);
        size.par_chunks_mut(width).zip(turn.par_chunks_mut(width)).enumerate().for_each(|(y, (size, turn))| {
            if y > 0 && y + 1 < height && width > 2 {
                let row = |y: usize| &level.as_raw()[y * width..][..width];
                vectorised(|| gradient_row(row(y - 1), row(y), row(y + 1), size, turn));
            }
        });
        Self { width, height, size, turn }
    }
}

#[inline(always)]
fn gradient_row(above: &[f32], row: &[f32], below: &[f32], size: &mut [f32], turn: &mut [f32]) {
    let n = row.len() - 2;
    let (left, right, above, below) = (&row[..n], &row[2..], &above[1..][..n], &below[1..][..n]);
    let (size, turn) = (&mut size[1..][..n], &mut turn[1..][..n]);
    for i in 0..n {
        let (dx, dy) = (right[i] - left[i], below[i] - above[i]);
        size[i] = (dx * dx + dy * dy).sqrt();
        turn[i] = full_turn(dy, dx);
    }
}

/// `atan2(y, x) / 2π` in [0, 1), without branches; error below 1e-5 turns: on [0, 1] the arc tangent
/// is a minimax polynomial with six odd terms.
#[inline(always)]
fn full_turn(y: f32, x: f32) -> f32 {
    let (ax, ay) = (x.abs(), y.abs());
    let z = ax.min(ay) / ax.max(ay).max(f32::MIN_POSITIVE);
    let s = z * z;
    let p = ((((-0.011_719_13 * s + 0.052_647_35) * s - 0.116_432_87) * s + 0.193_543_46) * s - 0.332_622_8) * s
        + 0.999_977_2;
    let first = p * z;
    let octant = if ay > ax { FRAC_PI_2 - first } else { first };
    let half = if x < 0.0 { PI - octant } else { octant };
    let turn = half * (0.5 / PI);
    let turn = if y < 0.0 { 1.0 - turn } else { turn };
    if turn >= 1.0 { 0.0 } else { turn }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polynomial_direction_equals_atan2() {
        for i in 0..720 {
            let angle = (i as f32 + 0.25) * PI / 360.0;
            let (y, x) = angle.sin_cos();
            assert!((full_turn(0.3 * y, 0.3 * x) - angle / (2.0 * PI)).abs() < 1e-5, "{angle}");
        }
        assert_eq!(full_turn(0.0, 0.0), 0.0);
    }
}
