//! The 128 numbers that describe a point's surroundings (Lowe 2004, section 6).

use super::DESCRIPTOR_LEN;
use super::gradients::Gradients;
use std::f32::consts::{SQRT_2, TAU};

/// Cells across and down.
const CELLS: usize = 4;
/// Directions a cell.
const DIRECTIONS: usize = 8;
/// Side of a cell in the point's sigmas.
const CELL_SIGMAS: f32 = 3.0;
/// No value may exceed this share of the length, so that single strong edges (light, highlights) do not decide.
const LARGEST: f32 = 0.2;

/// Cells with a rim of one around them, so that spreading needs no bounds.
const PADDED: usize = CELLS + 2;
/// The rim's last centre.
const LAST: f32 = (PADDED - 1) as f32;

/// A descriptor of Euclidean length 1 for a point of `sigma` and `angle`, in the level's pixels.
pub(super) fn descriptor(
    gradients: &Gradients,
    x: f32,
    y: f32,
    sigma: f32,
    angle: f32,
    root: bool,
) -> [f32; DESCRIPTOR_LEN] {
    let cells = accumulate(gradients, x, y, CELL_SIGMAS * sigma, angle);
    let mut out = [0.0; DESCRIPTOR_LEN];
    for (i, out) in out.chunks_exact_mut(DIRECTIONS).enumerate() {
        out.copy_from_slice(&cells[(i / CELLS + 1) * PADDED + i % CELLS + 1]);
    }
    normalise(&mut out, root);
    out
}

fn accumulate(gradients: &Gradients, x: f32, y: f32, cell: f32, angle: f32) -> [[f32; DIRECTIONS]; PADDED * PADDED] {
    let mut cells = [[0.0; DIRECTIONS]; PADDED * PADDED];
    let (sin, cos) = angle.sin_cos();
    let radius = (cell * SQRT_2 * (CELLS + 1) as f32 * 0.5).round();
    let turned = angle / TAU;
    // exp(-(u² + v²) / (0.5·CELLS²)) is the same along the picture's axes, where it separates.
    let scale = -2.0 / (CELLS * CELLS) as f32 / (cell * cell);
    let span =
        |c: f32, n: usize| ((c - radius).max(1.0) as usize)..=((c + radius).min(n as f32 - 2.0).max(0.0) as usize);
    let columns = span(x, gradients.width);
    let weights: Vec<f32> = columns.clone().map(|i| ((i as f32 - x).powi(2) * scale).exp()).collect();
    let (step_u, step_v) = (cos / cell, -sin / cell);
    // In cells from the rim's first centre.
    let centre = CELLS as f32 * 0.5 + 0.5;
    for j in span(y, gradients.height) {
        let dy = j as f32 - y;
        let wy = (dy * dy * scale).exp();
        let (u0, v0) = (dy * sin / cell + centre, dy * cos / cell + centre);
        let row = j * gradients.width;
        for (i, wx) in columns.clone().zip(&weights) {
            let dx = i as f32 - x;
            let (u, v) = (u0 + dx * step_u, v0 + dx * step_v);
            if u > 0.0 && u < LAST && v > 0.0 && v < LAST {
                spread(&mut cells, u, v, gradients.turn[row + i] - turned, wx * wy * gradients.size[row + i]);
            }
        }
    }
    cells
}

/// Shares one gradient among the nearest cells and directions. `u`, `v` in cells from the rim's first centre.
#[inline(always)]
fn spread(cells: &mut [[f32; DIRECTIONS]; PADDED * PADDED], u: f32, v: f32, turn: f32, weight: f32) {
    let direction = (turn + 1.0) * DIRECTIONS as f32;
    let (iu, iv, id) = (u as usize, v as usize, direction as usize);
    let (fu, fv, fd) = (u - iu as f32, v - iv as f32, direction - id as f32);
    let (first, second) = (id % DIRECTIONS, (id + 1) % DIRECTIONS);
    let at = iv * PADDED + iu;
    let (upper, lower) = (weight * (1.0 - fv), weight * fv);
    for (cell, share) in [
        (at, upper * (1.0 - fu)),
        (at + 1, upper * fu),
        (at + PADDED, lower * (1.0 - fu)),
        (at + PADDED + 1, lower * fu),
    ] {
        cells[cell][first] += share * (1.0 - fd);
        cells[cell][second] += share * fd;
    }
}

/// Length 1, clipped, length 1 again; or the square roots of shares (RootSIFT, Arandjelović and Zisserman 2012).
fn normalise(values: &mut [f32; DESCRIPTOR_LEN], root: bool) {
    let length = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12);
    let limit = LARGEST * length(values);
    values.iter_mut().for_each(|v| *v = v.min(limit));
    if root {
        let sum = values.iter().sum::<f32>().max(1e-12);
        values.iter_mut().for_each(|v| *v = (*v / sum).sqrt());
    } else {
        let clipped = length(values);
        values.iter_mut().for_each(|v| *v /= clipped);
    }
}
