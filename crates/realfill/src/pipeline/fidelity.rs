//! The fidelity map: which filled pixels a reference supports, which one, and which are invented.

use super::regions::{Region, regions};
use super::view::hole_shares;
use super::window::Shown;
use super::{Filled, Part};
use image::math::Rect;
use image::{Rgb, RgbImage};
use realfill_vision::{Guide, Mask};
use serde::{Deserialize, Serialize};

/// From this trust on a pixel counts as supported.
const SUPPORTED: f32 = 0.5;
/// One hue a reference; five at most. Colour-blind safe (Okabe & Ito 2008).
const HUES: [[u8; 3]; 5] = [[0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233]];
/// What is known.
const KNOWN: [u8; 3] = [24; 3];
/// What is invented.
const INVENTED: [u8; 3] = [213, 94, 0];

/// How much of the hole each reference supports; what a frame cuts away is no part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// Share of the hole at trust 0.5 or more, 0 to 1.
    pub supported_share: f64,
    /// The rest.
    pub invented_share: f64,
    /// Supported share by reference, in order.
    pub references: Vec<f64>,
    /// Mean trust in the hole.
    pub mean_trust: f64,
    /// What stands behind each part of the hole, largest first; parts of less than 0.2 % of it are left out.
    pub regions: Vec<Region>,
}

impl Fidelity {
    /// Reads the shares off the guides of a photo's parts for what is kept of their holes, and the regions with their places in the photo, of
    /// which `frame` is kept.
    pub fn of(filled: &[Filled], parts: &[Part], frame: Option<Rect>) -> Self {
        let shares = hole_shares(parts);
        let each =
            || filled.iter().zip(parts).zip(&shares).map(|((filled, part), share)| (&*filled.guide, part, share));
        let mean = |of: &dyn Fn(&Guide, usize) -> f64| -> f64 {
            each().map(|(guide, part, share)| share * mean_in(&part.kept, |i| of(guide, i))).sum()
        };
        let share = |is: &dyn Fn(Option<usize>) -> bool| mean(&|guide, i| f64::from(is(Self::supporter(guide, i))));
        let supported_share = share(&|supporter| supporter.is_some());
        let references = filled.first().map_or(0, |filled| filled.guide.references.len());
        let of_part =
            |(guide, part, share): (&Guide, &Part, &f64)| regions(guide, &part.kept, *share, part.window.rect(), frame);
        let mut regions: Vec<Region> = each().flat_map(of_part).collect();
        regions.sort_by(|a, b| b.share.total_cmp(&a.share));
        Self {
            supported_share,
            invented_share: 1.0 - supported_share,
            references: (1..=references).map(|i| share(&|supporter| supporter == Some(i))).collect(),
            mean_trust: mean(&|guide, i| f64::from(guide.trust.as_raw()[i])),
            regions,
        }
    }

    /// The reference that supports pixel `index` of a guide, from 1; none where it is invented.
    pub(super) fn supporter(guide: &Guide, index: usize) -> Option<usize> {
        let (source, trust) = (guide.source.as_raw()[index], guide.trust.as_raw()[index]);
        (source > 0 && trust >= SUPPORTED).then_some(usize::from(source))
    }

    /// The map as a picture of the whole photo: the hole in its reference's hue, brighter with trust; orange-red where invented; the rest
    /// dark.
    pub fn picture(filled: &[Filled], parts: &[Part]) -> RgbImage {
        let shown: Vec<Shown> = parts.iter().map(|part| part.window.shown_at(part.target.dimensions())).collect();
        let colour = |filled: &Filled, part: &Part, shown: &Shown, x, y| {
            shown.place(x, y).filter(|at| part.mask.is_hole(at.0, at.1)).map(|at| Self::colour(&filled.guide, at))
        };
        RgbImage::from_fn(shown[0].photo.0, shown[0].photo.1, |x, y| {
            let mut each = filled.iter().zip(parts).zip(&shown);
            let found = each.find_map(|((filled, part), shown)| colour(filled, part, shown, x, y));
            found.unwrap_or(Rgb(KNOWN))
        })
    }

    /// A pixel of a hole.
    fn colour(guide: &Guide, (x, y): (u32, u32)) -> Rgb<u8> {
        let index = (y * guide.trust.width() + x) as usize;
        let Some(reference) = Self::supporter(guide, index) else { return Rgb(INVENTED) };
        let (hue, trust) = (HUES[(reference - 1) % HUES.len()], guide.trust.as_raw()[index]);
        Rgb(hue.map(|v| (f32::from(v) * (0.3 + 0.7 * trust)) as u8))
    }
}

