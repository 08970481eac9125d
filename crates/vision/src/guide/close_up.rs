//! A part of the target at a scale of its own: where the references land is worked out on the whole photo, and what they show around a small
//! hole is then rendered from the photos as fine as they have it.

use super::upright::Turns;
use crate::detail::Pixels;
use crate::propose::Proposal;
use crate::warp::{Places, Sampling, sample};
use crate::{Mask, Photo, Plane};
use image::Rgb32FImage;
use rayon::prelude::*;

/// The part of a target that a guide is made for.
#[derive(Clone, Copy, Debug)]
pub struct CloseUp<'a> {
    /// The part, colours 0 to 1.
    pub target: &'a Rgb32FImage,
    /// Its hole.
    pub mask: &'a Mask,
    /// Left edge, upper edge, width and height as shares of the whole target's width and height, 0 to 1.
    pub part: [f32; 4],
    /// The references at their own size, in the order of those that are matched.
    pub photos: &'a [Photo],
    /// Proposals are compared at this longer side at most, in pixels.
    pub working_side: u32,
}

/// A reference at its own size, and how places in the picture of it that was matched become places in it.
pub(super) struct Source<'a> {
    pub pixels: Pixels<'a>,
    pub turns: Turns,
    /// Size of the picture that was matched, stood up.
    pub matched: (u32, u32),
}

impl Source<'_> {
    /// A place in the matched picture as a place in the photo.
    fn place(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let share = [(x + 0.5) / self.matched.0 as f32, (y + 0.5) / self.matched.1 as f32];
        let (given, size) = (self.turns.given(share), self.pixels.size());
        [given[0] * size.0 as f32 - 0.5, given[1] * size.1 as f32 - 0.5]
    }

    /// The photo's pixels for one of the matched picture's.
    fn scale(&self) -> f32 {
        let longer = |(w, h): (u32, u32)| w.max(h) as f32;
        longer(self.pixels.size()) / longer(self.matched)
    }
}

impl CloseUp<'_> {
    /// What is proposed for the whole target as the close-up has it; places stay those in the matched picture.
    pub(super) fn of(&self, whole: &Proposal, source: &Source) -> Proposal {
        let (w, h) = self.target.dimensions();
        let (mut colour, mut confidence) = (Rgb32FImage::new(w, h), Plane::new(w, h));
        let mut places = Places::from_fn(w, h, |_, _| None);
        let row = w as usize;
        let rows = colour.par_chunks_exact_mut(3 * row).zip(confidence.par_chunks_exact_mut(row));
        let rows = rows.zip(places.x.par_chunks_exact_mut(row).zip(places.y.par_chunks_exact_mut(row)));
        rows.enumerate().for_each(|(y, ((colour, confidence), (across, down)))| {
            for x in 0..row {
                let at = self.in_whole(x as f32, y as f32, whole.colour.dimensions());
                let mut sure = [0.0];
                sample(&whole.confidence, at[0], at[1], Sampling::Bilinear, &mut sure);
                let Some(place) = whole.places.between(at[0], at[1]).filter(|_| sure[0] > 0.0) else { continue };
                let footprint = self.scale(whole.colour.width()) * stretched(&whole.places, at) * source.scale();
                let shown = source.pixels.covering(source.place(place), footprint);
                colour[3 * x..3 * x + 3].copy_from_slice(&shown.map(|v| v.clamp(0.0, 1.0)));
                (confidence[x], across[x], down[x]) = (sure[0], place[0], place[1]);
            }
        });
        let colour = places.continued(&colour);
        Proposal { colour, confidence, places, reference: whole.reference, kind: whole.kind }
    }

    fn in_whole(&self, x: f32, y: f32, whole: (u32, u32)) -> [f32; 2] {
        let ([left, top, width, height], (w, h)) = (self.part, self.target.dimensions());
        let along = |v: f32, from: f32, share: f32, own: u32, all: u32| {
            (from + (v + 0.5) / own as f32 * share) * all as f32 - 0.5
        };
        [along(x, left, width, w, whole.0), along(y, top, height, h, whole.1)]
    }

    /// Pixels of the whole target for one of its own.
    fn scale(&self, whole: u32) -> f32 {
        self.part[2] * whole as f32 / self.target.width() as f32
    }
}

/// Pixels of the matched picture, along a side, that one of the whole target's covers around a place; 1 where that cannot be told.
fn stretched(places: &Places, [x, y]: [f32; 2]) -> f32 {
    let step = |by: [f32; 2]| {
        let [a, b] = [-0.5, 0.5].map(|t| places.between(x + t * by[0], y + t * by[1]));
        a.zip(b).map(|(a, b)| [b[0] - a[0], b[1] - a[1]])
    };
    let Some((across, down)) = step([1.0, 0.0]).zip(step([0.0, 1.0])) else { return 1.0 };
    (across[0] * down[1] - across[1] * down[0]).abs().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::propose::ProposalKind;
    use crate::pyramid::test_pictures::texture;
    use crate::resize::quantise;
    use image::{Luma, Rgb, imageops};

    /// A reference that shows the target's surface half as large at the size it was matched at, a quarter of its own.
    #[test]
    fn a_small_part_is_rendered_as_fine_as_the_photo_has_it() {
        let fine = texture(480, 360, 3);
        let photo = Rgb32FImage::from_fn(480, 360, |x, y| Rgb([0.2 + 0.5 * fine.get_pixel(x, y)[0]; 3]));
        let matched = (120, 90);
        let place = |x: u32, y: u32| Some([x as f32 * 0.5 + 20.0, y as f32 * 0.5 + 10.0]);
        let whole = Proposal {
            colour: Rgb32FImage::new(160, 120),
            confidence: Plane::from_fn(160, 120, |x, _| Luma([f32::from(u8::from(x < 60))])),
            places: Places::from_fn(160, 120, place),
            reference: 0,
            kind: ProposalKind::Plane,
        };
        let (target, mask) = (Rgb32FImage::new(80, 60), Mask::from_fn(80, 60, |_, _| true));
        let part = [0.25, 0.25, 0.25, 0.25];
        let close_up = CloseUp { target: &target, mask: &mask, part, photos: &[], working_side: 768 };
        let given = quantise(&photo).into();
        let source = Source { pixels: Pixels::of(&given), turns: Turns::default(), matched };
        let found = close_up.of(&whole, &source);
        // A pixel of the close-up is half a pixel of the target, a quarter of one of the matched picture, and one of the photo's.
        let cut = imageops::crop_imm(&photo, 161, 101, 80, 60).to_image();
        let apart = |x: u32, y: u32| (found.colour.get_pixel(x, y)[0] - cut.get_pixel(x, y)[0]).abs();
        let worst = (0..38).flat_map(|x| (0..60).map(move |y| apart(x, y))).fold(0.0, f32::max);
        assert!(worst < 0.003, "{worst}");
        assert!(found.confidence.get_pixel(70, 30)[0] == 0.0 && found.places.get(70, 30).is_none());
        assert!(found.colour.get_pixel(70, 30)[0] > 0.15, "the colours beside it go on");
    }
}
