//! Euler's method.

use burn::tensor::Tensor;

use super::run::{Run, SampleError};

/// Euler steps along the probability flow, `dx/dsigma = (x - x0) / sigma` (Karras et al. 2022, arXiv 2206.00364,
/// algorithm 1 without churn). Here `x = x0 + sigma * noise`, as in the paper.
pub(super) fn euler(run: &mut Run, x: Tensor<4>) -> Result<Tensor<4>, SampleError> {
    let mut x = x / run.levels(run.start).0.alpha;
    for i in run.steps() {
        let (from, to) = run.levels(i);
        let x0 = run.x0(i, x.clone() * from.alpha, [&mut x])?;
        let (sigma, sigma_next) = (from.relative_sigma(), to.relative_sigma());
        let d = (x - x0.clone()) / sigma;
        // The paper's x + d * (sigma_next - sigma), without the cancellation at large sigma.
        x = x0 + d * sigma_next;
    }
    Ok(x)
}
