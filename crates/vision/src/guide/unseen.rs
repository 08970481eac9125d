//! What of each reference lies outside the target's view, so that a model need not learn it: it would paint it.

use super::upright::Turns;
use crate::Mask;
use crate::propose::Proposal;
use crate::warp::Places;
use rayon::prelude::*;

/// Cells that a reference is divided into, along each side.
const CELLS: u32 = 64;
/// What lies no farther than this from what is seen counts as seen, in cells: 9 % of the reference's side, three times as far as a proposal
/// is moved at most to meet the known part (`propose::refine`), so that what is in doubt is learnt. Not measured.
const REACH: f32 = 6.0;
/// Every so many pixels of the target are looked at, along each side.
const STEP: usize = 2;

/// For each reference its cells outside the target's view: those in which no proposal finds what a pixel of the target shows, in the hole
/// or beside it, how surely ever. `None` where there are none, or where the reference is proposed nowhere. `sizes` are those of the upright
/// references.
pub(super) fn unseen(proposals: &[Proposal], sizes: &[(u32, u32)], turns: &[Turns]) -> Vec<Option<Mask>> {
    let of = |i: usize| {
        let mut seen = vec![false; (CELLS * CELLS) as usize];
        for [x, y] in proposals.iter().filter(|p| p.reference == i).flat_map(|p| places(&p.places)) {
            let share = [(x + 0.5) / sizes[i].0 as f32, (y + 0.5) / sizes[i].1 as f32];
            if share.iter().all(|v| (0.0..1.0).contains(v)) {
                let cell = turns[i].given(share).map(|v| ((v * CELLS as f32) as u32).min(CELLS - 1));
                seen[(cell[1] * CELLS + cell[0]) as usize] = true;
            }
        }
        close_gaps(&mut seen);
        beyond(seen)
    };
    (0..sizes.len()).into_par_iter().map(of).collect()
}

/// The places of some pixels of the target.
fn places(all: &Places) -> impl Iterator<Item = [f32; 2]> {
    let (w, h) = all.x.dimensions();
    let pixels = (0..h).step_by(STEP).flat_map(move |y| (0..w).step_by(STEP).map(move |x| (x, y)));
    pixels.filter_map(move |(x, y)| all.get(x, y))
}

/// What lies between two seen cells of a row or a column counts as seen: a gap is what something hides in the target, or what depth misses,
/// and no proof.
fn close_gaps(seen: &mut [bool]) {
    let side = CELLS as usize;
    let rows = (0..side).map(|row| (row * side, 1));
    for (start, step) in rows.chain((0..side).map(|column| (column, side))) {
        let line = || (0..side).map(move |i| start + i * step);
        let ends = line().find(|&i| seen[i]).zip(line().rfind(|&i| seen[i]));
        if let Some((first, last)) = ends {
            (first..=last).step_by(step).for_each(|i| seen[i] = true);
        }
    }
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
    use image::Rgb32FImage;

    /// Of a reference of 128×128 px, for a target of 100×128.
    fn proposal(reference: usize, place: impl Fn(f32) -> f32) -> Proposal {
        Proposal {
            colour: Rgb32FImage::new(100, 128),
            confidence: Plane::new(100, 128),
            places: Places::from_fn(100, 128, |x, y| Some([place(x as f32), y as f32])),
            reference,
            kind: ProposalKind::Plane,
        }
    }

    fn found(proposals: &[Proposal]) -> Vec<Option<Mask>> {
        unseen(proposals, &[(128, 128); 2], &[Turns::default(); 2])
    }

    #[test]
    fn what_lies_far_from_all_that_the_target_shows_is_unseen() {
        let cells = found(&[proposal(0, |x| x + 64.0)]).remove(0).expect("the left is unseen");
        let reach = REACH as u32;
        assert!((0..CELLS).all(|y| (0..CELLS).all(|x| cells.is_hole(x, y) == (x < CELLS / 2 - reach))));
    }

    #[test]
    fn one_proposal_that_sees_it_is_enough_and_a_gap_is_no_proof() {
        assert!(found(&[proposal(0, |x| x + 64.0), proposal(0, |x| 1.28 * x)])[0].is_none());
        let torn = proposal(0, |x| if x < 50.0 { 0.5 * x } else { 0.5 * x + 78.0 });
        assert!(found(&[torn])[0].is_none());
    }

    #[test]
    fn nothing_is_unseen_of_a_reference_that_is_placed_nowhere() {
        let beside = proposal(1, |x| x + 128.0);
        assert!(found(&[proposal(0, |x| x + 64.0), beside])[1].is_none());
        assert!(found(&[]).iter().all(Option::is_none));
    }
}
