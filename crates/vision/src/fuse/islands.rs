//! Small doubtful patches that stand out from all around them: better invented from what they lie in.

use super::costs::INVENTED;
use super::{Canvas, Labels};
use crate::blend::neighbours;
use crate::patches::patches;
use image::Rgb32FImage;

/// Largest patch that is dropped, as a share of the picture.
const SMALL: f32 = 0.01;
/// Mean doubt from which a patch is dropped: about trust 0.3.
pub(super) const DOUBTFUL: f32 = 0.9;
/// Mean step of colour across its border from which a patch stands out, of 1.
const STANDS_OUT: f32 = 0.12;
/// Share of its border that must lie against what is known or proposed.
const ENCLOSED: f32 = 0.7;

/// Gives small patches of one label up to invention where they are doubtful and stand out from their surroundings. `colours` are the
/// proposals', as lit and moved.
pub fn drop_islands(labels: &mut Labels, canvas: &Canvas, colours: &[&Rgb32FImage]) {
    let picture = Chosen { labels: &labels.labels, canvas, colours };
    let largest = (SMALL * labels.labels.len() as f32) as usize;
    let doubt = labels.doubt.as_raw();
    let is_dropped = |patch: &Vec<usize>| {
        let doubts: f32 = patch.iter().map(|&i| doubt[i]).sum();
        patch.len() <= largest && doubts > DOUBTFUL * patch.len() as f32 && picture.stands_out(patch)
    };
    let dropped: Vec<usize> = picture.patches().into_iter().filter(is_dropped).flatten().collect();
    for i in dropped {
        labels.labels[i] = colours.len() as u8;
        labels.doubt.as_mut()[i] = INVENTED;
    }
}

/// The picture that the labels make.
pub(super) struct Chosen<'a> {
    pub labels: &'a [u8],
    pub canvas: &'a Canvas,
    pub colours: &'a [&'a Rgb32FImage],
}

impl Chosen<'_> {
    /// The hole's connected patches of one proposal each.
    fn patches(&self) -> Vec<Vec<usize>> {
        let size = (self.canvas.mask.width() as usize, self.canvas.mask.height() as usize);
        patches(size, |i| self.is_proposed(i), |i, j| self.labels[j] == self.labels[i])
    }

    /// Whether colours step at the border, most of which lies against something that is shown.
    fn stands_out(&self, patch: &[usize]) -> bool {
        let (w, h) = (self.canvas.mask.width() as usize, self.canvas.mask.height() as usize);
        let (mut border, mut shown, mut steps) = (0.0, 0.0, 0.0);
        for &i in patch {
            let outside = |&j: &usize| !self.canvas.mask.holes()[j] || self.labels[j] != self.labels[i];
            for j in neighbours(i, w, h).into_iter().flatten().filter(outside) {
                border += 1.0;
                if let (Some(a), Some(b)) = (self.colour(i), self.colour(j)) {
                    shown += 1.0;
                    steps += a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / 3.0;
                }
            }
        }
        shown > ENCLOSED * border && steps > STANDS_OUT * shown
    }

    /// Whether a proposal is shown in the hole here.
    pub fn is_proposed(&self, i: usize) -> bool {
        self.canvas.mask.holes()[i] && (self.labels[i] as usize) < self.colours.len()
    }

    /// What is shown here, if anything is.
    pub fn colour(&self, i: usize) -> Option<&[f32]> {
        let picture = match self.canvas.mask.holes()[i] {
            false => &self.canvas.target,
            true => self.colours.get(self.labels[i] as usize)?,
        };
        Some(&picture.as_raw()[3 * i..3 * i + 3])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mask, Plane};
    use image::{Luma, Rgb};

    /// The labels after dropping, of a light proposal with a dark patch of 3×3 pixels of another in its middle.
    fn patch(dark: f32, doubt: f32) -> Vec<u8> {
        let flat = |value: f32| Rgb32FImage::from_pixel(40, 40, Rgb([value; 3]));
        let hole = |x: u32, y: u32| (5..35).contains(&x) && (5..35).contains(&y);
        let inside = |x: u32, y: u32| (18..21).contains(&x) && (18..21).contains(&y);
        let canvas = Canvas::new(flat(0.8), Mask::from_fn(40, 40, hole));
        let label = |i: u32| u8::from(inside(i % 40, i / 40));
        let doubt = Plane::from_fn(40, 40, |x, y| Luma([if inside(x, y) { doubt } else { 0.4 }]));
        let mut labels = Labels { labels: (0..1600).map(label).collect(), doubt };
        drop_islands(&mut labels, &canvas, &[&flat(0.8), &flat(dark)]);
        labels.labels
    }

    #[test]
    fn a_doubtful_patch_that_stands_out_is_given_up_and_no_other() {
        let dropped = patch(0.2, 1.1);
        assert_eq!(dropped.iter().filter(|&&label| label == 2).count(), 9);
        assert!(patch(0.2, 0.5).iter().all(|&label| label < 2), "a trusted one stays");
        assert!(patch(0.75, 1.1).iter().all(|&label| label < 2), "one that fits in stays");
    }
}
