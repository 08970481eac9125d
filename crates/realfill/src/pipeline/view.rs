//! The scene at the sizes the stages work at.

use super::guides::Guides;
use super::influence::has_a_say;
use super::{FillConfig, FillError, Window};
use crate::model::{Model, View};
use crate::tuning::{Role, ScenePhotos, Turn, Witness};
use image::{Rgb, Rgb32FImage};
use realfill_vision::composite::common;
use realfill_vision::guide::{CloseUp, Draw, GuideOptions};
use realfill_vision::resize::{Filter, resize, resize_known, shrunk, shrunk_known};
use realfill_vision::{Guide, Mask, Photo, Scene};
use std::cmp::Reverse;
use std::sync::Arc;

/// Longest side the guide is worked out at, in pixels.
pub(super) const GUIDE_PX: u32 = 1024;
/// References that pretend to be the target, at most: each costs a guide of its own.
pub(super) const PRETENDERS: usize = 2;
/// Photos that such a guide is made from, at most: its time grows with their pairs.
const OTHERS: usize = 2;
/// Photos that the witness' guide is made from, at most: from three on cameras are as exact as from more, and its time grows with pairs too.
const WITNESSES: usize = 3;
/// What the witness' hole is larger by, as a share of the view's longer side.
const GROWN_BY: f32 = 0.1;

/// The scene's pictures, no larger than the guide needs them, and the size the model works at.
#[derive(Clone, Debug)]
pub struct Working {
    /// The parts of the target that are worked on, which hold all of its holes; at least one.
    pub parts: Vec<Part>,
    /// The references.
    pub references: Vec<Rgb32FImage>,
    /// All of the target and its holes, where that is no part: what the references are matched with.
    whole: Option<AtWork>,
    /// Longest side at which references are learnt.
    learnt_px: u32,
    stride: u32,
}

impl Working {
    /// The scene at working size.
    pub fn of(scene: &Scene, model: &dyn Model, config: &FillConfig) -> Self {
        let view_px = if config.view_px == 0 { model.view_px() } else { config.view_px };
        let windows = Window::all_of(scene).into_iter();
        let mut parts: Vec<Part> = windows.map(|window| Part::of(scene, window, view_px, model.stride())).collect();
        let holes = |part: &Part| {
            let window = part.window.rect();
            let kept = scene.frame.map_or(Some(window), |frame| common(window, frame));
            kept.map_or(0, |kept| scene.mask.cut_to(kept).holes().iter().filter(|hole| **hole).count())
        };
        parts.sort_by_cached_key(|part| Reverse(holes(part))); // the first decides which candidates go on
        let whole = (!parts[0].window.is_whole()).then(|| at_work(&scene.target, &scene.mask));
        let references = scene.references.iter().map(|reference| {
            let (w, h) = within((reference.width(), reference.height()), GUIDE_PX);
            shrunk(&reference.pixels, w, h)
        });
        Self {
            references: references.collect(),
            whole,
            learnt_px: learnt_px(view_px, &parts, model),
            parts,
            stride: model.stride(),
        }
    }

    /// Where the references land in each part of the target, at its working size, once for each of `draws`; `photos` are the references at
    /// their own size. `on_stage` hears what is being done.
    pub fn guides(&self, photos: &[Photo], draws: &[Draw], on_stage: &mut dyn FnMut(&str, f32)) -> Vec<Vec<Guide>> {
        let (options, references) = (&GuideOptions::default(), &self.references);
        let Some(whole) = &self.whole else {
            let Part { target, mask, .. } = &self.parts[0];
            return vec![Guide::build_drawn(target, mask, references, options, draws, on_stage)];
        };
        let close_ups: Vec<CloseUp> = self.parts.iter().map(|part| part.close_up(photos)).collect();
        Guide::build_close_ups(&whole.picture, &whole.mask, references, &close_ups, options, draws, on_stage)
    }

