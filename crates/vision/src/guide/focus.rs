//! A photo that was focused better, or is less grainy, than the target is softened to it: what is filled is no sharper than its surroundings.

use crate::light::{blurred_within, shared_structure};
use crate::pyramid::{gaussian_blur, grey, resize_bilinear};
use crate::{Mask, Plane};
use image::{Luma, Rgb32FImage};

/// What a Gaussian of so many pixels takes away is the finest detail.
const FINEST: f32 = 1.0;
/// Confidence from which a place is looked at.
const SEEN: f32 = 0.3;
/// Share of the picture that has to show the same structure as the target, or nothing is known of its focus.
const TOLD_BY: f32 = 0.002;
/// More than this is left of the finest detail.
const LEAST: f32 = 0.2;

/// `picture` (moved and lit) with no more of the finest detail than the target has where both show the same. `confidence` may be smaller.
pub(super) fn focused(picture: Rgb32FImage, confidence: &Plane, target: &Rgb32FImage, mask: &Mask) -> Rgb32FImage {
    let share = share_kept(&picture, confidence, target, mask);
    if share >= 1.0 {
        return picture;
    }
    let mut softened = gaussian_blur(&picture, FINEST);
    softened.iter_mut().zip(picture.iter()).for_each(|(soft, own)| *soft += share * (own - *soft));
    softened
}

/// The target's finest detail over the picture's (root mean square) where they show the same structure.
fn share_kept(picture: &Rgb32FImage, confidence: &Plane, target: &Rgb32FImage, mask: &Mask) -> f32 {
    let (w, h) = target.dimensions();
    let confidence = resize_bilinear(confidence, w, h);
    let is_seen = |x: u32, y: u32| !mask.is_hole(x, y) && confidence.get_pixel(x, y)[0] > SEEN;
    let known = Plane::from_fn(w, h, |x, y| Luma([f32::from(u8::from(is_seen(x, y)))]));
    let (picture, target) = (grey(picture), grey(target));
    let same = shared_structure(&picture, &target, &known);
    if same.iter().sum::<f32>() < TOLD_BY * same.len() as f32 {
        return 1.0;
    }
    let energy = |p: &Plane| {
        let soft = blurred_within(p, &known, FINEST);
        let parts = p.iter().zip(soft.iter()).zip(same.iter());
        parts.map(|((v, soft), same)| f64::from(same * (v - soft).powi(2))).sum::<f64>()
    };
    let ratio = energy(&target) / energy(&picture).max(f64::MIN_POSITIVE);
    (ratio.sqrt() as f32).clamp(LEAST, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;
    use image::Rgb;

    fn sharp() -> Rgb32FImage {
        let grey = texture(120, 90, 3);
        Rgb32FImage::from_fn(120, 90, |x, y| Rgb([grey.get_pixel(x, y)[0]; 3]))
    }

    fn off(a: &Rgb32FImage, b: &Rgb32FImage) -> f32 {
        a.iter().zip(b.iter()).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
    }

    #[test]
    fn what_is_sharper_than_the_target_is_softened_and_what_is_not_stays() {
        let (sharp, soft) = (sharp(), gaussian_blur(&sharp(), 1.2));
        let mask = Mask::from_fn(120, 90, |x, _| (40..80).contains(&x));
        let everywhere = Plane::from_pixel(60, 45, Luma([1.0]));
        let focused = |picture: &Rgb32FImage, target| focused(picture.clone(), &everywhere, target, &mask);
        assert!(off(&focused(&sharp, &soft), &soft) < 0.6 * off(&sharp, &soft));
        assert_eq!(focused(&soft, &sharp), soft);
        assert_eq!(focused(&sharp, &sharp), sharp);
    }

    #[test]
    fn what_shows_something_else_tells_nothing_of_its_focus() {
        let flat = Rgb32FImage::from_pixel(120, 90, Rgb([0.5; 3]));
        let (mask, everywhere) = (Mask::from_fn(120, 90, |x, _| x < 40), Plane::from_pixel(120, 90, Luma([1.0])));
        assert_eq!(focused(sharp(), &everywhere, &flat, &mask), sharp());
    }
}
