//! Exact Euclidean distance transform in linear time, after Felzenszwalb & Huttenlocher, "Distance Transforms of
//! Sampled Functions" (Theory of Computing 8, 2012): distances along columns first, then along each row the lower
//! envelope of the parabolas they span.

use crate::Plane;
use rayon::prelude::*;

/// Distance in pixels from each pixel's centre to that of the nearest pixel for which `is_goal(index)`; infinite where
/// there is none.
pub(super) fn distance_to(width: u32, height: u32, is_goal: impl Fn(usize) -> bool) -> Plane {
    let mut heights = along_columns(width as usize, height as usize, is_goal);
    if width > 0 {
        heights.par_chunks_exact_mut(width as usize).for_each_init(Envelope::default, |envelope, row| {
            envelope.build(row);
            envelope.read(row);
        });
    }
    Plane::from_raw(width, height, heights).expect("one distance a pixel")
}

/// Distance to the nearest goal in the same column, by one sweep down and one up.
fn along_columns(width: usize, height: usize, is_goal: impl Fn(usize) -> bool) -> Vec<f32> {
    let mut heights: Vec<f32> = (0..width * height).map(|i| if is_goal(i) { 0.0 } else { f32::INFINITY }).collect();
    for i in width..width * height {
        heights[i] = heights[i].min(heights[i - width] + 1.0);
    }
    for i in (0..(width * height).saturating_sub(width)).rev() {
        heights[i] = heights[i].min(heights[i + width] + 1.0);
    }
    heights
}

/// The lower envelope of the parabolas `(x - place)² + height²` of one row.
#[derive(Default)]
struct Envelope {
    /// Place and squared height of each parabola on the envelope, and the x from which on it is the lowest.
    parabolas: Vec<(f64, f64, f64)>,
}

impl Envelope {
    fn build(&mut self, row: &[f32]) {
        self.parabolas.clear();
        for (place, height) in row.iter().enumerate().filter(|(_, height)| height.is_finite()) {
            let (place, square) = (place as f64, f64::from(*height) * f64::from(*height));
            let mut start = f64::NEG_INFINITY;
            while let Some(&(q, q_square, q_start)) = self.parabolas.last() {
                start = ((square + place * place) - (q_square + q * q)) / (2.0 * (place - q));
                if start > q_start {
                    break;
                }
                self.parabolas.pop();
                start = f64::NEG_INFINITY;
            }
            self.parabolas.push((place, square, start));
        }
    }

    fn read(&self, row: &mut [f32]) {
        if self.parabolas.is_empty() {
            return;
        }
        let mut lowest = 0;
        for (x, out) in row.iter_mut().enumerate() {
            let x = x as f64;
            while self.parabolas.get(lowest + 1).is_some_and(|next| next.2 < x) {
                lowest += 1;
            }
            let (place, square, _) = self.parabolas[lowest];
            *out = ((x - place) * (x - place) + square).sqrt() as f32;
        }
    }
}
