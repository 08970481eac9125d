//! A photo as read from a file: upright, at its own size and depth.

use image::{DynamicImage, Rgb32FImage};
use std::path::PathBuf;

/// A decoded photo, EXIF orientation already applied.
#[derive(Clone, Debug)]
pub struct Photo {
    /// The pixels at the file's own depth and colour type, upright.
    pub pixels: DynamicImage,
    /// Where it was read from; empty for a picture made in memory.
    pub path: PathBuf,
}

impl Photo {
    /// A photo made in memory.
    pub fn from_pixels(pixels: impl Into<DynamicImage>) -> Self {
        Self { pixels: pixels.into(), path: PathBuf::new() }
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.pixels.width()
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.pixels.height()
    }

    /// The colours as `f32`, 0 to 1, in the photo's own encoding; alpha is dropped.
    pub fn to_rgb32f(&self) -> Rgb32FImage {
        self.pixels.to_rgb32f()
    }
}
