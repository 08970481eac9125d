//! What the references propose for each pixel of the target, and how far to trust it.

mod assemble;
mod behind;
mod close_up;
mod contest;
mod distinct;
mod focus;
mod origins;
mod surface;
mod tears;
mod unseen;
mod upright;

use crate::detail::Pixels;
use crate::exemplar::{Exemplars, Source, exemplar_fill};
use crate::fuse::{Canvas, Choice, Labels, Prepared, drop_backgrounds, drop_islands, drop_slivers};
use crate::geometry::{PairMatches, multi_view};
use crate::light::Saturation;
use crate::matching::{Matcher, SiftMatcher, View};
use crate::propose::{Proposal, is_mostly_streaks, single_reference_proposals};
use crate::pyramid::{push_pull, shrink_to};
use crate::resize::{Filter, resize, resize_plane};
use crate::{Mask, Plane};
use assemble::{Pasted, Pictures, assembled};
use behind::Behind;
use close_up::Source as PhotoSource;
use contest::{best_prepared, kept_hues, tones};
use distinct::Distinct;
use image::{GrayImage, Luma, Rgb, Rgb32FImage, imageops};
use origins::Sources;
use rayon::prelude::*;
use std::borrow::{Borrow, Cow};
use std::sync::Arc;
use surface::carried_on;
use tears::{Tears, contrasts};
use unseen::unseen;
use upright::Turns;

pub use crate::fuse::Draw;
pub use close_up::CloseUp;
pub use origins::{Origins, Site, Sites};

/// Proposed colours with trust, at the target's size. Known pixels carry the target's own colours at trust 1.
#[derive(Clone, Debug)]
pub struct Guide {
    /// Proposed colours, 0 to 1.
    pub colour: Rgb32FImage,
    /// How far to trust the proposal, 0 (invent) to 1 (measured).
    pub trust: Plane,
    /// 1 + index of the reference a pixel comes from; 0 where there is none.
    pub source: GrayImage,
    /// Where the detail of each pixel is found.
    pub origins: Origins,
    /// What was found, one entry a reference.
    pub references: Vec<ReferenceSummary>,
    /// What of each reference lies outside the target's view, as cells of a grid over the whole photo; `None` where that is nothing, or
    /// where it is not known where the reference lands.
    pub unseen: Vec<Option<Mask>>,
}

/// What one reference gave.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ReferenceSummary {
    /// Matches with the target's known part, before they are verified.
    pub matches: usize,
    /// Share of the hole filled from it, 0 to 1.
    pub share: f64,
    /// Whether no motion explains enough of them, or what it gives shows nothing of the known part: nothing is taken from it.
    pub shares_nothing: bool,
    /// Another reference (an index) that is the same photo and was taken instead; all figures are that one's.
    pub same_as: Option<usize>,
}

impl std::fmt::Display for ReferenceSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(other) = self.same_as {
            return write!(f, "is the same photo as reference {other}");
        }
        if self.shares_nothing {
            return write!(f, "shares nothing with the target");
        }
        write!(f, "{} matches, fills {:.0} % of the hole", self.matches, 100.0 * self.share)
    }
}

/// How the guide is made.
#[derive(Clone, Debug)]
pub struct GuideOptions {
    /// Proposals are compared at this longer side at most, in pixels; the colours come at full size. Default 768.
    pub working_side: u32,
    /// Proposals that compete at each pixel, at most 15. Default 9.
    pub most_proposals: usize,
    /// What finds the same points in two photos. Default [`SiftMatcher`].
    pub matcher: Arc<dyn Matcher>,
}

impl Default for GuideOptions {
    fn default() -> Self {
        Self { working_side: 768, most_proposals: 9, matcher: Arc::new(SiftMatcher::default()) }
    }
}

impl Guide {
    /// The guide that knows nothing.
    pub fn empty(width: u32, height: u32) -> Self {
        Self {
            colour: Rgb32FImage::new(width, height),
            trust: Plane::new(width, height),
            source: GrayImage::new(width, height),
            origins: Origins::none(width, height),
            references: Vec::new(),
            unseen: Vec::new(),
        }
    }

