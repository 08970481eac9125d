//! Euler's method with new noise.

use burn::tensor::Tensor;

use super::run::{Run, SampleError};

/// Euler steps that go further down than asked and come back up with new noise: the ancestral step of Song et al. 2021
/// (arXiv 2011.13456, appendix F) in the notation of Karras et al. 2022 (arXiv 2206.00364), where `x = x0 + sigma * noise`.
pub(super) fn euler_ancestral(run: &mut Run, x: Tensor<4>) -> Result<Tensor<4>, SampleError> {
    let mut x = x / run.levels(run.start).0.alpha;
    for i in run.steps() {
        let (from, to) = run.levels(i);
        let x0 = run.x0(i, x.clone() * from.alpha, [&mut x])?;
        let (sigma, sigma_next) = (from.relative_sigma(), to.relative_sigma());
        let sigma_up = sigma_next * (1.0 - (sigma_next / sigma).powi(2)).sqrt();
        let sigma_down = sigma_next.powi(2) / sigma;
        let d = (x - x0.clone()) / sigma;
        x = x0 + d * sigma_down;
        if sigma_up > 0.0 {
            x = x.clone() + run.noise(i, &x) * sigma_up;
        }
    }
    Ok(x)
}
