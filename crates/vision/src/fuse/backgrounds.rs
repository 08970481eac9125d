//! Another background: what a photo of another setting shows around the things that it has in common with the target.

use super::prepare::{Canvas, Prepared};
use crate::Plane;
use crate::blend::{neighbours, rgb};
use crate::light::{STRIDE, foreign};
use crate::patches::patches;
use crate::propose::ProposalKind;
use crate::pyramid::{gaussian_blur, resize_bilinear};
use image::{Luma, Rgb32FImage};
use rayon::prelude::*;
use std::collections::BTreeSet;

/// Share of the votes for another background from which a place belongs to it. Of the things in common none has more than 0.7, with
/// several pixels of parallax.
const FOREIGN: f32 = 0.85;
/// Votes are averaged over this share of the longer side, among colours this near (of 1): a background ends where things begin.
const REACH: f32 = 0.04;
const ALIKE: f32 = 0.06;
/// Patches smaller than this share of the picture go with what surrounds them, and outlines are smoothed by this share of the longer side.
const SMALL: f32 = 0.003;
const OUTLINE: f32 = 0.005;

/// Share of what a photo shows of the known part that has to be another background; else the place is the same, seen with parallax. Seven
/// photos of the same place have up to 0.35, nine of eleven of things in other settings 0.41 to 1.
const MOSTLY: f32 = 0.4;

/// Takes from the proposals of photos of another setting what is another background, as the known part beside it says; there the target's
/// own goes on. Where cameras are found the place is one, and nothing is taken.
///
/// Gives all places, known ones too, at which no proposal shows anything but background. `None` where nothing was taken.
pub fn drop_backgrounds(prepared: &mut [Prepared], canvas: &Canvas) -> Option<Vec<bool>> {
    if prepared.iter().any(|p| p.kind == ProposalKind::MultiView) {
        return None;
    }
    let mut found: Vec<Vec<bool>> = prepared.par_iter().map(|p| background(p, canvas)).collect();
    for reference in prepared.iter().map(|p| p.reference).collect::<BTreeSet<_>>() {
        let own: Vec<usize> = (0..prepared.len()).filter(|&k| prepared[k].reference == reference).collect();
        if !is_mostly_background(&own, prepared, &found, canvas) {
            own.iter().for_each(|&k| found[k].fill(false));
        }
    }
    let hole = canvas.mask.holes();
    let is_behind = |i: usize| (0..found.len()).all(|k| !shows(&prepared[k], i) || found[k][i]);
    let behind: Vec<bool> = (0..hole.len()).map(is_behind).collect();
    if (0..hole.len()).filter(|&i| !hole[i] && behind[i]).count() < hole.iter().filter(|hole| **hole).count() {
        return None; // too little to continue from
    }
    let mut any = false;
    for (p, background) in prepared.iter_mut().zip(found) {
        let taken = (0..hole.len()).filter(|&i| hole[i] && background[i]);
        for i in taken {
            any |= shows(p, i);
            p.confidence.as_mut()[i] = 0.0;
        }
    }
    any.then_some(behind)
}

fn shows(proposal: &Prepared, i: usize) -> bool {
    proposal.confidence.as_raw()[i] > 0.1
}

/// Whether a photo is of another setting: most of what its proposals (`own`) show of the known part is background in all that show it.
fn is_mostly_background(own: &[usize], prepared: &[Prepared], found: &[Vec<bool>], canvas: &Canvas) -> bool {
    let hole = canvas.mask.holes();
    let is_shown = |i: &usize| !hole[*i] && own.iter().any(|&k| shows(&prepared[k], *i));
    let is_background = |i: &usize| own.iter().all(|&k| !shows(&prepared[k], *i) || found[k][*i]);
    let shown: Vec<usize> = (0..hole.len()).filter(is_shown).collect();
    shown.iter().filter(|i| is_background(i)).count() as f32 >= MOSTLY * shown.len() as f32
}

