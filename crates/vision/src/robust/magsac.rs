//! MAGSAC++'s loss: how well residuals fit when the noise level is only known to lie below a bound.
//!
//! Barath, Noskova, Ivashechkin, Matas: MAGSAC++, a fast, reliable and accurate robust estimator, CVPR 2020. Residuals are taken to be
//! chi-distributed with four degrees of freedom, the noise's standard deviation uniform between 0 and a maximum.

use libm::erfc;

/// 0.99 quantile of the chi distribution with four degrees of freedom: where a residual stops counting, in sigmas (the paper's k).
const QUANTILE: f64 = 3.64;
/// Entries of the tables; linear steps of the squared residual.
const STEPS: usize = 2048;

/// Weight and gain over squared residuals, as tables.
#[derive(Clone, Debug)]
pub(super) struct Magsac {
    per_square: f64,
    weights: Vec<f32>,
    gains: Vec<f32>,
}

impl Magsac {
    /// For residuals that stop counting at `reach` pixels (the paper's k·σmax).
    pub fn new(reach: f64) -> Self {
        // In units of σmax: residual r = k·sqrt(i / STEPS).
        let half_square = |i: usize| 0.5 * QUANTILE * QUANTILE * i as f64 / STEPS as f64;
        let edge = upper_gamma_3_2(half_square(STEPS));
        let weight = |i: usize| (upper_gamma_3_2(half_square(i)) - edge).max(0.0);
        // ρ(r) = ∫ r w(r) dr in closed form (the paper's equation 13, without its constant).
        let loss = |i: usize| lower_gamma_5_2(half_square(i)) + half_square(i) * weight(i);
        let (full, worst) = (weight(0), loss(STEPS));
        Self {
            per_square: STEPS as f64 / (reach * reach),
            weights: (0..=STEPS).map(|i| (weight(i) / full) as f32).collect(),
            gains: (0..=STEPS).map(|i| (1.0 - loss(i) / worst).max(0.0) as f32).collect(),
        }
    }

    /// Weight of a squared residual for least squares, 1 to 0.
    pub fn weight(&self, squared: f64) -> f64 {
        self.lookup(&self.weights, squared)
    }

    /// What a squared residual adds to a model's score, 1 to 0.
    pub fn gain(&self, squared: f64) -> f64 {
        self.lookup(&self.gains, squared)
    }

    #[inline]
    fn lookup(&self, table: &[f32], squared: f64) -> f64 {
        let at = squared * self.per_square;
        if at < STEPS as f64 { table[at as usize] as f64 } else { 0.0 }
    }
}

/// Upper incomplete gamma function at 3/2.
fn upper_gamma_3_2(x: f64) -> f64 {
    x.sqrt() * (-x).exp() + 0.5 * std::f64::consts::PI.sqrt() * erfc(x.sqrt())
}

/// Lower incomplete gamma function at 5/2, by the recurrence from 3/2.
fn lower_gamma_5_2(x: f64) -> f64 {
    let lower_3_2 = 0.5 * std::f64::consts::PI.sqrt() - upper_gamma_3_2(x);
    1.5 * lower_3_2 - x.powf(1.5) * (-x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_and_gain_fall_from_one_to_zero_at_the_reach() {
        let m = Magsac::new(6.0);
        assert!((m.weight(0.0) - 1.0).abs() < 1e-6 && (m.gain(0.0) - 1.0).abs() < 1e-6);
        assert!(m.weight(35.99) < 0.01 && m.gain(35.99) < 0.01);
        assert_eq!((m.weight(36.0), m.gain(1e300), m.gain(f64::INFINITY)), (0.0, 0.0, 0.0));
        let falls = |f: &dyn Fn(f64) -> f64| (0..360).all(|i| f(i as f64 / 10.0) >= f((i + 1) as f64 / 10.0));
        assert!(falls(&|s| m.weight(s)) && falls(&|s| m.gain(s)));
    }

    #[test]
    fn the_weight_is_the_slope_of_the_loss() {
        // Iterated reweighted least squares minimises the loss when weight = loss'(r) / r.
        let m = Magsac::new(1.0);
        let slope = |s: f64| (m.gain(s) - m.gain(s + 0.02)) / 0.02;
        let scale = slope(0.1) / m.weight(0.11);
        for s in [0.2, 0.4, 0.6] {
            assert!((slope(s) / (scale * m.weight(s + 0.01)) - 1.0).abs() < 0.05, "at {s}");
        }
    }
}
