//! Which of the training timesteps a run of fewer steps visits.

use serde::{Deserialize, Serialize};

/// How a run's timesteps are placed among the training timesteps (Lin et al. 2024, arXiv 2305.08891, table 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// Multiples of a whole ratio from the clean end, plus `steps_offset`; never reaches the last timestep.
    Leading,
    /// Counted back from the last timestep.
    Trailing,
    /// Evenly from the first to the last timestep.
    Linspace,
}

/// The places to fill: `count` timesteps among `0..range`, largest first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    /// Steps of the run.
    pub count: usize,
    /// Training timesteps.
    pub train: usize,
    /// Timesteps the run may use, at most `train`.
    pub range: usize,
    /// Added to leading timesteps.
    pub offset: usize,
    /// Whether one more timestep is placed at the clean end and left out, as multistep solvers do.
    pub skip_cleanest: bool,
    /// Whether timesteps are whole numbers.
    pub whole: bool,
}

impl Places {
    /// The timesteps, largest first. Follows diffusers, halves rounded to even.
    pub fn fill(self, spacing: TimestepSpacing) -> Vec<f64> {
        let exact: Vec<f64> = match spacing {
            TimestepSpacing::Leading => self.leading(),
            TimestepSpacing::Trailing => self.trailing(),
            TimestepSpacing::Linspace => self.linspace(),
        };
        if self.whole { exact.iter().map(|t| t.round_ties_even()).collect() } else { exact }
    }

    fn leading(self) -> Vec<f64> {
        let skipped = usize::from(self.skip_cleanest);
        let ratio = self.range / (self.count + skipped);
        (skipped..self.count + skipped).rev().map(|i| (i * ratio + self.offset) as f64).collect()
    }

    fn trailing(self) -> Vec<f64> {
        let ratio = self.train as f64 / self.count as f64;
        let place = |i: usize| (self.range as f64 - i as f64 * ratio).round_ties_even() - 1.0;
        (0..self.count).map(place).filter(|&t| t >= 0.0).collect()
    }

    fn linspace(self) -> Vec<f64> {
        let skipped = usize::from(self.skip_cleanest);
        let last = (self.range - 1) as f64;
        // A single step belongs at the noisy end, where a run starts.
        let intervals = self.count + skipped - 1;
        let place = |i: usize| if intervals == 0 { last } else { i as f64 * last / intervals as f64 };
        (skipped..self.count + skipped).rev().map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Places = Places { count: 10, train: 1000, range: 1000, offset: 1, skip_cleanest: false, whole: true };

    #[test]
    fn spacings_place_the_ends_as_published() {
        let ends = |spacing| {
            let t = TEN.fill(spacing);
            (t[0], t[9])
        };
        assert_eq!(ends(TimestepSpacing::Leading), (901.0, 1.0));
        assert_eq!(ends(TimestepSpacing::Trailing), (999.0, 99.0));
        assert_eq!(ends(TimestepSpacing::Linspace), (999.0, 0.0));
    }

    #[test]
    fn multistep_solvers_leave_the_cleanest_timestep_out() {
        let places = Places { skip_cleanest: true, ..TEN };
        assert_eq!(places.fill(TimestepSpacing::Linspace)[9], 100.0);
        assert_eq!(places.fill(TimestepSpacing::Leading)[9], 91.0);
    }
}