    /// The guide at another size, for a model to look at: it forgets where detail comes from, and what is unseen.
    pub fn resized(&self, width: u32, height: u32) -> Self {
        Self {
            colour: resize(&self.colour, width, height, Filter::Bilinear),
            trust: resize_plane(&self.trust, width, height, Filter::Bilinear),
            source: imageops::resize(&self.source, width, height, imageops::FilterType::Nearest),
            references: self.references.clone(),
            ..Self::empty(width, height)
        }
    }

    /// Finds where the references land in the target and fuses what they show. References may have any size.
    /// `on_progress` hears the stage and the share done, 0 to 1.
    pub fn build(
        target: &Rgb32FImage,
        mask: &Mask,
        references: &[Rgb32FImage],
        options: &GuideOptions,
        on_progress: &mut dyn FnMut(&str, f32),
    ) -> Self {
        Self::build_drawn(target, mask, references, options, &[Draw::Likeliest], on_progress).remove(0)
    }

    /// As [`Guide::build`], once for each of `draws`: guides that differ in what they show where the references leave a choice.
    pub fn build_drawn(
        target: &Rgb32FImage,
        mask: &Mask,
        references: &[Rgb32FImage],
        options: &GuideOptions,
        draws: &[Draw],
        on_progress: &mut dyn FnMut(&str, f32),
    ) -> Vec<Self> {
        let whole = Whole { target, mask, references, close_ups: &[] };
        distinct_built(&whole, options, draws, on_progress).swap_remove(0)
    }

    /// As [`Guide::build_drawn`] for each of some parts of the target alone, at the part's own scale: where the references land is worked
    /// out once, on the whole `target`.
    pub fn build_close_ups(
        target: &Rgb32FImage,
        mask: &Mask,
        references: &[Rgb32FImage],
        close_ups: &[CloseUp],
        options: &GuideOptions,
        draws: &[Draw],
        on_progress: &mut dyn FnMut(&str, f32),
    ) -> Vec<Vec<Self>> {
        if close_ups.is_empty() {
            return Vec::new();
        }
        distinct_built(&Whole { target, mask, references, close_ups }, options, draws, on_progress)
    }

    /// References by their numbers among all that were given.
    fn as_given(&mut self, distinct: &Distinct) {
        self.source.iter_mut().filter(|s| **s > 0).for_each(|s| *s = distinct.kept[*s as usize - 1] as u8 + 1);
        let photos = self.origins.own.photo.iter_mut().chain(self.origins.beside.photo.iter_mut());
        photos.filter(|photo| **photo > 1).for_each(|photo| *photo = distinct.kept[*photo as usize - 2] as u8 + 2);
        let summary = |(photo, &other): (usize, &usize)| ReferenceSummary {
            same_as: (other != photo).then_some(other),
            ..self.references[distinct.place(photo)].clone()
        };
        self.references = distinct.stands_for.iter().enumerate().map(summary).collect();
        self.unseen = (0..distinct.stands_for.len()).map(|photo| self.unseen[distinct.place(photo)].clone()).collect();
    }
}

/// What guides are made from.
struct Whole<'a> {
    target: &'a Rgb32FImage,
    mask: &'a Mask,
    references: &'a [Rgb32FImage],
    /// The parts that they are made for; none where that is all.
    close_ups: &'a [CloseUp<'a>],
}

/// The share of the work that is done when proposals are fused.
const PROPOSED: f32 = 0.6;

/// The guides of each part, or of all, from references that may hold the same photo twice, in any order.
fn distinct_built(
    whole: &Whole,
    options: &GuideOptions,
    draws: &[Draw],
    on_progress: &mut dyn FnMut(&str, f32),
) -> Vec<Vec<Guide>> {
    let distinct = Distinct::of(whole.references);
    let kept: Vec<Rgb32FImage> = distinct.kept.iter().map(|&i| whole.references[i].clone()).collect();
    let parts = whole.close_ups.iter().map(|&close_up| Part { close_up, order: &distinct.kept });
    let parts: Vec<Part> = parts.collect();
    let mut guides = stood_up(whole, kept, &parts, options, draws, on_progress);
    guides.iter_mut().flatten().for_each(|guide| guide.as_given(&distinct));
    guides
}

/// A part that guides are made for, and which of its photos each reference is.
struct Part<'a> {
    close_up: CloseUp<'a>,
    order: &'a [usize],
}

