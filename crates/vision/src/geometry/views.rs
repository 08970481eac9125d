//! The photos as the plane sweep needs them: grey pyramids in one tone, cameras, and how far tones differ for the same point.

use super::camera::Camera;
use super::reconstruct::Reconstruction;
use crate::pyramid::{at_level, gaussian_blur, grey};
use crate::warp::{Sampling, sample};
use crate::{Mask, Plane};
use image::Rgb32FImage;
use nalgebra::{Vector2, Vector3};

/// Grey values are on the scale 0 to 255 here, as the constants of the cost are.
pub(super) const GREY_SCALE: f32 = 255.0;
/// Bounds of the spread between two photos' tones; the middle one stands where too few points are shared.
const SPREAD: [f32; 3] = [5.0, 25.0, 40.0];
/// Levels of a grey pyramid.
const LEVELS: usize = 5;

/// Photos that could be placed.
#[derive(Clone, Debug)]
pub struct Views {
    /// Their cameras.
    pub cameras: Vec<Camera>,
    /// Grey pyramids, finest first, toned like the first photo.
    pub grey: Vec<Vec<Plane>>,
    /// Pixels that are missing (only the target's hole).
    pub holes: Vec<Option<Mask>>,
    /// Typical difference of two photos' tones for the same point.
    pub spread: Vec<Vec<f32>>,
    /// Points with pixel and photo, indices into these views.
    pub points: Vec<SparsePoint>,
}

/// A reconstructed point.
#[derive(Clone, Debug)]
pub struct SparsePoint {
    /// Where it is.
    pub position: Vector3<f64>,
    /// Widest angle between its rays, in degrees.
    pub parallax_degrees: f64,
    /// Views that see it, with the pixel.
    pub seen: Vec<(usize, Vector2<f64>)>,
}

impl Views {
    /// The placed photos of a reconstruction in their order; with the index of each among all photos.
    pub fn new(photos: &[&Rgb32FImage], hole: &Mask, found: &Reconstruction) -> (Self, Vec<usize>) {
        let kept: Vec<usize> = (0..photos.len()).filter(|&i| found.cameras[i].is_some()).collect();
        let place = |photo: usize| kept.iter().position(|&k| k == photo);
        let cameras = kept.iter().filter_map(|&i| found.cameras[i].clone()).collect();
        let points: Vec<SparsePoint> = found
            .points
            .iter()
            .map(|p| SparsePoint {
                position: p.position,
                parallax_degrees: p.parallax_degrees,
                seen: p.seen.iter().filter_map(|(c, at)| Some((place(*c)?, *at))).collect(),
            })
            .collect();
        let mut planes: Vec<Plane> = kept.iter().map(|&i| scaled_grey(photos[i])).collect();
        let spread = equalise(&mut planes, &points);
        let holes = kept.iter().map(|&i| (i == 0).then(|| hole.clone())).collect();
        (Self { cameras, grey: planes.into_iter().map(grey_pyramid).collect(), holes, spread, points }, kept)
    }

    /// The views with number `first` in front: the one whose depth is wanted.
    pub fn seen_from(&self, first: usize) -> Self {
        let order: Vec<usize> = std::iter::once(first).chain((0..self.cameras.len()).filter(|&i| i != first)).collect();
        let place = |view: usize| order.iter().position(|&k| k == view).expect("an order holds every view");
        let seen = |s: &[(usize, Vector2<f64>)]| s.iter().map(|(v, at)| (place(*v), *at)).collect();
        Self {
            cameras: order.iter().map(|&i| self.cameras[i].clone()).collect(),
            grey: order.iter().map(|&i| self.grey[i].clone()).collect(),
            holes: order.iter().map(|&i| self.holes[i].clone()).collect(),
            spread: order.iter().map(|&i| order.iter().map(|&k| self.spread[i][k]).collect()).collect(),
            points: self.points.iter().map(|p| SparsePoint { seen: seen(&p.seen), ..p.clone() }).collect(),
        }
    }

    /// Size of the first view.
    pub fn size(&self) -> (u32, u32) {
        self.cameras[0].size
    }
}

fn scaled_grey(photo: &Rgb32FImage) -> Plane {
    let mut plane = grey(photo);
    plane.iter_mut().for_each(|v| *v *= GREY_SCALE);
    plane
}

