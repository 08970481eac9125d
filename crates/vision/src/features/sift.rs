//! From a picture to its features.

use super::descriptor::descriptor;
use super::extrema::{Extremum, Limits, extrema};
use super::gradients::Gradients;
use super::orientation::orientations;
use super::scale_space::{BASE_SIGMA, Octave, scale_space};
use super::{DESCRIPTOR_LEN, Features, Keypoint};
use crate::Plane;
use crate::pyramid::shrink_to;
use rayon::prelude::*;

/// What counts as a feature.
#[derive(Clone, Debug)]
pub struct SiftOptions {
    /// At most this many, the strongest. Default 8000.
    pub max_features: usize,
    /// Scales an octave. Default 3 (Lowe).
    pub scales_per_octave: usize,
    /// Least contrast, as OpenCV counts it: grey values of 0 to 1, times the scales an octave. Default 0.02.
    pub contrast_threshold: f32,
    /// Largest ratio of the principal curvatures. Default 10 (Lowe).
    pub edge_threshold: f32,
    /// Square roots of the descriptor's shares instead of its values. Default true.
    pub root: bool,
    /// Whether detection starts at twice the picture's size: four times the work for three times the points. Default true.
    pub doubled: bool,
    /// Larger pictures are shrunk to this longer side first, in pixels. Default 1024.
    pub max_side: u32,
}

impl Default for SiftOptions {
    fn default() -> Self {
        Self {
            max_features: 8000,
            scales_per_octave: 3,
            contrast_threshold: 0.02,
            edge_threshold: 10.0,
            root: true,
            doubled: true,
            max_side: 1024,
        }
    }
}

/// SIFT features of a grey picture (values 0 to 1), strongest first.
///
/// `allow` gives one flag a pixel, row by row: points are kept where it is true. Positions and sizes are in the given picture's pixels.
///
/// # Panics
/// When `allow` has not one entry a pixel.
pub fn sift(grey: &Plane, allow: Option<&[bool]>, options: &SiftOptions) -> Features {
    assert!(allow.is_none_or(|a| a.len() == grey.len()), "one flag for each of {} pixels", grey.len());
    if grey.width().min(grey.height()) < 8 {
        return Features::default();
    }
    let shrink = (options.max_side.max(16) as f32 / grey.width().max(grey.height()) as f32).min(1.0);
    if shrink == 1.0 {
        return detect(grey, options, |k| allowed(grey, allow, &k).then_some(k));
    }
    let size = |n: u32| ((n as f32 * shrink).round() as u32).max(1);
    let small = shrink_to(grey, size(grey.width()), size(grey.height()));
    let (sx, sy) = (grey.width() as f32 / small.width() as f32, grey.height() as f32 / small.height() as f32);
    detect(&small, options, |k| {
        let enlarged =
            Keypoint { x: (k.x + 0.5) * sx - 0.5, y: (k.y + 0.5) * sy - 0.5, sigma: k.sigma * sx.max(sy), ..k };
        allowed(grey, allow, &enlarged).then_some(enlarged)
    })
}

fn allowed(grey: &Plane, allow: Option<&[bool]>, k: &Keypoint) -> bool {
    let clamp = |v: f32, n: u32| (v.round().max(0.0) as usize).min(n as usize - 1);
    allow.is_none_or(|a| a[clamp(k.y, grey.height()) * grey.width() as usize + clamp(k.x, grey.width())])
}

/// A point with where it was found, which describing it needs.
struct Found {
    keypoint: Keypoint,
    octave: usize,
    at: Extremum,
}

fn detect(grey: &Plane, options: &SiftOptions, place: impl Fn(Keypoint) -> Option<Keypoint>) -> Features {
    let octaves = scale_space(grey, options.scales_per_octave, options.doubled);
    let limits = Limits {
        scales: options.scales_per_octave,
        contrast: options.contrast_threshold,
        edge: options.edge_threshold,
    };
    let candidates: Vec<Vec<Extremum>> = octaves.iter().map(|o| extrema(o, limits)).collect();
    let gradients: Vec<_> = octaves.iter().zip(&candidates).map(|(o, c)| gradients_where_needed(o, c)).collect();
    let level =
        |octave: usize, at: &Extremum| gradients[octave][at.level].as_ref().expect("made for every level in use");
    let mut found: Vec<Found> = Vec::new();
    for (octave, candidates) in candidates.iter().enumerate() {
        let oriented: Vec<Vec<Found>> = candidates
            .par_iter()
            .map(|at| {
                let angles = orientations(level(octave, at), at.x, at.y, octave_sigma(at, options.scales_per_octave));
                angles.into_iter().map(|angle| found_at(octave, at, angle, options)).collect()
            })
            .collect();
        found.extend(oriented.into_iter().flatten());
    }
    let mut kept: Vec<Found> =
        found.into_iter().filter_map(|f| place(f.keypoint).map(|keypoint| Found { keypoint, ..f })).collect();
    kept.sort_by(|a, b| b.keypoint.response.total_cmp(&a.keypoint.response));
    kept.truncate(options.max_features);
    let mut descriptors = vec![0.0; kept.len() * DESCRIPTOR_LEN];
    descriptors.par_chunks_exact_mut(DESCRIPTOR_LEN).zip(&kept).for_each(|(out, f)| {
        let sigma = octave_sigma(&f.at, options.scales_per_octave);
        let gradients = level(f.octave, &f.at);
        out.copy_from_slice(&descriptor(gradients, f.at.x, f.at.y, sigma, f.keypoint.angle, options.root));
    });
    Features { keypoints: kept.into_iter().map(|f| f.keypoint).collect(), descriptors }
}