impl Part<'_> {
    /// What is proposed for the whole target as the part has it; `references` are stood up, `turns` what that undid.
    #[tracing::instrument(name = "close-up", level = "info", skip_all)]
    fn of<P: Borrow<Proposal>>(
        &self,
        proposals: impl IntoIterator<Item = P>,
        references: &[Rgb32FImage],
        turns: &[Turns],
    ) -> Vec<Proposal> {
        let source = |(i, &photo): (usize, &usize)| PhotoSource {
            pixels: Pixels::of(&self.close_up.photos[photo].pixels),
            turns: turns[i],
            matched: references[i].dimensions(),
        };
        let sources: Vec<PhotoSource> = self.order.iter().enumerate().map(source).collect();
        let shown = |proposal: P| {
            let proposal: &Proposal = proposal.borrow();
            self.close_up.of(proposal, &sources[proposal.reference])
        };
        proposals.into_iter().map(shown).collect()
    }
}

/// The guides from references of which no two are the same; those that lie on their side are stood up first.
fn stood_up(
    whole: &Whole,
    mut references: Vec<Rgb32FImage>,
    parts: &[Part],
    options: &GuideOptions,
    draws: &[Draw],
    on_progress: &mut dyn FnMut(&str, f32),
) -> Vec<Vec<Guide>> {
    on_progress("matching", 0.0);
    let (target, mask) = (&continued(whole.target, whole.mask), whole.mask); // what the hole happens to contain decides nothing
    let mut matches = all_matches(&*options.matcher, target, mask, &references);
    let turns = Turns::of(&matches, references.len());
    if turns.iter().any(|t| !t.none()) {
        references.iter_mut().zip(&turns).filter(|(_, t)| !t.none()).for_each(|(photo, t)| *photo = t.undone(photo));
        on_progress("matching", 0.15);
        matches = all_matches(&*options.matcher, target, mask, &references);
    }
    on_progress("geometry", 0.3);
    let proposals = proposed(target, mask, &references, &matches);
    let sizes: Vec<(u32, u32)> = references.iter().map(|reference| reference.dimensions()).collect();
    let unseen = unseen(&proposals, &sizes, &turns);
    let matched = Matched { references: &references, matches: &matches, is_close_up: !parts.is_empty() };
    let mut guides = match parts {
        [] => vec![fused(target, mask, proposals, &matched, options, draws, on_progress)],
        parts => fused_by_part(parts, proposals, &matched, &turns, options, draws, on_progress),
    };
    for guide in guides.iter_mut().flatten() {
        upright::as_given(&mut guide.origins, &turns);
        let landed = guide.references.iter().map(|reference| !reference.shares_nothing);
        guide.unseen = unseen.iter().zip(landed).map(|(cells, landed)| cells.clone().filter(|_| landed)).collect();
    }
    guides
}

/// The guides of each part.
fn fused_by_part(
    parts: &[Part],
    mut proposals: Vec<Proposal>,
    matched: &Matched,
    turns: &[Turns],
    options: &GuideOptions,
    draws: &[Draw],
    on_progress: &mut dyn FnMut(&str, f32),
) -> Vec<Vec<Guide>> {
    let mut guides = Vec::with_capacity(parts.len());
    for (i, part) in parts.iter().enumerate() {
        let CloseUp { target, mask, working_side, .. } = part.close_up;
        let shown = match i + 1 == parts.len() {
            true => part.of(std::mem::take(&mut proposals), matched.references, turns), // each is dropped once it is shown
            false => part.of(&proposals, matched.references, turns),
        };
        let options = &GuideOptions { working_side, ..options.clone() };
        let mut on_share = |stage: &str, share: f32| {
            let done = share - PROPOSED + i as f32 * (1.0 - PROPOSED);
            on_progress(stage, PROPOSED + done / parts.len() as f32);
        };
        guides.push(fused(&continued(target, mask), mask, shown, matched, options, draws, &mut on_share));
    }
    guides
}

/// Upright references and the matches of all photos.
struct Matched<'a> {
    references: &'a [Rgb32FImage],
    matches: &'a [PairMatches],
    /// Whether the proposals of a part were rendered from the photos at their own size.
    is_close_up: bool,
}

/// What cameras and single references propose.
fn proposed(target: &Rgb32FImage, mask: &Mask, references: &[Rgb32FImage], matches: &[PairMatches]) -> Vec<Proposal> {
    let (mut proposals, visibility) = match multi_view(target, mask, references, matches) {
        Some(found) => (found.proposals, Some(found.visibility)),
        None => (Vec::new(), None),
    };
    proposals.retain(|p| !is_mostly_streaks(p));
    let size = target.dimensions();
    proposals.extend(single_reference_proposals(size, references, matches, visibility.as_ref()));
    proposals
}

