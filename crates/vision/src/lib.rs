//! Photos, masks, scenes, matching, the guide, compositing and pixel metrics. No tensors.
//!
//! Pictures in work are [`image::Rgb32FImage`]: interleaved RGB, 0 to 1, in the photo's own (gamma) encoding.

mod avif;
pub mod blend;
pub mod canvas;
pub mod colour;
pub mod composite;
pub mod detail;
pub mod exemplar;
pub mod features;
pub mod flow;
pub mod fuse;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod geometry;
pub mod guide;
mod jpeg;
pub mod light;
pub mod linalg;
pub mod mask;
pub mod matching;
pub mod metadata;
pub mod metrics;
mod patches;
pub mod photo;
pub mod propose;
pub mod pyramid;
pub mod rank;
pub mod resize;
pub mod robust;
pub mod save;
pub mod scene;
pub mod sheet;
#[cfg(test)]
mod test_folder;
pub mod warp;

pub use guide::Guide;
pub use mask::{Mask, MaskError};
pub use photo::{Photo, PhotoError};
pub use scene::{MaskSource, Scene, SceneError};

/// A single-channel picture of `f32`, such as trust or grey values.
pub type Plane = image::ImageBuffer<image::Luma<f32>, Vec<f32>>;
