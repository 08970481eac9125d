//! Guides that err as real ones do: shifted, wrong in places, of another light, blurred, partly missing.
//!
//! The geometry of the references is unknown when pretraining on single photos, so its errors are simulated. Sizes of
//! the errors were chosen by looking at the residual displacement and light of homography-aligned references.

use super::fields::{blobs, smooth, voronoi};
use image::{Luma, Rgb, Rgb32FImage};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use realfill_vision::{Mask, Plane};

/// Colours 0 to 1 and trust 0 to 1, at the size of the truth they were made from.
#[derive(Clone, Debug)]
pub struct SimulatedGuide {
    /// Proposed colours; black where missing.
    pub colour: Rgb32FImage,
    /// Trust in them; 0 where missing.
    pub trust: Plane,
}

impl SimulatedGuide {
    /// No guide at all.
    pub fn none(width: u32, height: u32) -> Self {
        Self { colour: Rgb32FImage::new(width, height), trust: Plane::new(width, height) }
    }

    /// A guide for `truth`, wrong content taken from `other` (same size). One in five is no guide at all.
    pub fn random(truth: &Rgb32FImage, other: &Rgb32FImage, mask: &Mask, rng: &mut impl Rng) -> Self {
        let (width, height) = truth.dimensions();
        if rng.random_bool(0.2) {
            return Self::none(width, height);
        }
        let mut colour = shifted(truth, rng);
        if rng.random_bool(0.3) {
            colour = image::imageops::fast_blur(&colour, rng.random_range(0.4..1.5));
        }
        paste_wrong_content(&mut colour, other, rng);
        let trust = honest_trust(truth, &colour, rng);
        let mut guide = Self { colour: relit(colour, rng), trust };
        guide.drop_parts(rng);
        if rng.random_bool(0.5) {
            guide.reveal_known(truth, mask);
        }
        guide
    }

    /// Takes the guide away in blobs.
    fn drop_parts(&mut self, rng: &mut impl Rng) {
        if rng.random_bool(0.5) {
            return;
        }
        let (width, height) = self.colour.dimensions();
        let missing = blobs(width, height, rng.random_range(0.0..0.6), rng);
        let pixels = self.colour.pixels_mut().zip(self.trust.pixels_mut());
        for ((colour, trust), _) in pixels.zip(&missing).filter(|(_, gone)| **gone) {
            *colour = Rgb([0.0; 3]);
            *trust = Luma([0.0]);
        }
    }

    /// Known pixels carry the picture's own colours at full trust, as in a finished guide.
    fn reveal_known(&mut self, truth: &Rgb32FImage, mask: &Mask) {
        for (x, y, pixel) in truth.enumerate_pixels().filter(|(x, y, _)| !mask.is_hole(*x, *y)) {
            self.colour.put_pixel(x, y, *pixel);
            self.trust.put_pixel(x, y, Luma([1.0]));
        }
    }
}

/// `truth` read at displaced places: a smooth field and, half the time, another offset for each of a few regions.
fn shifted(truth: &Rgb32FImage, rng: &mut impl Rng) -> Rgb32FImage {
    let (width, height) = truth.dimensions();
    let amplitude = 6.0 * rng.random::<f32>().powi(2);
    let cells = rng.random_range(2..7);
    let (dx, dy) = (smooth(width, height, cells, rng), smooth(width, height, cells, rng));
    let count = if rng.random_bool(0.5) { rng.random_range(2..7) } else { 1 };
    let regions = voronoi(width, height, count, rng);
    let reach = 5.0 * rng.random::<f32>().powi(2);
    let offsets: Vec<(f32, f32)> = (0..count)
        .map(|_| (reach * rng.sample::<f32, _>(StandardNormal), reach * rng.sample::<f32, _>(StandardNormal)))
        .collect();
    Rgb32FImage::from_fn(width, height, |x, y| {
        let (ox, oy) = offsets[regions[(y * width + x) as usize]];
        let px = x as f32 + amplitude * dx.get_pixel(x, y)[0] + ox;
        let py = y as f32 + amplitude * dy.get_pixel(x, y)[0] + oy;
        bilinear(truth, px, py)
    })
}

