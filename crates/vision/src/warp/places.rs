//! Where in another picture each pixel of a picture comes from.

use crate::Plane;
use crate::pyramid::push_pull;
use image::{Luma, Rgb32FImage};

/// Neighbouring places further apart than this, in pixels, are not of one surface and are not interpolated.
const TORN: f32 = 8.0;

/// For each pixel a place in another picture, in that picture's pixels; not a number where it comes from nowhere.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Across.
    pub x: Plane,
    /// Down.
    pub y: Plane,
}

impl Places {
    /// Places by pixel; `None` is nowhere.
    pub fn from_fn(width: u32, height: u32, at: impl Fn(u32, u32) -> Option<[f32; 2]>) -> Self {
        let mut places = Self { x: Plane::new(width, height), y: Plane::new(width, height) };
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            places.put(x, y, at(x, y));
        }
        places
    }

    /// The place of one pixel.
    pub fn get(&self, x: u32, y: u32) -> Option<[f32; 2]> {
        let place = [self.x.get_pixel(x, y)[0], self.y.get_pixel(x, y)[0]];
        (place[0].is_finite() && place[1].is_finite()).then_some(place)
    }

    /// Sets the place of one pixel.
    pub fn put(&mut self, x: u32, y: u32, place: Option<[f32; 2]>) {
        let place = place.unwrap_or([f32::NAN; 2]);
        self.x.put_pixel(x, y, Luma([place[0]]));
        self.y.put_pixel(x, y, Luma([place[1]]));
    }

    /// A picture pulled through the places, with its colours carried smoothly to where it comes from nowhere: what lies beside it is compared,
    /// healed and shrunk with those, and black would show.
    pub fn continued(&self, picture: &Rgb32FImage) -> Rgb32FImage {
        let (w, h) = picture.dimensions();
        let shown = Plane::from_fn(w, h, |x, y| Luma([f32::from(u8::from(self.get(x, y).is_some()))]));
        push_pull(picture, &shown)
    }

    /// The place between pixels: bilinear where the four around lie on one surface, else that of the nearest, moved along.
    pub fn between(&self, x: f32, y: f32) -> Option<[f32; 2]> {
        let (w, h) = self.x.dimensions();
        let (x, y) = (x.clamp(0.0, w as f32 - 1.0), y.clamp(0.0, h as f32 - 1.0));
        let (left, top) = ((x as u32).min(w.saturating_sub(2)), (y as u32).min(h.saturating_sub(2)));
        let (fx, fy) = (x - left as f32, y - top as f32);
        let nearest = (x.round() as u32, y.round() as u32);
        let middle = self.get(nearest.0, nearest.1)?;
        let corner = |i: u32, j: u32| {
            let place = self.get((left + i).min(w - 1), (top + j).min(h - 1))?;
            ((place[0] - middle[0]).hypot(place[1] - middle[1]) < TORN).then_some(place)
        };
        match [corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1)] {
            [Some(a), Some(b), Some(c), Some(d)] => Some(std::array::from_fn(|k| {
                (1.0 - fy) * ((1.0 - fx) * a[k] + fx * b[k]) + fy * ((1.0 - fx) * c[k] + fx * d[k])
            })),
            _ => Some([middle[0] + x - nearest.0 as f32, middle[1] + y - nearest.1 as f32]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_nowhere_takes_the_colours_beside_it() {
        let places = Places::from_fn(40, 30, |x, y| (x < 20).then_some([x as f32, y as f32]));
        let shown = Rgb32FImage::from_fn(40, 30, |x, _| image::Rgb([if x < 20 { 0.6 } else { 0.0 }; 3]));
        let continued = places.continued(&shown);
        assert!(
            continued
                .enumerate_pixels()
                .all(|(x, y, p)| (p[0] - 0.6).abs() < 1e-3 || x < 20 && *p == *shown.get_pixel(x, y))
        );
    }

    #[test]
    fn places_between_pixels_follow_a_surface_and_do_not_cross_a_tear() {
        let place = |x: u32, y: u32| [if x < 5 { 2.0 * x as f32 } else { 100.0 + x as f32 }, y as f32];
        let places = Places::from_fn(10, 4, |x, y| (x < 9).then(|| place(x, y)));
        assert_eq!(places.between(2.25, 1.5), Some([4.5, 1.5]));
        assert_eq!(places.between(4.25, 1.0), Some([8.25, 1.0]));
        assert_eq!(places.between(4.75, 1.0), Some([104.75, 1.0]));
        assert_eq!((places.between(9.0, 1.0), places.get(9, 1)), (None, None));
    }
}
