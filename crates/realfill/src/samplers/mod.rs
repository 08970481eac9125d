//! Samplers: from noise to an image by way of a model's predictions. Each is one short loop in the symbols of its
//! paper; what they share is in `run`. All agree with diffusers' scheduler of the same name (tests/goldens).

mod ddim;
mod ddpm;
mod dpmpp_2m;
mod dpmpp_2m_sde;
mod euler;
mod euler_ancestral;
mod kind;
mod run;
mod unipc;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

pub use kind::{SamplerKind, UnknownSampler};
pub use run::{Next, SampleError, Step};

use crate::denoiser::Denoiser;
use crate::noise::NoiseSource;
use crate::schedule::{NoiseSchedule, Plan};
use run::Run;

/// How to sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplerSettings {
    /// The sampler; default `dpmpp-2m`.
    pub kind: SamplerKind,
    /// Steps, at least 1; default 20, which the paper of DPM-Solver++ finds enough (15 to 20).
    pub steps: usize,
    /// With DDIM, the share of DDPM's noise that is added anew, from 0 to 1; default 0.
    pub eta: f64,
    /// Whether of several candidates the worse half is dropped halfway, judged by the pictures predicted there; default false.
    pub drop_halfway: bool,
}

impl Default for SamplerSettings {
    fn default() -> Self {
        Self { kind: SamplerKind::default(), steps: 20, eta: 0.0, drop_halfway: false }
    }
}

impl SamplerSettings {
    /// The step after whose prediction the worse half of so many candidates is dropped: that in the middle, or the last but one; none where
    /// nothing is dropped.
    pub(crate) fn halfway(&self, candidates: usize) -> Option<usize> {
        let drops = self.drop_halfway && candidates > 1 && self.steps > 1;
        drops.then(|| (self.steps / 2).min(self.steps - 2))
    }

    /// How many of so many candidates are left in the end.
    pub(crate) fn kept_of(&self, candidates: usize) -> usize {
        candidates - self.halfway(candidates).map_or(0, |_| candidates / 2)
    }

    /// Steps of so many candidates together.
    pub(crate) fn steps_of(&self, candidates: usize) -> usize {
        let dropped = |step: usize| candidates / 2 * (self.steps - 1 - step);
        candidates * self.steps - self.halfway(candidates).map_or(0, dropped)
    }
}

/// What a run starts from. Rows are candidates.
#[derive(Debug, Clone)]
pub enum Start {
    /// Unit Gaussian noise, `[n, c, h, w]`.
    Noise(Tensor<4>),
    /// A sample that is noised already, to where a step begins: see [`Plan::add_noise`] (SDEdit, Meng et al. 2022).
    At {
        /// The first step to do, below the plan's number of steps.
        step: usize,
        /// `[n, c, h, w]`, `alpha * x0 + sigma * noise` with that step's level.
        x: Tensor<4>,
    },
}

/// Runs a sampler to the end: `[n, c, h, w]`, a row for each candidate that was not dropped, in order.
///
/// `on_step` hears of each step after its prediction, and may drop candidates or stop the run. A candidate's result
/// depends on its own start, noise and seed only, not on the batch.
///
/// # Errors
/// The settings do not fit the schedule, the start or the noise; or the caller stopped the run.
pub fn sample(
    settings: &SamplerSettings,
    denoiser: &dyn Denoiser,
    schedule: &NoiseSchedule,
    start: Start,
    noise: &mut dyn NoiseSource,
    on_step: &mut dyn FnMut(&Step) -> Next,
) -> Result<Tensor<4>, SampleError> {
    if !(0.0..=1.0).contains(&settings.eta) {
        return Err(SampleError::Eta(settings.eta));
    }
    let plan = schedule.plan(settings.kind, settings.steps)?;
    let (first, x) = begin(&plan, start)?;
    let rows = x.dims()[0];
    if noise.rows() != rows {
        return Err(SampleError::Rows { noise: noise.rows(), start: rows });
    }
    let mut run = Run {
        plan,
        start: first,
        prediction: schedule.prediction_type(),
        denoiser,
        noise,
        on_step,
        rows: (0..rows).collect(),
        eta: settings.eta,
        clip: schedule.config().clip_range(),
    };
    match settings.kind {
        SamplerKind::Ddpm => ddpm::ddpm(&mut run, x),
        SamplerKind::Ddim => ddim::ddim(&mut run, x),
        SamplerKind::Euler => euler::euler(&mut run, x),
        SamplerKind::EulerAncestral => euler_ancestral::euler_ancestral(&mut run, x),
        SamplerKind::DpmPp2m => dpmpp_2m::dpmpp_2m(&mut run, x),
        SamplerKind::DpmPp2mSde => dpmpp_2m_sde::dpmpp_2m_sde(&mut run, x),
        SamplerKind::UniPc => unipc::unipc(&mut run, x),
    }
}

/// The first step and the sample it starts from.
fn begin(plan: &Plan, start: Start) -> Result<(usize, Tensor<4>), SampleError> {
    match start {
        Start::Noise(noise) => Ok((0, noise * plan.initial_scale())),
        Start::At { step, .. } if step >= plan.steps() => Err(SampleError::StartStep { step, steps: plan.steps() }),
        Start::At { step, x } => Ok((step, x)),
    }
}
