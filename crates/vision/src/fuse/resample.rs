//! What a proposal shows, sampled from its photo once: pulled into the target's view and then moved it is blurred twice.

use crate::Plane;
use crate::flow::Flow;
use crate::propose::Proposal;
use crate::pyramid::{at_level, sampled_level, scale_of_level};
use crate::warp::{Places, Sampling, sample};
use image::Rgb32FImage;
use rayon::prelude::*;

/// Every so many pixels are looked at for how large steps are.
const EVERY: usize = 3;

/// Puts into `colour` what `reference` shows at the proposal's places, moved by `flow`; pixels that come from nowhere stay.
pub(super) fn resample(colour: &mut Rgb32FImage, proposal: &Proposal, flow: &Flow, reference: &Rgb32FImage) {
    let level = sampled_level(typical_step(&proposal.places, &proposal.confidence));
    let (source, scale) = (at_level(reference, level), scale_of_level(level));
    let width = colour.width() as usize;
    colour.par_chunks_exact_mut(3 * width.max(1)).enumerate().for_each(|(y, row)| {
        for (x, out) in row.chunks_exact_mut(3).enumerate() {
            let by = |p: &Plane| p.as_raw()[y * width + x];
            let Some(place) = proposal.places.between(x as f32 + by(&flow.x), y as f32 + by(&flow.y)) else { continue };
            let [u, v] = place.map(|v| (v + 0.5) * scale - 0.5);
            sample(&source, u, v, Sampling::Lanczos, out);
            out.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        }
    });
}

/// The middle one of how many pixels of the reference a step covers where the proposal shows something; 1 where it shows nothing.
fn typical_step(places: &Places, confidence: &Plane) -> f32 {
    let (w, h) = confidence.dimensions();
    let looked_at = |n: u32| (0..n.saturating_sub(1)).step_by(EVERY);
    let shown = looked_at(h)
        .flat_map(|y| looked_at(w).map(move |x| (x, y)))
        .filter(|&(x, y)| confidence.get_pixel(x, y)[0] > 0.3);
    let step = |(x, y): (u32, u32)| {
        let [at, right, below] = [(x, y), (x + 1, y), (x, y + 1)].map(|(x, y)| places.get(x, y));
        let at = at?;
        let [across, down] = [right?, below?].map(|p| [p[0] - at[0], p[1] - at[1]]);
        Some((across[0] * down[1] - across[1] * down[0]).abs().sqrt())
    };
    let mut steps: Vec<f32> = shown.filter_map(step).collect();
    let middle = steps.len() / 2;
    if steps.is_empty() { 1.0 } else { *steps.select_nth_unstable_by(middle, f32::total_cmp).1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::propose::ProposalKind;
    use crate::pyramid::test_pictures::texture;
    use crate::warp::remap;
    use image::{Luma, Rgb};

    /// A reference that shows the target 3 px to the left: the proposal takes it for 3.5, and the flow takes the half back.
    #[test]
    fn what_was_moved_twice_is_sampled_once_and_sharper() {
        let fine = texture(120, 90, 3);
        let reference = Rgb32FImage::from_fn(120, 90, |x, y| Rgb([fine.get_pixel(x, y)[0]; 3]));
        let map = |by: f32| {
            (Plane::from_fn(120, 90, |x, _| Luma([x as f32 + by])), Plane::from_fn(120, 90, |_, y| Luma([y as f32])))
        };
        let seen = |picture: &Rgb32FImage, by: f32| remap(picture, &map(by).0, &map(by).1, Sampling::Bicubic).image;
        let proposal = Proposal {
            colour: seen(&reference, 3.5),
            confidence: Plane::from_pixel(120, 90, Luma([1.0])),
            places: Places { x: map(3.5).0, y: map(3.5).1 },
            reference: 0,
            kind: ProposalKind::MultiView,
        };
        let flow = Flow { x: Plane::from_pixel(120, 90, Luma([-0.5])), y: Plane::new(120, 90) };
        let twice = seen(&proposal.colour, -0.5);
        let mut once = twice.clone();
        resample(&mut once, &proposal, &flow, &reference);
        let off = |picture: &Rgb32FImage| {
            let at = |x: u32, y: u32| (picture.get_pixel(x, y)[0] - reference.get_pixel(x + 3, y)[0]).abs();
            (10..100).flat_map(|x| (10..80).map(move |y| at(x, y))).sum::<f32>()
        };
        assert!(off(&once) < 0.05 * off(&twice), "{} once, {} twice", off(&once), off(&twice));
    }

    #[test]
    fn a_reference_seen_half_as_large_is_sampled_from_its_half() {
        let checks = Rgb32FImage::from_fn(80, 80, |x, y| Rgb([f32::from(u8::from((x + y).is_multiple_of(2))); 3]));
        let proposal = Proposal {
            colour: Rgb32FImage::new(40, 40),
            confidence: Plane::from_pixel(40, 40, Luma([1.0])),
            places: Places::from_fn(40, 40, |x, y| (x > 4).then_some([2.0 * x as f32 + 0.5, 2.0 * y as f32 + 0.5])),
            reference: 0,
            kind: ProposalKind::Plane,
        };
        let mut colour = proposal.colour.clone();
        resample(&mut colour, &proposal, &Flow::zero(40, 40), &checks);
        assert!((colour.get_pixel(20, 20)[0] - 0.5).abs() < 0.01, "{:?}", colour.get_pixel(20, 20));
        assert_eq!(colour.get_pixel(2, 20)[0], 0.0, "from nowhere");
    }
}