    /// What a person sees of a picture of each part: that of the only one, or all of them in the whole photo.
    pub(super) fn shown(&self, pictures: &[&Rgb32FImage]) -> Rgb32FImage {
        let Some(whole) = self.whole_of_several() else { return pictures[0].clone() };
        let mut all = whole.picture.clone();
        self.parts.iter().zip(pictures).for_each(|(part, picture)| part.window.lay(picture, &mut all));
        all
    }

    /// The target as it is learnt: the only part, or all of it where there are several.
    fn learnt_target(&self) -> Turn {
        let part = &self.parts[0];
        let (picture, mask, (width, height)) = match self.whole_of_several() {
            None => (&part.target, &part.mask, part.view_size),
            Some(AtWork { picture, mask, .. }) => (picture, mask, self.learnt_size(picture)),
        };
        let (picture, hole) = (resize_known(picture, mask, width, height), mask.resized_max(width, height));
        Turn { picture, hole, role: Role::Target, guide: None, unseen: None }
    }

    /// The hole that references pretend to have: the target's as it is learnt.
    fn pretended_hole(&self) -> &Mask {
        self.whole_of_several().map_or(&self.parts[0].mask, |whole| &whole.mask)
    }

    /// What the guide of a pretending reference is kept as; another name where its hole is another.
    fn pretended_name(&self, reference: usize) -> String {
        self.kept_as(&format!("reference-{}", reference + 1))
    }

    fn kept_as(&self, name: &str) -> String {
        let of = if self.whole_of_several().is_some() { "-of-all" } else { "" };
        format!("{name}{of}")
    }

    fn whole_of_several(&self) -> Option<&AtWork> {
        self.whole.as_ref().filter(|_| self.parts.len() > 1)
    }

    /// A reference at the scale it is learnt at.
    fn at_learnt_scale(&self, reference: &Rgb32FImage) -> Rgb32FImage {
        let (width, height) = self.learnt_size(reference);
        resize(reference, width, height, Filter::Bilinear)
    }

    fn learnt_size(&self, picture: &Rgb32FImage) -> (u32, u32) {
        view_size(picture.dimensions(), self.learnt_px, self.stride)
    }
}

/// A part of the target at working size.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where it lies in the photo.
    pub window: Window,
    /// The part, colours 0 to 1.
    pub target: Rgb32FImage,
    /// Its hole, grown past a rim that is mixed with what was painted into it.
    pub mask: Mask,
    /// The hole without what a frame cuts away in the end: what is told of and ranked by.
    pub kept: Mask,
    /// Whether there is such a rim.
    pub has_mixed_rim: bool,
    /// Width and height of the model's view.
    pub view_size: (u32, u32),
}

impl Part {
    fn of(scene: &Scene, window: Window, view_px: u32, stride: u32) -> Self {
        let part = at_work(&window.part_of(&scene.target), &scene.mask.cut_to(window.rect()));
        Self {
            window,
            view_size: view_size(part.picture.dimensions(), view_px, stride),
            has_mixed_rim: part.has_mixed_rim,
            kept: window.kept(&part.mask, scene.frame),
            mask: part.mask,
            target: part.picture,
        }
    }

    fn close_up<'a>(&'a self, photos: &'a [Photo]) -> CloseUp<'a> {
        let (part, working_side) = (self.window.share(), self.window.compared_at());
        CloseUp { target: &self.target, mask: &self.mask, part, photos, working_side }
    }

    /// Pixels of the photo that what is kept of its hole takes.
    fn hole_area(&self) -> f64 {
        let rect = self.window.rect();
        self.kept.hole_share() * f64::from(rect.width) * f64::from(rect.height)
    }

    /// What the model sees; `guide` is of that size already.
    pub fn view(&self, guide: Arc<Guide>) -> View {
        let (width, height) = self.view_size;
        View {
            picture: resize_known(&self.target, &self.mask, width, height),
            mask: self.mask.resized_max(width, height),
            guide,
        }
    }
}

