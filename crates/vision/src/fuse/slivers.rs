//! Slivers of what stands in front, left where a proposal ends: better invented from what they lie in.

use super::costs::INVENTED;
use super::islands::{Chosen, DOUBTFUL};
use super::{Canvas, Labels};
use crate::Mask;
use crate::blend::neighbours;
use image::Rgb32FImage;
use rayon::prelude::*;

/// Largest sliver, as a share of the picture.
const SMALL: f32 = 0.003;
/// Reach of a pixel's surroundings, as a share of the longer side.
const AROUND: f32 = 0.04;
/// Every how many pixels, across and down, they are asked for their colour.
const STRIDE: usize = 3;
/// Spread of colour (of its middle half, of 1) up to which surroundings are flat, and distance from their middle at which a pixel is foreign.
const FLAT: f32 = 0.1;
const FOREIGN: f32 = 0.2;
/// Distance from a sliver's first colour at which it ends.
const ALIKE: f32 = 0.15;
/// Distance to what no proposal shows, as a share of the longer side.
const NEAR: f32 = 0.012;
/// Pixels around a sliver that go with it.
const RIM: f32 = 3.0;

/// Gives slivers up to invention: near the end of what proposals show, small doubtful patches of a colour foreign to their flat surroundings.
pub fn drop_slivers(labels: &mut Labels, canvas: &Canvas, colours: &[&Rgb32FImage]) {
    let (w, h) = (canvas.mask.width(), canvas.mask.height());
    let picture = Chosen { labels: &labels.labels, canvas, colours };
    let mask_of = |is: &dyn Fn(usize) -> bool| Mask::from_fn(w, h, |x, y| is((y * w + x) as usize));
    let open = mask_of(&|i| canvas.mask.holes()[i] && !picture.is_proposed(i));
    let near = open.dilate(NEAR * w.max(h) as f32);
    let doubtful = |i: usize| picture.is_proposed(i) && labels.doubt.as_raw()[i] > DOUBTFUL;
    let is_foreign = |i: &usize| near.holes()[*i] && doubtful(*i) && picture.is_foreign(*i);
    let foreign: Vec<usize> = (0..labels.labels.len()).into_par_iter().filter(is_foreign).collect();
    let mut seen = vec![false; labels.labels.len()];
    let slivers: Vec<usize> = foreign.into_iter().filter_map(|i| picture.sliver(i, &mut seen)).flatten().collect();
    let mut is_sliver = vec![false; labels.labels.len()];
    slivers.into_iter().for_each(|i| is_sliver[i] = true);
    let dropped = mask_of(&|i| is_sliver[i]).dilate(RIM);
    let gone: Vec<usize> = (0..is_sliver.len()).filter(|&i| dropped.holes()[i] && picture.is_proposed(i)).collect();
    for i in gone {
        labels.labels[i] = colours.len() as u8;
        labels.doubt.as_mut()[i] = INVENTED;
    }
}

impl Chosen<'_> {
    /// Whether the surroundings are flat and the pixel is of another colour.
    fn is_foreign(&self, i: usize) -> bool {
        let (w, h) = (self.canvas.mask.width() as usize, self.canvas.mask.height() as usize);
        let reach = (AROUND * w.max(h) as f32) as usize;
        let within = |at: usize, end: usize| (at.saturating_sub(reach)..(at + reach + 1).min(end)).step_by(STRIDE);
        let places = within(i / w, h).flat_map(|y| within(i % w, w).map(move |x| y * w + x));
        let around: Vec<&[f32]> = places.filter_map(|j| self.colour(j)).collect();
        let (Some(own), true) = (self.colour(i), around.len() > reach / STRIDE) else { return false };
        let (mut spread, mut apart) = (0.0, 0.0);
        for (c, own) in own.iter().enumerate() {
            let mut values: Vec<f32> = around.iter().map(|colour| colour[c]).collect();
            values.sort_unstable_by(f32::total_cmp);
            let n = values.len();
            spread += (values[3 * n / 4] - values[n / 4]) / 3.0;
            apart += (own - values[n / 2]).abs() / 3.0;
        }
        spread < FLAT && apart > FOREIGN
    }

    /// The connected pixels of much the same colour as `first`, unless they are seen before or too many: then it is the edge of something larger.
    fn sliver(&self, first: usize, seen: &mut [bool]) -> Option<Vec<usize>> {
        if std::mem::replace(&mut seen[first], true) {
            return None;
        }
        let (w, h) = (self.canvas.mask.width() as usize, self.canvas.mask.height() as usize);
        let colour = self.colour(first)?;
        let alike = |j: usize| self.colour(j).is_some_and(|other| distance(colour, other) < ALIKE);
        let most = (SMALL * (w * h) as f32) as usize;
        let (mut sliver, mut next) = (vec![first], 0);
        while next < sliver.len() {
            for j in neighbours(sliver[next], w, h).into_iter().flatten() {
                if !seen[j] && alike(j) {
                    seen[j] = true;
                    sliver.push(j);
                }
            }
            next += 1;
        }
        (sliver.len() <= most).then_some(sliver)
    }
}

/// Mean over the channels.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plane;
    use image::{Luma, Rgb};

    /// Pixels given up of a light proposal that ends at column 180 of 240, with a dark bar from column `from` on of so many rows.
    fn given_up(from: u32, rows: u32, doubt: f32) -> usize {
        let is_bar = |x: u32, y: u32| (from..from + 3).contains(&x) && (100..100 + rows).contains(&y);
        let shown = Rgb32FImage::from_fn(240, 240, |x, y| Rgb([if is_bar(x, y) { 0.1 } else { 0.7 }; 3]));
        let target = Rgb32FImage::from_pixel(240, 240, Rgb([0.7; 3]));
        let canvas = Canvas::new(target, Mask::from_fn(240, 240, |x, _| x >= 20));
        let end = |i: usize| i % 240 >= 180;
        let mut labels = Labels {
            labels: (0..240 * 240).map(|i| u8::from(end(i))).collect(),
            doubt: Plane::from_pixel(240, 240, Luma([doubt])),
        };
        drop_slivers(&mut labels, &canvas, &[&shown]);
        labels.labels.iter().enumerate().filter(|&(i, &label)| !end(i) && label == 1).count()
    }

    #[test]
    fn a_doubtful_sliver_where_the_proposal_ends_is_given_up_and_nothing_else() {
        let found = given_up(177, 8, 1.1);
        assert!((24..120).contains(&found), "{found}");
        assert_eq!(given_up(177, 8, 0.5), 0, "a trusted one stays");
        assert_eq!(given_up(120, 8, 1.1), 0, "one in the middle of what is shown stays");
        assert_eq!(given_up(177, 100, 1.1), 0, "the edge of something larger stays");
    }
}
