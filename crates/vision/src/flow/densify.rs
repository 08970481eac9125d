//! From displacements of overlapping patches to one of each pixel (Kroeger et al. 2016, equation 3).

use super::patches::{Found, Patches, SIDE};
use super::{Flow, Level};
use crate::pyramid::picture;
use crate::warp::{Sampling, sample};
use rayon::prelude::*;

/// Means of the patches that cover a pixel, weighted by how well each explains that very pixel; `start` where none does.
pub(super) fn densify(level: &Level, patches: &Patches, start: &Flow) -> Flow {
    let (w, h) = level.from.dimensions();
    let width = w as usize;
    let (mut fx, mut fy) = (start.x.as_raw().clone(), start.y.as_raw().clone());
    fx.par_chunks_mut(width).zip(fy.par_chunks_mut(width)).enumerate().for_each(|(y, (fx, fy))| {
        let sums = row_sums(level, patches, y);
        for (x, [total, dx, dy]) in sums.into_iter().enumerate().filter(|(_, s)| s[0] > 1e-6) {
            (fx[x], fy[x]) = (dx / total, dy / total);
        }
    });
    Flow { x: picture(w, h, fx), y: picture(w, h, fy) }
}

/// Sums of weights and weighted displacements along one row.
fn row_sums(level: &Level, patches: &Patches, y: usize) -> Vec<[f32; 3]> {
    let width = level.from.width() as usize;
    let row = &level.from.as_raw()[y * width..][..width];
    let mut sums = vec![[0.0; 3]; width];
    for (j, _) in patches.tops.iter().enumerate().filter(|(_, top)| (**top..**top + SIDE).contains(&y)) {
        for (i, &left) in patches.lefts.iter().enumerate() {
            let found = patches.found[j * patches.lefts.len() + i];
            if found.weight > 0.0 {
                add_patch_row(level, &found, &row[left..left + SIDE], (left, y), &mut sums[left..left + SIDE]);
            }
        }
    }
    sums
}

/// Pixels that are not to be believed have no say in how well the patch fits them.
fn add_patch_row(level: &Level, found: &Found, row: &[f32], (left, y): (usize, usize), sums: &mut [[f32; 3]]) {
    let believed = &level.from_weight.as_raw()[y * level.from.width() as usize + left..][..SIDE];
    for (i, (value, sum)) in row.iter().zip(sums).enumerate() {
        let mut there = [0.0];
        sample(&level.to, (left + i) as f32 + found.dx, y as f32 + found.dy, Sampling::Bilinear, &mut there);
        let weight = found.weight / ((there[0] - value).abs() * believed[i]).max(1.0);
        sum[0] += weight;
        sum[1] += weight * found.dx;
        sum[2] += weight * found.dy;
    }
}
