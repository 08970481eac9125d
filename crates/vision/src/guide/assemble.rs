//! From labels to the guide: the chosen proposals pasted at full size, their seams and the rim healed, doubt turned into trust.

use super::Guide;
use super::focus::focused;
use super::tears::Tears;
use crate::blend::{Field, add_seams, rgb, solve};
use crate::fuse::{Joined, Prepared, joined};
use crate::propose::Proposal;
use crate::pyramid::resize_bilinear;
use crate::{Mask, Plane};
use image::{Luma, Rgb32FImage};
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::OnceLock;

/// The prepared proposals at the target's size, each joined by the others when it is first asked for: several guides share them.
pub(super) struct Pictures {
    alone: Vec<Rgb32FImage>,
    joined: Vec<OnceLock<Joined>>,
}

impl Pictures {
    /// `photos` are the references in whose pixels the proposals' places are: what they show is rendered anew from them. None where the proposals
    /// are as fine as they can be.
    pub fn new(
        proposals: &[Proposal],
        prepared: &[Prepared],
        photos: &[Cow<Rgb32FImage>],
        target: &Rgb32FImage,
        mask: &Mask,
    ) -> Self {
        let is_rendered = |p: &Prepared| photos.is_empty() && p.colour.dimensions() == target.dimensions();
        let at_full_size = |p: &Prepared| match is_rendered(p) {
            true => p.colour.clone(),
            false => p.rendered(&proposals[p.index], photos.get(p.reference).map(Cow::as_ref)),
        };
        let picture = |p: &Prepared| focused(at_full_size(p), &p.confidence, target, mask);
        let alone = prepared.par_iter().map(picture).collect();
        Self { alone, joined: prepared.iter().map(|_| OnceLock::new()).collect() }
    }

    /// One of them. Several threads may ask for different ones at a time, not for the same one: joining works in parallel itself, and a thread
    /// that waits for its own work inside the lock could wait for ever.
    pub fn joined(&self, prepared: &[Prepared], k: usize) -> &Joined {
        self.joined[k].get_or_init(|| joined(&self.alone, prepared, k))
    }
}

/// What is pasted: for each pixel one of the prepared proposals, or the invented picture.
pub(super) struct Pasted<'a> {
    pub prepared: &'a [Prepared],
    pub pictures: &'a Pictures,
    /// At the target's size; the number of prepared proposals means invented.
    pub labels: &'a [u8],
    pub invented: &'a Rgb32FImage,
    /// Where the invented picture is what lies behind all others, which end there: nothing is healed across that edge.
    pub behind: Option<&'a [bool]>,
    /// Where one proposal's places are torn.
    pub tears: &'a Tears<'a>,
}

impl Pasted<'_> {
    /// The pictures that are used, at the target's size.
    fn pictures(&self, (w, h): (u32, u32)) -> Vec<Option<Cow<'_, Rgb32FImage>>> {
        let used = |k: usize| self.labels.contains(&(k as u8));
        let picture = |k: usize| used(k).then(|| Cow::Borrowed(&self.pictures.joined(self.prepared, k).colour));
        let mut pictures: Vec<_> = (0..self.prepared.len()).into_par_iter().map(picture).collect();
        pictures.push(Some(Cow::Owned(resize_bilinear(self.invented, w, h))));
        pictures
    }
}