/// A point's standard deviation in its octave's pixels.
fn octave_sigma(at: &Extremum, scales: usize) -> f32 {
    BASE_SIGMA * 2f32.powf(at.scale / scales as f32)
}

fn found_at(octave: usize, at: &Extremum, angle: f32, options: &SiftOptions) -> Found {
    // A doubled first octave has its pixels' centres a quarter of a pixel off the picture's.
    let (first, shift) = if options.doubled { (0.5, -0.25) } else { (1.0, 0.0) };
    let pixel = first * (1u64 << octave) as f32;
    let keypoint = Keypoint {
        x: at.x * pixel + shift,
        y: at.y * pixel + shift,
        sigma: octave_sigma(at, options.scales_per_octave) * pixel,
        angle,
        response: at.contrast,
    };
    Found { keypoint, octave, at: *at }
}

fn gradients_where_needed(octave: &Octave, candidates: &[Extremum]) -> Vec<Option<Gradients>> {
    let wanted = |level: usize| candidates.iter().any(|c| c.level == level);
    octave.blurred.iter().enumerate().map(|(i, plane)| wanted(i).then(|| Gradients::new(plane))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;
    use crate::warp::{Sampling, warp_perspective};
    use image::Luma;
    use nalgebra::Matrix3;
    use std::f32::consts::TAU;

    fn blob(x0: f32, y0: f32, sigma: f32) -> Plane {
        Plane::from_fn(120, 100, |x, y| {
            let d2 = (x as f32 - x0).powi(2) + (y as f32 - y0).powi(2);
            Luma([0.2 + 0.6 * (-0.5 * d2 / (sigma * sigma)).exp()])
        })
    }

    #[test]
    fn a_blob_is_found_at_its_centre_with_its_size() {
        let features = sift(&blob(60.3, 44.7, 5.0), None, &SiftOptions::default());
        let best = features.keypoints[0];
        assert!((best.x - 60.3).abs() < 0.1 && (best.y - 44.7).abs() < 0.1, "{best:?}");
        assert!((best.sigma / 5.0 - 1.0).abs() < 0.25, "{best:?}");
        let single =
            sift(&blob(60.3, 44.7, 5.0), None, &SiftOptions { doubled: false, ..Default::default() }).keypoints[0];
        assert!((single.x - best.x).abs() < 0.1 && (single.y - best.y).abs() < 0.1, "{single:?}");
    }

    #[test]
    fn a_turned_and_enlarged_picture_has_the_same_features_turned_and_enlarged() {
        let image = texture(240, 200, 3);
        let (sin, cos) = 0.6f64.sin_cos();
        let s = 1.3;
        let h = Matrix3::new(s * cos, -s * sin, 60.0, s * sin, s * cos, -40.0, 0.0, 0.0, 1.0);
        let turned = warp_perspective(&image, &h, (260, 260), Sampling::Bicubic).image;
        let (a, b) = (sift(&image, None, &SiftOptions::default()), sift(&turned, None, &SiftOptions::default()));
        let (mut close, mut alike, mut same_angle) = (0, 0, 0);
        for (i, k) in a.keypoints.iter().enumerate() {
            let p = h * nalgebra::Vector3::new(k.x as f64, k.y as f64, 1.0);
            if !(20.0..240.0).contains(&p.x) || !(20.0..240.0).contains(&p.y) || k.sigma < 2.0 {
                continue;
            }
            let near = |m: &Keypoint| {
                (m.x as f64 - p.x).hypot(m.y as f64 - p.y) < 1.5 && (m.sigma / k.sigma / 1.3 - 1.0).abs() < 0.2
            };
            let turn = |m: &Keypoint| ((m.angle - k.angle - 0.6).rem_euclid(TAU) + 1.0).rem_euclid(TAU) - 1.0;
            let partners: Vec<usize> = (0..b.len()).filter(|&j| near(&b.keypoints[j])).collect();
            close += !partners.is_empty() as usize;
            let likeness = |j: &usize| a.descriptor(i).iter().zip(b.descriptor(*j)).map(|(a, b)| a * b).sum::<f32>();
            same_angle += partners.iter().any(|&j| turn(&b.keypoints[j]).abs() < 0.15) as usize;
            alike += partners.iter().any(|j| likeness(j) > 0.9) as usize;
        }
        assert!(close > 20 && same_angle * 10 > close * 8 && alike * 10 > close * 8, "{close}, {same_angle}, {alike}");
    }

    #[test]
    fn points_lie_only_where_they_are_allowed() {
        let image = texture(160, 120, 8);
        let allow: Vec<bool> = (0..160 * 120).map(|i| i % 160 < 80).collect();
        let features = sift(&image, Some(&allow), &SiftOptions::default());
        assert!(features.len() > 20 && features.keypoints.iter().all(|k| k.x < 80.0));
    }

    #[test]
    fn a_shrunk_detection_gives_positions_in_the_large_picture() {
        let features = sift(&blob(60.3, 44.7, 8.0), None, &SiftOptions { max_side: 60, ..Default::default() });
        assert!((features.keypoints[0].x - 60.3).abs() < 0.3 && (features.keypoints[0].y - 44.7).abs() < 0.3);
    }

    #[test]
    fn flat_and_tiny_pictures_have_no_features() {
        for (w, h) in [(0, 0), (3, 200), (40, 40)] {
            assert!(sift(&Plane::from_pixel(w, h, Luma([0.5])), None, &SiftOptions::default()).is_empty());
        }
    }
}
