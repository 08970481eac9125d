//! Features of a picture as it would look from aslant: a few of ASIFT's simulated views (Morel and Yu 2009).

use super::{Features, Keypoint, SiftOptions, sift};
use crate::Plane;
use crate::pyramid::gaussian_blur_rows;
use crate::warp::{Sampling, warp_perspective};
use nalgebra::{Matrix3, Vector3};
use std::f32::consts::PI;

/// Blur before subsampling by a tilt t, times sqrt(t² - 1): Morel and Yu's choice.
const TILT_BLUR: f32 = 0.8;

/// Features in a view simulated by turning the picture by `turn` radians and squeezing it by `tilt` (at least 1) across.
/// Positions, angles and sizes are in the given picture.
///
/// `allow` is as in [`sift`].
pub fn sift_tilted(grey: &Plane, allow: Option<&[bool]>, tilt: f32, turn: f32, options: &SiftOptions) -> Features {
    if tilt <= 1.0 && turn == 0.0 || grey.is_empty() {
        return sift(grey, allow, options);
    }
    let (view, source_from_view) = tilted_view(grey, tilt, turn);
    let mut features = sift(&view, None, options);
    let placed: Vec<Keypoint> = features.keypoints.iter().map(|k| moved(k, &source_from_view)).collect();
    let kept: Vec<usize> = (0..placed.len())
        .filter(|&i| lies_inside(&placed[i], 3.0 * features.keypoints[i].sigma, grey, allow))
        .collect();
    let descriptors = kept.iter().flat_map(|&i| features.descriptor(i).to_vec()).collect();
    features.keypoints = kept.iter().map(|&i| placed[i]).collect();
    Features { descriptors, ..features }
}

/// The views of one tilt, half a turn in steps of 72°/tilt (Morel and Yu's sampling): turns in radians.
pub fn turns_for_tilt(tilt: f32) -> Vec<f32> {
    let step = 72.0 / tilt.max(1.0);
    let count = (180.0 / step).round().max(1.0) as usize;
    (0..count).map(|i| i as f32 * PI / count as f32).collect()
}

/// The simulated view and the matrix that brings its pixels back.
fn tilted_view(grey: &Plane, tilt: f32, turn: f32) -> (Plane, Matrix3<f64>) {
    let (w, h) = (grey.width() as f64, grey.height() as f64);
    let (sin, cos) = (turn as f64).sin_cos();
    let (wide, high) = (w * cos.abs() + h * sin.abs(), w * sin.abs() + h * cos.abs());
    let centred = |x: f64, y: f64| Matrix3::new(1.0, 0.0, x, 0.0, 1.0, y, 0.0, 0.0, 1.0);
    let rotation = Matrix3::new(cos, -sin, 0.0, sin, cos, 0.0, 0.0, 0.0, 1.0);
    let turned_from_source =
        centred((wide - 1.0) / 2.0, (high - 1.0) / 2.0) * rotation * centred((1.0 - w) / 2.0, (1.0 - h) / 2.0);
    let size = (wide.ceil() as u32, high.ceil() as u32);
    let turned = warp_perspective(grey, &turned_from_source, size, Sampling::Bilinear).image;
    let blurred = gaussian_blur_rows(&turned, TILT_BLUR * (tilt * tilt - 1.0).max(0.0).sqrt());
    let squeeze = Matrix3::from_diagonal(&Vector3::new(1.0 / tilt as f64, 1.0, 1.0));
    let narrow = ((size.0 as f32 / tilt).ceil() as u32, size.1);
    let view = warp_perspective(&blurred, &squeeze, narrow, Sampling::Bilinear).image;
    let source_from_view = (squeeze * turned_from_source).try_inverse().unwrap_or_else(Matrix3::identity);
    (view, source_from_view)
}

fn moved(k: &Keypoint, source_from_view: &Matrix3<f64>) -> Keypoint {
    let p = source_from_view * Vector3::new(k.x as f64, k.y as f64, 1.0);
    let direction = source_from_view * Vector3::new((k.angle as f64).cos(), (k.angle as f64).sin(), 0.0);
    let grown = source_from_view.fixed_view::<2, 2>(0, 0).determinant().abs().sqrt();
    let angle = direction.y.atan2(direction.x).rem_euclid(std::f64::consts::TAU);
    Keypoint { x: p.x as f32, y: p.y as f32, sigma: k.sigma * grown as f32, angle: angle as f32, ..*k }
}

/// At least `margin` pixels from the picture's edge, beyond which the view shows nothing real, and allowed.
fn lies_inside(k: &Keypoint, margin: f32, grey: &Plane, allow: Option<&[bool]>) -> bool {
    let within = |v: f32, n: u32| v >= margin && v <= n as f32 - 1.0 - margin;
    within(k.x, grey.width())
        && within(k.y, grey.height())
        && allow.is_none_or(|a| a[k.y.round() as usize * grey.width() as usize + k.x.round() as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::{MatchOptions, match_features};
    use crate::pyramid::test_pictures::texture;

    #[test]
    fn a_squeezed_picture_matches_the_view_simulated_alike() {
        let image = texture(300, 240, 11);
        let squeezed = tilted_view(&image, 2.5, 0.4).0;
        let target = sift(&squeezed, None, &SiftOptions::default());
        let matched = |f: &Features| match_features(f, &target, &MatchOptions::default()).len();
        let plain = matched(&sift(&image, None, &SiftOptions::default()));
        let tilted = matched(&sift_tilted(&image, None, 2.5, 0.4, &SiftOptions::default()));
        assert!(tilted > 3 * plain.max(5), "{tilted} with and {plain} without simulation");
    }

    #[test]
    fn positions_come_back_into_the_given_picture() {
        let mut image = Plane::from_pixel(160, 120, image::Luma([0.2]));
        for (x, y, p) in image.enumerate_pixels_mut() {
            let d2 = (x as f32 - 90.0).powi(2) + (y as f32 - 50.0).powi(2);
            p[0] += 0.6 * (-d2 / 72.0).exp();
        }
        let found = sift_tilted(&image, None, 1.5, 1.1, &SiftOptions::default());
        assert!(found.keypoints.iter().any(|k| (k.x - 90.0).hypot(k.y - 50.0) < 0.6), "{:?}", found.keypoints);
    }

    #[test]
    fn turns_cover_half_a_circle_more_densely_at_stronger_tilts() {
        assert_eq!((turns_for_tilt(1.0).len(), turns_for_tilt(2.0).len(), turns_for_tilt(4.0).len()), (3, 5, 10));
    }
}
