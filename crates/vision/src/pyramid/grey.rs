//! From colour to grey.

use super::picture;
use crate::Plane;
use image::Rgb32FImage;

/// Luma by Rec. 601 (0.299, 0.587, 0.114), the grey that OpenCV's features are computed on.
pub fn grey(image: &Rgb32FImage) -> Plane {
    let samples = image.as_raw().chunks_exact(3).map(|p| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]).collect();
    picture(image.width(), image.height(), samples)
}
