//! The fidelity map: which filled pixels a reference supports, which one, and which are invented.

use super::Window;
use super::regions::{Region, regions};
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

/// How much of the hole each reference supports.
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
    /// Reads the shares off a guide of a photo's `window` for the hole it was made for, and the regions with their places in the photo, of
    /// which `frame` is kept.
    pub fn of(guide: &Guide, mask: &Mask, window: &Window, frame: Option<Rect>) -> Self {
        let hole: Vec<usize> = (0..mask.holes().len()).filter(|&i| mask.holes()[i]).collect();
        let mean = |of: &dyn Fn(usize) -> f64| hole.iter().map(|&i| of(i)).sum::<f64>() / hole.len().max(1) as f64;
        let share = |is: &dyn Fn(Option<usize>) -> bool| mean(&|i| f64::from(is(Self::supporter(guide, i))));
        let supported_share = share(&|supporter| supporter.is_some());
        Self {
            supported_share,
            invented_share: 1.0 - supported_share,
            references: (1..=guide.references.len()).map(|i| share(&|supporter| supporter == Some(i))).collect(),
            mean_trust: mean(&|i| f64::from(guide.trust.as_raw()[i])),
            regions: regions(guide, mask, window.rect(), frame),
        }
    }

    /// The reference that supports pixel `index` of a guide, from 1; none where it is invented.
    pub(super) fn supporter(guide: &Guide, index: usize) -> Option<usize> {
        let (source, trust) = (guide.source.as_raw()[index], guide.trust.as_raw()[index]);
        (source > 0 && trust >= SUPPORTED).then_some(usize::from(source))
    }

    /// The map as a picture of the whole photo: the hole in its reference's hue, brighter with trust; orange-red where invented; the rest
    /// dark.
    pub fn picture(guide: &Guide, mask: &Mask, window: &Window) -> RgbImage {
        let shown = window.shown_at((mask.width(), mask.height()));
        RgbImage::from_fn(shown.photo.0, shown.photo.1, |x, y| {
            let Some((x, y)) = shown.place(x, y).filter(|at| mask.is_hole(at.0, at.1)) else { return Rgb(KNOWN) };
            let Some(reference) = Self::supporter(guide, (y * mask.width() + x) as usize) else { return Rgb(INVENTED) };
            let (hue, trust) = (HUES[(reference - 1) % HUES.len()], guide.trust.get_pixel(x, y)[0]);
            Rgb(hue.map(|v| (f32::from(v) * (0.3 + 0.7 * trust)) as u8))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    #[test]
    fn shares_count_the_hole_only() {
        let mut guide = Guide::empty(4, 1);
        guide.references = vec![Default::default()];
        for x in 0..4 {
            guide.trust.put_pixel(x, 0, Luma([if x == 3 { 0.2 } else { 1.0 }]));
            guide.source.put_pixel(x, 0, Luma([1]));
        }
        let mask = Mask::new(4, 1, vec![false, false, true, true]);
        let fidelity = Fidelity::of(&guide, &mask, &Window::around(&mask, |_| true), None);
        assert_eq!((fidelity.supported_share, fidelity.references[0]), (0.5, 0.5));
    }
}
