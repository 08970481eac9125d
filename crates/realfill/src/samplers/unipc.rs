//! UniPC.

use burn::tensor::Tensor;

use super::run::{Run, SampleError};
use crate::schedule::NoiseLevel;

/// UniPC of order 2 with `B(h) = exp(h) - 1`, predicting x0 (Zhao et al. 2023, arXiv 2302.04867, algorithms 1 and 2):
/// each prediction first corrects the step that led to it, then makes the next one. The first step and the last are of
/// first order, as diffusers' `bh2` solver has them.
pub(super) fn unipc(run: &mut Run, mut x: Tensor<4>) -> Result<Tensor<4>, SampleError> {
    // The predictions before, newest first, and where the last step came from.
    let mut m: Vec<Tensor<4>> = Vec::new();
    let mut x_before = None;
    for i in run.steps() {
        let m_t = run.x0(i, x.clone(), [&mut x].into_iter().chain(&mut m).chain(&mut x_before))?;
        if let Some(x_before) = x_before.take() {
            x = correct(&Interval::new(run, i - 1), x_before, &m, &m_t);
        }
        m.insert(0, m_t);
        m.truncate(if run.is_last(i) { 1 } else { 2 });
        x_before = Some(x.clone());
        x = predict(&Interval::new(run, i), x, &m);
    }
    Ok(x)
}

/// One step in the paper's symbols, with `h` taken negative, as predicting x0 has it.
struct Interval {
    s: NoiseLevel,
    t: NoiseLevel,
    h: f64,
    /// `exp(h) - 1`: both `h * phi_1(h)` and `B(h)`.
    b: f64,
    /// Length of the step before over this one's, negative; meaningless on the first step.
    r1: f64,
}

impl Interval {
    fn new(run: &Run, i: usize) -> Self {
        let (s, t) = run.levels(i);
        let h = s.lambda() - t.lambda();
        let before = run.plan.level(i.saturating_sub(1)).lambda();
        Self { s, t, h, b: h.exp_m1(), r1: (s.lambda() - before) / h }
    }

    /// The first-order step from `x`.
    fn first_order(&self, x: Tensor<4>, m0: &Tensor<4>) -> Tensor<4> {
        x * (self.t.sigma / self.s.sigma) - m0.clone() * (self.t.alpha * self.b)
    }

    /// The slope between the two last predictions, where there are two.
    fn d1(&self, m: &[Tensor<4>]) -> Option<Tensor<4>> {
        m.get(1).map(|m1| (m1.clone() - m[0].clone()) / self.r1)
    }
}

/// UniP-2: from `x`, given the predictions `m`.
fn predict(step: &Interval, x: Tensor<4>, m: &[Tensor<4>]) -> Tensor<4> {
    let x_t = step.first_order(x, &m[0]);
    match step.d1(m) {
        Some(d1) => x_t - d1 * (step.t.alpha * step.b * 0.5),
        None => x_t,
    }
}

/// UniC-2: the step again, now that the prediction at its end, `m_t`, is known.
fn correct(step: &Interval, x: Tensor<4>, m: &[Tensor<4>], m_t: &Tensor<4>) -> Tensor<4> {
    let x_t = step.first_order(x, &m[0]);
    let d_t = m_t.clone() - m[0].clone();
    let correction = match step.d1(m) {
        Some(d1) => {
            let (rho_1, rho_t) = corrector_weights(step);
            d1 * rho_1 + d_t * rho_t
        }
        None => d_t * 0.5,
    };
    x_t - correction * (step.t.alpha * step.b)
}

/// Solves `rho_1 + rho_t = b_1`, `r1 rho_1 + rho_t = b_2`, where `b_k = k! h phi_{k+1}(h) / B(h)`.
fn corrector_weights(step: &Interval) -> (f64, f64) {
    let h_phi_2 = step.b / step.h - 1.0;
    let h_phi_3 = h_phi_2 / step.h - 0.5;
    let (b_1, b_2) = (h_phi_2 / step.b, 2.0 * h_phi_3 / step.b);
    let rho_1 = (b_1 - b_2) / (1.0 - step.r1);
    (rho_1, b_1 - rho_1)
}
