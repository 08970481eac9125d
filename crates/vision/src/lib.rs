//! Photos, masks, scenes, matching, the guide, compositing and pixel metrics. No tensors.
//!
//! Pictures in work are [`image::Rgb32FImage`]: interleaved RGB, 0 to 1, in the photo's own (gamma) encoding.

pub mod features;
pub mod flow;
pub mod guide;
pub mod linalg;
pub mod mask;
pub mod matching;
pub mod photo;
pub mod pyramid;
pub mod robust;
pub mod scene;
pub mod warp;

pub use guide::Guide;
pub use mask::Mask;
pub use photo::Photo;
pub use scene::Scene;

/// A single-channel picture of `f32`, such as trust or grey values.
pub type Plane = image::ImageBuffer<image::Luma<f32>, Vec<f32>>;
