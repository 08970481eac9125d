//! What the references propose for each pixel of the target, and how far to trust it.

use crate::Plane;
use image::{GrayImage, Rgb32FImage};

/// Proposed colours with trust, at the target's size. Known pixels carry the target's own colours at trust 1.
#[derive(Clone, Debug)]
pub struct Guide {
    /// Proposed colours, 0 to 1.
    pub colour: Rgb32FImage,
    /// How far to trust the proposal, 0 (invent) to 1 (measured).
    pub trust: Plane,
    /// 1 + index of the reference a pixel comes from; 0 where there is none.
    pub source: GrayImage,
}

impl Guide {
    /// The guide that knows nothing.
    pub fn empty(width: u32, height: u32) -> Self {
        Self {
            colour: Rgb32FImage::new(width, height),
            trust: Plane::new(width, height),
            source: GrayImage::new(width, height),
        }
    }
}
