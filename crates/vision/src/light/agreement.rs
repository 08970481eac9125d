//! Where two pictures show the same structure, whatever their light.

use crate::Plane;
use crate::pyramid::{Channels, Picture, gaussian_blur};
use image::Luma;

/// Local comparison of two pictures.
pub(super) struct Agreement {
    /// 1 - normalised cross-correlation, 0 to 1.
    pub distance: Plane,
    /// How much texture there was to compare, 0 to 1.
    pub texture: Plane,
    /// 0 to 1: textured pixels by their own correlation, flat ones by that of the texture beside them.
    pub agrees: Plane,
}

/// Correlations below this count as disagreement.
const LOOSE: f32 = 0.35;

/// Windows are Gaussians of 2 px. `known` is 1 where both pictures count.
pub(super) fn measure(a: &Plane, b: &Plane, known: &Plane, side: f32) -> Agreement {
    let [va, vb, ab] = moments(a, b, known);
    let map = |f: &dyn Fn(usize) -> f32| {
        Plane::from_raw(a.width(), a.height(), (0..a.len()).map(f).collect()).expect("one value a pixel")
    };
    let (va, vb, ab) = (va.as_raw(), vb.as_raw(), ab.as_raw());
    let distance = map(&|i| (1.0 - ab[i] / (va[i] * vb[i] + 1e-8).sqrt()).clamp(0.0, 1.0));
    let texture = map(&|i| (va[i].max(vb[i]).sqrt() / 0.04).clamp(0.0, 1.0));
    let good = map(&|i| (-(distance.as_raw()[i] / LOOSE).powi(2)).exp());
    let (t, g) = (texture.as_raw(), good.as_raw());
    let weight = map(&|i| known.as_raw()[i] * t[i] * t[i]);
    let weighted = map(&|i| weight.as_raw()[i] * g[i]);
    let (near, total) = (gaussian_blur(&weighted, 0.012 * side), gaussian_blur(&weight, 0.012 * side));
    let agrees = map(&|i| t[i] * g[i] + (1.0 - t[i]) * near.as_raw()[i] / (total.as_raw()[i] + 0.02));
    Agreement { distance, texture, agrees }
}

/// How surely both pictures show the same structure, 0 to 1: 0 where either is smooth. `known` is 1 where both pictures count.
pub(crate) fn shared_structure(a: &Plane, b: &Plane, known: &Plane) -> Plane {
    let [va, vb, ab] = moments(a, b, known);
    let (va, vb, ab) = (va.as_raw(), vb.as_raw(), ab.as_raw());
    let at = |i: usize| {
        let distance = (1.0 - ab[i] / (va[i] * vb[i] + 1e-8).sqrt()).max(0.0);
        let texture = (va[i].min(vb[i]).max(0.0).sqrt() / 0.02).min(1.0);
        known.as_raw()[i] * texture * (-(distance / LOOSE).powi(2)).exp()
    };
    Plane::from_raw(a.width(), a.height(), (0..a.len()).map(at).collect()).expect("one value a pixel")
}

/// Standard deviation in Gaussian windows of `sigma` pixels over the pixels that `known` lets in.
pub(crate) fn contrast(picture: &Plane, known: &Plane, sigma: f32) -> Plane {
    let mean = blurred_within(picture, known, sigma);
    let mut variance = blurred_within(&product(picture, &mean, picture, &mean), known, sigma);
    variance.iter_mut().for_each(|v| *v = v.max(0.0).sqrt());
    variance
}

/// The variances of two pictures and their covariance.
fn moments(a: &Plane, b: &Plane, known: &Plane) -> [Plane; 3] {
    let window = |p: &Plane| blurred_within(p, known, 2.0);
    let (ma, mb) = (window(a), window(b));
    [window(&product(a, &ma, a, &ma)), window(&product(b, &mb, b, &mb)), window(&product(a, &ma, b, &mb))]
}

fn product(a: &Plane, ma: &Plane, b: &Plane, mb: &Plane) -> Plane {
    let values = (0..a.len()).map(|i| (a.as_raw()[i] - ma.as_raw()[i]) * (b.as_raw()[i] - mb.as_raw()[i]));
    Plane::from_raw(a.width(), a.height(), values.collect()).expect("one value a pixel")
}

/// Gaussian means over the pixels that `weight` lets in.
pub(crate) fn blurred_within<P: Channels>(picture: &Picture<P>, weight: &Plane, sigma: f32) -> Picture<P> {
    let channels = P::CHANNEL_COUNT as usize;
    let mut weighted = picture.clone();
    for (v, Luma([w])) in weighted.as_mut().chunks_exact_mut(channels).zip(weight.pixels()) {
        v.iter_mut().for_each(|v| *v *= w);
    }
    let (mut mean, total) = (gaussian_blur(&weighted, sigma), gaussian_blur(weight, sigma));
    for (v, Luma([w])) in mean.as_mut().chunks_exact_mut(channels).zip(total.pixels()) {
        v.iter_mut().for_each(|v| *v /= w.max(1e-4));
    }
    mean
}
