//! DPM-Solver++.

use burn::tensor::Tensor;

use super::run::{Run, SampleError};

/// DPM-Solver++(2M): the flow's integral over `lambda`, extrapolated from two predictions of x0 (Lu et al. 2022,
/// arXiv 2211.01095, algorithm 2). The first step, and the last one to the clean image, are of first order.
pub(super) fn dpmpp_2m(run: &mut Run, mut x: Tensor<4>) -> Result<Tensor<4>, SampleError> {
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
        x = x * (t.sigma / s.sigma) - d * (t.alpha * (-h).exp_m1());
        (m1, h_before) = (Some(m0), h);
    }
    Ok(x)
}
