//! Moving pictures: sampling between pixels, maps of coordinates, perspective.
//!
//! Coordinates are of pixel centres: (0, 0) is the centre of the first pixel, as in OpenCV.

mod places;
mod remap;
mod sample;

pub use places::Places;
pub use remap::{Warped, perspective_map, remap, warp_perspective};
pub(crate) use sample::lanczos_weights;
pub use sample::{Sampling, sample};
