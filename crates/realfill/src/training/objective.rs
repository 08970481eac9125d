//! What the embedded model learns: to predict the clean picture from a noised one, most of all inside the hole.

use super::batch::Batch;
use crate::denoiser::{PredictionType, mix};
use crate::schedule::{BetaSchedule, NoiseLevel, NoiseSchedule, ScheduleConfig, TimestepSpacing};
use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use realfill_models::embedded::PatchUNet;

/// What an error outside the hole counts beside one inside: enough to keep the two continuous.
const OUTSIDE: f64 = 0.1;
/// Most that one timestep counts beside another (cf. Min-SNR, Hang et al. 2023, arXiv 2303.09556, gamma = 5).
const MAX_WEIGHT: f64 = 5.0;

/// The embedded model's schedule: squared cosine (Nichol & Dhariwal 2021), predicting x0.
pub fn schedule() -> NoiseSchedule {
    let config = ScheduleConfig {
        beta_schedule: BetaSchedule::SquaredCosine,
        prediction_type: PredictionType::Sample,
        timestep_spacing: Some(TimestepSpacing::Trailing),
        clip_sample: Some(true),
        ..ScheduleConfig::default()
    };
    NoiseSchedule::new(config).expect("the embedded model's schedule is valid")
}

/// A timestep for each row, uniformly.
pub fn random_levels(schedule: &NoiseSchedule, rows: usize, rng: &mut impl Rng) -> Vec<NoiseLevel> {
    (0..rows).map(|_| *schedule.level(rng.random_range(0..schedule.train_timesteps()))).collect()
}

/// A timestep for each row from the noisier half, uniformly: those that sampling in few steps asks for.
pub fn sampled_levels(schedule: &NoiseSchedule, rows: usize, rng: &mut impl Rng) -> Vec<NoiseLevel> {
    let steps = schedule.train_timesteps();
    (0..rows).map(|_| *schedule.level(rng.random_range(steps / 2..steps))).collect()
}

/// The noise levels of the validation loss: the middles of four equal parts of the noisier half, where content is decided.
pub fn validation_timesteps(schedule: &NoiseSchedule) -> [usize; 4] {
    let steps = schedule.train_timesteps();
    std::array::from_fn(|i| steps / 2 + (2 * i + 1) * steps / 16)
}

/// Mean squared x0 error where the samples are learnt from, in the hole in full and outside at a tenth, weighted by timestep; 0 where none is.
pub fn loss(network: &PatchUNet, batch: &Batch, levels: &[NoiseLevel], rng: &mut impl Rng) -> Tensor<1> {
    let error = (predict(network, batch, levels, rng) - batch.truth.clone()).square();
    let place = (batch.known.mask.clone() * (1.0 - OUTSIDE) + OUTSIDE) * batch.counts.clone();
    let weights: Vec<f32> = levels.iter().map(weight).collect();
    let time = Tensor::<1>::from_floats(weights.as_slice(), &batch.truth.device()).reshape([levels.len(), 1, 1, 1]);
    (error * place.clone() * time).sum() / (place.sum() * 3.0).clamp_min(OUTSIDE)
}

/// SNR + 1, which is what predicting v would weigh x0 errors by (Salimans & Ho 2022, section 4), at most [`MAX_WEIGHT`].
fn weight(level: &NoiseLevel) -> f32 {
    (1.0 / level.sigma.powi(2)).min(MAX_WEIGHT) as f32
}

/// The clean picture predicted from one noised to `levels` (one a row, or one for all), `[n, 3, h, w]`.
pub fn predict(network: &PatchUNet, batch: &Batch, levels: &[NoiseLevel], rng: &mut impl Rng) -> Tensor<4> {
    let device = batch.truth.device();
    let shape = batch.truth.dims();
    let noise: Vec<f32> = (0..shape.iter().product()).map(|_| rng.sample(StandardNormal)).collect();
    let noise = Tensor::<4>::from_data(TensorData::new(noise, shape), &device);
    let row_level = |row: usize| levels[row.min(levels.len() - 1)].timestep;
    let timesteps: Vec<f32> = (0..shape[0]).map(row_level).collect();
    let noisy = mix(batch.truth.clone(), noise, levels);
    network.forward(noisy, Tensor::from_floats(timesteps.as_slice(), &device), &batch.known)
}

