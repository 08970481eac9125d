//! Sampling the hole with the patch U-Net, in pixels.

use crate::denoiser::{Denoiser, led_by};
use crate::drawing::{Judge, Painter, Wanted};
use crate::model::{Draft, StageError, View};
use crate::noise::SeededNoise;
use crate::samplers::{Next, SamplerSettings, Start, sample};
use crate::schedule::{NoiseLevel, NoiseSchedule};
use crate::training::batch::{mask_tensor, picture_from_tensor, picture_tensor, plane_tensor};
use crate::tuning::whole_size;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Tensor};
use image::Rgb32FImage;
use realfill_models::embedded::{Conditioning, PatchUNet};
use realfill_vision::Guide;
use realfill_vision::resize::{Filter, resize, resize_known};
use std::sync::Arc;

/// Longest side of the coarse view, in pixels.
pub(super) const COARSE_PX: u32 = 160;
/// Trust in the coarse picture: its layout is right, its detail is missing.
const COARSE_TRUST: f32 = 0.6;

/// The network with what it is told of the view; known pixels have the last word on every prediction, and the guide
/// the first one, where it is trusted.
pub(super) struct KnownPixels<'a> {
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

/// The network in front of a view.
pub(super) struct PixelPainter<'a> {
    pub network: &'a PatchUNet,
    pub schedule: &'a NoiseSchedule,
    pub view: &'a View,
    pub settings: &'a SamplerSettings,
    pub device: &'a Device,
}

impl PixelPainter<'_> {
    /// A view drawn on its own, without a word on the way.
    fn drawn(&self, view: &View, seed: u64) -> Result<Rgb32FImage, StageError> {
        let denoiser = KnownPixels { network: self.network, known: conditioning(view, self.device) };
        let mut noise = SeededNoise::new([seed]);
        let start = Start::Noise(noise.initial(size_of(view), self.device));
        let x0 = sample(self.settings, &denoiser, self.schedule, start, &mut noise, &mut |_| Next::Continue)?;
        Ok(picture_from_tensor(x0))
    }
}

impl<'a> Painter for PixelPainter<'a> {
    type Denoiser = KnownPixels<'a>;

    fn schedule(&self) -> &NoiseSchedule {
        self.schedule
    }

    fn device(&self) -> &Device {
        self.device
    }

    fn size(&self) -> [usize; 3] {
        size_of(self.view)
    }

    fn denoiser(&mut self, draft: &Draft) -> Result<KnownPixels<'a>, StageError> {
        let view = View { guide: draft.guide.clone(), ..self.view.clone() };
        let view = match coarse_view(&view) {
            Some(coarse) => led(view, &self.drawn(&coarse, draft.seed)?),
            None => view,
        };
        Ok(KnownPixels { network: self.network, known: conditioning(&view, self.device) })
    }

    fn judge(&mut self) -> Judge {
        let Conditioning { mask, masked, guide, trust } = conditioning(self.view, self.device);
        let rim = continued(masked, mask.clone());
        Judge { guide: Wanted { x0: guide, weight: trust * mask }, rim }
    }

    fn picture(&self, x0: Tensor<4>) -> Rgb32FImage {
        picture_from_tensor(x0)
    }
}

/// Pixels of the hole that touch known ones should look like them: known pixels themselves are exact in every prediction.
fn continued(masked: Tensor<4>, mask: Tensor<4>) -> Wanted {
    let around = || AvgPoolOptions::new([3, 3]).with_stride([1, 1]).with_padding([1, 1]);
    let known = avg_pool2d(mask.clone().neg() + 1.0, around());
    let weight = mask * known.clone().greater_scalar(0.0).float();
    Wanted { x0: avg_pool2d(masked, around()) / known.clamp_min(f32::EPSILON), weight }
}

fn size_of(view: &View) -> [usize; 3] {
    [3, view.picture.height() as usize, view.picture.width() as usize]
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
        guide: Arc::new(view.guide.resized(width, height)),
    })
}

/// The view with the coarse picture as its guide where it has none.
fn led(mut view: View, coarse: &Rgb32FImage) -> View {
    let (width, height) = view.picture.dimensions();
    let coarse = resize(coarse, width, height, Filter::Lanczos);
    let Guide { colour, trust, .. } = Arc::make_mut(&mut view.guide);
    let guide = colour.pixels_mut().zip(trust.pixels_mut()).zip(coarse.pixels());
    for ((colour, trust), coarse) in guide.filter(|((_, trust), _)| trust[0] == 0.0) {
        *colour = *coarse;
        trust[0] = COARSE_TRUST;
    }
    view
}

fn conditioning(view: &View, device: &Device) -> Conditioning {
    let mask = mask_tensor(&view.mask, device);
    let masked = picture_tensor(&view.picture, device) * (mask.clone().neg() + 1.0);
    let trust = plane_tensor(&view.guide.trust, device);
    let guide = picture_tensor(&view.guide.colour, device) * trust.clone().greater_scalar(0.0).float();
    Conditioning { mask, masked, guide, trust }
}
