//! Multi-view geometry: where the photos were taken from, how deep the target's pixels lie, and what each reference shows there.

mod adjust;
mod camera;
mod essential;
mod reconstruct;
mod resection;
mod tracks;
mod triangulate;

pub use camera::Camera;
pub use reconstruct::{Reconstruction, ScenePoint, reconstruct};
pub use tracks::PairMatches;
