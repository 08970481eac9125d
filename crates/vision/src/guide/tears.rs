//! Tears inside of a proposal: neighbouring pixels that come from places of a photo far apart although it shows no edge at either, such as
//! a sky of two depths. The step of colour between them is no thing's outline, and is healed as a seam is.

use super::origins::Sites;
use crate::blend::rgb;
use crate::light::contrast;
use crate::pyramid::grey;
use crate::{Mask, Plane};
use image::{Luma, Rgb32FImage};
use rayon::prelude::*;

/// Places this many of the photo's pixels apart are not neighbours.
const APART: f32 = 6.0;
/// Window in which a photo shows no edge, in its pixels.
const WINDOW: f32 = 2.0;
/// A photo's contrast beside the step of colour, up to which it does not account for it.
const FLAT: f32 = 0.25;
/// Steps of colour (mean over channels, of 1) up to which both sides may be one surface: larger ones are outlines.
const SMALL: f32 = 0.12;

/// Where one photo's places are torn.
pub(super) struct Tears<'a> {
    /// The guide's.
    pub origins: &'a Sites,
    /// The references', as [`contrasts`] has them.
    pub contrasts: &'a [Plane],
}

/// How much each photo varies around its pixels.
pub(super) fn contrasts(photos: &[Rgb32FImage]) -> Vec<Plane> {
    let all = |photo: &Rgb32FImage| Plane::from_pixel(photo.width(), photo.height(), Luma([1.0]));
    photos.par_iter().map(|photo| contrast(&grey(photo), &all(photo), WINDOW)).collect()
}

impl Tears<'_> {
    /// The pairs of neighbours in the hole whose step of colour in `fill` is a tear's.
    pub fn pairs(&self, fill: &Rgb32FImage, mask: &Mask, labels: &[u8]) -> Vec<(usize, usize)> {
        let (w, h) = (mask.width() as usize, mask.height() as usize);
        let right = (0..w * h).filter(|i| i % w + 1 < w).map(|i| (i, i + 1));
        let down = (0..w * h.saturating_sub(1)).map(|i| (i, i + w));
        let in_one = |&(i, j): &(usize, usize)| mask.holes()[i] && mask.holes()[j] && labels[i] == labels[j];
        right.chain(down).filter(in_one).filter(|&(i, j)| self.is_torn(fill, i, j)).collect()
    }

    fn is_torn(&self, fill: &Rgb32FImage, i: usize, j: usize) -> bool {
        let (Some((a, from)), Some((b, to))) = (self.place(i), self.place(j)) else { return false };
        if a != b || (from[0] - to[0]).hypot(from[1] - to[1]) < APART {
            return false;
        }
        let (p, q) = (rgb(fill, i), rgb(fill, j));
        let step = (0..3).map(|c| (p[c] - q[c]).abs()).sum::<f32>() / 3.0;
        step < SMALL && [from, to].iter().all(|at| self.contrast(a, *at) < FLAT * step)
    }

    /// A reference and a place in it, in pixels.
    fn place(&self, i: usize) -> Option<(usize, [f32; 2])> {
        let width = self.origins.photo.width() as usize;
        let (photo, share) = self.origins.get((i % width) as u32, (i / width) as u32)?;
        let reference = usize::from(photo).checked_sub(2)?;
        let size = self.contrasts[reference].dimensions();
        Some((reference, [share[0] * size.0 as f32, share[1] * size.1 as f32]))
    }

    fn contrast(&self, reference: usize, at: [f32; 2]) -> f32 {
        let contrast = &self.contrasts[reference];
        let cell = |v: f32, n: u32| (v.max(0.0) as u32).min(n - 1);
        contrast.get_pixel(cell(at[0], contrast.width()), cell(at[1], contrast.height()))[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guide::origins::Origins;
    use image::Rgb;

    const SIZE: (u32, u32) = (60, 40);

    /// The pairs where the left half comes from the reference's left and the right half from `by` px farther right.
    fn torn(photo: impl Fn(u32) -> f32, by: f32) -> Vec<(usize, usize)> {
        let photo = Rgb32FImage::from_fn(100, 40, |x, _| Rgb([photo(x); 3]));
        let from = |x: u32| x as f32 + if x < 30 { 0.0 } else { by };
        let mut origins = Origins::none(SIZE.0, SIZE.1).own;
        let share = |x: u32, y: u32| [(from(x) + 0.5) / 100.0, (y as f32 + 0.5) / 40.0];
        (0..SIZE.1).for_each(|y| (0..SIZE.0).for_each(|x| origins.put(x, y, (2, share(x, y)))));
        let fill = Rgb32FImage::from_fn(SIZE.0, SIZE.1, |x, _| *photo.get_pixel(from(x) as u32, 0));
        let mask = Mask::from_fn(SIZE.0, SIZE.1, |x, y| (10..50).contains(&x) && (10..12).contains(&y));
        Tears { origins: &origins, contrasts: &contrasts(&[photo]) }.pairs(&fill, &mask, &[0; 60 * 40])
    }

    /// A sky that grows lighter to the right.
    #[test]
    fn a_sky_that_comes_from_two_places_is_torn() {
        let sky = |x: u32| 0.3 + 0.003 * x as f32;
        assert_eq!(torn(sky, 20.0), [(629, 630), (689, 690)]);
        assert!(torn(sky, 4.0).is_empty(), "near places are neighbours");
    }

    #[test]
    fn an_outline_is_not_torn() {
        let wall = |x: u32| if x < 45 { 0.3 } else { 0.38 };
        assert!(torn(wall, 14.0).is_empty(), "the photo shows the edge beside it");
        assert!(!torn(wall, 25.0).is_empty(), "no edge where the two meet");
        let tower = |x: u32| if x < 45 { 0.3 } else { 0.8 };
        assert!(torn(tower, 25.0).is_empty(), "so large a step is an outline somewhere");
    }
}
