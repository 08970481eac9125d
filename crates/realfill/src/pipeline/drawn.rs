//! The guides of a job's candidates: candidates differ in what they show where the references leave a choice.

use realfill_vision::Guide;
use realfill_vision::guide::{Draw, ReferenceSummary};
use std::sync::Arc;

/// One guide of a part for each draw; the first takes the likeliest labels.
pub(super) struct DrawnGuides(Vec<(Draw, Arc<Guide>)>);

impl DrawnGuides {
    /// What to draw for the candidates of these seeds.
    pub fn draws(seeds: &[u64]) -> Vec<Draw> {
        let mut draws = vec![Draw::Likeliest];
        for draw in seeds.iter().map(|&seed| Draw::of_seed(seed)) {
            if !draws.contains(&draw) {
                draws.push(draw);
            }
        }
        draws
    }

    /// The guides in the order of their draws; one alone stands for all.
    pub fn new(guides: Vec<Guide>, draws: &[Draw]) -> Self {
        let draws = draws.iter().copied().chain(std::iter::once(Draw::Likeliest));
        Self(draws.zip(guides.into_iter().map(Arc::new)).collect())
    }

    /// All of them at another size, for a model to look at.
    pub fn resized(&self, (width, height): (u32, u32)) -> Self {
        let resized = |(draw, guide): &(Draw, Arc<Guide>)| (*draw, Arc::new(guide.resized(width, height)));
        Self(self.0.iter().map(resized).collect())
    }

    /// The one of the likeliest labels.
    pub fn likeliest(&self) -> &Arc<Guide> {
        &self.0[0].1
    }

    /// The one of a candidate.
    pub fn of_seed(&self, seed: u64) -> &Arc<Guide> {
        let wanted = Draw::of_seed(seed);
        self.0.iter().find(|(draw, _)| *draw == wanted).map_or(self.likeliest(), |(_, guide)| guide)
    }
}

/// What a guide of a part is kept as; parts count from 0.
pub(super) fn name_of(part: usize, draw: &Draw) -> String {
    let name = match draw {
        Draw::Likeliest => "target".into(),
        Draw::Seeded(seed) => format!("target-{seed}"),
    };
    if part == 0 { name } else { format!("part-{}-{name}", part + 1) }
}

/// What each reference gave to all parts, of which each has that share of the holes.
pub(super) fn summaries(parts: &[DrawnGuides], shares: &[f64]) -> Vec<ReferenceSummary> {
    let summary = |i: usize| {
        let given: Vec<&ReferenceSummary> = parts.iter().map(|guides| &guides.likeliest().references[i]).collect();
        ReferenceSummary {
            share: given.iter().zip(shares).map(|(given, share)| share * given.share).sum(),
            shares_nothing: given.iter().all(|given| given.shares_nothing),
            ..given[0].clone()
        }
    };
    (0..parts[0].likeliest().references.len()).map(summary).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_candidate_gets_the_guide_of_its_seed_whatever_the_others_are() {
        let draws = DrawnGuides::draws(&[3, 4, 5, 8]);
        assert_eq!(draws, [Draw::Likeliest, Draw::Seeded(3), Draw::Seeded(5)]);
        let sizes = [4, 5, 6];
        let guides = DrawnGuides::new(sizes.map(|side| Guide::empty(side, side)).to_vec(), &draws);
        let width = |seed| guides.of_seed(seed).colour.width();
        assert_eq!([3, 4, 5, 8].map(width), [5, 4, 6, 4]);
        let resized = guides.resized((2, 3));
        assert_eq!([3, 5].map(|seed| resized.of_seed(seed).colour.dimensions()), [(2, 3); 2]);
        assert!(Arc::ptr_eq(resized.of_seed(4), resized.of_seed(8)), "what is shared stays shared");
        let alone = DrawnGuides::new(vec![Guide::empty(7, 7)], &[]);
        assert_eq!(alone.of_seed(3).colour.width(), 7);
    }

    #[test]
    fn each_part_and_draw_has_a_name_of_its_own() {
        let draws = [Draw::Likeliest, Draw::Seeded(2)];
        let names: Vec<String> = (0..2).flat_map(|part| draws.iter().map(move |draw| name_of(part, draw))).collect();
        assert_eq!(names, ["target", "target-2", "part-2-target", "part-2-target-2"]);
    }

    #[test]
    fn a_reference_gives_to_all_parts_together() {
        let part = |share, shares_nothing| {
            let given = ReferenceSummary { matches: 31, share, shares_nothing, same_as: None };
            DrawnGuides::new(vec![Guide { references: vec![given], ..Guide::empty(4, 4) }], &[])
        };
        let given = summaries(&[part(0.5, false), part(0.0, true)], &[0.75, 0.25]);
        assert_eq!(given, [ReferenceSummary { matches: 31, share: 0.375, shares_nothing: false, same_as: None }]);
        assert!(summaries(&[part(0.0, true), part(0.0, true)], &[0.75, 0.25])[0].shares_nothing);
    }
}