/// Per pixel whether the proposal shows another background there.
fn background(proposal: &Prepared, canvas: &Canvas) -> Vec<bool> {
    let (w, h) = proposal.colour.dimensions();
    let toned = proposal.light.toned(&proposal.colour);
    let Some(votes) = foreign(&toned, &proposal.confidence, &canvas.target, &canvas.mask, &canvas.distance) else {
        return vec![false; (w * h) as usize];
    };
    let sigma = REACH * w.max(h) as f32 / STRIDE as f32;
    let cells = Cells::new(&toned, &proposal.confidence, votes).averaged(sigma).averaged(sigma);
    let is_background =
        (0..w * h).into_par_iter().map(|i| cells.at_pixel(i % w, i / w, rgb(&toned, i as usize)) > FOREIGN);
    let mut found: Vec<bool> = is_background.collect();
    drop_noise(&mut found, canvas);
    smooth_outline(&mut found, (w, h));
    found
}

/// Small patches in the hole, and such as the known part around them does not confirm, change sides.
fn drop_noise(background: &mut [bool], canvas: &Canvas) {
    let (hole, size) = (canvas.mask.holes(), (canvas.mask.width() as usize, canvas.mask.height() as usize));
    for kind in [true, false] {
        let is_confirmed = |patch: &[usize]| {
            let beside = patch.iter().flat_map(|&i| neighbours(i, size.0, size.1)).flatten().filter(|&j| !hole[j]);
            let (known, same) = beside.fold((0, 0), |(known, same), j| (known + 1, same + usize::from(background[j])));
            2 * same > known
        };
        let is_noise = |patch: &Vec<usize>| {
            let is_small = (patch.len() as f32) < SMALL * hole.len() as f32;
            background[patch[0]] == kind && (is_small || kind && !is_confirmed(patch))
        };
        let found = patches(size, |i| hole[i], |i, j| background[i] == background[j]);
        let noise: Vec<usize> = found.into_iter().filter(is_noise).flatten().collect();
        noise.into_iter().for_each(|i| background[i] = !kind);
    }
}

/// Lines that are thinner than the smoothing go with what is beside them.
fn smooth_outline(background: &mut [bool], (w, h): (u32, u32)) {
    let share = Plane::from_fn(w, h, |x, y| Luma([f32::from(u8::from(background[(y * w + x) as usize]))]));
    let share = gaussian_blur(&share, OUTLINE * w.max(h) as f32);
    background.iter_mut().zip(share.iter()).for_each(|(background, share)| *background = *share > 0.5);
}

/// Values of coarse cells, averaged over what is near and alike (a joint bilateral filter, Petschnigg et al. 2004; Kopf et al. 2007).
struct Cells {
    width: usize,
    height: usize,
    colours: Vec<[f32; 3]>,
    /// Whether something is shown there.
    shown: Vec<bool>,
    values: Vec<f32>,
}

impl Cells {
    fn new(picture: &Rgb32FImage, confidence: &Plane, values: Plane) -> Self {
        let (w, h) = values.dimensions();
        Self {
            width: w as usize,
            height: h as usize,
            colours: resize_bilinear(picture, w, h).pixels().map(|p| p.0).collect(),
            shown: resize_bilinear(confidence, w, h).iter().map(|c| *c > 0.1).collect(),
            values: values.into_raw(),
        }
    }

    fn averaged(self, sigma: f32) -> Self {
        let at = |i: usize| self.mean([(i % self.width) as f32, (i / self.width) as f32], self.colours[i], sigma);
        let values = (0..self.values.len()).into_par_iter().map(at).collect();
        Self { values, ..self }
    }

    fn at_pixel(&self, x: u32, y: u32, colour: [f32; 3]) -> f32 {
        let along = |v: u32| (v as f32 + 0.5) / STRIDE as f32 - 0.5;
        self.mean([along(x), along(y)], colour, 1.0)
    }