/// The guides that proposals make.
fn fused(
    target: &Rgb32FImage,
    mask: &Mask,
    mut proposals: Vec<Proposal>,
    &Matched { references, matches, is_close_up }: &Matched,
    options: &GuideOptions,
    draws: &[Draw],
    on_progress: &mut dyn FnMut(&str, f32),
) -> Vec<Guide> {
    on_progress("light and alignment", PROPOSED);
    let hues = kept_hues(&proposals, target, mask);
    proposals.par_iter_mut().for_each(|p| hues.apply(&mut p.colour));
    let tones = tones(&proposals, references.len(), target, mask, hues.has_lost_some());
    let canvas = Canvas { tones, ..working_canvas(target, mask, options.working_side) };
    let (mut prepared, agreeing) = best_prepared(&canvas, &proposals, options.most_proposals);
    let behind = drop_backgrounds(&mut prepared, &canvas).map(|places| Behind::new(&canvas, places));
    let photos = if is_close_up { Vec::new() } else { as_kept(references, &hues) };
    let pictures = Pictures::new(&proposals, &prepared, &photos, target, mask);
    let contrasts = contrasts(references);
    let fusion = Fusion {
        target,
        mask,
        references,
        contrasts,
        matches,
        proposals,
        canvas,
        prepared,
        behind,
        pictures,
        agreeing,
    };
    let smooth = continued(&fusion.canvas.target, &fusion.canvas.mask);
    let choice = Choice::new(&fusion.canvas, &fusion.prepared, &smooth);
    let mut fused = |(i, &draw): (usize, &Draw)| {
        on_progress("fusion", 0.9 + 0.1 * i as f32 / draws.len() as f32);
        fusion.guide(choice.labels(draw), &smooth)
    };
    let guides = draws.iter().enumerate().map(&mut fused).collect();
    on_progress("fusion", 1.0);
    guides
}

/// The references without the hues that the target has lost.
fn as_kept<'a>(references: &'a [Rgb32FImage], hues: &Saturation) -> Vec<Cow<'a, Rgb32FImage>> {
    let kept = |reference: &'a Rgb32FImage| match hues.has_lost_some() {
        false => Cow::Borrowed(reference),
        true => {
            let mut reference = reference.clone();
            hues.apply(&mut reference);
            Cow::Owned(reference)
        }
    };
    references.iter().map(kept).collect()
}

/// All that a guide is made of but the choice.
struct Fusion<'a> {
    target: &'a Rgb32FImage,
    mask: &'a Mask,
    references: &'a [Rgb32FImage],
    /// How much each reference varies around its pixels.
    contrasts: Vec<Plane>,
    matches: &'a [PairMatches],
    proposals: Vec<Proposal>,
    canvas: Canvas,
    prepared: Vec<Prepared>,
    /// The target's background, where references show another.
    behind: Option<Behind>,
    pictures: Pictures,
    /// References that show something of the known part.
    agreeing: Vec<usize>,
}

impl Fusion<'_> {
    /// The guide that some labels make; `smooth` is the known part carried into the hole.
    fn guide(&self, mut labels: Labels, smooth: &Rgb32FImage) -> Guide {
        let mut surface = carried_on(&self.canvas, &self.prepared, &labels);
        let colours: Vec<_> = self.prepared.iter().map(|p| &p.colour).collect();
        drop_islands(&mut labels, &self.canvas, &colours);
        drop_slivers(&mut labels, &self.canvas, &colours);
        let behind = self.behind.as_ref().map(|behind| {
            let filled = behind.filled(&self.canvas, &labels, self.prepared.len() as u8);
            let places = (0..filled.len()).filter(|&i| filled[i]);
            places.for_each(|i| surface[i] = Some(behind.colour(i)));
            filled
        });
        let (mut invented, exemplar_sources) = exemplars(&self.canvas, &self.prepared, &labels, smooth, &surface);
        if let (Some(own), Some(filled)) = (&self.behind, &behind) {
            (0..filled.len()).filter(|&i| filled[i]).for_each(|i| invented.from[i] = own.from(i));
        }
        let size = self.target.dimensions();
        let full = self.canvas.enlarged(&labels.labels, size);
        let behind = behind.map(|behind| self.canvas.enlarged(&behind, size));
        let (prepared, pictures) = (&self.prepared, &self.pictures);
        let sizes: Vec<(u32, u32)> = self.references.iter().map(|r| r.dimensions()).collect();
        let origins = Sources {
            target: size,
            references: &sizes,
            mask: self.mask,
            proposals: &self.proposals,
            prepared,
            pictures,
            labels: &full,
            canvas: &self.canvas,
            invented: &invented,
            exemplar_sources: &exemplar_sources,
        }
        .origins();
        let tears = Tears { origins: &origins.own, contrasts: &self.contrasts };
        let (invented, behind) = (&invented.colour, behind.as_deref());
        let pasted = Pasted { prepared, pictures, labels: &full, invented, behind, tears: &tears };
        let mut guide = assembled(self.target, self.mask, &pasted, &labels.doubt);
        guide.origins = origins;
        guide.references = summaries(&guide, self.mask, self.matches, &self.agreeing, self.references.len());
        guide
    }
}

