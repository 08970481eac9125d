//! Drawing candidates, whichever the model: one after another, so that memory stays that of one.

use crate::denoiser::Denoiser;
use crate::model::{Draft, Drawn, StageError};
use crate::noise::SeededNoise;
use crate::samplers::{Next, SampleError, SamplerSettings, Start, Step, sample};
use crate::schedule::NoiseSchedule;
use burn::tensor::{Device, Tensor};
use image::Rgb32FImage;

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

    /// What denoises a candidate.
    ///
    /// # Errors
    /// When the model cannot run on the view.
    fn denoiser(&mut self, draft: &Draft) -> Result<Self::Denoiser, StageError>;

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
    for (i, draft) in drafts.iter().enumerate() {
        let denoiser = painter.denoiser(draft)?;
        let mut noise = SeededNoise::new([draft.seed]);
        let start = Start::Noise(noise.initial(painter.size(), painter.device()));
        let mut on_step = |step: &Step| {
            let go_on = on_event(Drawn::Steps(i * settings.steps + step.index + 1));
            if go_on { Next::Continue } else { Next::Stop }
        };
        let x0 = sample(settings, &denoiser, painter.schedule(), start, &mut noise, &mut on_step)?;
        if !on_event(Drawn::Picture { draft: i, picture: painter.picture(x0) }) {
            return Err(SampleError::Stopped { step: settings.steps - 1, total: settings.steps }.into());
        }
    }
    Ok(())
}
