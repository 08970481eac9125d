//! Regression by a kernel over place and colour (Nadaraya 1964, Watson 1964).

use super::SAME_SURFACE;
use super::samples::Sample;
use rayon::prelude::*;

/// How far a sample speaks.
#[derive(Debug)]
pub(super) struct Bandwidth {
    /// Standard deviation over the picture, as a share of its longer side.
    pub place: f32,
    /// Standard deviation over RGB.
    pub colour: f32,
    /// Weight of the value 0 against one sample right at the place.
    pub prior: f32,
}

/// Weighted values at places and colours.
#[derive(Clone, Debug)]
pub(super) struct Regression<'a> {
    pub places: Vec<[f32; 2]>,
    pub colours: Vec<[f32; 3]>,
    pub values: Vec<[f32; 3]>,
    pub weights: Vec<f32>,
    pub bandwidth: &'a Bandwidth,
}

/// Samples a regression is carried from.
const CARRIED: usize = 1000;

impl<'a> Regression<'a> {
    pub fn new(samples: &[Sample], side: f32, bandwidth: &'a Bandwidth) -> Self {
        let used = &samples[..samples.len().min(CARRIED)];
        let weight = |s: &Sample| {
            let off = s.miss.iter().map(|m| m.abs()).sum::<f32>() / 3.0;
            s.agrees + s.flat * (-(off / SAME_SURFACE).powi(2)).exp() + 0.05
        };
        Self {
            places: used.iter().map(|s| [s.x, s.y].map(|v| (v as f32 + 0.5) / side)).collect(),
            colours: used.iter().map(|s| s.colour).collect(),
            values: used.iter().map(|s| s.miss).collect(),
            weights: used.iter().map(weight).collect(),
            bandwidth,
        }
    }

    /// A sample that its like do not confirm shows another surface: it loses its weight.
    pub fn drop_unconfirmed(&mut self, rounds: usize) {
        let first = self.weights.clone();
        for _ in 0..rounds {
            let expected = self.at(&self.places, &self.colours);
            for (i, e) in expected.iter().enumerate() {
                let off = (0..3).map(|c| (self.values[i][c] - e[c]).abs()).sum::<f32>() / 3.0;
                self.weights[i] = first[i] / (1.0 + (off / 0.06).powi(2)).powi(2);
            }
        }
    }

    /// The values expected at places and colours.
    pub fn at(&self, places: &[[f32; 2]], colours: &[[f32; 3]]) -> Vec<[f32; 3]> {
        places.par_iter().zip(colours).with_min_len(64).map(|(p, c)| self.one(p, c)).collect()
    }

    fn one(&self, place: &[f32; 2], colour: &[f32; 3]) -> [f32; 3] {
        let (p, c) = (0.5 / self.bandwidth.place.powi(2), 0.5 / self.bandwidth.colour.powi(2));
        let (mut sum, mut total) = ([0.0; 3], self.bandwidth.prior);
        for i in 0..self.values.len() {
            let (q, d) = (&self.places[i], &self.colours[i]);
            let far = p * ((place[0] - q[0]).powi(2) + (place[1] - q[1]).powi(2))
                + c * ((colour[0] - d[0]).powi(2) + (colour[1] - d[1]).powi(2) + (colour[2] - d[2]).powi(2));
            if far < 12.0 {
                let w = self.weights[i] * (-far).exp();
                total += w;
                (0..3).for_each(|k| sum[k] += w * self.values[i][k]);
            }
        }
        sum.map(|s| s / total)
    }
}
