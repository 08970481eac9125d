//! The loop of all estimators: sample, score, optimise locally (LO-RANSAC, Chum, Matas and Kittler 2003, with MAGSAC++'s loss).

use super::PointPair;
use super::magsac::Magsac;
use nalgebra::Matrix3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Where the loss ends, in inlier thresholds: residuals a little above the threshold still pull. Of 1, 1.5 and 2, the most
/// inliers on 31 photo pairs (docs/notes/matching.md).
const REACH: f64 = 2.0;
/// Reweighted fits after a new best sample, and at the end.
const LOCAL_FITS: usize = 4;
const FINAL_FITS: usize = 20;

/// How a model is searched.
#[derive(Clone, Debug)]
pub struct RobustOptions {
    /// A pair closer to the model than this is an inlier, in pixels. Default 3.
    pub threshold_px: f64,
    /// Probability of having drawn a clean sample at which the search stops. Default 0.9999.
    pub confidence: f64,
    /// Samples at most. Default 10 000.
    pub max_iterations: usize,
    /// Fewer inliers are no model. Default 8.
    pub min_inliers: usize,
    /// Pairs come surest first: half of the samples are drawn from a slowly growing head (as in PROSAC). Default true.
    pub best_first: bool,
    /// Seed of the samples; the same seed gives the same model. Default 0.
    pub seed: u64,
}

impl Default for RobustOptions {
    fn default() -> Self {
        Self {
            threshold_px: 3.0,
            confidence: 0.9999,
            max_iterations: 10_000,
            min_inliers: 8,
            best_first: true,
            seed: 0,
        }
    }
}

/// A model with what supports it.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// The model.
    pub matrix: Matrix3<f64>,
    /// Indices of the pairs within the threshold, ascending.
    pub inliers: Vec<usize>,
    /// Sum of the pairs' gains, each 1 (exact) to 0 (far): comparable between models of the same pairs and threshold.
    pub score: f64,
    /// Samples drawn.
    pub iterations: usize,
}

/// What an estimator must know about its model.
pub(super) trait Problem {
    /// Pairs in a minimal sample.
    const SAMPLE: usize;
    /// All models through a minimal sample; none where it is degenerate.
    fn minimal(&self, sample: &[PointPair]) -> Vec<Matrix3<f64>>;
    /// A model drawn in another way, if there is one.
    fn proposal(&self, _pairs: &[PointPair], _rng: &mut ChaCha8Rng) -> Option<Matrix3<f64>> {
        None
    }
    /// The weighted least-squares model, near `start`.
    fn fit(&self, pairs: &[PointPair], weights: &[f64], start: &Matrix3<f64>) -> Option<Matrix3<f64>>;
    /// Squared distance of a pair from the model, in pixels squared.
    fn squared(&self, model: &Matrix3<f64>, pair: &PointPair) -> f64;
}

/// The best model, or `None` when there are too few pairs or inliers.
pub(super) fn ransac<P: Problem>(problem: &P, pairs: &[PointPair], options: &RobustOptions) -> Option<Estimate> {
    if pairs.len() < P::SAMPLE.max(options.min_inliers) {
        return None;
    }
    let search = Search { problem, pairs, magsac: Magsac::new(REACH * options.threshold_px), options };
    let (model, iterations) = search.sample()?;
    let (matrix, score) = search.optimise(model, FINAL_FITS);
    let inliers = search.inliers(&matrix);
    (inliers.len() >= options.min_inliers).then_some(Estimate { matrix, inliers, score, iterations })
}

struct Search<'a, P> {
    problem: &'a P,
    pairs: &'a [PointPair],
    magsac: Magsac,
    options: &'a RobustOptions,
}