/// Pastes the chosen proposals at full size, heals their seams and the rim, and turns doubt (at any size) into trust.
#[tracing::instrument(level = "info", skip_all)]
pub(super) fn assembled(target: &Rgb32FImage, mask: &Mask, pasted: &Pasted, doubt: &Plane) -> Guide {
    let (w, h) = target.dimensions();
    let pictures = pasted.pictures((w, h));
    let of = |k: u8, i: usize| -> [f32; 3] {
        let picture = pictures[k as usize].as_ref().expect("every used label has its picture").as_raw();
        std::array::from_fn(|c| picture[3 * i + c])
    };
    let mut fill = Rgb32FImage::new(w, h);
    for (i, p) in fill.pixels_mut().enumerate() {
        p.0 = of(pasted.labels[i], i);
    }
    let mut guide = Guide { colour: healed(target, mask, &fill, pasted, of), ..Guide::empty(w, h) };
    for (x, y, t) in guide.trust.enumerate_pixels_mut() {
        let k = pasted.labels[(y * w + x) as usize] as usize;
        if !mask.is_hole(x, y) {
            t[0] = 1.0;
        } else if k < pasted.prepared.len() {
            let along = |v: u32, to: u32, from: u32| ((2 * v as u64 + 1) * to as u64 / (2 * from as u64)) as u32;
            t[0] = trust_of(doubt.get_pixel(along(x, doubt.width(), w), along(y, doubt.height(), h))[0]);
            guide.source.put_pixel(x, y, Luma([pasted.prepared[k].reference as u8 + 1]));
        }
    }
    guide
}

fn healed(
    target: &Rgb32FImage,
    mask: &Mask,
    fill: &Rgb32FImage,
    pasted: &Pasted,
    of: impl Fn(u8, usize) -> [f32; 3],
) -> Rgb32FImage {
    let (w, h, labels) = (mask.width() as usize, mask.height() as usize, pasted.labels);
    let mut field = Field::new(w, h, mask.holes().to_vec(), crate::blend::DRAWN);
    crate::blend::add_rim(&mut field, target, mask, |i, j| of(labels[i], j));
    let is_end = |i: usize, j: usize| pasted.behind.is_some_and(|behind| behind[i] != behind[j]);
    add_seams(&mut field, labels, mask, |i, j| {
        if is_end(i, j) {
            return [0.0; 3];
        }
        // Both pictures' gradients, each half; what the pasted gradient has beyond that is the jump to take out.
        let (a, b) = (labels[i], labels[j]);
        let (ai, aj, bi, bj) = (of(a, i), of(a, j), of(b, i), of(b, j));
        std::array::from_fn(|c| 0.5 * ((ai[c] - aj[c]) + (bi[c] - bj[c])) - (ai[c] - bj[c]))
    });
    for (i, j) in pasted.tears.pairs(fill, mask, labels).into_iter().filter(|&(i, j)| !is_end(i, j)) {
        let (p, q) = (rgb(fill, i), rgb(fill, j));
        field.step(i, j, std::array::from_fn(|c| q[c] - p[c]));
    }
    let mut correction = solve(&field.within(|i| pasted.behind.is_none_or(|behind| !behind[i])));
    if let Some(behind) = pasted.behind {
        let apart = solve(&field.within(|i| behind[i]));
        (0..correction.len()).filter(|&i| behind[i]).for_each(|i| correction[i] = apart[i]);
    }
    crate::blend::corrected(target, mask, fill, &correction)
}

