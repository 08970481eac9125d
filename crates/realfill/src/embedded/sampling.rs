//! Sampling the hole with the patch U-Net, one candidate after another so that memory stays that of one.

use crate::denoiser::{Denoiser, led_by};
use crate::model::{StageError, View};
use crate::noise::SeededNoise;
use crate::samplers::{Next, SamplerSettings, Start, sample};
use crate::schedule::{NoiseLevel, NoiseSchedule};
use crate::training::batch::{mask_tensor, picture_from_tensor, picture_tensor, plane_tensor};
use crate::tuning::whole_size;
use burn::tensor::{Device, Tensor};
use image::Rgb32FImage;
use realfill_models::embedded::{Conditioning, PatchUNet};
use realfill_vision::resize::{Filter, resize, resize_known};

/// Longest side of the coarse view, in pixels.
pub(super) const COARSE_PX: u32 = 160;
/// Trust in the coarse picture: its layout is right, its detail is missing.
const COARSE_TRUST: f32 = 0.6;

/// The network with what it is told of the view; known pixels have the last word on every prediction, and the guide
/// the first one, where it is trusted.
struct KnownPixels<'a> {
    network: &'a PatchUNet,
    known: Conditioning,
}

impl Denoiser for KnownPixels<'_> {
    fn denoise(&self, x: Tensor<4>, timestep: f32) -> Tensor<4> {
        let times = Tensor::full([x.dims()[0]], timestep, &x.device());
        self.network.forward(x, times, &self.known)
    }

    fn adjust_x0(&self, x0: Tensor<4>, level: &NoiseLevel) -> Tensor<4> {
        let x0 = led_by(&self.known.guide, &self.known.trust, x0.clamp(-1.0, 1.0), level);
        x0 * self.known.mask.clone() + self.known.masked.clone()
    }
}

/// One completed picture a seed.
pub(super) fn draw(
    network: &PatchUNet,
    schedule: &NoiseSchedule,
    view: &View,
    seeds: &[u64],
    settings: &SamplerSettings,
    device: &Device,
    on_step: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Vec<Rgb32FImage>, StageError> {
    let steps = settings.steps * seeds.len();
    let mut pictures = Vec::with_capacity(seeds.len());
    for (i, &seed) in seeds.iter().enumerate() {
        let mut report = |index: usize| match on_step(i * settings.steps + index + 1, steps) {
            true => Next::Continue,
            false => Next::Stop,
        };
        let pass = |view: &View, report: &mut dyn FnMut(usize) -> Next| -> Result<Rgb32FImage, StageError> {
            let denoiser = KnownPixels { network, known: conditioning(view, device) };
            let size = [3, view.picture.height() as usize, view.picture.width() as usize];
            let mut noise = SeededNoise::new([seed]);
            let start = Start::Noise(noise.initial(size, device));
            let x0 = sample(settings, &denoiser, schedule, start, &mut noise, &mut |step| report(step.index))?;
            Ok(picture_from_tensor(x0))
        };
        let view = match coarse_view(view) {
            Some(coarse) => &led(view, &pass(&coarse, &mut |_| Next::Continue)?),
            None => view,
        };
        pictures.push(pass(view, &mut report)?);
    }
    Ok(pictures)
}

/// The view at the scale the network was trained at, where a whole picture is one crop; `None` where the guide says
/// something everywhere, or the view is that small already.
fn coarse_view(view: &View) -> Option<View> {
    let longest = view.picture.width().max(view.picture.height());
    let unguided = view.mask.holes().iter().zip(view.guide.trust.iter()).any(|(hole, trust)| *hole && *trust == 0.0);
    if !unguided || longest <= COARSE_PX {
        return None;
    }
    let (width, height) = whole_size(view.picture.dimensions(), COARSE_PX, 32);
    Some(View {
        picture: resize_known(&view.picture, &view.mask, width, height),
        mask: view.mask.resized_max(width, height),
        guide: view.guide.resized(width, height),
    })
}

/// The view with the coarse picture as its guide where it has none.
fn led(view: &View, coarse: &Rgb32FImage) -> View {
    let (width, height) = view.picture.dimensions();
    let coarse = resize(coarse, width, height, Filter::Lanczos);
    let mut led = view.clone();
    let guide = led.guide.colour.pixels_mut().zip(led.guide.trust.pixels_mut()).zip(coarse.pixels());
    for ((colour, trust), coarse) in guide.filter(|((_, trust), _)| trust[0] == 0.0) {
        *colour = *coarse;
        trust[0] = COARSE_TRUST;
    }
    led
}

fn conditioning(view: &View, device: &Device) -> Conditioning {
    let mask = mask_tensor(&view.mask, device);
    let masked = picture_tensor(&view.picture, device) * (mask.clone().neg() + 1.0);
    let trust = plane_tensor(&view.guide.trust, device);
    let guide = picture_tensor(&view.guide.colour, device) * trust.clone().greater_scalar(0.0).float();
    Conditioning { mask, masked, guide, trust }
}
