//! Local contrast equalisation, so that flow and matching see structure rather than light.

use super::picture;
use crate::Plane;
use rayon::prelude::*;

const BINS: usize = 256;

/// Contrast-limited adaptive histogram equalisation (Zuiderveld 1994) of grey values 0 to 1.
///
/// `tiles` across and down; a bin holds at most `clip` times the mean count, the excess is spread over all bins.
/// Values between bins are interpolated, so smooth pictures stay smooth. `clahe(&g, 3.0, (8, 8))` is OpenCV's `createCLAHE(3, (8, 8))`.
pub fn clahe(grey: &Plane, clip: f32, tiles: (u32, u32)) -> Plane {
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    let across = (tiles.0 as usize).clamp(1, width.max(1));
    let down = (tiles.1 as usize).clamp(1, height.max(1));
    let maps: Vec<Vec<f32>> = (0..across * down)
        .into_par_iter()
        .map(|t| equaliser(grey, clip, (t % across, t / across), (across, down)))
        .collect();
    let mut out = vec![0.0; width * height];
    out.par_chunks_mut(width.max(1)).zip(grey.as_raw().par_chunks(width.max(1))).enumerate().for_each(
        |(y, (out, row))| {
            let (top, bottom, fy) = between_tiles(y, height, down);
            for (x, (out, &value)) in out.iter_mut().zip(row).enumerate() {
                let (left, right, fx) = between_tiles(x, width, across);
                let at = |tx: usize, ty: usize| lookup(&maps[ty * across + tx], value);
                let upper = at(left, top) * (1.0 - fx) + at(right, top) * fx;
                let lower = at(left, bottom) * (1.0 - fx) + at(right, bottom) * fx;
                *out = upper * (1.0 - fy) + lower * fy;
            }
        },
    );
    picture(grey.width(), grey.height(), out)
}

/// The cumulative histogram of one tile, clipped, as a map from bin to 0 to 1.
fn equaliser(grey: &Plane, clip: f32, tile: (usize, usize), tiles: (usize, usize)) -> Vec<f32> {
    let span = |i: usize, n: usize, size: u32| i * size as usize / n..(i + 1) * size as usize / n;
    let (columns, rows) = (span(tile.0, tiles.0, grey.width()), span(tile.1, tiles.1, grey.height()));
    let count = (columns.len() * rows.len()) as f32;
    let mut histogram = vec![0.0f32; BINS];
    for y in rows {
        for &v in &grey.as_raw()[y * grey.width() as usize..][columns.clone()] {
            histogram[(v.clamp(0.0, 1.0) * (BINS - 1) as f32 + 0.5) as usize] += 1.0;
        }
    }
    let limit = (clip * count / BINS as f32).max(1.0);
    let excess: f32 = histogram.iter().map(|h| (h - limit).max(0.0)).sum();
    let mut sum = 0.0;
    histogram
        .iter()
        .map(|h| {
            sum += h.min(limit) + excess / BINS as f32;
            sum / count.max(1.0)
        })
        .collect()
}

fn lookup(map: &[f32], value: f32) -> f32 {
    let at = value.clamp(0.0, 1.0) * (BINS - 1) as f32;
    let bin = (at as usize).min(BINS - 2);
    map[bin] + (map[bin + 1] - map[bin]) * (at - bin as f32)
}

/// The two tiles whose centres surround a pixel, and the share of the second.
fn between_tiles(at: usize, size: usize, tiles: usize) -> (usize, usize, f32) {
    let t = ((at as f32 + 0.5) * tiles as f32 / size as f32 - 0.5).max(0.0);
    let first = (t as usize).min(tiles - 1);
    (first, (first + 1).min(tiles - 1), t - first as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;
    use image::Luma;

    #[test]
    fn a_dim_picture_gains_contrast_and_stays_in_range() {
        let dim = Plane::from_fn(160, 120, |x, y| Luma([0.4 + 0.05 * ((x * 13 + y * 7) % 17) as f32 / 17.0]));
        let out = clahe(&dim, 40.0, (4, 4));
        let span = |p: &Plane| p.iter().cloned().fold(f32::MIN, f32::max) - p.iter().cloned().fold(f32::MAX, f32::min);
        assert!(span(&out) > 5.0 * span(&dim));
        assert!(out.iter().all(|v| (0.0..=1.0001).contains(v)));
    }

    #[test]
    fn equalising_is_blind_to_a_change_of_exposure() {
        let image = texture(200, 150, 9);
        let darker = Plane::from_fn(200, 150, |x, y| Luma([0.5 * image.get_pixel(x, y)[0] + 0.1]));
        let difference =
            |a: &Plane, b: &Plane| a.iter().zip(b.iter()).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32;
        let (a, b) = (clahe(&image, 1e6, (4, 4)), clahe(&darker, 1e6, (4, 4)));
        assert!(
            difference(&a, &b) < 0.02,
            "{} where the pictures are {} apart",
            difference(&a, &b),
            difference(&image, &darker)
        );
    }
}