#[tracing::instrument(level = "info", skip_all)]
fn all_matches(
    matcher: &dyn Matcher,
    target: &Rgb32FImage,
    mask: &Mask,
    references: &[Rgb32FImage],
) -> Vec<PairMatches> {
    let mut views = vec![View { image: target, hole: Some(mask) }];
    views.extend(references.iter().map(|image| View { image, hole: None }));
    let pairs: Vec<_> = (0..views.len()).flat_map(|i| (i + 1..views.len()).map(move |j| (i, j))).collect();
    let found = matcher.correspondences(&views, &pairs);
    pairs.iter().zip(found).map(|(&pair, matches)| PairMatches { pair, matches }).collect()
}

fn working_canvas(target: &Rgb32FImage, mask: &Mask, side: u32) -> Canvas {
    let (w, h) = target.dimensions();
    let scale = (side as f64 / w.max(h) as f64).min(1.0);
    if scale == 1.0 {
        return Canvas::new(target.clone(), mask.clone());
    }
    let size = ((w as f64 * scale).round() as u32, (h as f64 * scale).round() as u32);
    Canvas::new(shrink_to(target, size.0, size.1), mask.resized_max(size.0, size.1))
}

/// The known colours, carried smoothly into the hole.
fn continued(target: &Rgb32FImage, mask: &Mask) -> Rgb32FImage {
    let known = Plane::from_fn(mask.width(), mask.height(), |x, y| Luma([!mask.is_hole(x, y) as u8 as f32]));
    push_pull(target, &known)
}

/// The pixels no proposal fills: `surface` where it says something, else from patches of all that is known or proposed; and which of
/// `prepared` each source but the first is.
#[tracing::instrument(level = "info", skip_all)]
fn exemplars(
    canvas: &Canvas,
    prepared: &[Prepared],
    labels: &Labels,
    smooth: &Rgb32FImage,
    surface: &[Option<[f32; 3]>],
) -> (Exemplars, Vec<usize>) {
    let (w, h) = canvas.target.dimensions();
    let at = |x: u32, y: u32| (y * w + x) as usize;
    let free = prepared.len() as u8;
    let is_left = |x, y| canvas.mask.is_hole(x, y) && labels.labels[at(x, y)] == free && surface[at(x, y)].is_none();
    let hole = Mask::from_fn(w, h, is_left);
    let picture = Rgb32FImage::from_fn(w, h, |x, y| {
        let k = labels.labels[at(x, y)] as usize;
        let hole = canvas.mask.is_hole(x, y);
        if let Some(colour) = surface[at(x, y)] {
            return Rgb(colour);
        }
        *if hole && k < prepared.len() {
            prepared[k].colour.get_pixel(x, y)
        } else if hole {
            smooth.get_pixel(x, y)
        } else {
            canvas.target.get_pixel(x, y)
        }
    });
    if !hole.holes().contains(&true) {
        return (Exemplars { colour: picture, from: vec![None; hole.holes().len()] }, Vec::new());
    }
    let usable = Plane::from_fn(w, h, |x, y| Luma([!hole.is_hole(x, y) as u8 as f32]));
    let mut sources = vec![Source { colour: picture.clone(), usable }];
    let mut taken: Vec<usize> = Vec::new();
    for (k, p) in prepared.iter().enumerate() {
        if !taken.iter().any(|&t| prepared[t].reference == p.reference) {
            taken.push(k);
            let usable = Plane::from_fn(w, h, |x, y| Luma([(p.confidence.get_pixel(x, y)[0] > 0.5) as u8 as f32]));
            sources.push(Source { colour: p.colour.clone(), usable });
        }
    }
    (exemplar_fill(&picture, &hole, smooth, &sources), taken)
}

