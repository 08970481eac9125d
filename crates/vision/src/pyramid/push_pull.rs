//! Smooth filling of unknown pixels from their surroundings at every scale (Gortler et al., The Lumigraph, 1996, section 4.3).

use super::{Channels, Picture, half, picture, resize_bilinear};
use crate::Plane;
use image::Luma;

/// Keeps `values` where `weight` is 1, fills them smoothly where it is 0, mixes between. `weight` is 0 to 1, same size.
/// Where nothing is known at all, the result is 0.
///
/// # Panics
/// When the sizes differ.
pub fn push_pull<P: Channels>(values: &Picture<P>, weight: &Plane) -> Picture<P> {
    assert_eq!(values.dimensions(), weight.dimensions(), "values and weights of one size");
    let channels = P::CHANNEL_COUNT as usize;
    let mut weighted = values.clone();
    for (v, w) in weighted.as_mut().chunks_exact_mut(channels).zip(weight.iter()) {
        v.iter_mut().for_each(|v| if *w > 0.0 { *v *= w } else { *v = 0.0 });
    }
    fill(weighted, weight)
}

/// `weighted` is premultiplied by `weight`.
fn fill<P: Channels>(mut weighted: Picture<P>, weight: &Plane) -> Picture<P> {
    let channels = P::CHANNEL_COUNT as usize;
    let (w, h) = weighted.dimensions();
    if w.min(h) < 2 {
        return mean(&weighted, weight);
    }
    // Weights are averaged like the values, then raised, so that one known pixel of four already speaks for the coarse one.
    let (coarse_values, coarse_weight) = saturated(half(&weighted), half(weight));
    let coarse = resize_bilinear(&fill(coarse_values, &coarse_weight), w, h);
    for ((v, c), w) in
        weighted.as_mut().chunks_exact_mut(channels).zip(coarse.as_raw().chunks_exact(channels)).zip(weight.iter())
    {
        v.iter_mut().zip(c).for_each(|(v, c)| *v += c * (1.0 - w.clamp(0.0, 1.0)));
    }
    weighted
}

fn saturated<P: Channels>(mut values: Picture<P>, mut weight: Plane) -> (Picture<P>, Plane) {
    for (v, Luma([w])) in values.as_mut().chunks_exact_mut(P::CHANNEL_COUNT as usize).zip(weight.pixels_mut()) {
        let raised = (4.0 * *w).min(1.0);
        let gain = if *w > 0.0 { raised / *w } else { 0.0 };
        v.iter_mut().for_each(|v| *v *= gain);
        *w = raised;
    }
    (values, weight)
}

fn mean<P: Channels>(weighted: &Picture<P>, weight: &Plane) -> Picture<P> {
    let channels = P::CHANNEL_COUNT as usize;
    let total: f32 = weight.iter().sum::<f32>().max(1e-12);
    let mut sums = vec![0.0; channels];
    for v in weighted.as_raw().chunks_exact(channels) {
        sums.iter_mut().zip(v).for_each(|(s, v)| *s += v / total);
    }
    picture(weighted.width(), weighted.height(), sums.repeat(weight.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::noise;

    #[test]
    fn known_pixels_stay_and_a_constant_fills_constant() {
        let values = Plane::from_pixel(50, 37, Luma([0.7]));
        let weight = Plane::from_fn(50, 37, |x, y| Luma([((x * 7 + y * 3) % 11 == 0) as u8 as f32]));
        assert!(push_pull(&values, &weight).iter().all(|v| (v - 0.7).abs() < 1e-5));
        let textured = noise(50, 37, 3);
        let filled = push_pull(&textured, &weight);
        assert!(weight.iter().zip(filled.iter().zip(textured.iter())).all(|(w, (a, b))| *w < 1.0 || a == b));
    }

    #[test]
    fn a_gap_between_two_levels_is_bridged_without_jumps() {
        let values = Plane::from_fn(64, 64, |x, _| Luma([if x < 32 { 0.0 } else { 1.0 }]));
        let weight = Plane::from_fn(64, 64, |x, _| Luma([if (16..48).contains(&x) { 0.0 } else { 1.0 }]));
        let filled = push_pull(&values, &weight);
        let row: Vec<f32> = (0..64).map(|x| filled.get_pixel(x, 32)[0]).collect();
        assert!(row.windows(2).all(|p| p[1] >= p[0] - 0.03 && p[1] - p[0] < 0.25), "{row:?}");
    }

    #[test]
    fn unknown_values_that_are_not_numbers_do_no_harm() {
        let values = Plane::from_fn(20, 20, |x, _| Luma([if x < 10 { 0.5 } else { f32::NAN }]));
        let weight = Plane::from_fn(20, 20, |x, _| Luma([(x < 10) as u8 as f32]));
        assert!(push_pull(&values, &weight).iter().all(|v| (v - 0.5).abs() < 1e-5));
    }

    #[test]
    fn nothing_known_gives_zero() {
        assert!(push_pull(&noise(9, 5, 1), &Plane::new(9, 5)).iter().all(|&v| v == 0.0));
    }
}