/// The share of all holes, as far as they are kept, that lies in each part.
pub(super) fn hole_shares(parts: &[Part]) -> Vec<f64> {
    let all: f64 = parts.iter().map(Part::hole_area).sum();
    parts.iter().map(|part| part.hole_area() / all.max(f64::MIN_POSITIVE)).collect()
}

/// A photo with a hole at the size the guide is worked out at.
#[derive(Clone, Debug)]
struct AtWork {
    picture: Rgb32FImage,
    /// Grown past a rim that is mixed with what was painted into the hole.
    mask: Mask,
    has_mixed_rim: bool,
}

fn at_work(photo: &Photo, hole: &Mask) -> AtWork {
    let (width, height) = within((photo.width(), photo.height()), GUIDE_PX);
    let picture = shrunk_known(&photo.pixels, hole, width, height);
    let marked = hole.resized_max(width, height);
    let mask = marked.past_mixed_rim(&picture);
    AtWork { has_mixed_rim: mask != marked, picture, mask }
}

/// Target and references at the model's scale, to tune on; with `guides`, each reference pretends to be the target:
/// a hole like the target's, and a guide from the other references by the same code. With `holds_out`, one is held out where enough are
/// left; with `measures`, the target is a witness where references have a say. `on_progress` hears the share done and returns whether to go
/// on; `None` when not.
///
/// # Errors
/// When a guide cannot be kept.
pub(super) fn scene_photos(
    working: &Working,
    guides: Option<&Guides>,
    holds_out: bool,
    measures: bool,
    on_progress: &mut dyn FnMut(f32) -> bool,
) -> Result<Option<ScenePhotos>, FillError> {
    let target = working.learnt_target();
    let pictures: Vec<Rgb32FImage> =
        working.references.iter().map(|reference| working.at_learnt_scale(reference)).collect();
    let order = nearest_in_tone(&target, &pictures);
    let pretenders = if guides.is_some() { &order[..order.len().min(PRETENDERS)] } else { &[] };
    let held_out = if holds_out { held_out(&order, &pictures) } else { None };
    let shown: Vec<usize> = order.iter().copied().filter(|&i| Some(i) != held_out).collect();
    let mut turns = vec![target];
    let (mut done, all) = (0, pretenders.len() + usize::from(measures));
    for (i, picture) in pictures.iter().enumerate() {
        let hole = working.pretended_hole().resized_max(picture.width(), picture.height());
        let guide = match guides {
            Some(guides) if pictures.len() > 1 && pretenders.contains(&i) => {
                if !on_progress(done as f32 / all as f32) {
                    return Ok(None);
                }
                done += 1;
                let order = if held_out == Some(i) { &order } else { &shown };
                let kept_as = working.pretended_name(i);
                Some(pretended(&pictures, i, order, &hole, guides, &kept_as)?)
            }
            _ => None,
        };
        let role = if held_out == Some(i) { Role::HeldOut } else { Role::Reference };
        turns.push(Turn { picture: picture.clone(), hole, role, guide, unseen: None });
    }
    let witness = match guides.filter(|_| measures && turns.iter().any(has_a_say)) {
        Some(_) if !on_progress(done as f32 / all as f32) => return Ok(None),
        Some(guides) => witness(working, &turns[0], order.iter().map(|&i| &pictures[i]), guides)?,
        None => None,
    };
    Ok(Some(ScenePhotos { turns, witness }))
}

/// The target with a larger hole; none where less is left of it than its hole has grown by.
#[tracing::instrument(level = "info", skip_all)]
fn witness<'a>(
    working: &Working,
    target: &Turn,
    nearest_in_tone: impl Iterator<Item = &'a Rgb32FImage>,
    guides: &Guides,
) -> Result<Option<Witness>, FillError> {
    let Some((hole, known)) = grown(&target.hole) else { return Ok(None) };
    let build = || {
        let pictures: Vec<Rgb32FImage> = nearest_in_tone.take(WITNESSES).cloned().collect();
        Guide::build(&target.picture, &hole, &pictures, &GuideOptions::default(), &mut |_, _| ())
    };
    let guide = guides.get_or(&working.kept_as("target-with-more"), target.picture.dimensions(), build)?;
    let turn = Turn { hole, guide: Some(guide), ..target.clone() };
    Ok(Some(Witness { turn, known }))
}

