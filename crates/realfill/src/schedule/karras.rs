//! Noise levels as Karras et al. space them (2022, arXiv 2206.00364, eq. 5), which a checkpoint may ask for.

use super::{BetaSchedule, NoiseLevel, NoiseSchedule};
use crate::samplers::SamplerKind;

/// The paper's rho, which diffusers has too.
const RHO: f64 = 7.0;

/// As many levels as `spaced`, which are those of the timesteps' spacing. As in diffusers Euler goes from the noise of the first
/// to that of the last of them, and the other samplers from the most to the least noise of the training.
///
/// The timestep told to the model is that with the level's noise, between two where need be; the solvers round it.
pub(super) fn levels(schedule: &NoiseSchedule, kind: SamplerKind, spaced: &[NoiseLevel]) -> Vec<NoiseLevel> {
    let trained = &schedule.levels;
    let ends = |levels: &[NoiseLevel]| [levels.first(), levels.last()].map(|level| level.map_or(1.0, relative));
    let [most, least] = match kind {
        SamplerKind::Euler => ends(spaced),
        _ => {
            let [least, most] = ends(trained);
            [most, least]
        }
    };
    let own = |field, usual| schedule.config.number(field).filter(|&sigma| sigma > 0.0).unwrap_or(usual);
    let sigmas = sigmas(own("sigma_max", most), own("sigma_min", least), spaced.len());
    let level = |sigma| NoiseLevel::from_relative_sigma(told(schedule, kind, timestep(trained, sigma)) as f32, sigma);
    sigmas.into_iter().map(level).collect()
}

fn relative(level: &NoiseLevel) -> f64 {
    level.relative_sigma()
}

/// From `most` to `least`, even in the `RHO`-th root.
fn sigmas(most: f64, least: f64, steps: usize) -> Vec<f64> {
    let (most, least) = (most.powf(RHO.recip()), least.powf(RHO.recip()));
    let share = |i: usize| i as f64 / steps.saturating_sub(1).max(1) as f64;
    (0..steps).map(|i| (most + share(i) * (least - most)).powf(RHO)).collect()
}

/// The timestep with this noise: between two of the training, in proportion to the noise's logarithm.
fn timestep(trained: &[NoiseLevel], sigma: f64) -> f64 {
    let log = |level: &NoiseLevel| level.relative_sigma().ln();
    let wanted = sigma.ln();
    let below = trained.partition_point(|level| log(level) <= wanted).saturating_sub(1);
    let below = below.min(trained.len().saturating_sub(2));
    let Some([low, high]) = trained.get(below..below + 2) else { return 0.0 };
    below as f64 + ((wanted - log(low)) / (log(high) - log(low))).clamp(0.0, 1.0)
}

/// The timestep that a sampler tells the model, rounded as in diffusers.
fn told(schedule: &NoiseSchedule, kind: SamplerKind, timestep: f64) -> f64 {
    match (kind, schedule.config.beta_schedule) {
        (SamplerKind::Euler, _) => timestep,
        // A millionth more, lest the roots' rounding cut whole ones.
        (SamplerKind::DpmPp2m | SamplerKind::DpmPp2mSde, BetaSchedule::SquaredCosine) => (timestep + 1e-6).floor(),
        _ => timestep.round_ties_even(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::ScheduleConfig;

    /// Relative sigmas and timesteps of a run, without its end.
    fn run(config: &str, kind: SamplerKind, steps: usize) -> (Vec<f64>, Vec<f64>) {
        let text = format!(
            r#"{{"use_karras_sigmas": true, "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000, {config}}}"#
        );
        let schedule = NoiseSchedule::new(ScheduleConfig::from_json(&text).expect("valid")).expect("valid");
        let plan = schedule.plan(kind, steps).expect("fits");
        assert_eq!(plan.level(steps).sigma, 0.0);
        let levels = (0..steps).map(|i| plan.level(i));
        levels.map(|level| (level.relative_sigma(), f64::from(level.timestep))).unzip()
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-6 * expected + 1e-9, "{found} instead of {expected}");
        }
    }

    /// All expected numbers here are those of diffusers 0.42.1's `_convert_to_karras` and `_sigma_to_t`, run in numpy on the
    /// `sqrt((1 - alphas_cumprod) / alphas_cumprod)` of these betas (for Euler on `np.interp` of it at the spaced timesteps).
    #[test]
    fn solvers_go_from_the_most_to_the_least_noise_of_the_training() {
        let sigmas =
            [14.614641229333643, 4.79653482712404, 1.274100208978096, 0.24794990271076306, 0.02916715815172038];
        for kind in [SamplerKind::DpmPp2m, SamplerKind::DpmPp2mSde, SamplerKind::UniPc] {
            for spacing in ["linspace", "trailing", "leading"] {
                let config = format!(r#""beta_schedule": "scaled_linear", "timestep_spacing": "{spacing}""#);
                let (found, timesteps) = run(&config, kind, 5);
                assert_close(&found, &sigmas);
                assert_eq!(timesteps, [999.0, 786.0, 427.0, 59.0, 0.0], "{kind}");
            }
        }
    }

    #[test]
    fn the_cosine_curve_has_its_timesteps_cut() {
        let sigmas =
            [20291.169610019882, 3547.499266219439, 345.8736853012454, 10.31676273446702, 0.0064254127711420835];
        let (found, timesteps) = run(r#""beta_schedule": "squaredcos_cap_v2""#, SamplerKind::DpmPp2m, 5);
        assert_close(&found, &sigmas);
        assert_eq!(timesteps, [999.0, 998.0, 997.0, 936.0, 0.0]);
    }

    #[test]
    fn euler_goes_from_the_first_to_the_last_of_its_own_timesteps() {
        let scaled = r#""beta_schedule": "scaled_linear""#;
        let (sigmas, timesteps) = run(scaled, SamplerKind::Euler, 4);
        assert_close(&sigmas, &[14.614641229333643, 3.168603072959619, 0.44691820937343973, 0.02916715815172038]);
        let close = |found: &[f64], expected: [f64; 4]| {
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-3)
        };
        assert!(close(&timesteps, [999.0, 687.1527460744259, 145.9380686057837, 0.0]), "{timesteps:?}");
        let leading = format!(r#"{scaled}, "timestep_spacing": "leading", "steps_offset": 1"#);
        let (sigmas, timesteps) = run(&leading, SamplerKind::Euler, 4);
        assert_close(&sigmas, &[4.1166964792760625, 1.208776993438943, 0.2733869317310154, 0.04131441199678309]);
        assert!(close(&timesteps, [751.0, 411.41532015994017, 69.40329033161952, 1.0]), "{timesteps:?}");
    }

    #[test]
    fn the_ends_may_be_given_and_other_samplers_do_not_care() {
        let (sigmas, _) = run(r#""sigma_max": 10.0, "sigma_min": 0.1"#, SamplerKind::UniPc, 3);
        assert_close(&[sigmas[0], sigmas[2]], &[10.0, 0.1]);
        let plain = NoiseSchedule::new(ScheduleConfig::default()).expect("valid");
        let karras = ScheduleConfig::from_json(r#"{"use_karras_sigmas": true}"#).expect("valid");
        let karras = NoiseSchedule::new(karras).expect("valid");
        for kind in [SamplerKind::Ddpm, SamplerKind::Ddim, SamplerKind::EulerAncestral] {
            assert_eq!(karras.plan(kind, 10).expect("fits"), plain.plan(kind, 10).expect("fits"), "{kind}");
        }
    }
}
