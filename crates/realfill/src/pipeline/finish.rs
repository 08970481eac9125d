//! From what the guide proposes and the model sampled, at their own sizes, to the photo at its own.

use super::{FillConfig, Filled, Part};
use crate::model::Influence;
use image::math::Rect;
use image::{Rgb32FImage, imageops};
use rayon::prelude::*;
use realfill_vision::composite::{common, composite_tiles};
use realfill_vision::detail::Detail;
use realfill_vision::pyramid::gaussian_blur;
use realfill_vision::resize::{Filter, resize};
use realfill_vision::{Guide, Mask, Photo, Scene};

/// Blur that parts tone from detail, as a share of the longer side: 12 px of 768.
const TONE_BLUR: f32 = 1.0 / 64.0;

/// The completed picture at the guide's size. Without a guide it is the model's; with one, the guide's, moved towards
/// the model's where trust is low, as far as `influence` allows.
pub fn complete(guide: &Guide, sampled: &Rgb32FImage, influence: Influence, config: &FillConfig) -> Rgb32FImage {
    let (width, height) = guide.colour.dimensions();
    let sampled = resize(sampled, width, height, Filter::Lanczos);
    if config.guide { moved(guide, &sampled, influence) } else { sampled }
}

/// Fills the photo's holes with what fills the parts they lie in, at the guides' size, its detail fetched from the photos; nothing else
/// changes. A black and white photo stays black and white.
#[tracing::instrument(level = "info", skip_all)]
pub fn finish(scene: &Scene, filled: &[Filled], parts: &[Part], config: &FillConfig) -> Photo {
    let is_grey = scene.is_black_and_white();
    let with_part = |photo: &Photo, part: &Part, filled: &Filled| {
        let known = part.window.part_of(&scene.target);
        let fine = Fine::new(scene, part, filled, &known);
        composite_tiles(photo, &part.window.holes_of(&scene.mask), config.feather_px, |rect, known| {
            let mut filled = known.clone();
            fine.lay(rect, known, is_grey, &mut filled);
            filled
        })
    };
    let first = with_part(&scene.target, &parts[0], &filled[0]);
    // One after another, so that the memory stays that of one.
    parts.iter().zip(filled).skip(1).fold(first, |photo, (part, filled)| with_part(&photo, part, filled))
}

/// A part at the photo's own size.
struct Fine<'a> {
    detail: Detail<'a>,
    hole: Mask,
    rim: Rim,
    rect: Rect,
}

impl<'a> Fine<'a> {
    fn new(scene: &'a Scene, part: &Part, filled: &'a Filled, known: &'a Photo) -> Self {
        let rect = part.window.rect();
        let hole = scene.mask.cut_to(rect);
        Self {
            detail: Detail::new(&filled.picture, &part.mask, &filled.guide.origins, known, &scene.references),
            rim: Rim::of(&hole, &part.mask),
            hole,
            rect,
        }
    }

    /// Lays what a rectangle of the photo shows of it into a picture of that; `known` is what the photo has there.
    fn lay(&self, rect: Rect, known: &Rgb32FImage, is_grey: bool, filled: &mut Rgb32FImage) {
        let Some(shown) = common(rect, self.rect) else { return };
        let in_part = Rect { x: shown.x - self.rect.x, y: shown.y - self.rect.y, ..shown };
        let mut rendered = self.detail.render(in_part);
        for (x, y, pixel) in rendered.enumerate_pixels_mut() {
            if is_grey {
                pixel.0 = [pixel.0.iter().sum::<f32>() / 3.0; 3];
            }
            // What the detail is fitted to here is known, so there is no step in light for the feather to mend; nor is a mixed rim one.
            let at = (in_part.x + x, in_part.y + y);
            if !self.hole.is_hole(at.0, at.1) && (self.detail.covers(at.0, at.1) || self.rim.holds(at.0, at.1)) {
                *pixel = *known.get_pixel(shown.x - rect.x + x, shown.y - rect.y + y);
            }
        }
        imageops::replace(filled, &rendered, i64::from(shown.x - rect.x), i64::from(shown.y - rect.y));
    }
}

/// Known pixels of the window that the hole at the guide's size has grown past.
struct Rim {
    /// At the guide's size; `None` where it has not grown.
    cells: Option<Mask>,
    window: (u32, u32),
}

impl Rim {
    fn of(hole: &Mask, mask: &Mask) -> Self {
        let marked = hole.resized_max(mask.width(), mask.height());
        let is_rim = |x, y| mask.is_hole(x, y) && !marked.is_hole(x, y);
        let cells = (marked != *mask).then(|| Mask::from_fn(mask.width(), mask.height(), is_rim));
        Self { cells, window: (hole.width(), hole.height()) }
    }

