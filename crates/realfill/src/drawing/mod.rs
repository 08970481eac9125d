//! Drawing candidates, whichever the model: one after another, so that memory stays that of one, or all of them step by step where the
//! worse half is dropped on the way (one round of successive halving: Jamieson & Talwalkar 2016).

mod judge;
mod rows;

pub(crate) use judge::{Judge, Wanted};

use crate::denoiser::Denoiser;
use crate::model::{Draft, Drawn, StageError};
use crate::noise::SeededNoise;
use crate::samplers::{Next, SampleError, SamplerSettings, Start, Step, sample};
use crate::schedule::NoiseSchedule;
use burn::tensor::{Device, Tensor};
use image::Rgb32FImage;
use judge::better_half;
use rows::Rows;

/// A model in front of a view.
pub(crate) trait Painter {
    /// The model with what it is told for one candidate.
    type Denoiser: Denoiser;

    /// The noise that the model was trained with.
    fn schedule(&self) -> &NoiseSchedule;

    /// Where samples live.
    fn device(&self) -> &Device;

    /// Channels, height and width of a sample.
    fn size(&self) -> [usize; 3];

    /// What denoises a candidate, one row at a time.
    ///
    /// # Errors
    /// When the model cannot run on the view.
    fn denoiser(&mut self, draft: &Draft) -> Result<Self::Denoiser, StageError>;

    /// What tells better candidates from worse ones before they are done.
    fn judge(&mut self) -> Judge;

    /// The picture of a clean sample `[1, channels, height, width]`.
    fn picture(&self, x0: Tensor<4>) -> Rgb32FImage;
}

/// Draws as [`Model::draw`](crate::model::Model::draw) says.
///
/// # Errors
/// As there.
pub(crate) fn draw(
    painter: &mut impl Painter,
    drafts: &[Draft],
    settings: &SamplerSettings,
    on_event: &mut dyn FnMut(Drawn) -> bool,
) -> Result<(), StageError> {
    let halfway = settings.halfway(drafts.len());
    let at_once = if halfway.is_some() { drafts.len() } else { 1 };
    let mut done = 0;
    for (group, first) in drafts.chunks(at_once).zip((0usize..).step_by(at_once)) {
        let mut denoisers = Vec::with_capacity(group.len());
        for draft in group {
            if group.len() > 1 && !on_event(Drawn::Steps(done)) {
                return Err(SampleError::Stopped { step: 0, total: settings.steps }.into());
            }
            denoisers.push(painter.denoiser(draft)?);
        }
        let rows = Rows::new(denoisers);
        let cut = halfway.map(|step| (step, painter.judge()));
        let mut on_rows = |rows: usize| {
            done += rows;
            on_event(Drawn::Steps(done))
        };
        let x0 = sampled(painter, &rows, group, settings, cut, &mut on_rows)?;
        for (row, draft) in rows.kept().into_iter().enumerate() {
            let picture = painter.picture(x0.clone().narrow(0, row, 1));
            if !on_event(Drawn::Picture { draft: first + draft, picture }) {
                return Err(SampleError::Stopped { step: settings.steps - 1, total: settings.steps }.into());
            }
        }
    }
    Ok(())
}

/// The clean samples of the rows that are left in the end; those that are worse at the step `cut` by its judge are not. `on_rows` hears how
/// many rows did a step, and returns whether to go on.
fn sampled<P: Painter>(
    painter: &P,
    rows: &Rows<P::Denoiser>,
    drafts: &[Draft],
    settings: &SamplerSettings,
    cut: Option<(usize, Judge)>,
    on_rows: &mut dyn FnMut(usize) -> bool,
) -> Result<Tensor<4>, SampleError> {
    let seeds: Vec<u64> = drafts.iter().map(|draft| draft.seed).collect();
    let mut noise = SeededNoise::new(seeds);
    let start = Start::Noise(noise.initial(painter.size(), painter.device()));
    let mut on_step = |step: &Step| match &cut {
        _ if !on_rows(step.rows.len()) => Next::Stop,
        Some((at, judge)) if *at == step.index => {
            let kept = better_half(&judge.errors(&rows.predicted()));
            rows.keep(&kept);
            Next::Keep(kept)
        }
        _ => Next::Continue,
    };
    sample(settings, rows, painter.schedule(), start, &mut noise, &mut on_step)
}

#[cfg(test)]
mod tests;
