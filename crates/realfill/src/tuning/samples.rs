//! What a step learns from: random crops of the scene's photos with a hole each.

use super::TuneConfig;
use crate::model::Model;
use crate::training::batch::Sample;
use crate::training::masks;
use crate::training::simulated_guide::SimulatedGuide;
use image::{Rgb, Rgb32FImage, imageops};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use realfill_vision::resize::{Filter, resize, resize_known};
use realfill_vision::{Guide, Mask};

/// Share of a reference's unguided samples whose hole is the target's, where the crop shows it: the layout there is what
/// has to be remembered.
const PRETENDED: f64 = 0.5;

/// Crops of the held-out photo that a look predicts: with four noise levels each, 2 % of a tuning's time that looks every 25 steps.
const VALIDATION_CROPS: usize = 4;

/// A photo of the scene at the model's size, to learn from.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The photo, colours 0 to 1.
    pub picture: Rgb32FImage,
    /// The target's hole; for a reference, one like it, to pretend with.
    pub hole: Mask,
    /// What it is learnt for.
    pub role: Role,
    /// Its guide from the other photos for that hole; none when there is no guide.
    pub guide: Option<Guide>,
    /// What of a reference is not learnt, since it lies outside the target's view.
    pub unseen: Option<Mask>,
}

/// What a photo is learnt for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The target: its hole is unknown.
    Target,
    /// A reference, which is learnt as a whole.
    Reference,
    /// A reference whose hole is never learnt from, so that the error there tells when to stop.
    HeldOut,
}

impl Turn {
    /// Whether its hole is never learnt from.
    fn hides_its_hole(&self) -> bool {
        self.role != Role::Reference
    }
}

/// The sizes a model learns at.
#[derive(Clone, Copy, Debug)]
pub struct Sides {
    /// Side of a crop, in pixels.
    pub crop: u32,
    /// Longest side of a whole view.
    pub whole: u32,
    /// Without a guide, every how many steps whole views are learnt.
    pub whole_every: usize,
    /// Sides are multiples of this.
    pub stride: u32,
    /// Steps that learn from a sample before another is drawn in its place.
    pub reuse: usize,
}

impl Sides {
    /// Those of a model.
    pub fn of(model: &dyn Model) -> Self {
        Self {
            crop: model.crop_px(),
            whole: model.whole_px(),
            whole_every: model.whole_every(),
            stride: model.stride(),
            reuse: model.sample_reuse(),
        }
    }
}

/// The photos of a scene as an endless source of samples.
#[derive(Clone, Debug)]
pub struct ScenePhotos {
    /// Target and references.
    pub turns: Vec<Turn>,
    /// The target once more, where its guide is asked for too.
    pub witness: Option<Witness>,
}

/// The target with a larger hole than it has, guided by references. What the hole has grown by is known, so it can tell how the target's
/// guide errs; nothing is learnt from it.
#[derive(Clone, Debug)]
pub struct Witness {
    /// The target with the larger hole.
    pub turn: Turn,
    /// What the hole has grown by.
    pub known: Mask,
}

impl ScenePhotos {
    /// Whether there is a guide to learn from.
    pub fn is_guided(&self) -> bool {
        self.turns.iter().any(|turn| turn.guide.is_some())
    }

    /// Leaves out of what is learnt of each reference what lies outside the target's view; `guide` is the target's.
    pub fn mask_unseen(&mut self, guide: &Guide) {
        let references = self.turns.iter_mut().filter(|turn| turn.role != Role::Target);
        for (turn, unseen) in references.zip(&guide.unseen) {
            let (width, height) = turn.picture.dimensions();
            if let Some(cells) = unseen {
                turn.unseen = Some(cells.resized_max(width, height));
            }
        }
    }

    /// The samples of one step, from the step's own seed: crops of at most `side` pixels, sides multiples of `stride`.
    /// All have one size.
    pub fn samples(&self, config: &TuneConfig, sides: Sides, step: usize) -> Vec<Sample> {
        if !self.is_guided() && step.is_multiple_of(sides.whole_every) {
            return self.whole_views(config, sides, step);
        }
        let side = self.crop_side(sides);
        let count = config.batch * config.gradient_accumulation;
        let seed = |i: usize| config.seed.rotate_left(40) ^ (drawn_at(step, i, sides.reuse) * count + i) as u64;
        (0..count).into_par_iter().map(|i| self.sample(config, side, &mut ChaCha8Rng::seed_from_u64(seed(i)))).collect()
    }