fn summaries(
    guide: &Guide,
    mask: &Mask,
    matches: &[PairMatches],
    agreeing: &[usize],
    count: usize,
) -> Vec<ReferenceSummary> {
    let holes = mask.holes().iter().filter(|h| **h).count().max(1) as f64;
    (0..count)
        .map(|i| {
            let pairs = matches.iter().filter(|m| m.pair == (0, i + 1)).map(|m| m.matches.len()).sum();
            let filled =
                guide.source.iter().zip(guide.trust.iter()).filter(|(s, t)| **s as usize == i + 1 && **t > 0.1);
            let share = filled.count() as f64 / holes;
            ReferenceSummary { matches: pairs, share, shares_nothing: !agreeing.contains(&i), same_as: None }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Photo;
    use crate::matching::Correspondence;
    use crate::pyramid::test_pictures::texture;
    use crate::resize::quantise;
    use crate::robust::PointPair;
    use image::Rgb;
    use image::math::Rect;

    fn coloured(seed: u64) -> Rgb32FImage {
        let grey = texture(200, 160, seed);
        Rgb32FImage::from_fn(200, 160, |x, y| Rgb([grey.get_pixel(x, y)[0]; 3]))
    }

    fn square() -> Mask {
        Mask::from_fn(200, 160, |x, y| (80..120).contains(&x) && (60..100).contains(&y))
    }

    fn built(reference: &Rgb32FImage) -> Guide {
        let options = GuideOptions::default();
        Guide::build(&coloured(3), &square(), std::slice::from_ref(reference), &options, &mut |_, _| ())
    }

    #[test]
    fn the_same_photo_as_reference_fills_the_hole_with_trust_and_leaves_the_rest_alone() {
        let (truth, mask) = (coloured(3), square());
        let guide = built(&truth);
        for (x, y, p) in truth.enumerate_pixels() {
            let found = guide.colour.get_pixel(x, y);
            assert!(mask.is_hole(x, y) || found == p);
            assert!((found[0] - p[0]).abs() < 0.1, "at {x}, {y}: {} for {}", found[0], p[0]);
        }
        assert!(guide.trust.get_pixel(100, 80)[0] > 0.5, "{}", guide.trust.get_pixel(100, 80)[0]);
        assert_eq!(guide.source.get_pixel(100, 80)[0], 1);
    }

    /// A matcher that sees a photo moved by some pixels, or nothing.
    #[derive(Debug)]
    struct Moved(Option<f64>);

    impl Matcher for Moved {
        fn correspondences(&self, _: &[View], pairs: &[(usize, usize)]) -> Vec<Vec<Correspondence>> {
            let places = (0..70u32).map(|i| [f64::from(5 + 7 * (i % 10)), f64::from(6 + 21 * (i / 10))]);
            let joined = |by: f64| {
                let points = |p: [f64; 2]| PointPair::new(p, [p[0] + by, p[1]]);
                places.clone().map(|p| Correspondence { points: points(p), confidence: 1.0, pose: None }).collect()
            };
            pairs.iter().map(|_| self.0.map_or(Vec::new(), joined)).collect()
        }
    }

    #[test]
    fn another_matcher_decides_where_a_photo_lands() {
        let target = coloured(3);
        let reference = Rgb32FImage::from_fn(200, 160, |x, y| *target.get_pixel((x + 188) % 200, y));
        let supported = |matcher: Moved| {
            let options = GuideOptions { matcher: Arc::new(matcher), ..GuideOptions::default() };
            let guide = Guide::build(&target, &square(), std::slice::from_ref(&reference), &options, &mut |_, _| ());
            (guide.trust.get_pixel(100, 80)[0], guide.references[0].matches)
        };
        let (trust, matches) = supported(Moved(Some(12.0)));
        assert!(trust > 0.5 && matches == 70, "trust {trust}, {matches} matches");
        assert_eq!(supported(Moved(None)), (0.0, 0));
    }

    #[test]
    fn what_the_hole_contains_decides_nothing() {
        let mask = square();
        let truth = coloured(3);
        let painted = |value: f32| {
            let colour = |x, y| if mask.is_hole(x, y) { Rgb([value; 3]) } else { *truth.get_pixel(x, y) };
            Rgb32FImage::from_fn(200, 160, colour)
        };
        let build = |target: &Rgb32FImage| {
            Guide::build(target, &mask, std::slice::from_ref(&truth), &GuideOptions::default(), &mut |_, _| ())
        };
        let (black, white) = (build(&painted(0.0)), build(&painted(1.0)));
        assert_eq!(black.colour, white.colour);
        assert_eq!(black.trust, white.trust);
    }

    /// The target's view is the right five twelfths of a wide reference.
    #[test]
    fn what_a_reference_shows_beside_the_targets_view_is_unseen_whatever_way_up_it_is_given() {
        let (target, more) = (coloured(3), coloured(5));
        let wide = Rgb32FImage::from_fn(480, 160, |x, y| match x.checked_sub(280) {
            Some(x) => *target.get_pixel(x, y),
            None => *more.get_pixel(x % 200, y),
        });
        let marked = |cells: &Mask, share: [f32; 2]| {
            let at = |v: f32, cells: u32| (v * cells as f32) as u32;
            cells.is_hole(at(share[0], cells.width()), at(share[1], cells.height()))
        };
        let places = [[0.1, 0.5], [0.4, 0.1], [0.7, 0.5], [0.95, 0.9]];
        let unseen = |reference: &Rgb32FImage| built(reference).unseen.remove(0).expect("it is known where it lands");
        let (upright, turned) = (unseen(&wide), unseen(&imageops::rotate90(&wide)));
        assert_eq!(places.map(|at| marked(&upright, at)), [true, true, false, false]);
        assert_eq!(places.map(|[u, v]| marked(&turned, [1.0 - v, u])), [true, true, false, false]);
        assert!(built(&coloured(77)).unseen[0].is_none(), "a photo of another place");
        assert!(built(&target).unseen[0].is_none(), "all of it is in view");
    }

    #[test]
    fn parts_that_are_built_together_are_as_they_are_alone() {
        let truth = coloured(3);
        let is_hole = |x: u32, y: u32| (80..110).contains(&y) && ((30..60).contains(&x) || (140..170).contains(&x));
        let mask = Mask::from_fn(200, 160, is_hole);
        let photos = [Photo::from_pixels(quantise(&truth))];
        let parts = [0, 100].map(|x| {
            let rect = Rect { x, y: 40, width: 100, height: 100 };
            (imageops::crop_imm(&truth, x, 40, 100, 100).to_image(), mask.cut_to(rect))
        });
        let close_ups = [0, 1].map(|i| {
            let (target, mask) = (&parts[i].0, &parts[i].1);
            CloseUp { target, mask, part: [0.5 * i as f32, 0.25, 0.5, 0.625], photos: &photos, working_side: 100 }
        });
        let mut shares = Vec::new();
        let mut build = |close_ups: &[CloseUp]| {
            let (references, options) = (std::slice::from_ref(&truth), GuideOptions::default());
            let mut on_progress = |_: &str, share: f32| shares.push(share);
            let draws = [Draw::Likeliest];
            Guide::build_close_ups(&truth, &mask, references, close_ups, &options, &draws, &mut on_progress)
        };
        let alone = close_ups.map(|close_up| build(&[close_up]).remove(0).remove(0));
        let together = build(&close_ups);
        for (found, alone) in together.iter().zip(&alone) {
            assert_eq!((&found[0].colour, &found[0].trust), (&alone.colour, &alone.trust));
            assert_eq!(alone.source.get_pixel(55, 55)[0], 1);
        }
        let last = shares.rsplit(|share| *share == 0.0).next().expect("the parts together");
        assert!(last.is_sorted() && last.last().is_some_and(|share| *share > 0.99), "{last:?}");
    }

    #[test]
    fn a_photo_of_another_place_is_not_trusted_and_said_to_share_nothing() {
        let guide = built(&coloured(77));
        let mask = square();
        assert!(guide.trust.enumerate_pixels().all(|(x, y, t)| !mask.is_hole(x, y) || t[0] < 0.3));
        assert!(guide.references[0].shares_nothing, "{}", guide.references[0]);
    }
}
