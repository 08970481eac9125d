//! DDIM.

use burn::tensor::Tensor;

use super::run::{Run, SampleError};

/// Non-Markovian sampling with `eta` times the noise of DDPM (Song et al. 2021, arXiv 2010.02502, eqs. 12 and 16).
pub(super) fn ddim(run: &mut Run, mut x: Tensor<4>) -> Result<Tensor<4>, SampleError> {
    for i in run.steps() {
        let mut x0 = run.x0(i, x.clone(), [&mut x])?;
        let (t, prev) = run.levels(i);
        let epsilon = (x - x0.clone() * t.alpha) / t.sigma;
        if let Some(range) = run.clip {
            x0 = x0.clamp(-range, range);
        }
        let beta_t = 1.0 - t.alpha_cumprod() / prev.alpha_cumprod();
        let sigma_t = run.eta * (prev.sigma / t.sigma) * beta_t.sqrt();
        x = x0 * prev.alpha + epsilon * (prev.sigma.powi(2) - sigma_t.powi(2)).max(0.0).sqrt();
        if sigma_t > 0.0 {
            x = x.clone() + run.noise(i, &x) * sigma_t;
        }
    }
    Ok(x)
}
