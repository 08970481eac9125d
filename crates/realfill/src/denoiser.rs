//! What a model predicts, and how that becomes an image. The conversion from noise, v or x0 lives here once: samplers
//! and losses only ever see x0, and a model only ever sees its own kind of prediction.
//!
//! Notation: a noisy sample is `x = alpha * x0 + sigma * noise` with `alpha² + sigma² = 1`.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::schedule::NoiseLevel;

/// A model that predicts from a noisy sample; see [`PredictionType`] for what.
///
/// Rows are candidates. A run may drop rows on the way, so conditions that are the same for all candidates should
/// broadcast over the rows of `x` rather than be fixed to the size of the first batch.
pub trait Denoiser {
    /// The model's raw prediction for `x`, `[n, c, h, w]`, of the same shape.
    ///
    /// `timestep` counts training timesteps from 0; with the Euler samplers it may lie between two.
    fn denoise(&self, x: Tensor<4>, timestep: f32) -> Tensor<4>;

    /// Has the last word on the predicted image `x0`, `[n, c, h, w]`, before the sampler uses it: the place to pull it
    /// towards known pixels or a guide. By default nothing changes.
    fn adjust_x0(&self, x0: Tensor<4>, _level: &NoiseLevel) -> Tensor<4> {
        x0
    }
}

impl<F: Fn(Tensor<4>, f32) -> Tensor<4>> Denoiser for F {
    fn denoise(&self, x: Tensor<4>, timestep: f32) -> Tensor<4> {
        self(x, timestep)
    }
}

/// What a model was trained to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise (Ho et al. 2020, arXiv 2006.11239).
    #[default]
    Epsilon,
    /// The velocity `alpha * noise - sigma * x0` (Salimans & Ho 2022, arXiv 2202.00512).
    VPrediction,
    /// The image x0 itself.
    Sample,
}

/// The signal left at zero terminal SNR where a prediction has to be divided by it: the square root of the smallest
/// positive f16, which is what diffusers' solvers assume. A noise prediction says nothing about the image there.
pub const ZERO_SNR_ALPHA: f64 = 1.0 / 4096.0;

impl PredictionType {
    /// The predicted image: from the noisy `x` and the model's `raw` prediction, both `[n, c, h, w]`.
    ///
    /// `levels` holds one level a row, or one for all rows.
    pub fn x0(self, x: Tensor<4>, raw: Tensor<4>, levels: &[NoiseLevel]) -> Tensor<4> {
        let (alpha, sigma) = columns(levels, &x);
        match self {
            Self::Epsilon => (x - raw * sigma) * column(levels, &alpha, |l| 1.0 / divisor(l.alpha)),
            Self::VPrediction => x * alpha - raw * sigma,
            Self::Sample => raw,
        }
    }

    /// What the model should have predicted, for a loss; shapes and `levels` as in [`x0`](Self::x0).
    pub fn target(self, x0: Tensor<4>, noise: Tensor<4>, levels: &[NoiseLevel]) -> Tensor<4> {
        let (alpha, sigma) = columns(levels, &x0);
        match self {
            Self::Epsilon => noise,
            Self::VPrediction => noise * alpha - x0 * sigma,
            Self::Sample => x0,
        }
    }
}

/// The noisy sample `alpha * x0 + sigma * noise`; one level a row, or one for all rows.
pub fn mix(x0: Tensor<4>, noise: Tensor<4>, levels: &[NoiseLevel]) -> Tensor<4> {
    let (alpha, sigma) = columns(levels, &x0);
    x0 * alpha + noise * sigma
}

/// `alpha`, kept away from zero by [`ZERO_SNR_ALPHA`] where nothing of the signal is left.
fn divisor(alpha: f64) -> f64 {
    if alpha == 0.0 { ZERO_SNR_ALPHA } else { alpha }
}

/// The levels' alpha and sigma, `[n, 1, 1, 1]` each.
fn columns(levels: &[NoiseLevel], like: &Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let rows = like.dims()[0];
    assert!(levels.len() == 1 || levels.len() == rows, "{} noise levels for {rows} rows", levels.len());
    (column(levels, like, |l| l.alpha), column(levels, like, |l| l.sigma))
}

fn column(levels: &[NoiseLevel], like: &Tensor<4>, value: impl Fn(&NoiseLevel) -> f64) -> Tensor<4> {
    let values: Vec<f32> = levels.iter().map(|level| value(level) as f32).collect();
    Tensor::<4>::from_data(TensorData::new(values, [levels.len(), 1, 1, 1]), &like.device()).cast(like.dtype())
}

/// Timestep above which the guide decides where it is trusted: what starts from a noised guide keeps its layout and
/// redraws its detail (SDEdit, Meng et al. 2022, section 3, finds 0.3 to 0.6 of the way best for that).
const LED_ABOVE: f32 = 500.0;

/// Starts the sampling from the guide where it is trusted and from noise elsewhere: at high noise the predicted `x0` is
/// drawn to `guide` by `trust`, `[n, 1, h, w]`.
pub(crate) fn led_by(guide: &Tensor<4>, trust: &Tensor<4>, x0: Tensor<4>, level: &NoiseLevel) -> Tensor<4> {
    if level.timestep < LED_ABOVE {
        return x0;
    }
    x0.clone() + (guide.clone() - x0) * trust.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::SeededNoise;
    use burn::tensor::Device;

    const KINDS: [PredictionType; 3] = [PredictionType::Epsilon, PredictionType::VPrediction, PredictionType::Sample];

    fn pair() -> (Tensor<4>, Tensor<4>) {
        let device = Device::flex();
        let draw = |seeds: [u64; 2]| SeededNoise::new(seeds).initial([3, 4, 4], &device);
        (draw([1, 2]), draw([3, 4]))
    }

    fn largest(x: Tensor<4>) -> f32 {
        x.abs().max().into_scalar()
    }

    #[test]
    fn noising_and_converting_back_returns_the_image() {
        let (x0, noise) = pair();
        let levels = [NoiseLevel::new(900.0, 0.02), NoiseLevel::new(10.0, 0.98)];
        for kind in KINDS {
            let x = mix(x0.clone(), noise.clone(), &levels);
            let raw = kind.target(x0.clone(), noise.clone(), &levels);
            let error = largest(kind.x0(x, raw, &levels) - x0.clone());
            assert!(error < 1e-5, "{kind:?}: {error}");
        }
    }

    #[test]
    fn zero_terminal_snr_stays_finite() {
        let (x0, noise) = pair();
        let level = [NoiseLevel::new(999.0, 0.0)];
        let x = mix(x0.clone(), noise.clone(), &level);
        for kind in KINDS {
            let raw = kind.target(x0.clone(), noise.clone(), &level);
            let back = kind.x0(x.clone(), raw, &level);
            assert!(largest(back.clone()).is_finite(), "{kind:?}");
            // Noise alone cannot tell the image; v and x0 can.
            let expected = if kind == PredictionType::Epsilon { x0.zeros_like() } else { x0.clone() };
            assert!(largest(back - expected) < 1e-5, "{kind:?}");
        }
    }

    #[test]
    fn names_are_those_of_diffusers() {
        let names: Vec<String> = KINDS.iter().map(|k| serde_json::to_string(k).expect("a name")).collect();
        assert_eq!(names, ["\"epsilon\"", "\"v_prediction\"", "\"sample\""]);
    }
}