fn grey_pyramid(plane: Plane) -> Vec<Plane> {
    let mut levels = vec![plane];
    while levels.len() < LEVELS && levels[levels.len() - 1].width().min(levels[levels.len() - 1].height()) >= 32 {
        let next = at_level(&levels[levels.len() - 1], 1);
        levels.push(next);
    }
    levels
}

/// Brings every photo to the first one's tone by gain and offset over shared points (through others where few are shared with it);
/// returns what differences remain.
fn equalise(planes: &mut [Plane], points: &[SparsePoint]) -> Vec<Vec<f32>> {
    let n = planes.len();
    let blurred: Vec<Plane> = planes.iter().map(|p| gaussian_blur(p, 2.0)).collect();
    let mut values = vec![vec![f32::NAN; points.len()]; n];
    for (i, point) in points.iter().enumerate() {
        for (view, at) in &point.seen {
            let mut out = [0.0];
            sample(&blurred[*view], at.x as f32, at.y as f32, Sampling::Bilinear, &mut out);
            values[*view][i] = out[0];
        }
    }
    let mut done = vec![0];
    while done.len() < n {
        let open = (0..n).filter(|v| !done.contains(v));
        let links = open.flat_map(|b| done.iter().map(move |&a| (a, b)));
        let (a, b) = links.max_by_key(|&(a, b)| shared(&values[a], &values[b]).len()).expect("a view is left");
        if let Some((gain, offset)) = tone(&shared(&values[a], &values[b])) {
            planes[b].iter_mut().for_each(|v| *v = gain * *v + offset);
            values[b].iter_mut().for_each(|v| *v = gain * *v + offset);
        }
        done.push(b);
    }
    let left = |a: usize, b: usize| {
        let pairs = shared(&values[a], &values[b]);
        let off = median(pairs.iter().map(|(x, y)| (x - y).abs()).collect());
        if pairs.len() < 8 { SPREAD[1] } else { (1.5 * off).clamp(SPREAD[0], SPREAD[2]) }
    };
    (0..n).map(|a| (0..n).map(|b| left(a, b)).collect()).collect()
}

fn shared(a: &[f32], b: &[f32]) -> Vec<(f32, f32)> {
    a.iter().zip(b).filter(|(x, y)| x.is_finite() && y.is_finite()).map(|(x, y)| (*x, *y)).collect()
}

/// Gain and offset from the second value of each pair to the first; `None` for fewer than eight.
pub(super) fn tone(pairs: &[(f32, f32)]) -> Option<(f32, f32)> {
    if pairs.len() < 8 {
        return None;
    }
    let deviation = |f: fn(&(f32, f32)) -> f32| {
        let mean = pairs.iter().map(f).sum::<f32>() / pairs.len() as f32;
        (pairs.iter().map(|p| (f(p) - mean).powi(2)).sum::<f32>() / pairs.len() as f32).sqrt()
    };
    let gain = (deviation(|p| p.0) / deviation(|p| p.1).max(1.0)).clamp(0.4, 4.0);
    Some((gain, median(pairs.iter().map(|(x, y)| x - gain * y).collect())))
}

/// The middle value; 0 for none.
pub(super) fn median(mut values: Vec<f32>) -> f32 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f32::total_cmp).1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;

    #[test]
    fn a_darker_photo_is_brought_to_the_first_ones_tone() {
        let mut bright = texture(120, 90, 3);
        bright.iter_mut().for_each(|v| *v *= 200.0);
        let mut dark = bright.clone();
        dark.iter_mut().for_each(|v| *v = 0.5 * *v - 3.0);
        let point = |i: usize| {
            let at = Vector2::new((i * 13 % 110 + 5) as f64, (i * 29 % 80 + 5) as f64);
            SparsePoint { position: Vector3::zeros(), parallax_degrees: 2.0, seen: vec![(0, at), (1, at)] }
        };
        let mut planes = [bright.clone(), dark];
        let spread = equalise(&mut planes, &(0..60).map(point).collect::<Vec<_>>());
        let worst = planes[1].iter().zip(bright.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1.5 && spread[0][1] == SPREAD[0], "{worst}");
    }
}
