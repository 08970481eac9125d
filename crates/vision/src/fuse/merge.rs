//! Joins what several references show of the same thing: their noise differs, and so does what each misses of its place and light.
//!
//! As frames of a burst are merged where they agree (Hasinoff et al., Burst photography for high dynamic range and low-light imaging,
//! SIGGRAPH Asia 2016), but for the finest detail, which stays that of one photo: places that differ by half a pixel blur it.

use super::Prepared;
use crate::Plane;
use crate::light::contrast;
use crate::pyramid::{gaussian_blur, grey, resize_bilinear};
use image::{Luma, Rgb, Rgb32FImage};

/// Window over which pictures are compared, in pixels.
const WINDOW: f32 = 2.0;
/// Difference (root mean square, of 1) at which a smooth place counts half; a textured one may differ by as much as it varies, too.
const APART: f32 = 0.04;
/// Light that is doubted this much leaves a picture 1/e of its share.
const DOUBTED: f32 = 0.5;
/// Proposals less confident than this show nothing.
const SHOWN: f32 = 0.1;
/// Detail finer than this is the picture's own, in pixels.
const OWN_DETAIL: f32 = 1.0;

/// A proposal's picture joined by those of other references.
pub struct Joined {
    /// The joined picture.
    pub colour: Rgb32FImage,
    /// For each pixel the proposal of another reference that takes most part, and its share of the two, 0 to 1/2.
    pub beside: Vec<Option<(u8, f32)>>,
}

/// One reference's part in a pixel.
#[derive(Clone, Copy, Default)]
struct Part {
    weight: f32,
    difference: [f32; 3],
    proposal: u8,
}

/// `pictures[k]`, joined by those from other references as far as they show the same there. Of each reference the picture that agrees
/// most takes part. `pictures` are those of `prepared`, all of one size.
pub fn joined(pictures: &[Rgb32FImage], prepared: &[Prepared], k: usize) -> Joined {
    let own = &pictures[k];
    let (w, h) = own.dimensions();
    let texture = contrast(&grey(own), &Plane::from_pixel(w, h, Luma([1.0])), WINDOW);
    let mut references: Vec<usize> =
        prepared.iter().map(|p| p.reference).filter(|r| *r != prepared[k].reference).collect();
    references.sort_unstable();
    references.dedup();
    let mut change = vec![[0.0f32; 3]; own.pixels().len()];
    let mut total = vec![1.0f32; change.len()];
    let mut most = vec![Part::default(); change.len()];
    for parts in references.into_iter().map(|reference| parts(pictures, prepared, own, &texture, reference)) {
        for (i, part) in parts.into_iter().enumerate() {
            (0..3).for_each(|c| change[i][c] += part.weight * part.difference[c]);
            total[i] += part.weight;
            if part.weight > most[i].weight {
                most[i] = part;
            }
        }
    }
    let mean = |x: u32, y: u32| {
        let i = (y * w + x) as usize;
        Rgb(change[i].map(|v| v / total[i]))
    };
    let mut colour = gaussian_blur(&Rgb32FImage::from_fn(w, h, mean), OWN_DETAIL);
    colour.iter_mut().zip(own.iter()).for_each(|(v, own)| *v = (*v + own).clamp(0.0, 1.0));
    let share = |part: Part| (part.weight > 0.0).then_some((part.proposal, part.weight / (1.0 + part.weight)));
    Joined { colour, beside: most.into_iter().map(share).collect() }
}

/// What a reference adds to `own` at each pixel, from that of its proposals which agrees most.
fn parts(
    pictures: &[Rgb32FImage],
    prepared: &[Prepared],
    own: &Rgb32FImage,
    texture: &Plane,
    reference: usize,
) -> Vec<Part> {
    let mut best = vec![Part::default(); own.pixels().len()];
    for (proposal, other) in prepared.iter().enumerate().filter(|(_, p)| p.reference == reference) {
        let differences = differences(&pictures[proposal], own);
        let weights = weights(&differences, texture, other);
        for ((best, weight), difference) in best.iter_mut().zip(weights).zip(differences.pixels()) {
            if weight > best.weight {
                *best = Part { weight, difference: difference.0, proposal: proposal as u8 };
            }
        }
    }
    best
}

fn differences(other: &Rgb32FImage, own: &Rgb32FImage) -> Rgb32FImage {
    let values = other.iter().zip(own.iter()).map(|(a, b)| a - b).collect();
    Rgb32FImage::from_raw(own.width(), own.height(), values).expect("as many values")
}

