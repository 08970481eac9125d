//! Colours that a file has multiplied by alpha.

use image::DynamicImage;

/// Divides the colours by alpha; where that is zero they stay. Values that are multiplied again are what they were.
pub(super) fn divide_by_alpha(pixels: &mut DynamicImage) {
    let of_8 = |colour: u8, alpha: u8| divided(colour.into(), alpha.into(), u8::MAX.into()) as u8;
    let of_16 = |colour: u16, alpha: u16| divided(colour.into(), alpha.into(), u16::MAX.into()) as u16;
    let of_32 = |colour: f32, alpha: f32| if alpha > 0.0 { (colour / alpha).min(1.0) } else { colour };
    match pixels {
        DynamicImage::ImageLumaA8(buffer) => each(buffer, 2, of_8),
        DynamicImage::ImageLumaA16(buffer) => each(buffer, 2, of_16),
        DynamicImage::ImageRgba8(buffer) => each(buffer, 4, of_8),
        DynamicImage::ImageRgba16(buffer) => each(buffer, 4, of_16),
        DynamicImage::ImageRgba32F(buffer) => each(buffer, 4, of_32),
        _ => {}
    }
}

fn each<T: Copy>(values: &mut [T], channels: usize, divided: impl Fn(T, T) -> T) {
    for pixel in values.chunks_exact_mut(channels) {
        let alpha = pixel[channels - 1];
        pixel[..channels - 1].iter_mut().for_each(|colour| *colour = divided(*colour, alpha));
    }
}

/// Rounded, and at most `most`, which stands for 1.
fn divided(colour: u32, alpha: u32, most: u32) -> u32 {
    (colour * most + alpha / 2).checked_div(alpha).map_or(colour, |whole| whole.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgba, RgbaImage};

    #[test]
    fn colours_that_are_multiplied_again_are_what_they_were() {
        for alpha in 0..=255u32 {
            for colour in 0..=alpha {
                let back = (2 * divided(colour, alpha, 255) * alpha + 255) / 510;
                assert_eq!(back, colour, "alpha {alpha}");
            }
        }
        assert_eq!(divided(65_535, 65_535, 65_535), 65_535);
        let mut pixels: DynamicImage = RgbaImage::from_pixel(2, 1, Rgba([50, 25, 200, 100])).into();
        divide_by_alpha(&mut pixels);
        assert_eq!(pixels.to_rgba8().get_pixel(1, 0).0, [128, 64, 255, 100]);
    }
}
