//! How rough a picture is around each pixel: what averaging patches takes away, so that they have to be chosen by it too.

use crate::light::blurred_within;
use crate::pyramid::{Picture, grey};
use crate::{Mask, Plane};
use image::{LumaA, Rgb32FImage};

/// Mean size of the grey differences to the right and downwards.
pub(super) type Rough = Picture<LumaA<f32>>;

/// Blur of the means, in pixels.
const AROUND_PX: f32 = 8.0;

/// The roughness within the usable part (Newson et al., Video inpainting of complex scenes, 2014, section 3.2).
pub(super) fn roughness(colour: &Rgb32FImage, usable: &Plane) -> Rough {
    let (w, h) = colour.dimensions();
    let grey = grey(colour);
    let at = |plane: &Plane, x: u32, y: u32| plane.get_pixel(x.min(w - 1), y.min(h - 1))[0];
    let steps = Rough::from_fn(w, h, |x, y| {
        let to = |x1, y1| {
            let both = at(usable, x, y) * at(usable, x1, y1);
            if both > 0.0 { (at(&grey, x, y) - at(&grey, x1, y1)).abs() } else { 0.0 }
        };
        LumaA([to(x + 1, y), to(x, y + 1)])
    });
    blurred_within(&steps, usable, AROUND_PX)
}

/// A picture under way: its colours, and the roughness that they ought to have.
#[derive(Clone)]
pub(super) struct Working {
    pub colour: Rgb32FImage,
    pub rough: Rough,
}

impl Working {
    /// Takes what is known outside the holes.
    pub fn keep(&mut self, known: &Self, mask: &Mask) {
        let colours = self.colour.pixels_mut().zip(known.colour.pixels());
        let roughs = self.rough.pixels_mut().zip(known.rough.pixels());
        for (((colour, own), (rough, around)), _) in colours.zip(roughs).zip(mask.holes()).filter(|(_, hole)| !**hole) {
            (*colour, *rough) = (*own, *around);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Luma, Rgb};

    #[test]
    fn stripes_are_rough_across_and_flat_things_are_not() {
        let picture = Rgb32FImage::from_fn(96, 64, |x, _| Rgb([if x < 48 && x % 2 == 0 { 0.6 } else { 0.4 }; 3]));
        let rough = roughness(&picture, &Plane::from_pixel(96, 64, Luma([1.0])));
        let [across, down] = rough.get_pixel(16, 32).0;
        assert!((across - 0.2).abs() < 0.01 && down == 0.0, "{across}, {down}");
        assert!(rough.get_pixel(90, 32).0 == [0.0; 2]);
    }

    #[test]
    fn the_end_of_what_is_usable_is_not_rough() {
        let picture = Rgb32FImage::from_fn(64, 64, |x, _| Rgb([f32::from(u8::from(x < 32)); 3]));
        let usable = Plane::from_fn(64, 64, |x, _| Luma([f32::from(u8::from(x < 32))]));
        assert!(roughness(&picture, &usable).pixels().all(|p| p.0 == [0.0; 2]));
    }
}
