//! The part of a photo that is worked on: around a small hole in a large photo it is seen closer than the whole would be.

use super::view::{GUIDE_PX, within};
use image::math::Rect;
use image::{Rgb32FImage, imageops};
use realfill_vision::composite::grown;
use realfill_vision::resize::{Filter, resize, shrunk};
use realfill_vision::{Mask, Photo};

/// Known surroundings on each side, as a share of the hole's longer side.
const CONTEXT: f64 = 0.75;
/// Longer side of the smallest window, in the photo's pixels: closer than two thirds of the photo's own scale, its grain counts for doubt.
const SMALLEST: f64 = 1536.0;
/// A window of more than this share of the photo's longer side is not worth its own scale: the whole is taken.
const WORTH: f64 = 0.75;

/// A rectangle of a photo that holds the hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    rect: Rect,
    photo: (u32, u32),
}

impl Window {
    /// The window around a hole: as large as it needs to be seen in its surroundings.
    pub fn around(hole: &Mask) -> Self {
        let photo = (hole.width(), hole.height());
        let whole = Self { rect: Rect { x: 0, y: 0, width: photo.0, height: photo.1 }, photo };
        let Some(found) = hole.bounding_box() else { return whole };
        let side = f64::from(found.width.max(found.height));
        let reach = (CONTEXT * side).max(0.5 * (SMALLEST - side)).ceil() as u32;
        let rect = grown(found, reach, photo);
        let is_worth = f64::from(rect.width.max(rect.height)) <= WORTH * f64::from(photo.0.max(photo.1));
        if is_worth { Self { rect, photo } } else { whole }
    }

    /// Where it lies in the photo.
    pub fn rect(&self) -> Rect {
        self.rect
    }

    /// Whether it is all of the photo.
    pub fn is_whole(&self) -> bool {
        (self.rect.width, self.rect.height) == self.photo
    }

    /// How much larger things are in it than in the whole photo, at the same size of picture; 1 for the whole.
    pub(super) fn closeness(&self) -> f32 {
        let longer = |(width, height): (u32, u32)| width.max(height) as f32;
        longer(self.photo) / longer((self.rect.width, self.rect.height))
    }

    /// The longer side at which proposals are compared in a part of the photo: a quarter of its scale. Closer, their smallest misplacement
    /// counts for doubt, and the labels are in pieces.
    pub(super) fn compared_at(&self) -> u32 {
        (self.rect.width.max(self.rect.height) / 4).clamp(384, 768)
    }

    /// Left edge, upper edge, width and height as shares of the photo's width and height.
    pub(super) fn share(&self) -> [f32; 4] {
        let (Rect { x, y, width, height }, (w, h)) = (self.rect, self.photo);
        [(x, w), (y, h), (width, w), (height, h)].map(|(part, all)| part as f32 / all as f32)
    }

    /// A picture of the window, laid into the photo at the size the whole would be worked on.
    pub fn in_photo(&self, picture: &Rgb32FImage, photo: &Photo) -> Rgb32FImage {
        let shown = self.shown_at(picture.dimensions());
        if self.is_whole() {
            return picture.clone();
        }
        let mut all = shrunk(&photo.pixels, shown.photo.0, shown.photo.1);
        let small = resize(picture, shown.part.width, shown.part.height, Filter::Area);
        imageops::replace(&mut all, &small, i64::from(shown.part.x), i64::from(shown.part.y));
        all
    }

    /// Where a picture of the window of that size lies in one of the whole photo.
    pub(super) fn shown_at(&self, picture: (u32, u32)) -> Shown {
        if self.is_whole() {
            return Shown { photo: picture, part: Rect { x: 0, y: 0, width: picture.0, height: picture.1 }, picture };
        }
        let photo = within(self.photo, GUIDE_PX);
        let along = |v: u32, from: u32, to: u32| (f64::from(v) * f64::from(to) / f64::from(from)).round() as u32;
        let Rect { x, y, width, height } = self.rect;
        let (left, right) = (along(x, self.photo.0, photo.0), along(x + width, self.photo.0, photo.0));
        let (top, bottom) = (along(y, self.photo.1, photo.1), along(y + height, self.photo.1, photo.1));
        let part = Rect { x: left, y: top, width: (right - left).max(1), height: (bottom - top).max(1) };
        Shown { photo, part, picture }
    }
}

/// A picture of a window in one of the whole photo.
pub(super) struct Shown {
    /// Size of the latter.
    pub photo: (u32, u32),
    /// The window in it.
    pub part: Rect,
    picture: (u32, u32),
}

impl Shown {
    /// The pixel of the window's picture that a pixel of the photo's shows.
    pub fn place(&self, x: u32, y: u32) -> Option<(u32, u32)> {
        let along = |v: u32, from: u32, part: u32, own: u32| {
            let inside = v.checked_sub(from).filter(|v| *v < part)?;
            Some(((u64::from(inside) * 2 + 1) * u64::from(own) / (2 * u64::from(part))) as u32)
        };
        let (part, own) = (self.part, self.picture);
        along(x, part.x, part.width, own.0).zip(along(y, part.y, part.height, own.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn hole(size: (u32, u32), rect: Rect) -> Mask {
        let inside = |at: u32, from: u32, length: u32| (from..from + length).contains(&at);
        Mask::from_fn(size.0, size.1, |x, y| inside(x, rect.x, rect.width) && inside(y, rect.y, rect.height))
    }

    #[test]
    fn a_small_hole_is_seen_closely_in_its_surroundings_and_not_too_closely() {
        let around = |width, height| {
            let window = Window::around(&hole((4000, 3000), Rect { x: 2000, y: 1000, width, height }));
            (window.rect(), window.is_whole())
        };
        assert_eq!(around(800, 400), (Rect { x: 1400, y: 400, width: 2000, height: 1600 }, false));
        assert_eq!(around(100, 100), (Rect { x: 1282, y: 282, width: 1536, height: 1536 }, false));
        assert_eq!(around(1600, 900), (Rect { x: 0, y: 0, width: 4000, height: 3000 }, true));
    }

    #[test]
    fn a_photo_no_larger_than_the_work_is_whole() {
        let window = Window::around(&hole((1024, 768), Rect { x: 500, y: 300, width: 40, height: 40 }));
        assert!(window.is_whole());
        assert_eq!((window.share(), window.closeness()), ([0.0, 0.0, 1.0, 1.0], 1.0));
    }

    #[test]
    fn a_windows_picture_lies_in_the_photo_where_the_window_does() {
        let photo = Photo::from_pixels(image::RgbImage::from_pixel(4096, 2048, Rgb([51; 3])));
        let window = Window::around(&hole((4096, 2048), Rect { x: 1536, y: 824, width: 400, height: 400 }));
        assert_eq!(window.rect(), Rect { x: 968, y: 256, width: 1536, height: 1536 });
        let all = window.in_photo(&Rgb32FImage::from_pixel(1024, 1024, Rgb([1.0; 3])), &photo);
        assert_eq!(all.dimensions(), (1024, 512));
        assert_eq!([241, 242, 625, 626].map(|x| all.get_pixel(x, 100)[0] > 0.9), [false, true, true, false]);
        let shown = window.shown_at((1024, 1024));
        assert_eq!([241, 242, 625, 626].map(|x| shown.place(x, 70)), [None, Some((1, 17)), Some((1022, 17)), None]);
    }
}
