//! Moving pictures: sampling between pixels, maps of coordinates, perspective.
//!
//! Coordinates are of pixel centres: (0, 0) is the centre of the first pixel, as in OpenCV.

mod remap;
mod sample;

pub use remap::{Warped, perspective_map, remap, warp_perspective};
pub use sample::{Sampling, sample};
