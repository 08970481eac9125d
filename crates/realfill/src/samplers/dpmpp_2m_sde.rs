//! DPM-Solver++ with new noise.

use burn::tensor::Tensor;

use super::run::{Run, SampleError};

/// SDE-DPM-Solver++(2M): as DPM-Solver++(2M), for the reverse stochastic equation (Lu et al. 2022, arXiv 2211.01095,
/// appendix B.5). The first step, and the last one to the clean image, are of first order.
pub(super) fn dpmpp_2m_sde(run: &mut Run, mut x: Tensor<4>) -> Result<Tensor<4>, SampleError> {
    let mut m1 = None;
    let mut h_before = 0.0;
    for i in run.steps() {
        let m0 = run.x0(i, x.clone(), [&mut x].into_iter().chain(&mut m1))?;
        let (s, t) = run.levels(i);
        let h = t.lambda() - s.lambda();
        let d = match m1.take() {
            Some(m1) if !run.is_last(i) => {
                let r0: f64 = h_before / h;
                m0.clone() + (m0.clone() - m1) * (0.5 / r0)
            }
            _ => m0.clone(),
        };
        let replaced = -(-2.0 * h).exp_m1();
        x = x * (t.sigma / s.sigma * (-h).exp()) + d * (t.alpha * replaced);
        if t.sigma > 0.0 {
            x = x.clone() + run.noise(i, &x) * (t.sigma * replaced.sqrt());
        }
        (m1, h_before) = (Some(m0), h);
    }
    Ok(x)
}
