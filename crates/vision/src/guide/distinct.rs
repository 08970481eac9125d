//! References each once and in an order of their own, so that neither their order nor a photo given twice changes the guide.

use crate::pyramid::shrink_to;
use image::Rgb32FImage;

/// Side of the small pictures that photos are compared by, in pixels.
const COMPARED_AT: u32 = 48;
/// Photos whose small pictures differ by no more than this in the mean and anywhere (of 1) are the same. Saving the evaluation scenes'
/// references again at other sizes or at quality 60 changes 0.004 and 0.05 at most; two references of one scene differ by 0.10 and 0.58 at least.
const SAME_MEAN: f32 = 0.008;
const SAME_ANYWHERE: f32 = 0.08;

/// Which of the given photos take part.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Distinct {
    /// Indices of the photos that take part, darkest first.
    pub kept: Vec<usize>,
    /// For each given photo the one that takes part in its place, itself where it does.
    pub stands_for: Vec<usize>,
}

impl Distinct {
    /// Of equal photos the one with most pixels is kept.
    pub fn of(photos: &[Rgb32FImage]) -> Self {
        let small: Vec<Rgb32FImage> = photos.iter().map(|p| shrink_to(p, COMPARED_AT, COMPARED_AT)).collect();
        let mut order: Vec<usize> = (0..photos.len()).collect();
        let pixels = |i: usize| photos[i].width() as u64 * photos[i].height() as u64;
        order.sort_by_key(|&i| std::cmp::Reverse(pixels(i)));
        let mut kept: Vec<usize> = Vec::new();
        let mut stands_for: Vec<usize> = (0..photos.len()).collect();
        for i in order {
            let like = |k: &&usize| same_shape(&photos[**k], &photos[i]) && same(&small[**k], &small[i]);
            match kept.iter().find(like) {
                Some(&k) => stands_for[i] = k,
                None => kept.push(i),
            }
        }
        // Brightness hardly depends on how a photo is turned or saved.
        let brightness = |i: usize| photos[i].iter().map(|v| *v as f64).sum::<f64>() / photos[i].len().max(1) as f64;
        let mut keyed: Vec<(f64, usize)> = kept.into_iter().map(|i| (brightness(i), i)).collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { kept: keyed.into_iter().map(|k| k.1).collect(), stands_for }
    }

    /// Where a given photo stands among those that take part.
    pub fn place(&self, photo: usize) -> usize {
        let own = self.stands_for[photo];
        self.kept.iter().position(|&k| k == own).expect("the photo that stands for another is kept")
    }
}

fn same_shape(a: &Rgb32FImage, b: &Rgb32FImage) -> bool {
    let aspect = |p: &Rgb32FImage| p.width() as f32 / p.height().max(1) as f32;
    (aspect(a) / aspect(b) - 1.0).abs() < 0.01
}

fn same(a: &Rgb32FImage, b: &Rgb32FImage) -> bool {
    let apart = || a.iter().zip(b.iter()).map(|(a, b)| (a - b).abs());
    apart().sum::<f32>() / (a.len() as f32) < SAME_MEAN && apart().fold(0.0, f32::max) < SAME_ANYWHERE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::{resize_bilinear, test_pictures::noise_rgb};

    #[test]
    fn a_photo_given_twice_takes_part_once_at_its_larger_size() {
        let (a, b) = (crate::pyramid::gaussian_blur(&noise_rgb(80, 60, 1), 2.0), noise_rgb(80, 60, 2));
        let photos = [resize_bilinear(&a, 72, 54), b.clone(), a.clone(), b];
        let found = Distinct::of(&photos);
        assert_eq!(found.stands_for, [2, 1, 2, 1]);
        assert_eq!(found.kept.len(), 2);
        assert_eq!(found.place(0), found.place(2));
    }

    #[test]
    fn the_order_of_those_that_take_part_is_their_own() {
        let photos: Vec<Rgb32FImage> = (1..4).map(|s| noise_rgb(40, 30, s)).collect();
        let turned: Vec<Rgb32FImage> = [2, 0, 1].iter().map(|&i| photos[i].clone()).collect();
        let (a, b) = (Distinct::of(&photos), Distinct::of(&turned));
        let same = a.kept.iter().zip(&b.kept).all(|(&i, &k)| photos[i] == turned[k]);
        assert!(same, "{a:?} {b:?}");
    }
}
