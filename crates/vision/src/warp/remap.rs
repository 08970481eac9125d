//! Pulling a picture through a map of coordinates or a homography.

use super::sample::{Sampling, sample};
use crate::Plane;
use crate::pyramid::{Channels, Picture, picture};
use image::Luma;
use nalgebra::{Matrix3, Vector3};
use rayon::prelude::*;

/// A picture moved into another view.
#[derive(Clone, Debug)]
pub struct Warped<P: Channels> {
    /// The samples; where `valid` is 0, the source's edge continued (or 0 where the map is no number).
    pub image: Picture<P>,
    /// 1 where the sample lies within the source's pixel centres, else 0.
    pub valid: Plane,
}

/// `out(x, y) = source(map_x(x, y), map_y(x, y))`. The maps are in source pixels and give the result's size;
/// coordinates that are not finite are invalid.
///
/// # Panics
/// When the maps differ in size or the source is empty.
pub fn remap<P: Channels>(source: &Picture<P>, map_x: &Plane, map_y: &Plane, sampling: Sampling) -> Warped<P> {
    assert_eq!(map_x.dimensions(), map_y.dimensions(), "two maps of one size");
    let width = map_x.width() as usize;
    pull(source, map_x.dimensions(), sampling, |x, y| (map_x.as_raw()[y * width + x], map_y.as_raw()[y * width + x]))
}

/// The source as seen through a homography, at `size` = (width, height). `target_from_source` maps source pixels to the result's.
/// A singular homography gives a picture that is valid nowhere.
pub fn warp_perspective<P: Channels>(
    source: &Picture<P>,
    target_from_source: &Matrix3<f64>,
    size: (u32, u32),
    sampling: Sampling,
) -> Warped<P> {
    let inverse = inverse_keeping_sign(target_from_source);
    pull(source, size, sampling, |x, y| project(&inverse, x, y))
}

/// For each pixel of a picture of `size` where the homography puts it: the maps for [`remap`].
/// Points on or beyond the horizon are not a number.
pub fn perspective_map(source_from_target: &Matrix3<f64>, size: (u32, u32)) -> (Plane, Plane) {
    let at = |x: u32, y: u32| project(source_from_target, x as usize, y as usize);
    let map_x = Plane::from_fn(size.0, size.1, |x, y| Luma([at(x, y).0]));
    (map_x, Plane::from_fn(size.0, size.1, |x, y| Luma([at(x, y).1])))
}

fn project(h: &Matrix3<f64>, x: usize, y: usize) -> (f32, f32) {
    let q = h * Vector3::new(x as f64, y as f64, 1.0);
    if q.z > 1e-12 { ((q.x / q.z) as f32, (q.y / q.z) as f32) } else { (f32::NAN, f32::NAN) }
}

/// The inverse, scaled so that points in front of the source camera (positive third coordinate there) stay in front.
fn inverse_keeping_sign(h: &Matrix3<f64>) -> Matrix3<f64> {
    let h = h / h.norm().max(f64::MIN_POSITIVE);
    h.try_inverse().unwrap_or_else(Matrix3::zeros)
}

fn pull<P: Channels>(
    source: &Picture<P>,
    size: (u32, u32),
    sampling: Sampling,
    at: impl Fn(usize, usize) -> (f32, f32) + Sync,
) -> Warped<P> {
    assert!(!source.is_empty(), "an empty picture cannot be sampled");
    let channels = P::CHANNEL_COUNT as usize;
    let (width, pixels) = (size.0.max(1) as usize, size.0 as usize * size.1 as usize);
    let (right, bottom) = ((source.width() - 1) as f32, (source.height() - 1) as f32);
    let (mut samples, mut valid) = (vec![0.0; pixels * channels], vec![0.0; pixels]);
    samples.par_chunks_mut(width * channels).zip(valid.par_chunks_mut(width)).enumerate().for_each(
        |(y, (out, valid))| {
            for (x, (out, valid)) in out.chunks_exact_mut(channels).zip(valid).enumerate() {
                let (sx, sy) = at(x, y);
                if sx.is_finite() && sy.is_finite() {
                    *valid = (sx >= 0.0 && sy >= 0.0 && sx <= right && sy <= bottom) as u8 as f32;
                    sample(source, sx, sy, sampling, out);
                }
            }
        },
    );
    Warped { image: picture(size.0, size.1, samples), valid: picture(size.0, size.1, valid) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::{noise_rgb, texture};

    #[test]
    fn a_shift_moves_pixels_and_marks_what_comes_from_outside() {
        let image = noise_rgb(20, 10, 1);
        let shift = Matrix3::new(1.0, 0.0, 3.0, 0.0, 1.0, -2.0, 0.0, 0.0, 1.0);
        let out = warp_perspective(&image, &shift, (20, 10), Sampling::Bilinear);
        for (x, y, p) in out.image.enumerate_pixels() {
            let inside = x >= 3 && y < 8;
            assert_eq!(out.valid.get_pixel(x, y)[0] == 1.0, inside);
            assert!(!inside || p.0.iter().zip(image.get_pixel(x - 3, y + 2).0).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }

    #[test]
    fn warping_and_remapping_by_the_same_homography_agree() {
        let image = texture(60, 40, 2);
        let h = Matrix3::new(1.1, 0.05, -3.0, -0.04, 0.95, 2.0, 2e-4, -1e-4, 1.0);
        let (x, y) = perspective_map(&h.try_inverse().unwrap(), (50, 45));
        let (a, b) =
            (warp_perspective(&image, &h, (50, 45), Sampling::Bicubic), remap(&image, &x, &y, Sampling::Bicubic));
        assert!(a.image.iter().zip(b.image.iter()).all(|(a, b)| (a - b).abs() < 1e-4));
        assert_eq!(a.valid, b.valid);
    }

    #[test]
    fn there_and_back_is_nearly_the_same_picture() {
        let image = crate::pyramid::gaussian_blur(&texture(80, 60, 5), 1.5);
        let h = Matrix3::new(1.02, 0.03, 1.3, -0.03, 0.99, -0.7, 1e-4, 5e-5, 1.0);
        let there = warp_perspective(&image, &h, (80, 60), Sampling::Bicubic).image;
        let back = warp_perspective(&there, &h.try_inverse().unwrap(), (80, 60), Sampling::Bicubic).image;
        for y in 12..48 {
            for x in 12..68 {
                assert!((back.get_pixel(x, y)[0] - image.get_pixel(x, y)[0]).abs() < 5e-3);
            }
        }
    }

    #[test]
    fn beyond_the_horizon_nothing_is_valid() {
        let image = texture(20, 20, 1);
        let behind = Matrix3::new(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.1, 0.0, 1.0);
        let out = warp_perspective(&image, &behind.try_inverse().unwrap(), (40, 20), Sampling::Bilinear);
        assert!(out.image.iter().all(|v| v.is_finite()));
        let singular = warp_perspective(&image, &Matrix3::zeros(), (5, 5), Sampling::Bilinear);
        assert!(singular.valid.iter().all(|&v| v == 0.0));
    }
}
