//! How much noise a sample holds.

use crate::denoiser::ZERO_SNR_ALPHA;

/// The mixture `x = alpha * x0 + sigma * noise` at one timestep, with `alpha² + sigma² = 1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseLevel {
    /// The timestep to tell the model, counted from 0; may be fractional.
    pub timestep: f32,
    /// Share of the image; 0 at zero terminal SNR, 1 without noise.
    pub alpha: f64,
    /// Share of the noise.
    pub sigma: f64,
}

impl NoiseLevel {
    /// From the cumulative product `alpha_cumprod = alpha²`, in [0, 1].
    pub fn new(timestep: f32, alpha_cumprod: f64) -> Self {
        Self { timestep, alpha: alpha_cumprod.sqrt(), sigma: (1.0 - alpha_cumprod).sqrt() }
    }

    /// From the noise relative to the image, `sigma / alpha`, in [0, inf).
    pub fn from_relative_sigma(timestep: f32, relative_sigma: f64) -> Self {
        let alpha = (relative_sigma.powi(2) + 1.0).sqrt().recip();
        Self { timestep, alpha, sigma: relative_sigma * alpha }
    }

    /// The clean image that a run ends with.
    pub fn clean() -> Self {
        Self { timestep: 0.0, alpha: 1.0, sigma: 0.0 }
    }

    /// `alpha²`, the papers' cumulative product (Ho et al. 2020).
    pub fn alpha_cumprod(&self) -> f64 {
        self.alpha.powi(2)
    }

    /// `sigma / alpha`, the sigma of Karras et al. 2022 (arXiv 2206.00364); large but finite at zero terminal SNR.
    pub fn relative_sigma(&self) -> f64 {
        if self.alpha == 0.0 { self.sigma / ZERO_SNR_ALPHA } else { self.sigma / self.alpha }
    }

    /// Half the logarithm of the signal-to-noise ratio, `ln(alpha / sigma)` (Lu et al. 2022, arXiv 2211.01095);
    /// infinite without noise.
    pub fn lambda(&self) -> f64 {
        -self.relative_sigma().ln()
    }
}
