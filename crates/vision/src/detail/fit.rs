//! Contrast and light of the photos, fitted to the small picture around each cell.

use super::cells::{Cell, Cells};
use super::pixels::Pixels;
use image::Rgb32FImage;
use rayon::prelude::*;

/// Cells either side over which contrast is compared.
const REACH: i32 = 6;
/// Flat places keep the photo's own contrast: its variance over the three channels counts as much as this.
const FLAT: f32 = 3.0 * 0.01 * 0.01;
/// Contrast is changed by this factor at most.
const GAIN: (f32, f32) = (0.3, 2.0);
/// Cells either side over which what is missing is smoothed where the photo explains the small picture, which is less sharp than it
/// should be at its own finest scale.
const SMOOTHED: i32 = 2;
/// Samples a side of a cell that its mean is taken from, at most.
const SAMPLES: f32 = 4.0;

/// Sets every cell's gain and miss.
pub(super) fn fit(cells: &mut Cells, small: &Rgb32FImage, photos: &[Pixels]) {
    let means = means(cells, photos);
    let colours: Vec<[f32; 3]> = small.pixels().map(|p| p.0).collect();
    let (a, b) = (evened(cells, &means), evened(cells, &colours));
    let fitted: Vec<Option<(f32, f32)>> = each(cells, |i, cell| contrast(cells, &b, &a, i, cell));
    for (i, cell) in cells.cells.iter_mut().enumerate() {
        if let (Some(cell), Some((gain, _))) = (cell, fitted[i]) {
            cell.gain = gain;
        }
    }
    let smooth: Vec<Option<[f32; 3]>> = each(cells, |i, cell| {
        // With the cell's own gain, lest a change of gain between neighbours shows as a line.
        let miss =
            |small: [f32; 3], photo: [f32; 3]| -> [f32; 3] { std::array::from_fn(|c| small[c] - cell.gain * photo[c]) };
        let around = |values: &[[f32; 3]]| mean_around(cells, values, i, cell, SMOOTHED);
        let (own, mean) = (miss(colours[i], means[i]), miss(around(&colours), around(&means)));
        let explained = fitted[i]?.1;
        Some(std::array::from_fn(|c| explained * mean[c] + (1.0 - explained) * own[c]))
    });
    for (cell, miss) in cells.cells.iter_mut().zip(smooth) {
        if let (Some(cell), Some(miss)) = (cell, miss) {
            cell.miss = miss;
        }
    }
}

fn each<T: Send>(cells: &Cells, of: impl Fn(usize, &Cell) -> Option<T> + Sync) -> Vec<Option<T>> {
    cells.cells.par_iter().enumerate().map(|(i, cell)| cell.as_ref().and_then(|cell| of(i, cell))).collect()
}

/// The photo's mean colour over each cell; black where there is none.
fn means(cells: &Cells, photos: &[Pixels]) -> Vec<[f32; 3]> {
    let mean = |cell: &Cell| {
        let side = cell.step.iter().map(|s| s[0].hypot(s[1])).fold(1.0, f32::max);
        photos[usize::from(cell.photo)].mean(side.ceil().min(SAMPLES) as u32, |u, v| cell.place([u, v]))
    };
    each(cells, |_, cell| Some(mean(cell))).into_iter().map(|m| m.unwrap_or_default()).collect()
}

/// Means over each cell and its neighbours on the surface: the small picture is less sharp than it could be at its own finest
/// scale, which is no lack of contrast.
fn evened(cells: &Cells, colours: &[[f32; 3]]) -> Vec<[f32; 3]> {
    each(cells, |i, cell| Some(mean_around(cells, colours, i, cell, 1)))
        .into_iter()
        .map(Option::unwrap_or_default)
        .collect()
}

/// The cells of the same surface around one, with their indices.
fn around<'a>(cells: &'a Cells, i: usize, cell: &'a Cell, reach: i32) -> impl Iterator<Item = usize> + 'a {
    let (w, h) = (cells.size.0 as i32, cells.size.1 as i32);
    let (x, y) = (i as i32 % w, i as i32 / w);
    let rows = (y - reach).max(0)..=(y + reach).min(h - 1);
    let columns = move || (x - reach).max(0)..=(x + reach).min(w - 1);
    rows.flat_map(move |j| columns().map(move |k| (k, j))).filter_map(move |(k, j)| {
        let other = cells.get(k, j)?;
        cell.joins(other, [(k - x) as f32, (j - y) as f32]).then_some((j * w + k) as usize)
    })
}

/// Gain by regression, and the share of the small picture's variance that the photo explains.
fn contrast(cells: &Cells, small: &[[f32; 3]], means: &[[f32; 3]], i: usize, cell: &Cell) -> Option<(f32, f32)> {
    let (mut count, mut a, mut b) = (0.0f32, [0.0f32; 3], [0.0f32; 3]);
    let (mut aa, mut bb, mut ab) = (0.0f32, 0.0f32, 0.0f32);
    for j in around(cells, i, cell, REACH) {
        count += 1.0;
        for c in 0..3 {
            let (p, s) = (means[j][c], small[j][c]);
            (a[c], b[c]) = (a[c] + p, b[c] + s);
            (aa, bb, ab) = (aa + p * p, bb + s * s, ab + p * s);
        }
    }
    let square = |a: &[f32; 3], b: &[f32; 3]| (0..3).map(|c| a[c] * b[c]).sum::<f32>() / count;
    let (vp, vs, cov) = ((aa - square(&a, &a)) / count, (bb - square(&b, &b)) / count, (ab - square(&a, &b)) / count);
    let gain = ((cov + FLAT) / (vp + FLAT)).clamp(GAIN.0, GAIN.1);
    let explained = (cov.max(0.0) + FLAT).powi(2) / ((vp + FLAT) * (vs + FLAT));
    Some((gain, explained.clamp(0.0, 1.0)))
}

fn mean_around(cells: &Cells, values: &[[f32; 3]], i: usize, cell: &Cell, reach: i32) -> [f32; 3] {
    let (mut sum, mut count) = ([0.0; 3], 0.0);
    for j in around(cells, i, cell, reach) {
        (0..3).for_each(|c| sum[c] += values[j][c]);
        count += 1.0;
    }
    sum.map(|v| v / f32::max(count, 1.0))
}