/// What a picture counts at each pixel, 0 to 1: as much as it is believed, and less the more it differs from the other.
fn weights(differences: &Rgb32FImage, texture: &Plane, prepared: &Prepared) -> Vec<f32> {
    let (w, h) = texture.dimensions();
    let sized = |p: &Plane| if p.dimensions() == (w, h) { p.clone() } else { resize_bilinear(p, w, h) };
    let (confidence, doubt) = (sized(&prepared.confidence), sized(&prepared.light.doubt));
    let square = |p: &Rgb<f32>| p.0.iter().map(|v| v * v).sum::<f32>() / 3.0;
    let squares = differences.pixels().map(square).collect();
    let apart = gaussian_blur(&Plane::from_raw(w, h, squares).expect("one value a pixel"), WINDOW);
    let weight = |i: usize| {
        let (confidence, doubt) = (confidence.as_raw()[i].min(1.0), doubt.as_raw()[i]);
        let ratio = apart.as_raw()[i] / (APART.powi(2) + texture.as_raw()[i].powi(2));
        if confidence > SHOWN { confidence * (-(doubt / DOUBTED).powi(2)).exp() / (1.0 + ratio * ratio) } else { 0.0 }
    };
    (0..apart.len()).map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;

    const SIZE: (u32, u32) = (96, 64);

    fn scene(seed: u64) -> Rgb32FImage {
        let grey = gaussian_blur(&texture(SIZE.0, SIZE.1, seed), 1.5);
        Rgb32FImage::from_fn(SIZE.0, SIZE.1, |x, y| Rgb([grey.get_pixel(x, y)[0]; 3]))
    }

    /// A photo of it with errors of its own, of a few pixels' size.
    fn photo(of: &Rgb32FImage, seed: u64) -> Rgb32FImage {
        let errors = gaussian_blur(&texture(SIZE.0, SIZE.1, seed), 2.0);
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        Rgb32FImage::from_fn(SIZE.0, SIZE.1, |x, y| {
            Rgb(of.get_pixel(x, y).0.map(|v| v + 0.15 * (errors.get_pixel(x, y)[0] - mean)))
        })
    }

    fn error(a: &Rgb32FImage, b: &Rgb32FImage) -> f32 {
        (a.iter().zip(b.iter()).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32).sqrt()
    }

    fn of_references(references: &[usize], pictures: &[Rgb32FImage]) -> Vec<Prepared> {
        references.iter().zip(pictures).map(|(&r, picture)| Prepared::of(r, picture.clone(), 0.1, 0.1)).collect()
    }

    #[test]
    fn references_that_show_the_same_are_better_together() {
        let truth = scene(3);
        let pictures: Vec<_> = [11, 12, 13].map(|seed| photo(&truth, seed)).into();
        let merged = joined(&pictures, &of_references(&[0, 1, 2], &pictures), 0);
        let (alone, together) = (error(&pictures[0], &truth), error(&merged.colour, &truth));
        assert!(together < 0.7 * alone, "{together} together, {alone} alone");
        let beside = merged.beside.iter().flatten();
        assert!(beside.clone().count() > merged.beside.len() / 2 && beside.clone().all(|(k, s)| *k > 0 && *s <= 0.5));
        let kin = joined(&pictures, &of_references(&[0, 0, 0], &pictures), 0).colour;
        assert!(error(&kin, &pictures[0]) < 1e-6, "proposals from one photo confirm nothing");
    }

    #[test]
    fn what_shows_something_else_takes_no_part() {
        let pictures = vec![scene(3), scene(77)];
        let together = joined(&pictures, &of_references(&[0, 1], &pictures), 0).colour;
        let (moved, whole) = (error(&together, &pictures[0]), error(&pictures[1], &pictures[0]));
        assert!(moved < 0.15 * whole, "{moved} of {whole}");
    }

    #[test]
    fn the_finest_detail_stays() {
        let (own, soft) = (scene(3), gaussian_blur(&scene(3), 1.0));
        let pictures = vec![own.clone(), soft];
        let together = joined(&pictures, &of_references(&[0, 1], &pictures), 0).colour;
        let finest = |p: &Rgb32FImage| error(p, &gaussian_blur(p, 0.7));
        assert!(finest(&together) > 0.9 * finest(&own), "{} of {}", finest(&together), finest(&own));
    }
}
