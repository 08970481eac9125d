//! What most references show, whichever proposal is best: one that shows a thing alone is doubted, and where they agree on nothing the
//! target's own smooth surface may go on.

use super::prepare::Prepared;
use crate::Plane;
use crate::light::shared_structure;
use crate::pyramid::{gaussian_blur, grey};
use image::Luma;
use rayon::prelude::*;

/// A proposal shows something where its confidence is above this.
const SHOWN: f32 = 0.1;
/// Contrast beyond twice the usual one that goes unnoticed, and how much more counts fully.
const NOTICED: f32 = 0.02;
const FULLY: f32 = 0.05;
/// Cost of a smooth continuation at best, and weights of the target's own texture and of structure that two references share.
/// Found on the evaluation scenes, as are the two below.
const SMOOTH: f32 = 0.3;
const TEXTURE: f32 = 1.5;
const STRUCTURE: f32 = 2.0;
/// Where most references are doubted less than this, the target's surface is theirs, and they are better; over how much this fades in.
const DOUBTED: f32 = 0.55;
const FADE: f32 = 0.2;
/// Reach of shared structure, as a share of the longer side.
const REACH: f32 = 0.008;

/// How much more contrast proposal `a` has at pixel `i` than most other references show there, 0 to 1: twigs before a sky that is free in
/// the other photos. 0 with fewer than two others.
pub(super) fn alone(prepared: &[Prepared], contrasts: &[Plane], a: usize, i: usize) -> f32 {
    let mut others = of_each_reference(prepared, i, Some(prepared[a].reference), |b| contrasts[b].as_raw()[i]);
    if others.len() < 2 {
        return 0.0;
    }
    others.sort_by(f32::total_cmp);
    let usual = others[others.len() / 2];
    ((contrasts[a].as_raw()[i] - 2.0 * usual - NOTICED) / FULLY).clamp(0.0, 1.0)
}

/// What it costs at each pixel to carry the target's surface on, though two references or more show something there: little where the
/// target is smooth at places of that colour, most references are wrong at them (the sky of another day), and no two share structure.
/// `None` where fewer than two show anything.
pub(super) fn smooth_cost(prepared: &[Prepared], side: f32) -> Vec<Option<f32>> {
    let Some(structure) = structure(prepared, REACH * side) else { return Vec::new() };
    let lower_middle = |i: usize, of: &dyn Fn(&Prepared) -> f32| {
        let mut values = of_each_reference(prepared, i, None, |b| of(&prepared[b]));
        values.sort_by(f32::total_cmp);
        (values.len() > 1).then(|| values[(values.len() - 1) / 2])
    };
    let cost = |i: usize| {
        let texture = lower_middle(i, &|p| p.light.texture.as_raw()[i])?;
        let doubt = lower_middle(i, &|p| p.light.doubt.as_raw()[i])?;
        let trusted = ((DOUBTED - doubt) / FADE).clamp(0.0, 1.0);
        Some(SMOOTH + TEXTURE * texture + STRUCTURE * structure.as_raw()[i] + trusted)
    };
    (0..structure.len()).into_par_iter().map(cost).collect()
}

/// A value of each reference that shows something at pixel `i`, but of one: that of its first proposal that does.
fn of_each_reference(prepared: &[Prepared], i: usize, but: Option<usize>, of: impl Fn(usize) -> f32) -> Vec<f32> {
    let mut seen: Vec<usize> = but.into_iter().collect();
    let mut values = Vec::new();
    for (b, p) in prepared.iter().enumerate() {
        if p.confidence.as_raw()[i] > SHOWN && !seen.contains(&p.reference) {
            seen.push(p.reference);
            values.push(of(b));
        }
    }
    values
}