impl<P: Problem> Search<'_, P> {
    /// The best locally optimised model of all samples, with their number.
    fn sample(&self) -> Option<(Matrix3<f64>, usize)> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.options.seed);
        let mut best: Option<(Matrix3<f64>, f64)> = None;
        let (mut sampled_best, mut needed, mut drawn) = (0.0, self.options.max_iterations, 0);
        let mut sample = Vec::with_capacity(P::SAMPLE);
        while drawn < needed.min(self.options.max_iterations) {
            self.draw(drawn, &mut rng, &mut sample);
            let mut models = self.problem.minimal(&sample);
            models.extend(self.problem.proposal(self.pairs, &mut rng));
            drawn += 1;
            for model in models {
                let score = self.score(&model, sampled_best);
                if score <= sampled_best {
                    continue;
                }
                sampled_best = score;
                let optimised = self.optimise(model, LOCAL_FITS);
                if best.is_none_or(|b| optimised.1 > b.1) {
                    best = Some(optimised);
                    needed = self.needed(&optimised.0);
                }
            }
        }
        best.map(|(model, _)| (model, drawn))
    }

    /// Distinct pairs; every other time from the growing head when the pairs are sorted.
    fn draw(&self, iteration: usize, rng: &mut ChaCha8Rng, sample: &mut Vec<PointPair>) {
        let all = self.pairs.len();
        let head = (P::SAMPLE * 2 + iteration / 8).clamp(P::SAMPLE, all);
        let pool = if self.options.best_first && iteration.is_multiple_of(2) { head } else { all };
        let mut indices = [usize::MAX; 8];
        for i in 0..P::SAMPLE {
            while indices[i] == usize::MAX || indices[..i].contains(&indices[i]) {
                indices[i] = rng.random_range(0..pool);
            }
        }
        sample.clear();
        sample.extend(indices[..P::SAMPLE].iter().map(|&i| self.pairs[i]));
    }

    /// Sum of gains; gives up early when `beat` is out of reach.
    fn score(&self, model: &Matrix3<f64>, beat: f64) -> f64 {
        let mut score = 0.0;
        for (i, chunk) in self.pairs.chunks(64).enumerate() {
            score += chunk.iter().map(|p| self.magsac.gain(self.problem.squared(model, p))).sum::<f64>();
            let left = self.pairs.len().saturating_sub((i + 1) * 64);
            if score + left as f64 <= beat {
                return 0.0;
            }
        }
        score
    }

    /// Iterated reweighted fits for as long as the score rises.
    fn optimise(&self, start: Matrix3<f64>, fits: usize) -> (Matrix3<f64>, f64) {
        let mut best = (start, self.score(&start, 0.0));
        for _ in 0..fits {
            let (near, weights) = self.weighted(&best.0);
            let Some(model) = (near.len() > P::SAMPLE).then(|| self.problem.fit(&near, &weights, &best.0)).flatten()
            else {
                break;
            };
            let score = self.score(&model, 0.0);
            if score <= best.1 * (1.0 + 1e-9) {
                break;
            }
            best = (model, score);
        }
        best
    }

    fn weighted(&self, model: &Matrix3<f64>) -> (Vec<PointPair>, Vec<f64>) {
        let weight = |p: &PointPair| self.magsac.weight(self.problem.squared(model, p));
        self.pairs.iter().map(|p| (*p, weight(p))).filter(|(_, w)| *w > 0.0).unzip()
    }

    fn inliers(&self, model: &Matrix3<f64>) -> Vec<usize> {
        let limit = self.options.threshold_px * self.options.threshold_px;
        (0..self.pairs.len()).filter(|&i| self.problem.squared(model, &self.pairs[i]) < limit).collect()
    }

    /// Samples after which a clean one was drawn with the wanted confidence, if the model's inliers are all there are.
    fn needed(&self, model: &Matrix3<f64>) -> usize {
        let share = self.inliers(model).len() as f64 / self.pairs.len() as f64;
        let clean = share.powi(P::SAMPLE as i32);
        let needed = (1.0 - self.options.confidence).ln() / (1.0 - clean).ln();
        if needed.is_finite() {
            needed.ceil() as usize + 1
        } else if clean >= 1.0 {
            1
        } else {
            usize::MAX
        }
    }
}
