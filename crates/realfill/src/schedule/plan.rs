//! The noise levels that one run visits.

use burn::tensor::Tensor;

use super::spacing::Places;
use super::{NoiseLevel, NoiseSchedule, ScheduleError, TimestepSpacing, karras, options};
use crate::denoiser::mix;
use crate::samplers::SamplerKind;

/// A run of `n` steps: step `i` goes from level `i` to level `i + 1`; level `n` is the last, nearly or wholly clean.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    levels: Vec<NoiseLevel>,
    initial_scale: f64,
}

impl Plan {
    /// The levels of `steps` steps of a sampler, placed as in diffusers' scheduler of the same name, except that DDIM
    /// goes to the next timestep of the run where diffusers goes `num_train_timesteps / steps` down, which is another
    /// one when the spacing is not leading or the division has a rest.
    pub(super) fn new(schedule: &NoiseSchedule, kind: SamplerKind, steps: usize) -> Result<Self, ScheduleError> {
        options::check(schedule.config(), kind)?;
        let spacing = spacing(schedule, kind);
        let timesteps = timesteps(schedule, kind, spacing, steps);
        if !fits(&timesteps, schedule.train_timesteps()) {
            let fits_too = |&n: &usize| fits(&self::timesteps(schedule, kind, spacing, n), schedule.train_timesteps());
            let most = (1..steps.min(schedule.train_timesteps() + 1)).rev().find(fits_too).unwrap_or(0);
            return Err(ScheduleError::Steps { steps, train: schedule.train_timesteps(), most });
        }
        let mut levels: Vec<NoiseLevel> = timesteps.iter().map(|&t| level(schedule, kind, t)).collect();
        if schedule.config().uses_karras_sigmas() && (kind == SamplerKind::Euler || is_multistep(kind)) {
            levels = karras::levels(schedule, kind, &levels);
        }
        levels.push(last_level(schedule, kind));
        Ok(Self { initial_scale: initial_scale(kind, spacing, &levels[0]), levels })
    }

    /// Steps of the run, at least 1.
    pub fn steps(&self) -> usize {
        self.levels.len() - 1
    }

    /// The level that step `step` starts from; `steps()` gives the last one.
    ///
    /// # Panics
    /// When `step` is above `steps()`.
    pub fn level(&self, step: usize) -> &NoiseLevel {
        &self.levels[step]
    }

    /// Size of the noise to start from: 1, or a little less with the Euler samplers on a schedule that keeps some
    /// signal at its end.
    pub fn initial_scale(&self) -> f64 {
        self.initial_scale
    }

    /// The image `x0`, `[n, c, h, w]`, noised to where step `step` starts (SDEdit, Meng et al. 2022, arXiv 2108.01073).
    ///
    /// # Panics
    /// When `step` is above `steps()`.
    pub fn add_noise(&self, step: usize, x0: Tensor<4>, noise: Tensor<4>) -> Tensor<4> {
        mix(x0, noise, &[self.levels[step]])
    }
}

fn spacing(schedule: &NoiseSchedule, kind: SamplerKind) -> TimestepSpacing {
    schedule.config().timestep_spacing.unwrap_or(match kind {
        SamplerKind::Ddpm | SamplerKind::Ddim => TimestepSpacing::Leading,
        _ => TimestepSpacing::Linspace,
    })
}

fn timesteps(schedule: &NoiseSchedule, kind: SamplerKind, spacing: TimestepSpacing, steps: usize) -> Vec<f64> {
    if steps == 0 || steps > schedule.train_timesteps() {
        return Vec::new();
    }
    let places = Places {
        count: steps,
        train: schedule.train_timesteps(),
        range: if is_dpm_solver(kind) { unclipped(schedule) } else { schedule.train_timesteps() },
        offset: schedule.config().steps_offset,
        skip_cleanest: is_multistep(kind),
        whole: !is_euler(kind),
    };
    places.fill(spacing)
}

fn is_euler(kind: SamplerKind) -> bool {
    matches!(kind, SamplerKind::Euler | SamplerKind::EulerAncestral)
}

fn is_dpm_solver(kind: SamplerKind) -> bool {
    matches!(kind, SamplerKind::DpmPp2m | SamplerKind::DpmPp2mSde)
}

fn is_multistep(kind: SamplerKind) -> bool {
    is_dpm_solver(kind) || kind == SamplerKind::UniPc
}

/// How many timesteps have at least the signal that `lambda_min_clipped` asks for.
fn unclipped(schedule: &NoiseSchedule) -> usize {
    let Some(least) = schedule.config().lambda_min_clipped else { return schedule.train_timesteps() };
    (0..schedule.train_timesteps()).filter(|&t| schedule.level(t).lambda() >= least).count().max(1)
}

/// Whether there are timesteps, all of them trained on, each below the one before.
fn fits(timesteps: &[f64], train: usize) -> bool {
    timesteps.first().is_some_and(|&first| first <= (train - 1) as f64) && timesteps.windows(2).all(|t| t[1] < t[0])
}

/// The level at a timestep. The solvers that divide by alpha take a little signal for granted, as diffusers does.
fn level(schedule: &NoiseSchedule, kind: SamplerKind, timestep: f64) -> NoiseLevel {
    if matches!(kind, SamplerKind::Ddpm | SamplerKind::Ddim) {
        return *schedule.level(timestep as usize);
    }
    let sigma = |t: f64| schedule.level(t as usize).relative_sigma();
    let (below, share) = (sigma(timestep.floor()), timestep.fract());
    let relative_sigma = if share == 0.0 { below } else { below + share * (sigma(timestep.ceil()) - below) };
    NoiseLevel::from_relative_sigma(timestep as f32, relative_sigma)
}

fn last_level(schedule: &NoiseSchedule, kind: SamplerKind) -> NoiseLevel {
    if kind == SamplerKind::Ddim && !schedule.config().set_alpha_to_one {
        *schedule.level(0)
    } else {
        NoiseLevel::clean()
    }
}

fn initial_scale(kind: SamplerKind, spacing: TimestepSpacing, first: &NoiseLevel) -> f64 {
    if is_euler(kind) && spacing != TimestepSpacing::Leading { first.sigma } else { 1.0 }
}
