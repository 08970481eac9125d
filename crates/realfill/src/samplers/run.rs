//! What all samplers share while they run: the levels to visit, the denoiser behind its conversion to x0, the noise,
//! and the caller's say after each prediction.

use burn::tensor::{Int, Tensor, TensorData};
use thiserror::Error;

use crate::denoiser::{Denoiser, PredictionType};
use crate::noise::NoiseSource;
use crate::schedule::{NoiseLevel, Plan, ScheduleError};

/// Where a run stands, told after each prediction.
#[derive(Debug)]
pub struct Step<'a> {
    /// The step, counted from 0.
    pub index: usize,
    /// Steps of the whole run.
    pub total: usize,
    /// The noise that the step starts from.
    pub level: NoiseLevel,
    /// The image predicted at this step, `[rows, c, h, w]`.
    pub x0: &'a Tensor<4>,
    /// For each row of `x0`, which row of the starting batch it is.
    pub rows: &'a [usize],
}

/// How a run goes on after a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Next {
    /// With all rows.
    #[default]
    Continue,
    /// With these rows of `Step::x0` only, in this order; the others are dropped and cost nothing more.
    Keep(Vec<usize>),
    /// Not at all; `sample` returns [`SampleError::Stopped`].
    Stop,
}

/// Why a run has no result.
#[derive(Debug, Error)]
pub enum SampleError {
    /// The steps do not fit on the schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// `eta` is not a share.
    #[error("eta is {0}; it must be from 0 (no new noise) to 1 (as much as DDPM)")]
    Eta(f64),
    /// The start lies beyond the last step.
    #[error("the run has {steps} steps and cannot start at step {step}; start at 0 to {}", steps - 1)]
    StartStep {
        /// Where the run should start.
        step: usize,
        /// Its steps.
        steps: usize,
    },
    /// The noise is for another batch.
    #[error("the noise source draws for {noise} candidates and the start has {start}; give a seed for each candidate")]
    Rows {
        /// Rows of the noise source.
        noise: usize,
        /// Rows of the start.
        start: usize,
    },
    /// The denoiser's prediction has another shape than its input.
    #[error("the denoiser was given {given:?} and predicted {predicted:?}; the shapes must be equal")]
    Prediction {
        /// Shape of its input.
        given: [usize; 4],
        /// Shape of its prediction.
        predicted: [usize; 4],
    },
    /// The rows to keep are not among those there are.
    #[error("the rows {kept:?} were to be kept of {rows}; keep at least one, each below {rows}")]
    Keep {
        /// Rows asked for.
        kept: Vec<usize>,
        /// Rows there were.
        rows: usize,
    },
    /// The caller stopped the run.
    #[error("sampling was stopped at step {} of {total}", step + 1)]
    Stopped {
        /// The step, counted from 0.
        step: usize,
        /// Steps of the whole run.
        total: usize,
    },
}

/// One run of a sampler.
pub(super) struct Run<'a> {
    pub plan: Plan,
    /// The first step.
    pub start: usize,
    pub prediction: PredictionType,
    pub denoiser: &'a dyn Denoiser,
    pub noise: &'a mut dyn NoiseSource,
    pub on_step: &'a mut dyn FnMut(&Step) -> Next,
    /// The rows of the starting batch that are still there.
    pub rows: Vec<usize>,
    /// See [`SamplerSettings`](super::SamplerSettings).
    pub eta: f64,
    /// What DDPM and DDIM clip x0 to.
    pub clip: Option<f64>,
}

impl Run<'_> {
    /// The steps still to do.
    pub fn steps(&self) -> std::ops::Range<usize> {
        self.start..self.plan.steps()
    }

    /// Whether no step follows `i`.
    pub fn is_last(&self, i: usize) -> bool {
        i + 1 == self.plan.steps()
    }

    /// The levels that step `i` comes from and goes to.
    pub fn levels(&self, i: usize) -> (NoiseLevel, NoiseLevel) {
        (*self.plan.level(i), *self.plan.level(i + 1))
    }

    /// The image predicted for `input`, which has the noise of level `i`.
    ///
    /// The caller hears of it and may drop rows: from `state` too, which is all that the sampler goes on with.
    pub fn x0<'t>(
        &mut self,
        i: usize,
        input: Tensor<4>,
        state: impl IntoIterator<Item = &'t mut Tensor<4>>,
    ) -> Result<Tensor<4>, SampleError> {
        let level = *self.plan.level(i);
        let given = input.dims();
        let raw = self.denoiser.denoise(input.clone(), level.timestep);
        if raw.dims() != given {
            return Err(SampleError::Prediction { given, predicted: raw.dims() });
        }
        // Detached, lest a run on a training device keep every step's graph.
        let mut x0 = self.denoiser.adjust_x0(self.prediction.x0(input, raw.detach(), &[level]), &level).detach();
        let step = Step { index: i, total: self.plan.steps(), level, x0: &x0, rows: &self.rows };
        match (self.on_step)(&step) {
            Next::Continue => {}
            Next::Keep(kept) => {
                self.keep(&kept, state)?;
                x0 = select_rows(&x0, &kept);
            }
            Next::Stop => return Err(SampleError::Stopped { step: i, total: self.plan.steps() }),
        }
        Ok(x0)
    }

    /// The new noise of step `i`, in the shape of `like`.
    pub fn noise(&mut self, i: usize, like: &Tensor<4>) -> Tensor<4> {
        self.noise.draw(i as u64 + 1, like)
    }

    fn keep<'t>(
        &mut self,
        kept: &[usize],
        tensors: impl IntoIterator<Item = &'t mut Tensor<4>>,
    ) -> Result<(), SampleError> {
        if kept.is_empty() || kept.iter().any(|&row| row >= self.rows.len()) {
            return Err(SampleError::Keep { kept: kept.to_vec(), rows: self.rows.len() });
        }
        for tensor in tensors {
            *tensor = select_rows(tensor, kept);
        }
        self.noise.keep(kept);
        self.rows = kept.iter().map(|&row| self.rows[row]).collect();
        Ok(())
    }
}

fn select_rows(x: &Tensor<4>, rows: &[usize]) -> Tensor<4> {
    let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [rows.len()]), &x.device());
    x.clone().select(0, indices)
}