/// The mean over a hole; 0 without one.
fn mean_in(mask: &Mask, of: impl Fn(usize) -> f64) -> f64 {
    let hole: Vec<usize> = (0..mask.holes().len()).filter(|&i| mask.holes()[i]).collect();
    hole.iter().map(|&i| of(i)).sum::<f64>() / hole.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Window;
    use image::{Luma, Rgb32FImage};
    use std::sync::Arc;

    fn filled(guide: Guide) -> Filled {
        Filled { picture: Rgb32FImage::default(), guide: Arc::new(guide) }
    }

    #[test]
    fn shares_count_the_hole_only() {
        let mut guide = Guide::empty(4, 1);
        guide.references = vec![Default::default()];
        for x in 0..4 {
            guide.trust.put_pixel(x, 0, Luma([if x == 3 { 0.2 } else { 1.0 }]));
            guide.source.put_pixel(x, 0, Luma([1]));
        }
        let mask = Mask::new(4, 1, vec![false, false, true, true]);
        let part = Part::of_hole(Window::around(&mask, |_| true), mask);
        let fidelity = Fidelity::of(&[filled(guide)], &[part], None);
        assert_eq!((fidelity.supported_share, fidelity.references[0]), (0.5, 0.5));
    }

    #[test]
    fn what_a_frame_cuts_away_is_not_counted() {
        let (mask, frame) = (Mask::from_fn(8, 4, |x, _| x >= 4), Rect { x: 2, y: 0, width: 4, height: 4 });
        let mut guide = Guide { references: vec![Default::default()], ..Guide::empty(8, 4) };
        for (x, y) in [4, 5].into_iter().flat_map(|x| (0..4).map(move |y| (x, y))) {
            guide.trust.put_pixel(x, y, Luma([1.0]));
            guide.source.put_pixel(x, y, Luma([1]));
        }
        let window = Window::around(&mask, |_| true);
        let filled = [filled(guide)];
        let whole = Fidelity::of(&filled, &[Part::of_hole(window, mask.clone())], None);
        assert_eq!((whole.supported_share, whole.regions.len()), (0.5, 2));
        let kept = window.kept(&mask, Some(frame));
        let fidelity = Fidelity::of(&filled, &[Part { kept, ..Part::of_hole(window, mask) }], Some(frame));
        assert_eq!((fidelity.supported_share, fidelity.mean_trust), (1.0, 1.0));
        let places: Vec<_> = fidelity.regions.iter().map(|r| (r.share, r.x, r.width)).collect();
        assert_eq!(places, [(1.0, 2, 2)]);
    }

    /// A hole of 400 by 400 px that a reference supports in full, and one of 200 by 200 px that is invented.
    #[test]
    fn parts_count_by_their_holes_area_and_lie_where_their_windows_do() {
        let inside =
            |x: u32, y: u32, from: u32, side: u32| (from..from + side).contains(&x) && (from..from + side).contains(&y);
        let mask = Mask::from_fn(6000, 4000, |x, y| inside(x, y, 1000, 400) || inside(x, y, 3600, 200));
        let part = |window: Window| {
            let hole = mask.cut_to(window.rect()).resized_max(768, 768);
            Part::of_hole(window, hole)
        };
        let parts: Vec<Part> = Window::around_each(&mask, |_| true).into_iter().map(part).collect();
        let mut supported = Guide { references: vec![Default::default()], ..Guide::empty(768, 768) };
        supported.trust.iter_mut().for_each(|trust| *trust = 1.0);
        supported.source.iter_mut().for_each(|source| *source = 1);
        let invented = Guide { references: vec![Default::default()], ..Guide::empty(768, 768) };
        let filled = [filled(supported), filled(invented)];

        let fidelity = Fidelity::of(&filled, &parts, None);
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 0.01, "{found} for {wanted}");
        near(fidelity.supported_share, 0.8);
        near(fidelity.mean_trust, 0.8);
        let regions: Vec<_> = fidelity.regions.iter().map(|r| (r.reference, r.x / 10, r.y / 10)).collect();
        assert_eq!(regions, [(Some(1), 100, 100), (None, 360, 360)]);
        near(fidelity.regions[0].share + fidelity.regions[1].share, 1.0);

        let picture = Fidelity::picture(&filled, &parts);
        assert_eq!(picture.dimensions(), (1024, 683));
        let at = |x: u32, y: u32| picture.get_pixel(x * 1024 / 6000, y * 683 / 4000).0;
        assert_eq!([at(1200, 1200), at(3700, 3700), at(2500, 2500)], [HUES[0], INVENTED, KNOWN]);
    }
}
