//! The value of a picture between its pixels.

use crate::pyramid::{Channels, Picture};
use std::f64::consts::PI;
use std::sync::LazyLock;

/// How values between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sampling {
    /// Linear in both directions: never leaves the range of its neighbours.
    #[default]
    Bilinear,
    /// Cubic convolution with a = -1/2 (Keys 1981): sharper, may overshoot a little at edges.
    Bicubic,
    /// Lanczos' window with three lobes, its weights made to sum to 1 (Duchon 1979): keeps more of the finest detail, and overshoots more.
    Lanczos,
}

/// All channels at a point, written to `out`; the picture's edge continues outside. The picture must not be empty.
pub fn sample<P: Channels>(image: &Picture<P>, x: f32, y: f32, sampling: Sampling, out: &mut [f32]) {
    match sampling {
        Sampling::Bilinear => weighted(image, x, y, |f| [1.0 - f, f], 0, out),
        Sampling::Bicubic => weighted(image, x, y, cubic_weights, -1, out),
        Sampling::Lanczos => weighted(image, x, y, lanczos_weights, -2, out),
    }
}

/// Sums `N×N` pixels starting at `offset` from the pixel up and left of the point.
#[inline(always)]
fn weighted<P: Channels, const N: usize>(
    image: &Picture<P>,
    x: f32,
    y: f32,
    weights: impl Fn(f32) -> [f32; N],
    offset: isize,
    out: &mut [f32],
) {
    let channels = P::CHANNEL_COUNT as usize;
    let (w, h) = (image.width() as usize, image.height() as usize);
    let (x0, y0) = (x.floor(), y.floor());
    let (wx, wy) = (weights(x - x0), weights(y - y0));
    let column = |i: usize| clamped(x0 as isize + i as isize + offset, w) * channels;
    let columns: [usize; N] = std::array::from_fn(column);
    out.fill(0.0);
    for (j, wy) in wy.into_iter().enumerate() {
        let row = &image.as_raw()[clamped(y0 as isize + j as isize + offset, h) * w * channels..][..w * channels];
        for (i, wx) in wx.into_iter().enumerate() {
            let weight = wx * wy;
            let pixel = &row[columns[i]..columns[i] + channels];
            out.iter_mut().zip(pixel).for_each(|(o, p)| *o += weight * p);
        }
    }
}

/// Keys' kernel at distances 1 + f, f, 1 - f and 2 - f.
fn cubic_weights(f: f32) -> [f32; 4] {
    let (f2, f3) = (f * f, f * f * f);
    [-0.5 * f3 + f2 - 0.5 * f, 1.5 * f3 - 2.5 * f2 + 1.0, -1.5 * f3 + 2.0 * f2 + 0.5 * f, 0.5 * f3 - 0.5 * f2]
}

/// Places between two pixels for which Lanczos' weights are kept.
const STEPS: usize = 512;

/// Lanczos' kernel at distances 2 + f, 1 + f, f, 1 - f, 2 - f and 3 - f.
pub(crate) fn lanczos_weights(f: f32) -> [f32; 6] {
    static KEPT: LazyLock<Vec<[f32; 6]>> =
        LazyLock::new(|| (0..=STEPS).map(|i| lanczos(i as f64 / STEPS as f64)).collect());
    KEPT[(f * STEPS as f32).round() as usize]
}

fn lanczos(f: f64) -> [f32; 6] {
    let sinc = |x: f64| if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) };
    let weights: [f64; 6] = std::array::from_fn(|i| i as f64 - 2.0 - f).map(|d| sinc(d) * sinc(d / 3.0));
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| (weight / sum) as f32)
}

fn clamped(i: isize, n: usize) -> usize {
    i.clamp(0, n as isize - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plane;
    use crate::pyramid::test_pictures::noise;
    use image::Luma;

    fn at(image: &Plane, x: f32, y: f32, sampling: Sampling) -> f32 {
        let mut out = [0.0];
        sample(image, x, y, sampling, &mut out);
        out[0]
    }

    #[test]
    fn pixel_centres_give_the_pixels() {
        let image = noise(9, 6, 1);
        for sampling in [Sampling::Bilinear, Sampling::Bicubic, Sampling::Lanczos] {
            assert!(
                image
                    .enumerate_pixels()
                    .all(|(x, y, p)| (at(&image, x as f32, y as f32, sampling) - p[0]).abs() < 1e-6)
            );
        }
    }

    #[test]
    fn bicubic_reproduces_a_parabola_and_bilinear_a_plane() {
        let parabola = Plane::from_fn(12, 12, |x, y| Luma([(x * x) as f32 - 2.0 * y as f32]));
        assert!((at(&parabola, 5.3, 6.7, Sampling::Bicubic) - (5.3 * 5.3 - 13.4)).abs() < 1e-4);
        let plane = Plane::from_fn(12, 12, |x, y| Luma([3.0 * x as f32 - y as f32]));
        assert!((at(&plane, 5.3, 6.7, Sampling::Bilinear) - 9.2).abs() < 1e-4);
    }

    #[test]
    fn lanczos_keeps_more_of_the_finest_detail_and_the_mean() {
        let wave = Plane::from_fn(64, 9, |x, _| Luma([0.5 + 0.5 * (1.9 * x as f32).cos()]));
        let off = |sampling| {
            let wanted = |x: f32| 0.5 + 0.5 * (1.9 * x).cos();
            (8..56).map(|x| x as f32 + 0.5).map(|x| (at(&wave, x, 4.0, sampling) - wanted(x)).abs()).fold(0.0, f32::max)
        };
        assert!(off(Sampling::Lanczos) < 0.5 * off(Sampling::Bicubic), "{}", off(Sampling::Lanczos));
        assert!((0..10).all(|i| (lanczos_weights(0.1 * i as f32).iter().sum::<f32>() - 1.0).abs() < 1e-6));
    }

    #[test]
    fn the_edge_continues_outside() {
        let image = noise(4, 4, 2);
        assert_eq!(at(&image, -50.0, 1.0, Sampling::Bilinear), image.get_pixel(0, 1)[0]);
        assert!((at(&image, 1e9, 1e9, Sampling::Bicubic) - image.get_pixel(3, 3)[0]).abs() < 1e-6);
    }
}
