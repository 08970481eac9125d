//! Ranking the candidates: how well each continues what is known around the hole.

use crate::model::View;
use image::Rgb32FImage;
use rayon::prelude::*;

/// A sampled picture at the model's size.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The seed it came from.
    pub seed: u64,
    /// The completed picture, colours 0 to 1.
    pub picture: Rgb32FImage,
    /// Higher is better: minus the mean squared step across the hole's edge.
    pub score: f64,
}

/// The candidates, best first.
pub fn rank(view: &View, drawn: impl Iterator<Item = (u64, Rgb32FImage)>) -> Vec<Candidate> {
    let drawn: Vec<(u64, Rgb32FImage)> = drawn.collect();
    let score = |(seed, picture): (u64, Rgb32FImage)| Candidate { seed, score: -edge_step(view, &picture), picture };
    let mut candidates: Vec<Candidate> = drawn.into_par_iter().map(score).collect();
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates
}

/// Mean squared difference between neighbours on either side of the hole's edge.
fn edge_step(view: &View, picture: &Rgb32FImage) -> f64 {
    let (width, height) = picture.dimensions();
    let (mut sum, mut count) = (0.0, 0usize);
    for y in 0..height {
        for x in 0..width {
            let neighbours = [(x + 1, y), (x, y + 1)];
            for (nx, ny) in neighbours.into_iter().filter(|&(nx, ny)| nx < width && ny < height) {
                if view.mask.is_hole(x, y) != view.mask.is_hole(nx, ny) {
                    let (a, b) = (picture.get_pixel(x, y), picture.get_pixel(nx, ny));
                    sum += (0..3).map(|c| f64::from(a[c] - b[c]).powi(2)).sum::<f64>() / 3.0;
                    count += 1;
                }
            }
        }
    }
    sum / count.max(1) as f64
}
