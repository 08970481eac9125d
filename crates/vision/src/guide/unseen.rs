//! What of each reference lies outside the target's view, so that a model need not learn it: it would paint it.

use super::upright::Turns;
use crate::Mask;
use crate::propose::Proposal;
use rayon::prelude::*;

/// Cells that a reference is divided into, along each side.
const CELLS: u32 = 64;
/// What lies no farther than this from what is seen counts as seen, in cells: 9 % of the reference's side, three times as far as a proposal
/// is moved at most to meet the known part (`propose::refine`), so that what is in doubt is learnt. Not measured.
const REACH: f32 = 6.0;
/// Every so many pixels of the target are looked at, along each side.
const STEP: usize = 2;

/// For each reference its cells outside the target's view: those in which no proposal finds what a pixel of the target shows, in the hole
/// or beside it. `None` where there are none, or where the reference is proposed nowhere. `sizes` are those of the upright references.
pub(super) fn unseen(proposals: &[Proposal], sizes: &[(u32, u32)], turns: &[Turns]) -> Vec<Option<Mask>> {
    let of = |i: usize| {
        let mut seen = vec![false; (CELLS * CELLS) as usize];
        for [x, y] in proposals.iter().filter(|p| p.reference == i).flat_map(places) {
            let share = [(x + 0.5) / sizes[i].0 as f32, (y + 0.5) / sizes[i].1 as f32];
            let cell = turns[i].given(share).map(|v| ((v * CELLS as f32) as u32).min(CELLS - 1));
            seen[(cell[1] * CELLS + cell[0]) as usize] = true;
        }
        beyond(seen)
    };
    (0..sizes.len()).into_par_iter().map(of).collect()
}

/// The places that a proposal shows, in pixels of the upright reference.
fn places(proposal: &Proposal) -> impl Iterator<Item = [f32; 2]> {
    let (w, h) = proposal.confidence.dimensions();
    let pixels = (0..h).step_by(STEP).flat_map(move |y| (0..w).step_by(STEP).map(move |x| (x, y)));
    let shown = pixels.filter(move |(x, y)| proposal.confidence.get_pixel(*x, *y)[0] > 0.0);
    shown.filter_map(move |(x, y)| proposal.places.get(x, y))
}

/// The cells farther than [`REACH`] from those that are seen.
fn beyond(seen: Vec<bool>) -> Option<Mask> {
    let near = Mask::new(CELLS, CELLS, seen).dilate(REACH);
    let is_near = |is: bool| near.holes().contains(&is);
    (is_near(true) && is_near(false)).then(|| Mask::from_fn(CELLS, CELLS, |x, y| !near.is_hole(x, y)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plane;
    use crate::propose::ProposalKind;
    use crate::warp::Places;
    use image::{Luma, Rgb32FImage};

    /// A reference of 128×128 px whose columns from 64 on the target shows in its own first ones.
    fn right_half(reference: usize, confidence: f32) -> Proposal {
        Proposal {
            colour: Rgb32FImage::new(100, 128),
            confidence: Plane::from_fn(100, 128, |x, _| Luma([if x < 64 { confidence } else { 0.0 }])),
            places: Places::from_fn(100, 128, |x, y| Some([x as f32 + 64.0, y as f32])),
            reference,
            kind: ProposalKind::Plane,
        }
    }

    fn found(proposals: &[Proposal]) -> Vec<Option<Mask>> {
        unseen(proposals, &[(128, 128); 2], &[Turns::default(); 2])
    }

    #[test]
    fn what_lies_far_from_all_that_the_target_shows_is_unseen() {
        let cells = found(&[right_half(0, 0.3)]).remove(0).expect("the left is unseen");
        let reach = REACH as u32;
        assert!((0..CELLS).all(|y| (0..CELLS).all(|x| cells.is_hole(x, y) == (x < CELLS / 2 - reach))));
    }

    #[test]
    fn one_proposal_that_sees_it_is_enough() {
        let places = Places::from_fn(100, 128, |x, y| Some([2.0 * x as f32, y as f32]));
        let all = Proposal { places, ..right_half(0, 1.0) };
        assert!(found(&[right_half(0, 0.3), all])[0].is_none());
    }

    #[test]
    fn nothing_is_unseen_of_a_reference_that_is_placed_nowhere() {
        assert!(found(&[]).iter().all(Option::is_none));
        assert!(found(&[right_half(0, 0.3), right_half(1, 0.0)])[1].is_none());
    }
}
