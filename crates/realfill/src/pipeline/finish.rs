//! From the chosen candidate, at the model's size, to the photo at its own.

use super::{FillConfig, Working};
use image::Rgb32FImage;
use realfill_vision::composite::composite;
use realfill_vision::resize::{Filter, resize};
use realfill_vision::{Guide, Photo, Scene};

/// Fills the photo's hole from a candidate of the view's size; nothing else changes.
pub fn finish(scene: &Scene, working: &Working, guide: &Guide, candidate: &Rgb32FImage, config: &FillConfig) -> Photo {
    let _ = (working, guide);
    let (width, height) = (scene.target.width(), scene.target.height());
    let filled = resize(candidate, width, height, Filter::Lanczos);
    composite(&scene.target, &scene.mask, &filled, config.feather_px)
}
