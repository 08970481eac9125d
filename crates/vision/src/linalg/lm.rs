//! Nonlinear least squares for a few dozen parameters (Levenberg-Marquardt with Nielsen's damping).
//!
//! Madsen, Nielsen, Tingleff: Methods for non-linear least squares problems, 2004, algorithm 3.16.

use super::solve_symmetric;
use nalgebra::{DMatrix, DVector};

/// When to stop.
#[derive(Clone, Debug)]
pub struct LmOptions {
    /// Steps at most, taken or refused. Default 50.
    pub max_iterations: usize,
    /// Stops when a step gains less than this share of the cost. Default 1e-10.
    pub tolerance: f64,
    /// First damping, in units of the largest diagonal entry of JᵀJ. Default 1e-4.
    pub damping: f64,
}

impl Default for LmOptions {
    fn default() -> Self {
        Self { max_iterations: 50, tolerance: 1e-10, damping: 1e-4 }
    }
}

/// Where the search ended.
#[derive(Clone, Debug)]
pub struct LmReport {
    /// The parameters.
    pub x: DVector<f64>,
    /// Half the sum of the squared residuals there; infinite if they could not be evaluated at the start.
    pub cost: f64,
    /// Steps tried.
    pub iterations: usize,
}

/// Minimises `½|r(x)|²` from `x`. `evaluate` gives residuals r and their Jacobian ∂r/∂x, or `None` where they do not exist
/// (such a step is refused). The result is never worse than the start.
pub fn levenberg_marquardt(
    x: DVector<f64>,
    mut evaluate: impl FnMut(&DVector<f64>) -> Option<(DVector<f64>, DMatrix<f64>)>,
    options: &LmOptions,
) -> LmReport {
    let Some((mut residuals, mut jacobian)) = evaluate(&x) else {
        return LmReport { x, cost: f64::INFINITY, iterations: 0 };
    };
    let mut report = LmReport { x, cost: 0.5 * residuals.norm_squared(), iterations: 0 };
    let mut normal = jacobian.tr_mul(&jacobian);
    let mut damping = options.damping * normal.diagonal().max().max(1e-300);
    let mut growth = 2.0;
    while report.iterations < options.max_iterations {
        report.iterations += 1;
        let gradient = jacobian.tr_mul(&residuals);
        let step = damped_step(&normal, &gradient, damping);
        let tried = step.as_ref().and_then(|s| evaluate(&(&report.x + s)));
        let cost = tried.as_ref().map_or(f64::INFINITY, |(r, _)| 0.5 * r.norm_squared());
        if let (Some(step), Some((r, j))) = (step, tried)
            && cost < report.cost
        {
            let predicted = 0.5 * step.dot(&(damping * &step - &gradient));
            let quality = (report.cost - cost) / predicted.max(1e-300);
            let gained = report.cost - cost;
            (residuals, jacobian, report.x, report.cost) = (r, j, report.x + step, cost);
            normal = jacobian.tr_mul(&jacobian);
            damping *= (1.0 - (2.0 * quality - 1.0).powi(3)).clamp(1.0 / 3.0, 2.0);
            growth = 2.0;
            if gained <= options.tolerance * report.cost {
                break;
            }
        } else {
            damping *= growth;
            growth *= 2.0;
            if !damping.is_finite() || growth > 1e12 {
                break;
            }
        }
    }
    report
}

fn damped_step(normal: &DMatrix<f64>, gradient: &DVector<f64>, damping: f64) -> Option<DVector<f64>> {
    let mut damped = normal.clone();
    (0..damped.nrows()).for_each(|i| damped[(i, i)] += damping);
    solve_symmetric(&damped, &-gradient)
}

/// The Jacobian of `f` by central differences, with steps of 1e-6 times each parameter's size (at least 1e-6).
pub fn numeric_jacobian(x: &DVector<f64>, f: impl Fn(&DVector<f64>) -> Option<DVector<f64>>) -> Option<DMatrix<f64>> {
    let mut columns = Vec::with_capacity(x.len());
    for i in 0..x.len() {
        let step = 1e-6 * x[i].abs().max(1.0);
        let moved = |by: f64| {
            let mut x = x.clone();
            x[i] += by;
            f(&x)
        };
        columns.push((moved(step)? - moved(-step)?) / (2.0 * step));
    }
    (!columns.is_empty()).then(|| DMatrix::from_columns(&columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rosenbrocks_valley_is_followed_to_its_end() {
        let f = |x: &DVector<f64>| Some(DVector::from_row_slice(&[10.0 * (x[1] - x[0] * x[0]), 1.0 - x[0]]));
        let found = levenberg_marquardt(
            DVector::from_row_slice(&[-1.2, 1.0]),
            |x| Some((f(x)?, numeric_jacobian(x, f)?)),
            &LmOptions { max_iterations: 200, ..Default::default() },
        );
        assert!((found.x[0] - 1.0).abs() < 1e-5 && (found.x[1] - 1.0).abs() < 1e-5, "{found:?}");
    }

    #[test]
    fn places_without_residuals_are_avoided() {
        let f = |x: &DVector<f64>| (x[0] > 0.0).then(|| DVector::from_row_slice(&[x[0].ln() - 1.0]));
        let found = levenberg_marquardt(
            DVector::from_element(1, 20.0),
            |x| Some((f(x)?, numeric_jacobian(x, f)?)),
            &LmOptions::default(),
        );
        assert!((found.x[0] - std::f64::consts::E).abs() < 1e-6, "{found:?}");
    }
}
