//! Other labels than the likeliest ones, so that candidates differ in what they show where the references leave a choice.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::borrow::Cow;

/// Pixels between the nodes of the disturbance, as a share of the longer side. With a tenth of it, pictures are patchworks.
const REACH: f32 = 0.5;
/// Its scale: costs that are this far apart are often exchanged. Trust falls from 0.8 to 0.3 over 0.45.
const STRENGTH: f32 = 0.2;
/// One seed in this many takes the likeliest labels.
const LIKELIEST_EVERY: u64 = 4;
/// Seeds this far apart draw the same labels, so that many candidates do not need as many guides.
const PERIOD: u64 = 16;

/// Which labels to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Draw {
    /// Those of the least cost.
    Likeliest,
    /// Those of the least cost after a random disturbance of this seed (perturb and map, Papandreou & Yuille 2011).
    Seeded(u64),
}

impl Draw {
    /// What the candidate of a seed takes: every fourth the likeliest labels, the others some of their own.
    pub fn of_seed(seed: u64) -> Self {
        if seed.is_multiple_of(LIKELIEST_EVERY) { Self::Likeliest } else { Self::Seeded(seed % PERIOD) }
    }

    /// The costs, pixel by pixel and in them label by label, less a smooth Gumbel-distributed gain of each label.
    pub(super) fn disturbed<'a>(&self, unary: &'a [f32], (w, h): (usize, usize)) -> Cow<'a, [f32]> {
        let Self::Seeded(seed) = *self else { return Cow::Borrowed(unary) };
        let labels = unary.len() / (w * h).max(1);
        let step = (REACH * w.max(h) as f32).max(1.0);
        let nodes = ((w as f32 / step) as usize + 2, (h as f32 / step) as usize + 2);
        let gains = gumbel(nodes.0 * nodes.1 * labels, seed);
        let mut out = unary.to_vec();
        out.par_chunks_mut(labels).enumerate().for_each(|(i, costs)| {
            let (x, y) = ((i % w) as f32 / step, (i / w) as f32 / step);
            let (left, top, fx, fy) = (x as usize, y as usize, x.fract(), y.fract());
            for (k, cost) in costs.iter_mut().enumerate() {
                let at = |i: usize, j: usize| gains[((top + j) * nodes.0 + left + i) * labels + k];
                let row = |j: usize| (1.0 - fx) * at(0, j) + fx * at(1, j);
                *cost -= STRENGTH * ((1.0 - fy) * row(0) + fy * row(1));
            }
        });
        Cow::Owned(out)
    }
}

fn gumbel(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| -(-rng.random_range(1e-6f32..1.0).ln()).ln()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the second of two labels is taken in some seeds, by what it costs more.
    fn exchanged(more: f32) -> usize {
        let unary: Vec<f32> = (0..40 * 30).flat_map(|_| [0.5, 0.5 + more]).collect();
        let taken = |seed: u64| {
            let costs = Draw::Seeded(seed).disturbed(&unary, (40, 30)).into_owned();
            costs.chunks(2).filter(|c| c[1] < c[0]).count()
        };
        (1..30).map(taken).sum::<usize>() * 100 / (29 * 40 * 30)
    }

    #[test]
    fn labels_are_exchanged_where_they_cost_much_the_same() {
        let shares = [exchanged(0.0), exchanged(0.3), exchanged(1.5)];
        assert!((40..60).contains(&shares[0]) && (3..25).contains(&shares[1]) && shares[2] < 1, "{shares:?}");
    }

    #[test]
    fn a_seed_says_all_and_every_fourth_takes_the_likeliest() {
        let unary = vec![1.0; 20 * 10 * 3];
        let drawn = |draw: Draw| draw.disturbed(&unary, (20, 10)).into_owned();
        assert_eq!(drawn(Draw::of_seed(8)), unary);
        assert_eq!(drawn(Draw::of_seed(5)), drawn(Draw::Seeded(5)));
        assert_ne!(drawn(Draw::of_seed(5)), drawn(Draw::of_seed(6)));
        let draws = (0..64).map(Draw::of_seed).collect::<std::collections::HashSet<_>>();
        assert_eq!(draws.len(), 13, "many candidates share their guides");
    }
}
