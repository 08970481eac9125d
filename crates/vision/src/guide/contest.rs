//! Which proposals compete at each pixel: those that agree best with the known part, and some that show what those do not; and in which
//! hues and tone.

use super::working_canvas;
use crate::fuse::{Canvas, MOST_PROPOSALS, Prepared};
use crate::light::{Saturation, Tone, saturation, tone};
use crate::propose::{Proposal, ProposalKind};
use crate::pyramid::shrink_to;
use crate::warp::Places;
use crate::{Mask, Plane};
use image::Rgb32FImage;
use rayon::prelude::*;

/// Proposals are ranked at this longer side.
const RANKED_AT: u32 = 320;
/// What a pixel that a proposal does not show costs it in the ranking.
const INVENTED: f32 = 1.2;
/// Less agreeing texture than this is chance: asked of a proposal when all are ranked, and again once it was moved and lit.
const AGREEING: f32 = 0.01;
/// Share of the hole that has to stay open before worse proposals are asked for it, and how many of them.
const OPEN: f32 = 0.05;
const COVERING: usize = 3;

/// The proposals that agree best with the known part, moved and lit; those from cameras always take part. All are ranked at a small
/// size first. Also the references of which some proposal agrees at all.
#[tracing::instrument(level = "info", skip_all)]
pub(super) fn best_prepared(canvas: &Canvas, proposals: &[Proposal], most: usize) -> (Vec<Prepared>, Vec<usize>) {
    let small = Canvas { tones: canvas.tones.clone(), ..working_canvas(&canvas.target, &canvas.mask, RANKED_AT) };
    let rank = |(i, p): (usize, &Proposal)| {
        let lit = Prepared::lit_only(i, &resized(p, small.target.dimensions()), &small)?;
        if lit.light.agreeing < AGREEING {
            return None;
        }
        let bonus = if p.kind == ProposalKind::MultiView { 1.0 } else { 0.0 };
        Some((lit.cost(&small.mask, INVENTED) - bonus, lit))
    };
    let mut ranked: Vec<(f32, Prepared)> = proposals.par_iter().enumerate().filter_map(rank).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.index.cmp(&b.1.index)));
    let agreeing = ranked.iter().map(|(_, lit)| lit.reference).collect();
    let shown: Vec<Shown> = ranked.iter().map(|(_, lit)| Shown::of(lit)).collect();
    let chosen = contestants(&shown, &small.mask, most.min(MOST_PROPOSALS));
    let prepare = |&place: &usize| {
        let i = ranked[place].1.index;
        let prepared = Prepared::new(i, &resized(&proposals[i], canvas.target.dimensions()), canvas);
        prepared.filter(|p| p.light.agreeing >= AGREEING)
    };
    (chosen.par_iter().filter_map(prepare).collect(), agreeing)
}

/// What a ranked proposal shows.
struct Shown<'a> {
    confidence: &'a Plane,
    /// Whether it is one map, and not a mosaic of several.
    is_whole: bool,
}

impl<'a> Shown<'a> {
    fn of(lit: &'a Prepared) -> Self {
        Self { confidence: &lit.confidence, is_whole: lit.kind != ProposalKind::Mosaic }
    }

    fn at(&self, i: usize) -> bool {
        self.confidence.as_raw()[i] > 0.1
    }
}

/// Places of the first `most` of the ranked proposals. Where they leave much of the hole open, the last of them make room for the best that
/// show half of it with one map: a rank by cost prefers what shows next to nothing to what shows everything, doubtfully.
fn contestants(ranked: &[Shown], mask: &Mask, most: usize) -> Vec<usize> {
    let most = most.min(ranked.len());
    let hole: Vec<usize> = (0..mask.holes().len()).filter(|&i| mask.holes()[i]).collect();
    let open: Vec<usize> = hole.iter().copied().filter(|&i| !ranked[..most].iter().any(|p| p.at(i))).collect();
    let covers = |p: &Shown| p.is_whole && 2 * open.iter().filter(|&&i| p.at(i)).count() > open.len();
    let covering: Vec<usize> = match open.len() as f32 > OPEN * hole.len() as f32 {
        true => (most..ranked.len()).filter(|&place| covers(&ranked[place])).take(COVERING.min(most)).collect(),
        false => Vec::new(),
    };
    (0..most - covering.len()).chain(covering).collect()
}