    fn holds(&self, x: u32, y: u32) -> bool {
        let along = |v: u32, to: u32, from: u32| (u64::from(v) * u64::from(to) / u64::from(from)) as u32;
        let at = |cells: &Mask| (along(x, cells.width(), self.window.0), along(y, cells.height(), self.window.1));
        self.cells.as_ref().is_some_and(|cells| cells.is_hole(at(cells).0, at(cells).1))
    }
}

/// `guide + tone · blur(d) + detail · (d - blur(d))` for the model's distrusted difference `d`.
fn moved(guide: &Guide, sampled: &Rgb32FImage, influence: Influence) -> Rgb32FImage {
    let mut filled = guide.colour.clone();
    if influence == Influence::NONE {
        return filled;
    }
    let difference = distrusted_difference(guide, sampled);
    let slow = tone_of(&difference);
    let parts = difference.par_iter().zip(slow.par_iter());
    filled.par_iter_mut().zip(parts).for_each(|(colour, (difference, slow))| {
        *colour = (*colour + influence.tone * slow + influence.detail * (difference - slow)).clamp(0.0, 1.0);
    });
    filled
}

/// Its slow part.
pub(super) fn tone_of(difference: &Rgb32FImage) -> Rgb32FImage {
    gaussian_blur(difference, TONE_BLUR * difference.width().max(difference.height()) as f32)
}

/// How far the model's picture is from the guide, times the distrust: whole at trust 0, nothing at 1.
pub(super) fn distrusted_difference(guide: &Guide, sampled: &Rgb32FImage) -> Rgb32FImage {
    let mut difference = sampled.clone();
    for ((pixel, guide), trust) in difference.pixels_mut().zip(guide.colour.pixels()).zip(guide.trust.pixels()) {
        (0..3).for_each(|c| pixel[c] = (1.0 - trust[0]) * (pixel[c] - guide[c]));
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Window;
    use image::{Luma, Rgb};
    use std::sync::Arc;

    fn guide(trust: f32) -> Guide {
        let mut guide = Guide::empty(64, 48);
        guide.colour.pixels_mut().for_each(|p| *p = Rgb([0.5; 3]));
        guide.trust.pixels_mut().for_each(|p| *p = Luma([trust]));
        guide
    }

    fn sampled(light: f32) -> Rgb32FImage {
        Rgb32FImage::from_fn(64, 48, |x, _| Rgb([light + if x % 2 == 0 { 0.1 } else { -0.1 }; 3]))
    }

    fn completed(trust: f32, tone: f32, detail: f32) -> Rgb32FImage {
        complete(&guide(trust), &sampled(0.7), Influence { tone, detail }, &FillConfig::default())
    }

    #[test]
    fn a_trusted_guide_stands() {
        assert!(completed(1.0, 1.0, 1.0).iter().all(|v| (v - 0.5).abs() < 1e-6));
    }

    #[test]
    fn tone_moves_the_light_and_not_the_detail() {
        let tone = completed(0.0, 1.0, 0.0);
        assert!((tone.get_pixel(32, 24)[0] - 0.7).abs() < 0.02, "{:?}", tone.get_pixel(32, 24));
        assert!((tone.get_pixel(32, 24)[0] - tone.get_pixel(33, 24)[0]).abs() < 0.02);
        let whole = completed(0.0, 1.0, 1.0);
        assert!((whole.get_pixel(32, 24)[0] - 0.8).abs() < 0.02);
    }

    #[test]
    fn a_rim_mixed_with_the_holes_paint_does_not_spread_into_the_hole() {
        let hole = Mask::from_fn(64, 48, |x, _| x < 30);
        let column = |x: u32| match x {
            0..30 => 1.0,
            30 => 0.6,
            _ => 0.3,
        };
        let photo = || Photo::from_pixels(Rgb32FImage::from_fn(64, 48, |x, _| Rgb([column(x); 3])));
        let scene = Scene::new("rim", photo(), hole.clone(), vec![photo()]).unwrap();
        let grown = hole.past_mixed_rim(&photo().to_rgb32f());
        assert!(grown.is_hole(30, 20) && !grown.is_hole(31, 20));
        let flat = Rgb32FImage::from_pixel(64, 48, Rgb([0.3; 3]));
        let filled = |mask: &Mask| {
            let filled = Filled { picture: flat.clone(), guide: Arc::new(Guide::empty(64, 48)) };
            let part = Part::of_hole(Window::all_of(&scene)[0], mask.clone());
            let photo = finish(&scene, &[filled], &[part], &FillConfig::default());
            photo.to_rgb32f().get_pixel(29, 20)[0]
        };
        assert!((filled(&grown) - 0.3).abs() < 0.01, "{}", filled(&grown));
        assert!(filled(&hole) > 0.4, "a clean rim would be met: {}", filled(&hole));
    }

    #[test]
    fn without_a_guide_the_model_fills() {
        let config = FillConfig { guide: false, ..FillConfig::default() };
        let filled = complete(&guide(1.0), &sampled(0.7), Influence::NONE, &config);
        assert!((filled.get_pixel(32, 24)[0] - 0.8).abs() < 1e-3);
    }
}