/// How surely any two references show the same structure near each pixel, 0 to 1. `None` with fewer than two.
fn structure(prepared: &[Prepared], reach: f32) -> Option<Plane> {
    let is_first = |(b, p): &(usize, &Prepared)| !prepared[..*b].iter().any(|q| q.reference == p.reference);
    let firsts: Vec<&Prepared> = prepared.iter().enumerate().filter(is_first).map(|(_, p)| p).collect();
    let greys: Vec<Plane> = firsts.iter().map(|p| grey(&p.colour)).collect();
    let pairs: Vec<_> = (0..firsts.len()).flat_map(|a| (a + 1..firsts.len()).map(move |b| (a, b))).collect();
    let shared = |&(a, b): &(usize, usize)| {
        let both = |x, y| [a, b].iter().all(|&k| firsts[k].confidence.get_pixel(x, y)[0] > SHOWN);
        let known = Plane::from_fn(greys[a].width(), greys[a].height(), |x, y| Luma([f32::from(u8::from(both(x, y)))]));
        shared_structure(&greys[a], &greys[b], &known)
    };
    let most = |mut all: Plane, one: Plane| {
        all.iter_mut().zip(one.iter()).for_each(|(all, one)| *all = all.max(*one));
        all
    };
    let mut near = gaussian_blur(&pairs.par_iter().map(shared).reduce_with(most)?, reach);
    near.iter_mut().for_each(|v| *v = (3.0 * *v).min(1.0));
    Some(near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;
    use image::{Rgb, Rgb32FImage};

    const MIDDLE: usize = 40 * 80 + 40;

    fn sky(grey: f32) -> Rgb32FImage {
        Rgb32FImage::from_pixel(80, 80, Rgb([grey; 3]))
    }

    fn twigs(seed: u64) -> Rgb32FImage {
        let grey = texture(80, 80, seed);
        Rgb32FImage::from_fn(80, 80, |x, y| Rgb([(1.5 * grey.get_pixel(x, y)[0] - 0.25).clamp(0.0, 1.0); 3]))
    }

    fn of_references(pictures: Vec<Rgb32FImage>, doubt: f32, texture: f32) -> Vec<Prepared> {
        pictures.into_iter().enumerate().map(|(i, p)| Prepared::of(i, p, doubt, texture)).collect()
    }

    /// Mean over the picture.
    fn alone_in(prepared: &[Prepared], a: usize) -> f32 {
        let everywhere = Plane::from_pixel(80, 80, Luma([1.0]));
        let contrast_of = |p: &Prepared| crate::light::contrast(&grey(&p.colour), &everywhere, 3.0);
        let contrasts: Vec<Plane> = prepared.iter().map(contrast_of).collect();
        (0..80 * 80).map(|i| alone(prepared, &contrasts, a, i)).sum::<f32>() / (80.0 * 80.0)
    }

    #[test]
    fn who_shows_twigs_before_a_sky_that_is_free_in_the_others_is_alone() {
        let three = of_references(vec![twigs(1), sky(0.5), sky(0.7)], 0.2, 0.0);
        assert!(alone_in(&three, 0) > 0.7, "{}", alone_in(&three, 0));
        assert_eq!((alone_in(&three, 1), alone_in(&three, 2)), (0.0, 0.0));
        let two_see_them = of_references(vec![twigs(1), twigs(1), sky(0.7)], 0.2, 0.0);
        assert!(alone_in(&two_see_them, 0) < 0.05, "{}", alone_in(&two_see_them, 0));
        assert_eq!(alone_in(&three[..2], 0), 0.0, "one against one says nothing");
        let mut same = three;
        same[2].reference = 1;
        assert_eq!(alone_in(&same, 0), 0.0, "a photo has one voice");
    }

    #[test]
    fn a_smooth_target_goes_on_only_where_references_are_wrong_and_agree_on_nothing() {
        let cost = |pictures: Vec<Rgb32FImage>, doubt: f32, texture: f32| {
            smooth_cost(&of_references(pictures, doubt, texture), 80.0).get(MIDDLE).copied().flatten()
        };
        let skies = || vec![twigs(1), twigs(2), sky(0.3)];
        assert!(cost(skies(), 0.8, 0.1).is_some_and(|cost| cost < 0.6), "{:?}", cost(skies(), 0.8, 0.1));
        assert!(cost(skies(), 0.3, 0.1).is_some_and(|cost| cost > 1.2), "references are right about such places");
        assert!(cost(skies(), 0.8, 1.0).is_some_and(|cost| cost > 1.7), "the target is rough there");
        assert!(cost(vec![twigs(1), twigs(1)], 0.8, 0.1).is_some_and(|cost| cost > 2.0), "a wall");
        assert_eq!(cost(vec![twigs(1)], 0.8, 0.1), None);
        assert_eq!(cost(vec![], 0.8, 0.1), None);
    }
}
