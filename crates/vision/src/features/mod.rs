//! Local features that are found again at another scale, rotation and light: SIFT (Lowe 2004).

mod affine;
mod descriptor;
mod extrema;
mod gradients;
mod orientation;
mod scale_space;
mod sift;

pub use affine::{sift_tilted, turns_for_tilt};
pub use sift::{SiftOptions, sift};

/// Length of a descriptor: 4×4 cells of 8 directions.
pub const DESCRIPTOR_LEN: usize = 128;

/// A distinct point of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keypoint {
    /// Position in pixels of the picture that was given; (0, 0) is the centre of the first pixel.
    pub x: f32,
    /// Position downwards, in pixels.
    pub y: f32,
    /// Standard deviation of the blob in pixels (half of OpenCV's `size`).
    pub sigma: f32,
    /// Dominant gradient direction in radians, 0 to 2π, from the x axis towards the y axis (down).
    pub angle: f32,
    /// Contrast of the blob, in grey values of 0 to 1.
    pub response: f32,
}

/// Keypoints with their descriptors, strongest first.
#[derive(Clone, Debug, Default)]
pub struct Features {
    /// The points.
    pub keypoints: Vec<Keypoint>,
    /// [`DESCRIPTOR_LEN`] values a point, of Euclidean length 1, in the points' order.
    pub descriptors: Vec<f32>,
}

impl Features {
    /// Number of points.
    pub fn len(&self) -> usize {
        self.keypoints.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.keypoints.is_empty()
    }

    /// The descriptor of one point.
    pub fn descriptor(&self, index: usize) -> &[f32] {
        &self.descriptors[index * DESCRIPTOR_LEN..][..DESCRIPTOR_LEN]
    }
}
