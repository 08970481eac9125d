//! DDPM.

use burn::tensor::Tensor;

use super::run::{Run, SampleError};

/// Ancestral sampling with the posterior's own variance (Ho et al. 2020, arXiv 2006.11239, eq. 7).
pub(super) fn ddpm(run: &mut Run, mut x: Tensor<4>) -> Result<Tensor<4>, SampleError> {
    for i in run.steps() {
        let mut x0 = run.x0(i, x.clone(), [&mut x])?;
        if let Some(range) = run.clip {
            x0 = x0.clamp(-range, range);
        }
        let (t, prev) = run.levels(i);
        let (alpha_bar_t, alpha_bar_prev) = (t.alpha_cumprod(), prev.alpha_cumprod());
        let alpha_t = alpha_bar_t / alpha_bar_prev;
        let beta_t = 1.0 - alpha_t;
        let x0_share = prev.alpha * beta_t / (1.0 - alpha_bar_t);
        let x_share = alpha_t.sqrt() * (1.0 - alpha_bar_prev) / (1.0 - alpha_bar_t);
        let variance = (1.0 - alpha_bar_prev) / (1.0 - alpha_bar_t) * beta_t;
        x = x0 * x0_share + x * x_share;
        if variance > 0.0 {
            x = x.clone() + run.noise(i, &x) * variance.sqrt();
        }
    }
    Ok(x)
}
