//! The scene at the sizes the stages work at.

use super::guides::Guides;
use super::{FillConfig, FillError};
use crate::model::{Model, View};
use crate::tuning::{ScenePhotos, Turn};
use image::Rgb32FImage;
use realfill_vision::guide::GuideOptions;
use realfill_vision::resize::{Filter, resize, resize_known, shrunk, shrunk_known};
use realfill_vision::{Guide, Mask, Scene};

/// Longest side the guide is worked out at, in pixels.
const GUIDE_PX: u32 = 1024;

/// The scene's pictures, no larger than the guide needs them, and the size the model works at.
#[derive(Clone, Debug)]
pub struct Working {
    /// The target, colours 0 to 1.
    pub target: Rgb32FImage,
    /// Its hole.
    pub mask: Mask,
    /// The references.
    pub references: Vec<Rgb32FImage>,
    /// Width and height of the model's view.
    pub view_size: (u32, u32),
    view_px: u32,
    stride: u32,
}

impl Working {
    /// The scene at working size.
    pub fn of(scene: &Scene, model: &dyn Model, config: &FillConfig) -> Self {
        let (width, height) = within((scene.target.width(), scene.target.height()), GUIDE_PX);
        let target = shrunk_known(&scene.target.pixels, &scene.mask, width, height);
        let references = scene.references.iter().map(|reference| {
            let (w, h) = within((reference.width(), reference.height()), GUIDE_PX);
            shrunk(&reference.pixels, w, h)
        });
        let view_px = if config.view_px == 0 { model.view_px() } else { config.view_px };
        Self {
            references: references.collect(),
            mask: scene.mask.resized_max(width, height),
            view_size: view_size((width, height), view_px, model.stride()),
            target,
            view_px,
            stride: model.stride(),
        }
    }

    /// Where the references land in the target, at the target's working size. `on_stage` hears what is being done.
    pub fn guide(&self, on_stage: &mut dyn FnMut(&str, f32)) -> Guide {
        Guide::build(&self.target, &self.mask, &self.references, &GuideOptions::default(), on_stage)
    }

    /// A reference at the model's scale.
    fn at_view_scale(&self, reference: &Rgb32FImage) -> Rgb32FImage {
        let (width, height) = view_size(reference.dimensions(), self.view_px, self.stride);
        resize(reference, width, height, Filter::Area)
    }

    /// What the model sees.
    pub fn view(&self, guide: &Guide) -> View {
        let (width, height) = self.view_size;
        View {
            picture: resize_known(&self.target, &self.mask, width, height),
            mask: self.mask.resized_max(width, height),
            guide: guide.resized(width, height),
        }
    }
}

/// Target and references at the model's scale, to tune on; with `guides`, each reference pretends to be the target:
/// a hole like the target's, and a guide from the other references by the same code. `on_progress` hears the share done
/// and returns whether to go on; `None` when not.
///
/// # Errors
/// When a guide cannot be kept.
pub(super) fn scene_photos(
    working: &Working,
    guides: Option<&Guides>,
    on_progress: &mut dyn FnMut(f32) -> bool,
) -> Result<Option<ScenePhotos>, FillError> {
    let view = working.view(&Guide::empty(working.target.width(), working.target.height()));
    let target = Turn { picture: view.picture, hole: view.mask, is_target: true, guide: None };
    let pictures: Vec<Rgb32FImage> =
        working.references.iter().map(|reference| working.at_view_scale(reference)).collect();
    let mut turns = vec![target];
    for (i, picture) in pictures.iter().enumerate() {
        if !on_progress(i as f32 / pictures.len() as f32) {
            return Ok(None);
        }
        let hole = working.mask.resized_max(picture.width(), picture.height());
        let guide = match guides {
            Some(guides) if pictures.len() > 1 => Some(pretended(&pictures, i, &hole, guides)?),
            _ => None,
        };
        turns.push(Turn { picture: picture.clone(), hole, is_target: false, guide });
    }
    Ok(Some(ScenePhotos { turns }))
}

/// The guide of reference `i` from the others, for a hole like the target's. A copy of it is not another: it would tell.
fn pretended(pictures: &[Rgb32FImage], i: usize, hole: &Mask, guides: &Guides) -> Result<Guide, FillError> {
    let build = || {
        let others: Vec<Rgb32FImage> = pictures.iter().filter(|picture| **picture != pictures[i]).cloned().collect();
        Guide::build(&pictures[i], hole, &others, &GuideOptions::default(), &mut |_, _| ())
    };
    guides.get_or(&format!("reference-{}", i + 1), pictures[i].dimensions(), build)
}

fn within((width, height): (u32, u32), longest: u32) -> (u32, u32) {
    let scale = (f64::from(longest) / f64::from(width.max(height))).min(1.0);
    let side = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    (side(width), side(height))
}

/// The size within `longest` whose sides are multiples of `stride`.
fn view_size(size: (u32, u32), longest: u32, stride: u32) -> (u32, u32) {
    let (width, height) = within(size, longest);
    let side = |length: u32| ((length + stride / 2) / stride * stride).max(stride);
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_fit_the_stride_and_the_longest_side() {
        assert_eq!(view_size((768, 576), 512, 32), (512, 384));
        assert_eq!(view_size((2832, 2128), 512, 32), (512, 384));
        assert_eq!(view_size((10, 300), 512, 32), (32, 288));
    }
}