/// Trust from doubt: 0.8 at a doubt of 0.5, 0.3 at 0.95. Over the evaluation scenes the median error (of 255, mean over channels) is
/// 3.0 below the first and 15 above the second; docs/results.md has the table.
fn trust_of(doubt: f32) -> f32 {
    1.0 / (1.0 + (doubt / 0.745).powf(3.5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guide::origins::Sites;
    use image::Rgb;

    /// Whatever labels lie beside the hole.
    #[test]
    fn the_rim_is_healed_to_what_the_holes_own_picture_misses_beside_it() {
        let all = |grey: f32| Rgb32FImage::from_pixel(60, 60, Rgb([grey; 3]));
        let mask = Mask::from_fn(60, 60, |x, _| x >= 30);
        let prepared = [Prepared::of(0, all(0.56), 0.1, 0.0), Prepared::of(1, all(0.5), 0.1, 0.0)];
        let labels: Vec<u8> = mask.holes().iter().map(|hole| u8::from(!hole)).collect();
        let pictures = &Pictures::new(&[], &prepared, &[], &all(0.5), &mask);
        let (invented, tears) = (&all(0.0), &Tears { origins: &Sites::none(60, 60), contrasts: &[] });
        let pasted = Pasted { prepared: &prepared, pictures, labels: &labels, invented, behind: None, tears };
        let guide = assembled(&all(0.5), &mask, &pasted, &Plane::from_pixel(60, 60, Luma([0.1])));
        let step = guide.colour.get_pixel(30, 30)[0] - 0.5;
        assert!(step.abs() < 0.005, "a step of {step} at the rim");
    }

    #[test]
    fn what_lies_behind_takes_no_light_from_what_ends_before_it() {
        let all = |grey: f32| Rgb32FImage::from_pixel(60, 60, Rgb([grey; 3]));
        let mask = Mask::from_fn(60, 60, |x, y| (10..50).contains(&x) && (10..50).contains(&y));
        let target = Rgb32FImage::from_fn(60, 60, |x, _| Rgb([if x < 30 { 0.6 } else { 0.2 }; 3]));
        let prepared = [Prepared::of(0, all(0.55), 0.1, 0.0)];
        let labels: Vec<u8> = (0..3600).map(|i| u8::from(i % 60 >= 30)).collect();
        let behind: Vec<bool> = (0..3600).map(|i| i % 60 >= 30 && mask.holes()[i]).collect();
        let pictures = &Pictures::new(&[], &prepared, &[], &all(0.5), &mask);
        let (invented, tears) = (&all(0.2), &Tears { origins: &Sites::none(60, 60), contrasts: &[] });
        let pasted = Pasted { prepared: &prepared, pictures, labels: &labels, invented, behind: Some(&behind), tears };
        let guide = assembled(&target, &mask, &pasted, &Plane::from_pixel(60, 60, Luma([0.1])));
        let at = |x: u32| guide.colour.get_pixel(x, 30)[0];
        assert!((at(30) - 0.2).abs() < 1e-3, "behind: {}", at(30));
        assert!(at(29) > 0.56, "before, healed to the known part: {}", at(29));
    }

    /// A sky whose right half comes from farther right in the photo.
    #[test]
    fn a_tear_is_healed() {
        let all = |grey: f32| Rgb32FImage::from_pixel(60, 60, Rgb([grey; 3]));
        let mask = Mask::from_fn(60, 60, |x, y| (10..50).contains(&x) && (10..50).contains(&y));
        let sky = Rgb32FImage::from_fn(60, 60, |x, _| Rgb([if x < 30 { 0.46 } else { 0.54 }; 3]));
        let prepared = [Prepared::of(0, sky, 0.1, 0.0)];
        let pictures = &Pictures::new(&[], &prepared, &[], &all(0.5), &mask);
        let (whole, mut torn) = (Sites::none(60, 60), Sites::none(60, 60));
        let share = |x: u32, y: u32| [(x + if x < 30 { 0 } else { 20 }) as f32 / 80.0, y as f32 / 60.0];
        (0..60).for_each(|y| (0..60).for_each(|x| torn.put(x, y, (2, share(x, y)))));
        let step = |origins: &Sites| {
            let (invented, tears) = (&all(0.0), &Tears { origins, contrasts: &[Plane::new(80, 60)] });
            let pasted = Pasted { prepared: &prepared, pictures, labels: &[0; 3600], invented, behind: None, tears };
            let guide = assembled(&all(0.5), &mask, &pasted, &Plane::from_pixel(60, 60, Luma([0.1])));
            guide.colour.get_pixel(30, 30)[0] - guide.colour.get_pixel(29, 30)[0]
        };
        let (kept, healed) = (step(&whole), step(&torn));
        assert!(kept > 0.07 && healed.abs() < 0.005, "a step of {kept}, torn {healed}");
    }
}
