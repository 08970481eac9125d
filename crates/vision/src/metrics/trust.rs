//! Whether trust is honest: how large errors are where the guide was trusted how far.

use super::check_sizes;
use crate::{Mask, Plane};
use image::RgbImage;
use std::fmt;

/// Trust at which one bin ends and the next begins.
const EDGES: [f32; 6] = [0.1, 0.3, 0.5, 0.65, 0.8, 0.9];
const BINS: usize = EDGES.len() + 1;

/// Errors of hole pixels by trust, over any number of scenes. An error is the absolute difference to the truth, summed over the channels.
#[derive(Clone, Debug)]
pub struct TrustTable {
    /// Pixels for each error.
    counts: [Vec<u64>; BINS],
}

impl Default for TrustTable {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| vec![0; 3 * 255 + 1]) }
    }
}

impl TrustTable {
    /// Counts the pixels of one scene's hole.
    ///
    /// # Panics
    /// When the pictures, trust and the mask differ in size.
    pub fn add(&mut self, result: &RgbImage, truth: &RgbImage, trust: &Plane, mask: &Mask) {
        check_sizes(result, truth, mask);
        assert_eq!(result.dimensions(), trust.dimensions(), "picture and trust differ in size");
        for (((a, b), trust), _) in
            result.pixels().zip(truth.pixels()).zip(trust.iter()).zip(mask.holes()).filter(|(_, hole)| **hole)
        {
            let error: usize = (0..3).map(|c| usize::from(a.0[c].abs_diff(b.0[c]))).sum();
            self.counts[EDGES.iter().filter(|edge| *trust >= **edge).count()][error] += 1;
        }
    }

    /// Median error (mean of the channels, 0 to 255) of the pixels whose trust is below `trust`, one of the bins' edges; `None` without any.
    pub fn median_below(&self, trust: f32) -> Option<f64> {
        self.median(|low| low < trust)
    }

    /// The same for trust of `trust` and above.
    pub fn median_above(&self, trust: f32) -> Option<f64> {
        self.median(|low| low >= trust)
    }

    fn median(&self, counts: impl Fn(f32) -> bool) -> Option<f64> {
        let lows = std::iter::once(0.0).chain(EDGES);
        let bins: Vec<&Vec<u64>> = lows.zip(&self.counts).filter(|(low, _)| counts(*low)).map(|b| b.1).collect();
        let total: u64 = bins.iter().flat_map(|b| b.iter()).sum();
        let mut seen = 0;
        (0..=3 * 255).find_map(|error| {
            seen += bins.iter().map(|b| b[error]).sum::<u64>();
            (total > 0 && 2 * seen >= total).then_some(error as f64 / 3.0)
        })
    }
}

/// A table in Markdown: each bin's share of the pixels and its median error, then the two figures that count.
impl fmt::Display for TrustTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.counts.iter().flatten().sum::<u64>().max(1) as f64;
        writeln!(f, "| trust | share of the holes | median error (of 255) |\n| --- | --- | --- |")?;
        let ends = EDGES.into_iter().chain([1.0]);
        for ((low, high), counts) in std::iter::once(0.0).chain(EDGES).zip(ends).zip(&self.counts) {
            let share = 100.0 * counts.iter().sum::<u64>() as f64 / total;
            let median = self.median(|l| l == low).map_or_else(|| "-".into(), |m| format!("{m:.1}"));
            writeln!(f, "| {low} to {high} | {share:.1} % | {median} |")?;
        }
        let figure = |m: Option<f64>| m.map_or_else(|| "-".into(), |m| format!("{m:.1}"));
        writeln!(f, "| **below 0.3** | | **{}** |", figure(self.median_below(0.3)))?;
        writeln!(f, "| **0.8 and above** | | **{}** |", figure(self.median_above(0.8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Luma, Rgb};

    #[test]
    fn medians_are_those_of_the_pixels_in_the_hole_by_their_trust() {
        let mask = Mask::from_fn(10, 2, |x, _| x < 8);
        let truth = RgbImage::new(10, 2);
        let result = RgbImage::from_fn(10, 2, |x, y| {
            Rgb([if y == 0 { 30 + x as u8 } else { 3 }, 0, if x < 8 { 0 } else { 255 }])
        });
        let trust = Plane::from_fn(10, 2, |_, y| Luma([if y == 0 { 0.2 } else { 0.85 }]));
        let mut table = TrustTable::default();
        table.add(&result, &truth, &trust, &mask);
        assert_eq!((table.median_below(0.3), table.median_above(0.8)), (Some(11.0), Some(1.0)));
        assert_eq!(table.median_above(0.9), None);
        assert!(table.to_string().contains("| 0.1 to 0.3 | 50.0 % | 11.0 |"), "{table}");
    }
}