fn bilinear(picture: &Rgb32FImage, x: f32, y: f32) -> Rgb<f32> {
    let (width, height) = picture.dimensions();
    let (x, y) = (x.clamp(0.0, width as f32 - 1.001), y.clamp(0.0, height as f32 - 1.001));
    let (i, j, fx, fy) = (x as u32, y as u32, x.fract(), y.fract());
    let at = |di: u32, dj: u32| picture.get_pixel((i + di).min(width - 1), (j + dj).min(height - 1));
    Rgb(std::array::from_fn(|c| {
        let top = at(0, 0)[c] + (at(1, 0)[c] - at(0, 0)[c]) * fx;
        let bottom = at(0, 1)[c] + (at(1, 1)[c] - at(0, 1)[c]) * fx;
        top + (bottom - top) * fy
    }))
}

fn paste_wrong_content(colour: &mut Rgb32FImage, other: &Rgb32FImage, rng: &mut impl Rng) {
    if rng.random_bool(0.5) {
        return;
    }
    let (width, height) = colour.dimensions();
    let wrong = blobs(width, height, 0.4 * rng.random::<f32>(), rng);
    for ((pixel, other), _) in colour.pixels_mut().zip(other.pixels()).zip(&wrong).filter(|(_, wrong)| **wrong) {
        *pixel = *other;
    }
}

/// Trust that falls with the local error, more or less precisely; one time in four it says nothing.
fn honest_trust(truth: &Rgb32FImage, colour: &Rgb32FImage, rng: &mut impl Rng) -> Plane {
    let (width, height) = truth.dimensions();
    if rng.random_bool(0.25) {
        return Plane::from_pixel(width, height, Luma([rng.random_range(0.3..1.0)]));
    }
    let error = Plane::from_fn(width, height, |x, y| {
        let (a, b) = (truth.get_pixel(x, y), colour.get_pixel(x, y));
        Luma([(0..3).map(|c| (a[c] - b[c]).abs()).sum::<f32>() / 3.0])
    });
    let local = image::imageops::fast_blur(&error, rng.random_range(2.0..5.0));
    let tolerance = rng.random_range(0.04..0.12);
    let cells = rng.random_range(3..9);
    let (noise, level) = (smooth(width, height, cells, rng), 0.15 * rng.random::<f32>());
    Plane::from_fn(width, height, |x, y| {
        let trust = (-local.get_pixel(x, y)[0] / tolerance).exp() + level * noise.get_pixel(x, y)[0];
        Luma([trust.clamp(0.02, 1.0)])
    })
}

/// Another exposure, white balance, gamma, offset and smooth shading.
fn relit(colour: Rgb32FImage, rng: &mut impl Rng) -> Rgb32FImage {
    let (width, height) = colour.dimensions();
    let strength = 1.5 * rng.random::<f32>().powi(2);
    let mut normal = |deviation: f32| strength * deviation * rng.sample::<f32, _>(StandardNormal);
    let (exposure, gamma) = (normal(0.25), normal(0.2).exp());
    let gains: [f32; 3] = std::array::from_fn(|_| (exposure + normal(0.08)).exp());
    let offsets: [f32; 3] = std::array::from_fn(|_| normal(0.03));
    let shade = normal(0.15);
    let cells = rng.random_range(1..4);
    let shading = smooth(width, height, cells, rng);
    let mut relit = colour;
    for (x, y, pixel) in relit.enumerate_pixels_mut() {
        let light = (shade * shading.get_pixel(x, y)[0]).exp();
        for c in 0..3 {
            pixel[c] = (pixel[c].max(0.0).powf(gamma) * gains[c] * light + offsets[c]).clamp(0.0, 1.0);
        }
    }
    relit
}
