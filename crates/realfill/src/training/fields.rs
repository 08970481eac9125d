//! Random smooth and piecewise fields: the raw material of simulated errors.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use realfill_vision::Plane;

/// A smooth random field of zero mean and about unit deviation: normal values on a grid of `cells`×`cells`,
/// interpolated with a smooth step.
pub fn smooth(width: u32, height: u32, cells: u32, rng: &mut impl Rng) -> Plane {
    let side = cells as usize + 1;
    let knots: Vec<f32> = (0..side * side).map(|_| rng.sample(StandardNormal)).collect();
    Plane::from_fn(width, height, |x, y| {
        let (i, fx) = cell(x, width, cells);
        let (j, fy) = cell(y, height, cells);
        let at = |di: usize, dj: usize| knots[(j + dj) * side + i + di];
        let top = at(0, 0) + (at(1, 0) - at(0, 0)) * fx;
        let bottom = at(0, 1) + (at(1, 1) - at(0, 1)) * fx;
        image::Luma([1.3 * (top + (bottom - top) * fy)])
    })
}

fn cell(position: u32, length: u32, cells: u32) -> (usize, f32) {
    let p = position as f32 / length as f32 * cells as f32;
    let f = p.fract();
    (p as usize, f * f * (3.0 - 2.0 * f))
}

/// Which of `count` random cells (nearest of as many random points) each pixel lies in.
pub fn voronoi(width: u32, height: u32, count: usize, rng: &mut impl Rng) -> Vec<usize> {
    let points: Vec<(f32, f32)> =
        (0..count).map(|_| (rng.random_range(0.0..width as f32), rng.random_range(0.0..height as f32))).collect();
    let nearest = |x: f32, y: f32| {
        let distance = |&(px, py): &(f32, f32)| (px - x).powi(2) + (py - y).powi(2);
        (0..count).min_by(|&a, &b| distance(&points[a]).total_cmp(&distance(&points[b]))).unwrap_or(0)
    };
    (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| nearest(x as f32, y as f32)).collect()
}

/// Blobs that cover about `share` of the picture: a smooth field above its own quantile.
pub fn blobs(width: u32, height: u32, share: f32, rng: &mut impl Rng) -> Vec<bool> {
    let cells = rng.random_range(2..6);
    let field = smooth(width, height, cells, rng);
    let mut sorted = field.as_raw().clone();
    sorted.sort_by(f32::total_cmp);
    let cut = ((sorted.len() - 1) as f32 * (1.0 - share.clamp(0.0, 1.0))) as usize;
    field.as_raw().iter().map(|&v| v > sorted[cut]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn blobs_cover_the_share_asked_for() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for share in [0.0, 0.2, 0.7] {
            let blobs = blobs(64, 48, share, &mut rng);
            let covered = blobs.iter().filter(|&&b| b).count() as f32 / blobs.len() as f32;
            assert!((covered - share).abs() < 0.02, "{covered} of {share}");
        }
    }

    #[test]
    fn smooth_fields_have_about_unit_deviation() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let field = smooth(96, 96, 12, &mut rng);
        let variance = field.as_raw().iter().map(|v| v * v).sum::<f32>() / (96.0 * 96.0);
        assert!((0.5..1.6).contains(&variance), "{variance}");
    }
}
