//! The noise that each training timestep adds.

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

/// How the noise per timestep, beta, grows from `beta_start` to `beta_end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Evenly (Ho et al. 2020, arXiv 2006.11239).
    #[default]
    Linear,
    /// Its square root evenly (latent diffusion, Rombach et al. 2022, arXiv 2112.10752).
    ScaledLinear,
    /// So that the signal falls as a squared cosine (Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 17);
    /// `beta_start` and `beta_end` are not used.
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredCosine,
}

impl BetaSchedule {
    /// The betas of `count` timesteps.
    pub fn betas(self, start: f64, end: f64, count: usize) -> Vec<f64> {
        match self {
            Self::Linear => (0..count).map(|i| lerp(start, end, i, count)).collect(),
            Self::ScaledLinear => (0..count).map(|i| lerp(start.sqrt(), end.sqrt(), i, count).powi(2)).collect(),
            Self::SquaredCosine => (0..count).map(|i| squared_cosine(i, count)).collect(),
        }
    }
}

fn lerp(start: f64, end: f64, i: usize, count: usize) -> f64 {
    start + (end - start) * i as f64 / count.saturating_sub(1).max(1) as f64
}

/// The paper's values: offset 0.008, beta at most 0.999.
fn squared_cosine(i: usize, count: usize) -> f64 {
    let alpha_bar = |t: f64| ((t + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
    let n = count as f64;
    (1.0 - alpha_bar((i + 1) as f64 / n) / alpha_bar(i as f64 / n)).min(0.999)
}

/// The cumulative product of `1 - beta`.
pub fn alphas_cumprod(betas: &[f64]) -> Vec<f64> {
    betas
        .iter()
        .scan(1.0, |product, beta| {
            *product *= 1.0 - beta;
            Some(*product)
        })
        .collect()
}

/// Shifts and scales `sqrt(alphas_cumprod)` so that the last timestep is pure noise and the first stays as it was
/// (Lin et al. 2024, arXiv 2305.08891, algorithm 1).
pub fn rescale_to_zero_terminal_snr(alphas_cumprod: &mut [f64]) {
    let (Some(first), Some(last)) = (alphas_cumprod.first(), alphas_cumprod.last()) else { return };
    let (first, last) = (first.sqrt(), last.sqrt());
    if first == last {
        return;
    }
    for value in alphas_cumprod {
        *value = ((value.sqrt() - last) * first / (first - last)).powi(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_curves_end_at_the_given_betas() {
        for curve in [BetaSchedule::Linear, BetaSchedule::ScaledLinear] {
            let betas = curve.betas(0.00085, 0.012, 1000);
            assert!((betas[0] - 0.00085).abs() < 1e-12 && (betas[999] - 0.012).abs() < 1e-12, "{curve:?}");
        }
    }

    #[test]
    fn the_cosine_curve_is_capped() {
        assert_eq!(BetaSchedule::SquaredCosine.betas(0.0, 0.0, 1000)[999], 0.999);
    }

    #[test]
    fn rescaling_removes_the_last_signal_and_keeps_the_first() {
        let mut values = alphas_cumprod(&BetaSchedule::ScaledLinear.betas(0.00085, 0.012, 1000));
        let first = values[0];
        rescale_to_zero_terminal_snr(&mut values);
        assert!((values[0] - first).abs() < 1e-12);
        assert_eq!(values[999], 0.0);
        assert!(values.windows(2).all(|pair| pair[1] < pair[0]));
    }

    #[test]
    fn a_schedule_of_one_timestep_is_left_as_it_is() {
        let mut values = vec![0.5];
        rescale_to_zero_terminal_snr(&mut values);
        assert_eq!(values, [0.5]);
    }
}
