//! From the guide and the chosen candidate, at their own sizes, to the photo at its own.

use super::{FillConfig, Working};
use image::Rgb32FImage;
use realfill_vision::composite::composite;
use realfill_vision::resize::{Filter, resize};
use realfill_vision::{Guide, Photo, Scene};

/// Fills the photo's hole; nothing else changes. Without a guide the candidate fills it. With one, the guide does, and
/// the candidate moves it by `config.model_weight` where trust is 0, less where it is higher.
pub fn finish(scene: &Scene, working: &Working, guide: &Guide, candidate: &Rgb32FImage, config: &FillConfig) -> Photo {
    let (width, height) = working.target.dimensions();
    let candidate = resize(candidate, width, height, Filter::Lanczos);
    let filled = if config.guide { mixed(guide, &candidate, config.model_weight) } else { candidate };
    let filled = resize(&filled, scene.target.width(), scene.target.height(), Filter::Lanczos);
    composite(&scene.target, &scene.mask, &filled, config.feather_px)
}

fn mixed(guide: &Guide, candidate: &Rgb32FImage, model_weight: f32) -> Rgb32FImage {
    let mut filled = guide.colour.clone();
    for ((pixel, model), trust) in filled.pixels_mut().zip(candidate.pixels()).zip(guide.trust.pixels()) {
        let share = model_weight * (1.0 - trust[0]);
        for c in 0..3 {
            pixel[c] += share * (model[c] - pixel[c]);
        }
    }
    filled
}