    fn mean(&self, [x, y]: [f32; 2], colour: [f32; 3], sigma: f32) -> f32 {
        let around = |v: f32, n: usize| (v - 2.0 * sigma).max(0.0) as usize..((v + 2.0 * sigma) as usize + 1).min(n);
        let (mut sum, mut total) = (0.0, 1e-9);
        for v in around(y, self.height) {
            for u in around(x, self.width) {
                let i = v * self.width + u;
                if self.shown[i] {
                    let apart: f32 = colour.iter().zip(self.colours[i]).map(|(a, b)| (a - b).powi(2)).sum();
                    let far = (u as f32 - x).powi(2) + (v as f32 - y).powi(2);
                    let weight = (-0.5 * (far / sigma.powi(2) + apart / ALIKE.powi(2))).exp();
                    sum += weight * self.values[i];
                    total += weight;
                }
            }
        }
        sum / total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mask;
    use crate::pyramid::test_pictures::texture;
    use image::Rgb;

    const SIZE: u32 = 160;

    /// A textured box at the left, before a flat background.
    fn scene(background: [f32; 3]) -> Rgb32FImage {
        let grain = texture(SIZE, SIZE, 9);
        Rgb32FImage::from_fn(SIZE, SIZE, |x, y| {
            let v = grain.get_pixel(x, y)[0];
            Rgb(if is_box(x, y) { [0.2 + 0.6 * v, 0.3 + 0.4 * v, 0.8 * v] } else { background })
        })
    }

    fn is_box(x: u32, y: u32) -> bool {
        x < 50 && (20..140).contains(&y)
    }

    /// The middle of the box's right end and what is beside it.
    fn canvas(target: Rgb32FImage) -> Canvas {
        Canvas::new(target, Mask::from_fn(SIZE, SIZE, |x, y| (30..75).contains(&x) && (45..115).contains(&y)))
    }

    /// What one map of a photo shows.
    fn plane(reference: usize, colour: Rgb32FImage) -> Prepared {
        Prepared { kind: ProposalKind::Plane, ..Prepared::of(reference, colour, 0.5, 0.5) }
    }

    #[test]
    fn a_lone_photo_loses_its_background_and_keeps_what_stands_before_it() {
        let canvas = canvas(scene([0.15, 0.2, 0.1]));
        let mut prepared = [plane(0, scene([0.4, 0.5, 0.8]))];
        let behind = drop_backgrounds(&mut prepared, &canvas).expect("another background");
        let shown = |x: u32, y: u32| prepared[0].confidence.get_pixel(x, y)[0] > 0.0;
        let inner = (30u32..75).flat_map(|x| (45..115).map(move |y| (x, y))).filter(|(x, _)| x.abs_diff(50) > 3);
        for (x, y) in inner {
            assert_eq!(shown(x, y), is_box(x, y), "at {x}, {y}");
        }
        assert!(shown(100, 80), "the known part stays to be compared");
        let place = |x: u32, y: u32| behind[(y * SIZE + x) as usize];
        assert!(place(100, 80) && place(70, 80) && !place(15, 80) && !place(40, 80));
    }

    #[test]
    fn the_same_background_in_another_light_is_kept() {
        let canvas = canvas(scene([0.5, 0.5, 0.5]));
        let mut prepared =
            [Prepared { kind: ProposalKind::Plane, ..Prepared::of(0, scene([0.53, 0.53, 0.52]), 0.2, 0.5) }];
        assert!(drop_backgrounds(&mut prepared, &canvas).is_none());
    }

    #[test]
    fn photos_of_several_other_settings_all_lose_their_backgrounds() {
        let canvas = canvas(scene([0.15, 0.2, 0.1]));
        let mut prepared = [plane(0, scene([0.4, 0.5, 0.8])), plane(1, scene([0.8, 0.75, 0.6]))];
        drop_backgrounds(&mut prepared, &canvas).expect("other backgrounds");
        for p in &prepared {
            assert_eq!(p.confidence.get_pixel(70, 80)[0], 0.0);
            assert_eq!(p.confidence.get_pixel(40, 80)[0], 1.0);
        }
    }

    #[test]
    fn nothing_is_taken_from_what_cameras_see() {
        let canvas = canvas(scene([0.15, 0.2, 0.1]));
        let mut prepared = [0, 1].map(|i| Prepared::of(i, scene([0.4, 0.5, 0.8]), 0.5, 0.5));
        assert!(drop_backgrounds(&mut prepared, &canvas).is_none());
        assert!(prepared.iter().all(|p| p.confidence.iter().all(|c| *c == 1.0)));
    }
}