/// Mean squared error in the hole, colours in -1 to 1.
pub fn hole_error(predicted: Tensor<4>, batch: &Batch) -> f64 {
    let hole = batch.known.mask.clone();
    let error = ((predicted.clamp(-1.0, 1.0) - batch.truth.clone()).square() * hole.clone()).sum();
    f64::from((error / (hole.sum() * 3.0)).into_scalar::<f32>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::batch::Sample;
    use crate::training::clipping::squared_norm;
    use crate::training::simulated_guide::SimulatedGuide;
    use burn::optim::GradientsParams;
    use burn::tensor::Device;
    use image::{Rgb, Rgb32FImage};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use realfill_models::embedded::EmbeddedConfig;
    use realfill_vision::Mask;

    #[test]
    fn a_crop_of_which_nothing_is_known_has_no_loss() {
        let all = Mask::new(32, 32, vec![true; 32 * 32]);
        let guide = SimulatedGuide::none(32, 32);
        let sample =
            Sample { truth: Rgb32FImage::new(32, 32), mask: all.clone(), unknown: Some(all), unseen: None, guide };
        let network = PatchUNet::new(&EmbeddedConfig::tiny(), &Device::flex());
        let level = *schedule().level(700);
        let batch = Batch::new(&[sample], &Device::flex());
        let loss = loss(&network, &batch, &[level], &mut ChaCha8Rng::seed_from_u64(0)).into_scalar::<f32>();
        assert_eq!(loss, 0.0);
    }

    /// The losses of two parts, each times the sum of its weights, are that of the whole.
    #[test]
    fn what_is_unseen_has_no_loss_and_no_gradient() {
        let device = Device::flex().autodiff();
        let network = PatchUNet::built_in(&device).expect("the one that ships");
        let level = *schedule().level(700);
        let wave = |x: u32, y: u32| Rgb([0.5 + 0.5 * (x as f32 * 0.3).sin(), y as f32 / 32.0, 0.5]);
        let found = |unseen: Option<Mask>| {
            let sample = Sample {
                truth: Rgb32FImage::from_fn(32, 32, wave),
                mask: Mask::from_fn(32, 32, |x, _| x < 16),
                unknown: None,
                unseen,
                guide: SimulatedGuide::none(32, 32),
            };
            let batch = Batch::new(&[sample], &device);
            let loss = loss(&network, &batch, &[level], &mut ChaCha8Rng::seed_from_u64(0));
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            let place = (batch.known.mask * (1.0 - OUTSIDE) + OUTSIDE) * batch.counts;
            let all = f64::from(loss.into_scalar::<f32>()) * f64::from(place.sum().into_scalar::<f32>());
            (all, squared_norm(&network, &gradients))
        };
        let part = |is_left: bool| Some(Mask::from_fn(32, 32, |x, _| (x < 12) != is_left));
        let (whole, left, right) = (found(None), found(part(true)), found(part(false)));
        assert!(left.0 > 0.0 && right.0 > 0.0 && whole.1 > 0.0, "{left:?}, {right:?} and {whole:?}");
        assert!((left.0 + right.0 - whole.0).abs() < 1e-4 * whole.0, "{left:?} and {right:?} for {whole:?}");
        assert_eq!(found(Some(Mask::from_fn(32, 32, |_, _| true))), (0.0, 0.0));
    }

    #[test]
    fn validation_looks_at_the_noisier_half() {
        assert_eq!(validation_timesteps(&schedule()), [562, 687, 812, 937]);
    }
}