    /// What the held-out photo is judged by, the same at every look: crops around its hole with its guide, or, where it has none, all of it;
    /// its whole hole, whether the target's view shows that or not.
    /// Nothing where no photo is held out.
    pub fn validation(&self, config: &TuneConfig, sides: Sides) -> Vec<Sample> {
        let Some(turn) = self.turns.iter().find(|turn| turn.role == Role::HeldOut) else { return Vec::new() };
        if turn.guide.is_none() {
            let size = whole_size(self.turns[0].picture.dimensions(), sides.whole, sides.stride);
            return vec![resized_cut(turn, Part { at: (0, 0), from: turn.picture.dimensions(), to: size })];
        }
        let (side, mut rng) = (self.crop_side(sides), ChaCha8Rng::seed_from_u64(!config.seed));
        (0..VALIDATION_CROPS).map(|_| guided_cut(turn, place_near(&turn.hole, side, &mut rng), side)).collect()
    }

    /// The side of a crop that every photo has room for.
    fn crop_side(&self, Sides { crop, stride, .. }: Sides) -> u32 {
        let smallest = self.turns.iter().map(|t| t.picture.width().min(t.picture.height())).min().unwrap_or(crop);
        crop.min(smallest / stride * stride).max(stride)
    }

    /// Photos as a whole, at the size the view is drawn at first: what lies where is learnt on these.
    fn whole_views(&self, config: &TuneConfig, sides: Sides, step: usize) -> Vec<Sample> {
        let target = &self.turns[0].picture;
        let (width, height) = whole_size(target.dimensions(), sides.whole, sides.stride);
        let count = config.batch * config.gradient_accumulation;
        let seed = |i: usize| config.seed.rotate_left(40) ^ (drawn_at(step, i, sides.reuse) * count + i) as u64;
        let draw = |i: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed(i));
            whole_sample(&self.turns[rng.random_range(0..self.turns.len())], width, height, &mut rng)
        };
        (0..count).into_par_iter().map(draw).collect()
    }

    fn sample(&self, config: &TuneConfig, side: u32, rng: &mut ChaCha8Rng) -> Sample {
        let shows_guide = |turn: &&Turn| turn.guide.is_some() && turn.role != Role::HeldOut;
        let guided: Vec<&Turn> = self.turns.iter().filter(shows_guide).collect();
        if !guided.is_empty() && rng.random_bool(config.guided_share) {
            let turn = guided[rng.random_range(0..guided.len())];
            return guided_sample(turn, side, rng);
        }
        random_sample(&self.turns[rng.random_range(0..self.turns.len())], config, side, rng)
    }
}

/// The step at which the sample at place `i` of a step was drawn. Even and odd steps draw their own, since they may have another
/// size; each is used `reuse` times, and places change one after another.
fn drawn_at(step: usize, i: usize, reuse: usize) -> usize {
    let age = (step / 2 + i) % reuse.max(1);
    step - 2 * age.min(step / 2)
}

/// The photo pretends to be the target: its hole and its guide from the others.
fn guided_sample(turn: &Turn, side: u32, rng: &mut impl Rng) -> Sample {
    let at = place_near(&turn.hole, side, rng);
    let part = Part { at, from: (side, side), to: (side, side) };
    let sample = Sample { unseen: part.unseen(turn), ..guided_cut(turn, at, side) };
    if rng.random_bool(0.5) { mirrored(sample) } else { sample }
}

/// The paper's sample: a random crop at a random scale with a random mask and no guide.
fn random_sample(turn: &Turn, config: &TuneConfig, side: u32, rng: &mut impl Rng) -> Sample {
    let crop = scaled_crop(turn, side, rng);
    let pretended = (!turn.hides_its_hole() && crop.mask.hole_share() > 0.0).then_some(&crop.mask);
    let mask = if !turn.hides_its_hole() && rng.random_bool(config.mask_dropout) {
        Mask::new(side, side, vec![true; (side * side) as usize])
    } else if let (Some(pretended), true) = (pretended, rng.random_bool(PRETENDED)) {
        pretended.clone()
    } else if rng.random_bool(0.5) {
        masks::like_a_users(side, side, rng)
    } else {
        masks::rectangles(side, side, rng)
    };
    let sample = Sample { mask, ..crop };
    if rng.random_bool(0.5) { mirrored(sample) } else { sample }
}

/// The size of a whole view within `longest`, sides multiples of `stride`.
pub(crate) fn whole_size((width, height): (u32, u32), longest: u32, stride: u32) -> (u32, u32) {
    let view = width.max(height);
    let side = |length: u32| (((length * longest).div_ceil(view) + stride / 2) / stride * stride).max(stride);
    (side(width), side(height))
}

/// Nearly the whole photo; a reference's hole is mostly the target's.
fn whole_sample(turn: &Turn, width: u32, height: u32, rng: &mut impl Rng) -> Sample {
    const SHOWN: std::ops::Range<f32> = 0.8..1.0;
    let (full_width, full_height) = turn.picture.dimensions();
    let share = rng.random_range(SHOWN);
    let (w, h) = ((full_width as f32 * share) as u32, (full_height as f32 * share) as u32);
    let (left, top) = (rng.random_range(0..=full_width - w), rng.random_range(0..=full_height - h));
    let view = learnt_cut(turn, Part { at: (left, top), from: (w, h), to: (width, height) });
    match turn.hides_its_hole() || !view.mask.holes().contains(&true) || !rng.random_bool(0.75) {
        true => Sample { mask: masks::like_a_users(width, height, rng), ..view },
        false => view,
    }
}

