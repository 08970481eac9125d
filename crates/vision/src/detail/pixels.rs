//! A photo's pixels between pixels, read from where they are stored: no float copy of a large photo is made.

use crate::warp::lanczos_weights;
use image::{DynamicImage, Rgb32FImage, RgbImage};
use std::borrow::Cow;

type Rgb16 = image::ImageBuffer<image::Rgb<u16>, Vec<u16>>;

/// More samples a side than this are not taken, however much smaller the target shows the photo.
const MOST_SAMPLES: u32 = 6;

/// The pixels of a photo as red, green and blue.
pub(crate) enum Pixels<'a> {
    Eight(Cow<'a, RgbImage>),
    Sixteen(Cow<'a, Rgb16>),
    Float(Cow<'a, Rgb32FImage>),
}

impl<'a> Pixels<'a> {
    /// Borrowed where they are RGB already.
    pub fn of(pixels: &'a DynamicImage) -> Self {
        match pixels {
            DynamicImage::ImageRgb8(p) => Self::Eight(Cow::Borrowed(p)),
            DynamicImage::ImageRgb16(p) => Self::Sixteen(Cow::Borrowed(p)),
            DynamicImage::ImageRgb32F(p) => Self::Float(Cow::Borrowed(p)),
            DynamicImage::ImageRgba32F(_) => Self::Float(Cow::Owned(pixels.to_rgb32f())),
            other if other.color().bytes_per_pixel() / other.color().channel_count() > 1 => {
                Self::Sixteen(Cow::Owned(other.to_rgb16()))
            }
            other => Self::Eight(Cow::Owned(other.to_rgb8())),
        }
    }

    /// Width and height.
    pub fn size(&self) -> (u32, u32) {
        match self {
            Self::Eight(p) => p.dimensions(),
            Self::Sixteen(p) => p.dimensions(),
            Self::Float(p) => p.dimensions(),
        }
    }

    /// The colour at a place, about 0 to 1, by Lanczos' window of three lobes; the edge continues outside.
    pub fn at(&self, [x, y]: [f32; 2]) -> [f32; 3] {
        match self {
            Self::Eight(p) => lanczos(p.as_raw(), p.dimensions(), x, y, |v| f32::from(v) / 255.0),
            Self::Sixteen(p) => lanczos(p.as_raw(), p.dimensions(), x, y, |v| f32::from(v) / 65_535.0),
            Self::Float(p) => lanczos(p.as_raw(), p.dimensions(), x, y, |v| v),
        }
    }

    /// The mean colour of a square of that side around a place; one sample where it is about a pixel.
    pub fn covering(&self, place: [f32; 2], side: f32) -> [f32; 3] {
        let n = (side.round().max(1.0) as u32).min(MOST_SAMPLES);
        self.mean(n, |u, v| [place[0] + side * u, place[1] + side * v])
    }

    /// The mean of `n`×`n` samples; `at` maps -1/2 to 1/2 in both directions to places.
    pub fn mean(&self, n: u32, at: impl Fn(f32, f32) -> [f32; 2]) -> [f32; 3] {
        let step = |i: u32| (i as f32 + 0.5) / n as f32 - 0.5;
        let mut sum = [0.0; 3];
        for (i, j) in (0..n).flat_map(|j| (0..n).map(move |i| (i, j))) {
            let colour = self.at(at(step(i), step(j)));
            (0..3).for_each(|c| sum[c] += colour[c]);
        }
        sum.map(|v| v / (n * n) as f32)
    }
}

#[inline]
fn lanczos<T: Copy>(values: &[T], (w, h): (u32, u32), x: f32, y: f32, unit: impl Fn(T) -> f32) -> [f32; 3] {
    let (x0, y0) = (x.floor(), y.floor());
    let (wx, wy) = (lanczos_weights(x - x0), lanczos_weights(y - y0));
    let clamped = |i: i32, n: u32| i.clamp(0, n as i32 - 1) as usize;
    let columns: [usize; 6] = std::array::from_fn(|i| 3 * clamped(x0 as i32 + i as i32 - 2, w));
    let mut out = [0.0; 3];
    for (j, wy) in wy.into_iter().enumerate() {
        let row = &values[3 * w as usize * clamped(y0 as i32 + j as i32 - 2, h)..][..3 * w as usize];
        for (i, wx) in wx.into_iter().enumerate() {
            (0..3).for_each(|c| out[c] += wx * wy * unit(row[columns[i] + c]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, LumaA, Rgb, Rgba};

    #[test]
    fn every_depth_gives_the_same_colours() {
        let float = Rgb32FImage::from_fn(6, 5, |x, y| Rgb([x as f32 / 5.0, y as f32 / 4.0, 0.2]));
        let float = DynamicImage::ImageRgb32F(float);
        let kinds =
            [float.to_rgb8().into(), float.to_rgb16().into(), float.to_rgba16().into(), float.to_rgba32f().into()];
        let wanted = Pixels::of(&float).at([2.3, 1.6]);
        for kind in kinds {
            let kind: DynamicImage = kind;
            let found = Pixels::of(&kind).at([2.3, 1.6]);
            assert!(
                found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 3e-3),
                "{:?}: {found:?} {wanted:?}",
                kind.color()
            );
        }
        let grey: DynamicImage = GrayAlphaImage::from_pixel(3, 3, LumaA([51, 9])).into();
        assert!(Pixels::of(&grey).at([1.0, 1.0]).iter().all(|v| (v - 0.2).abs() < 1e-6));
        let alpha = DynamicImage::ImageRgba8(image::RgbaImage::from_pixel(3, 3, Rgba([51, 51, 51, 0])));
        assert!(Pixels::of(&alpha).at([0.0, 2.0]).iter().all(|v| (v - 0.2).abs() < 1e-6));
    }

    #[test]
    fn a_wide_footprint_averages() {
        let checks = RgbImage::from_fn(40, 40, |x, y| Rgb([if (x + y) % 2 == 0 { 255 } else { 0 }; 3]));
        let checks = DynamicImage::ImageRgb8(checks);
        let pixels = Pixels::of(&checks);
        assert!((pixels.covering([20.5, 20.5], 4.0)[0] - 0.5).abs() < 1e-3);
        assert!(pixels.covering([20.0, 20.0], 1.0)[0] > 0.99);
    }
}
