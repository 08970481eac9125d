//! Filters and scales that feature detection, optical flow and the guide are built on.
//!
//! Every filter takes pictures of any number of `f32` channels ([`crate::Plane`], [`image::Rgb32FImage`]) and runs over rows in parallel.

mod blur;
mod clahe;
mod grey;
mod push_pull;
mod scale;
#[cfg(test)]
pub(crate) mod test_pictures;

pub(crate) use blur::gaussian_blur_rows;
pub use blur::{gaussian_blur, gaussian_kernel};
pub use clahe::clahe;
pub use grey::{grey, luma};
pub use push_pull::push_pull;
pub use scale::{at_level, half, pyramid, resize_bilinear, sampled_level, scale_of_level, shrink_to};

use image::{ImageBuffer, Pixel};

/// The pixel layouts that filters take: any number of `f32` channels, interleaved.
pub trait Channels: Pixel<Subpixel = f32> + Send + Sync {}

impl<P: Pixel<Subpixel = f32> + Send + Sync> Channels for P {}

/// A picture of `f32` samples in any pixel layout.
pub type Picture<P> = ImageBuffer<P, Vec<f32>>;

/// Samples in one row.
pub(crate) fn stride<P: Channels>(image: &Picture<P>) -> usize {
    image.width() as usize * P::CHANNEL_COUNT as usize
}

/// Wraps samples that were made to measure.
pub(crate) fn picture<P: Channels>(width: u32, height: u32, samples: Vec<f32>) -> Picture<P> {
    ImageBuffer::from_raw(width, height, samples).expect("the buffer was allocated for this size")
}