/// A larger hole, and what it has grown by; none where less is left around it.
fn grown(hole: &Mask) -> Option<(Mask, Mask)> {
    let (width, height) = (hole.width(), hole.height());
    let larger = hole.dilate(GROWN_BY * width.max(height) as f32);
    let known = Mask::from_fn(width, height, |x, y| larger.is_hole(x, y) && !hole.is_hole(x, y));
    (1.0 - larger.hole_share() >= known.hole_share()).then_some((larger, known))
}

/// The reference that tells when to stop: the last pretender in `order` that was not given twice, since its double would tell it. None where
/// fewer than two others would be left to learn from in full.
fn held_out(order: &[usize], pictures: &[Rgb32FImage]) -> Option<usize> {
    let is_unique = |&i: &usize| pictures.iter().filter(|other| **other == pictures[i]).count() == 1;
    let pretenders = if order.len() > 2 { &order[..PRETENDERS] } else { &[] };
    pretenders.iter().copied().rev().find(is_unique)
}

/// The references without doubles, that with the mean colour nearest to the target's known part first.
fn nearest_in_tone(target: &Turn, pictures: &[Rgb32FImage]) -> Vec<usize> {
    let known = target.picture.pixels().zip(target.hole.holes()).filter(|(_, hole)| !**hole).map(|(pixel, _)| pixel);
    let wanted = mean_colour(known);
    let apart = |picture: &Rgb32FImage| {
        mean_colour(picture.pixels()).iter().zip(wanted).map(|(a, b)| (a - b).powi(2)).sum::<f64>()
    };
    let mut order: Vec<(f64, usize)> = pictures.iter().map(apart).zip(0..).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    order.dedup_by(|a, b| pictures[a.1] == pictures[b.1]); // a photo given twice takes one turn
    order.into_iter().map(|(_, i)| i).collect()
}

fn mean_colour<'a>(pixels: impl Iterator<Item = &'a Rgb<f32>>) -> [f64; 3] {
    let mut sums = [0.0; 4];
    for pixel in pixels {
        (0..3).for_each(|c| sums[c] += f64::from(pixel[c]));
        sums[3] += 1.0;
    }
    std::array::from_fn(|c| sums[c] / f64::max(sums[3], 1.0))
}

/// The guide of reference `i` from the first others in `order`, which holds no copy of it (that would tell), for a hole like the target's.
#[tracing::instrument(level = "info", skip_all)]
fn pretended(
    pictures: &[Rgb32FImage],
    i: usize,
    order: &[usize],
    hole: &Mask,
    guides: &Guides,
    kept_as: &str,
) -> Result<Guide, FillError> {
    let build = || {
        let others: Vec<Rgb32FImage> = others_of(i, order).map(|other| pictures[other].clone()).collect();
        Guide::build(&pictures[i], hole, &others, &GuideOptions::default(), &mut |_, _| ())
    };
    guides.get_or(kept_as, pictures[i].dimensions(), build)
}

/// The first [`OTHERS`] in `order` but `i`.
fn others_of(i: usize, order: &[usize]) -> impl Iterator<Item = usize> {
    order.iter().copied().filter(move |&other| other != i).take(OTHERS)
}

pub(super) fn within((width, height): (u32, u32), longest: u32) -> (u32, u32) {
    let scale = (f64::from(longest) / f64::from(width.max(height))).min(1.0);
    let side = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    (side(width), side(height))
}