/// A part of the photo, by its upper left corner and its size, at another size.
#[derive(Clone, Copy)]
struct Part {
    at: (u32, u32),
    from: (u32, u32),
    to: (u32, u32),
}

impl Part {
    fn picture(self, turn: &Turn) -> Rgb32FImage {
        imageops::crop_imm(&turn.picture, self.at.0, self.at.1, self.from.0, self.from.1).to_image()
    }

    fn hole(self, turn: &Turn) -> Mask {
        self.cut(&turn.hole)
    }

    /// What of it is not learnt, at the other size.
    fn unseen(self, turn: &Turn) -> Option<Mask> {
        turn.unseen.as_ref().map(|unseen| self.cut(unseen).resized_max(self.to.0, self.to.1))
    }

    fn cut(self, mask: &Mask) -> Mask {
        Mask::from_fn(self.from.0, self.from.1, |x, y| mask.is_hole(self.at.0 + x, self.at.1 + y))
    }
}

/// A part of the photo as it is, with the hole that it shows.
fn resized_cut(turn: &Turn, part: Part) -> Sample {
    let (width, height) = part.to;
    let hole = part.hole(turn).resized_max(width, height);
    Sample {
        truth: resize(&part.picture(turn), width, height, Filter::Bilinear),
        unknown: turn.hides_its_hole().then(|| hole.clone()),
        unseen: None,
        mask: hole,
        guide: SimulatedGuide::none(width, height),
    }
}

/// The same as it is learnt from: nothing that lies in a hidden hole reaches what is beside it, and a held-out photo's hole is as black as the
/// target's, or noised pictures would still show it; what the target's view does not show is left out.
fn learnt_cut(turn: &Turn, part: Part) -> Sample {
    let mut sample = Sample { unseen: part.unseen(turn), ..resized_cut(turn, part) };
    if turn.hides_its_hole() {
        sample.truth = resize_known(&part.picture(turn), &part.hole(turn), part.to.0, part.to.1);
    }
    if turn.role == Role::HeldOut {
        let pixels = sample.truth.pixels_mut().zip(sample.mask.holes());
        pixels.filter(|(_, hole)| **hole).for_each(|(pixel, _)| *pixel = Rgb([0.0; 3]));
    }
    sample
}

/// A square crop of at least `side` pixels and at most the whole picture, reduced to `side`, with the hole that it shows.
fn scaled_crop(turn: &Turn, side: u32, rng: &mut impl Rng) -> Sample {
    let (width, height) = turn.picture.dimensions();
    let source = rng.random_range(side..=width.min(height));
    let (left, top) = (rng.random_range(0..=width - source), rng.random_range(0..=height - source));
    learnt_cut(turn, Part { at: (left, top), from: (source, source), to: (side, side) })
}

/// A crop whose centre lies in the hole, as far as the picture allows.
fn place_near(hole: &Mask, side: u32, rng: &mut impl Rng) -> (u32, u32) {
    let (width, height) = (hole.width(), hole.height());
    let inside: Vec<usize> = (0..hole.holes().len()).filter(|&i| hole.holes()[i]).collect();
    let centre = match inside.len() {
        0 => rng.random_range(0..(width * height) as usize),
        n => inside[rng.random_range(0..n)],
    };
    let (x, y) = (centre as u32 % width, centre as u32 / width);
    ((x.saturating_sub(side / 2)).min(width - side), (y.saturating_sub(side / 2)).min(height - side))
}

/// A crop with the photo's hole and guide there.
fn guided_cut(turn: &Turn, (left, top): (u32, u32), side: u32) -> Sample {
    let guide = turn.guide.as_ref().expect("only guided turns are asked");
    let hole = Mask::from_fn(side, side, |x, y| turn.hole.is_hole(left + x, top + y));
    Sample {
        truth: imageops::crop_imm(&turn.picture, left, top, side, side).to_image(),
        unknown: turn.hides_its_hole().then(|| hole.clone()),
        unseen: None,
        mask: hole,
        guide: SimulatedGuide {
            colour: imageops::crop_imm(&guide.colour, left, top, side, side).to_image(),
            trust: imageops::crop_imm(&guide.trust, left, top, side, side).to_image(),
        },
    }
}