/// What takes each of `references` to the target's tone, once all proposals have lost the hues that the target has lost; `neutral` where it has
/// lost some.
#[tracing::instrument(level = "info", skip_all)]
pub(super) fn tones(
    proposals: &[Proposal],
    references: usize,
    target: &Rgb32FImage,
    mask: &Mask,
    neutral: bool,
) -> Vec<Tone> {
    let small = working_canvas(target, mask, RANKED_AT);
    let of = |reference: usize| {
        let own = proposals.iter().filter(|p| p.reference == reference);
        let shrunk: Vec<Proposal> = own.map(|p| resized(p, small.target.dimensions())).collect();
        let pictures = shrunk.iter().map(|p| (&p.colour, &p.confidence));
        tone(pictures, &small.target, &small.mask, &small.distance, neutral)
    };
    (0..references).into_par_iter().map(of).collect()
}

/// Which hues the target keeps of what all proposals show.
#[tracing::instrument(level = "info", skip_all)]
pub(super) fn kept_hues(proposals: &[Proposal], target: &Rgb32FImage, mask: &Mask) -> Saturation {
    let small = working_canvas(target, mask, RANKED_AT);
    let shrunk: Vec<Proposal> = proposals.par_iter().map(|p| resized(p, small.target.dimensions())).collect();
    let pictures = shrunk.iter().map(|p| (&p.colour, &p.confidence));
    saturation(pictures, &small.target, &small.mask, &small.distance)
}

fn resized(p: &Proposal, (w, h): (u32, u32)) -> Proposal {
    if p.colour.dimensions() == (w, h) {
        return p.clone();
    }
    let (colour, confidence) = (shrink_to(&p.colour, w, h), shrink_to(&p.confidence, w, h));
    Proposal { colour, confidence, places: Places::default(), reference: p.reference, kind: p.kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;
    use image::{Luma, Rgb};

    /// A proposal that shows columns 0 to `shown` of ten.
    fn columns(shown: u32) -> Plane {
        Plane::from_fn(10, 4, |x, _| Luma([f32::from(u8::from(x < shown))]))
    }

    #[test]
    fn proposals_lose_the_hues_that_the_target_has_lost_and_no_others() {
        let grey = texture(120, 90, 5);
        let of = |tint: &dyn Fn(u32) -> [f32; 3]| {
            Rgb32FImage::from_fn(120, 90, |x, y| Rgb(tint(x).map(|c| c * (0.2 + 0.8 * grey.get_pixel(x, y)[0]))))
        };
        let colours = of(&|x| if x < 60 { [1.0, 0.2, 0.2] } else { [0.3, 0.9, 0.4] });
        let red_alone = of(&|x| if x < 60 { [1.0, 0.2, 0.2] } else { [0.66; 3] });
        let mask = Mask::from_fn(120, 90, |x, y| (40..80).contains(&x) && (30..60).contains(&y));
        let proposal = Proposal {
            colour: colours.clone(),
            confidence: Plane::from_pixel(120, 90, Luma([1.0])),
            places: Places::default(),
            reference: 0,
            kind: ProposalKind::MultiView,
        };
        assert!(!kept_hues(std::slice::from_ref(&proposal), &colours, &mask).has_lost_some());
        let hues = kept_hues(std::slice::from_ref(&proposal), &red_alone, &mask);
        assert!(hues.has_lost_some());
        let mut lost = colours.clone();
        hues.apply(&mut lost);
        for (x, y) in [(45, 45), (75, 45)] {
            let (found, wanted) = (lost.get_pixel(x, y).0, red_alone.get_pixel(x, y).0);
            let apart = |c: usize| (found[c] - found[1]) - (wanted[c] - wanted[1]);
            assert!((0..3).all(|c| apart(c).abs() < 0.1), "at {x}, {y}: {found:?}, not as coloured as {wanted:?}");
        }
    }

    fn chosen(shown: &[(u32, bool)], most: usize) -> Vec<usize> {
        let planes: Vec<Plane> = shown.iter().map(|&(shown, _)| columns(shown)).collect();
        let ranked = planes.iter().zip(shown).map(|(confidence, &(_, is_whole))| Shown { confidence, is_whole });
        contestants(&ranked.collect::<Vec<_>>(), &Mask::new(10, 4, vec![true; 40]), most)
    }

    #[test]
    fn the_best_are_chosen_where_they_show_the_hole() {
        assert_eq!(chosen(&[(10, true), (2, true), (3, true), (10, true)], 2), [0, 1]);
        assert_eq!(chosen(&[(10, true)], 9), [0]);
        assert_eq!(chosen(&[], 9), [0usize; 0]);
    }

    #[test]
    fn what_shows_the_rest_takes_the_last_places_where_they_leave_it_open() {
        let ranked = [(2, true), (1, true), (3, true), (10, false), (4, true), (10, true), (9, true)];
        assert_eq!(chosen(&ranked, 3), [0, 5, 6], "a mosaic and what shows less than half of the rest are passed over");
    }
}