/// Longest side at which references are learnt: that of the view. A model that decides for itself what a small window shows learns them as
/// closely as it sees the window, the largest of several, as far as a guide can be worked out; one that has to prove itself only moves the
/// tone.
fn learnt_px(view_px: u32, parts: &[Part], model: &dyn Model) -> u32 {
    let closeness = parts.iter().map(|part| part.window.closeness()).fold(f32::INFINITY, f32::min);
    match model.influence() {
        Some(_) => ((view_px as f32 * closeness) as u32).min(GUIDE_PX.max(view_px)),
        None => view_px,
    }
}

/// The size within `longest` whose sides are multiples of `stride`.
fn view_size(size: (u32, u32), longest: u32, stride: u32) -> (u32, u32) {
    let (width, height) = within(size, longest);
    let side = |length: u32| ((length + stride / 2) / stride * stride).max(stride);
    (side(width), side(height))
}

#[cfg(test)]
impl Part {
    /// One of which nothing but the hole is looked at.
    pub(super) fn of_hole(window: Window, mask: Mask) -> Self {
        let size = (mask.width(), mask.height());
        let target = Rgb32FImage::new(size.0, size.1);
        Self { window, target, kept: mask.clone(), mask, has_mixed_rim: false, view_size: size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_references_nearest_in_tone_come_first_whatever_their_order() {
        let grey = |value: f32| Rgb32FImage::from_pixel(8, 8, Rgb([value; 3]));
        let hole = Mask::from_fn(8, 8, |x, _| x < 4);
        let picture = Rgb32FImage::from_fn(8, 8, |x, _| Rgb([if x < 4 { 1.0 } else { 0.3 }; 3]));
        let target = Turn { picture, hole, role: Role::Target, guide: None, unseen: None };
        let pictures = [1.0, 0.4, 0.9, 0.2, 0.3].map(grey);
        assert_eq!(nearest_in_tone(&target, &pictures), [4, 1, 3, 2, 0]);
        let turned: Vec<Rgb32FImage> = pictures.iter().rev().cloned().collect();
        assert_eq!(nearest_in_tone(&target, &turned), [0, 3, 1, 2, 4]);
        let doubled = [0.4, 0.3, 0.3, 0.9, 1.0].map(grey);
        assert_eq!(nearest_in_tone(&target, &doubled), [1, 0, 3, 4], "a double takes no turn");
    }

    #[test]
    fn a_pretended_target_is_guided_by_the_two_others_nearest_in_tone() {
        let of = |i| others_of(i, &[4, 1, 3, 2]).collect::<Vec<_>>();
        assert_eq!([of(4), of(1), of(2)], [[1, 3], [4, 3], [4, 1]]);
        assert_eq!(others_of(1, &[1, 0]).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn the_second_nearest_is_held_out_unless_it_has_a_double_or_too_few_are_left() {
        let pictures = [0.1, 0.2, 0.3, 0.4, 0.3].map(|value| Rgb32FImage::from_pixel(8, 8, Rgb([value; 3])));
        assert_eq!(held_out(&[3, 1, 0], &pictures), Some(1));
        assert_eq!(held_out(&[3, 2, 0], &pictures), Some(3));
        assert_eq!(held_out(&[3, 1], &pictures), None);
    }

    #[test]
    fn a_witness_has_a_larger_hole_unless_too_little_is_left() {
        let side = |hole: u32| Mask::from_fn(100, 40, move |x, _| x < hole);
        let (larger, known) = grown(&side(60)).unwrap();
        assert_eq!(larger, side(70));
        assert_eq!(known, Mask::from_fn(100, 40, |x, _| (60..70).contains(&x)));
        assert_eq!(grown(&side(85)), None);
    }

    #[test]
    fn views_fit_the_stride_and_the_longest_side() {
        assert_eq!(view_size((768, 576), 512, 32), (512, 384));
        assert_eq!(view_size((2832, 2128), 512, 32), (512, 384));
        assert_eq!(view_size((10, 300), 512, 32), (32, 288));
    }
}