fn mirrored(sample: Sample) -> Sample {
    let flip = |mask: &Mask| Mask::from_fn(mask.width(), mask.height(), |x, y| mask.is_hole(mask.width() - 1 - x, y));
    Sample {
        truth: imageops::flip_horizontal(&sample.truth),
        mask: flip(&sample.mask),
        unknown: sample.unknown.as_ref().map(flip),
        unseen: sample.unseen.as_ref().map(flip),
        guide: SimulatedGuide {
            colour: imageops::flip_horizontal(&sample.guide.colour),
            trust: imageops::flip_horizontal(&sample.guide.trust),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_reused_sample_is_learnt_from_as_often_as_said_and_places_change_in_turn() {
        let mut uses = BTreeMap::new();
        for step in 0..400 {
            let drawn: Vec<usize> = (0..8).map(|i| drawn_at(step, i, 8)).collect();
            assert!(drawn.iter().all(|d| d % 2 == step % 2), "sizes differ between even and odd steps");
            assert!(step < 32 || drawn.iter().filter(|&&d| d == step).count() == 1);
            drawn.iter().enumerate().for_each(|(i, &d)| *uses.entry((d, i)).or_insert(0) += 1);
        }
        assert!(uses.iter().filter(|((d, _), _)| (32..350).contains(d)).all(|(_, &count)| count == 8));
        assert!((0..9).all(|step| drawn_at(step, 3, 1) == step));
    }

    const SIDES: Sides = Sides { crop: 64, whole: 64, whole_every: 1, stride: 32, reuse: 1 };

    /// A target, a reference and a held-out one of 128×96 px; with `is_guided` the last two pretend.
    fn photos(is_guided: bool) -> ScenePhotos {
        let turn = |role: Role| {
            let red = if role == Role::Target { 0.0 } else { 1.0 };
            let picture = Rgb32FImage::from_fn(128, 96, |x, y| Rgb([red, x as f32 / 128.0, y as f32 / 96.0]));
            let hole = Mask::from_fn(128, 96, |x, y| (40..90).contains(&x) && (30..60).contains(&y));
            let guide = (is_guided && role != Role::Target).then(|| Guide::empty(128, 96));
            Turn { picture, hole, role, guide, unseen: None }
        };
        ScenePhotos { turns: [Role::Target, Role::Reference, Role::HeldOut].map(turn).to_vec(), witness: None }
    }

    /// A target's guide that does not show the left half of either reference.
    fn guide() -> Guide {
        Guide { unseen: vec![Some(Mask::from_fn(8, 8, |x, _| x < 4)); 2], ..Guide::empty(128, 96) }
    }

    /// Samples that are learnt from, guided or not, whole views and crops.
    fn drawn(masks_unseen: bool) -> Vec<Sample> {
        let config = TuneConfig::default();
        let of = |(is_guided, whole_every): (bool, usize)| {
            let mut photos = photos(is_guided);
            if masks_unseen {
                photos.mask_unseen(&guide());
            }
            let sides = Sides { whole_every, ..SIDES };
            (1..5).flat_map(|step| photos.samples(&config, sides, step)).collect::<Vec<_>>()
        };
        [(true, 1), (false, 1), (false, 9)].into_iter().flat_map(of).collect()
    }

    #[test]
    fn what_the_target_does_not_see_is_left_out_of_the_references_and_nothing_else_changes() {
        let mut left_out = 0;
        for (plain, masked) in drawn(false).iter().zip(&drawn(true)) {
            assert_eq!((&plain.truth, &plain.mask, &plain.unknown), (&masked.truth, &masked.mask, &masked.unknown));
            assert!(plain.unseen.is_none());
            let is_targets = masked.truth.pixels().all(|pixel| pixel[0] == 0.0);
            assert_eq!(masked.unseen.is_none(), is_targets);
            let unseen = masked.unseen.iter().flat_map(Mask::holes);
            for (pixel, unseen) in masked.truth.pixels().zip(unseen) {
                // A held-out hole is black.
                let is_near_the_edge = (pixel[1] - 0.5).abs() < 0.04 || pixel[0] < 0.5;
                assert!(is_near_the_edge || *unseen == (pixel[1] < 0.5), "{pixel:?}");
                left_out += usize::from(*unseen);
            }
        }
        assert!(left_out > 0);
    }

    #[test]
    fn a_held_out_hole_is_judged_as_a_whole_and_a_photo_that_lands_nowhere_is_learnt_as_a_whole() {
        for is_guided in [false, true] {
            let mut photos = photos(is_guided);
            photos.mask_unseen(&guide());
            assert!(photos.validation(&TuneConfig::default(), SIDES).iter().all(|sample| sample.unseen.is_none()));
        }
        let mut photos = photos(false);
        photos.mask_unseen(&Guide::empty(128, 96));
        photos.mask_unseen(&Guide { unseen: vec![None, None], ..Guide::empty(128, 96) });
        assert!(photos.turns.iter().all(|turn| turn.unseen.is_none()));
    }
}
