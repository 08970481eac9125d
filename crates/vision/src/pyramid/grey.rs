//! From colour to grey.

use super::picture;
use crate::Plane;
use image::Rgb32FImage;

/// Luma by Rec. 601 (0.299, 0.587, 0.114), the grey that OpenCV's features are computed on.
pub fn luma([r, g, b]: [f32; 3]) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

/// A colour picture's luma.
pub fn grey(image: &Rgb32FImage) -> Plane {
    let samples = image.pixels().map(|p| luma(p.0)).collect();
    picture(image.width(), image.height(), samples)
}
