//! The parts of a photo that are worked on: around a small hole in a large photo one is seen closer than the whole would be.

use super::apart::windows_apart;
use super::view::{GUIDE_PX, within};
use image::math::Rect;
use image::{ImageBuffer, Pixel, Rgb32FImage, imageops};
use realfill_vision::composite::{common, grown};
use realfill_vision::light::REACH;
use realfill_vision::resize::{Filter, resize, shrunk, shrunk_known};
use realfill_vision::{Mask, Photo, Scene};
use std::borrow::Cow;
use std::cell::LazyCell;

/// Known surroundings on each side, as a share of the hole's longer side.
const CONTEXT: f64 = 0.75;
/// Longer side of the smallest window, in the photo's pixels: closer than two thirds of the photo's own scale, its grain counts for doubt.
const SMALLEST: f64 = 1536.0;
/// A window of more than this share of the photo's longer side is not worth its own scale: the whole is taken.
const WORTH: f64 = 0.75;
/// Holes are looked at in so many rectangles at most when they are parted into groups: separate ones are found with a few, and each takes
/// a look at the mask.
const HOLES: usize = 32;

/// A window without texture grows by so much at a time.
const WIDER: f64 = 1.5;
/// Share of what is known around the hole that has to have texture: by it what the references show is told right from wrong.
const TEXTURED: f64 = 0.15;
/// Longer side at which texture is looked for, and the difference of neighbouring pixels there, of 1 in a channel, from which on it is some.
const LOOKED_AT: u32 = 320;
const TEXTURE: f32 = 0.04;

/// A rectangle of a photo that holds some of its holes, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    rect: Rect,
    photo: (u32, u32),
}

impl Window {
    /// The windows around a scene's holes, none of which overlap: each as large as it needs to be for holes to be seen in their surroundings,
    /// and to hold some texture.
    pub fn all_of(scene: &Scene) -> Vec<Self> {
        let texture = LazyCell::new(|| Texture::of(scene));
        Self::around_each(&scene.mask, |surroundings| texture.share(surroundings) >= TEXTURED)
    }

    /// The windows around holes that lie far from each other, where all are worth their own scale; else the one around all.
    pub(super) fn around_each(holes: &Mask, will_do: impl Fn(Rect) -> bool) -> Vec<Self> {
        let photo = (holes.width(), holes.height());
        match windows_apart(holes.rectangles(HOLES), |hole| closest(hole, photo, &will_do)) {
            Some(rects) if rects.len() > 1 => rects.into_iter().map(|rect| Self { rect, photo }).collect(),
            _ => vec![Self::around(holes, will_do)],
        }
    }

    /// The window around all of a hole.
    pub(super) fn around(hole: &Mask, will_do: impl Fn(Rect) -> bool) -> Self {
        let photo = (hole.width(), hole.height());
        let rect = hole.bounding_box().and_then(|hole| closest(hole, photo, will_do));
        Self { rect: rect.unwrap_or(Rect { x: 0, y: 0, width: photo.0, height: photo.1 }), photo }
    }

    /// Where it lies in the photo.
    pub fn rect(&self) -> Rect {
        self.rect
    }

    /// Whether it is all of the photo.
    pub fn is_whole(&self) -> bool {
        (self.rect.width, self.rect.height) == self.photo
    }

    /// Its part of a photo, without a copy where it is all.
    pub(super) fn part_of<'a>(&self, photo: &'a Photo) -> Cow<'a, Photo> {
        let Rect { x, y, width, height } = self.rect;
        match self.is_whole() {
            true => Cow::Borrowed(photo),
            false => Cow::Owned(Photo::from_pixels(photo.pixels.crop_imm(x, y, width, height))),
        }
    }

    /// The holes that lie in it, without a copy where it is all.
    pub(super) fn holes_of<'a>(&self, holes: &'a Mask) -> Cow<'a, Mask> {
        let Rect { x, y, width, height } = self.rect;
        let is_inside = |px: u32, py: u32| (x..x + width).contains(&px) && (y..y + height).contains(&py);
        match self.is_whole() {
            true => Cow::Borrowed(holes),
            false => {
                Cow::Owned(Mask::from_fn(holes.width(), holes.height(), |x, y| is_inside(x, y) && holes.is_hole(x, y)))
            }
        }
    }

    /// What of a hole in a picture of the window, of any size, lies in the `frame` of the photo that is kept.
    pub(super) fn kept(&self, hole: &Mask, frame: Option<Rect>) -> Mask {
        let Some(frame) = frame else { return hole.clone() };
        let size = (hole.width(), hole.height());
        let kept = common(frame, self.rect).map(|kept| {
            let in_window = Rect { x: kept.x - self.rect.x, y: kept.y - self.rect.y, ..kept };
            scaled(in_window, (self.rect.width, self.rect.height), size)
        });
        let is_kept = |x: u32, y: u32| {
            kept.is_some_and(|r| (r.x..r.x + r.width).contains(&x) && (r.y..r.y + r.height).contains(&y))
        };
        Mask::from_fn(size.0, size.1, |x, y| hole.is_hole(x, y) && is_kept(x, y))
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

    /// Lays a picture of the window into one of the whole photo, of any size.
    pub(super) fn lay(&self, picture: &Rgb32FImage, all: &mut Rgb32FImage) {
        let part = scaled(self.rect, self.photo, all.dimensions());
        let small = resize(picture, part.width, part.height, Filter::Bilinear);
        imageops::replace(all, &small, i64::from(part.x), i64::from(part.y));
    }

    /// Where a picture of the window of that size lies in one of the whole photo.
    pub(super) fn shown_at(&self, picture: (u32, u32)) -> Shown {
        if self.is_whole() {
            return Shown { photo: picture, part: Rect { x: 0, y: 0, width: picture.0, height: picture.1 }, picture };
        }
        let photo = within(self.photo, GUIDE_PX);
        let part = scaled(self.rect, self.photo, photo);
        Shown { photo, part, picture }
    }
}

/// The smallest window around a hole whose surroundings, as far as light and agreement are looked for in it, will do; `None` where it is not
/// worth its own scale.
fn closest(hole: Rect, photo: (u32, u32), will_do: impl Fn(Rect) -> bool) -> Option<Rect> {
    let side = f64::from(hole.width.max(hole.height));
    let least = (CONTEXT * side).max(0.5 * (SMALLEST - side));
    let reaches = std::iter::successors(Some(least), |reach| Some(WIDER * reach));
    let rects = reaches.map(|reach| grown(hole, reach.ceil() as u32, photo));
    let longer = |rect: Rect| f64::from(rect.width.max(rect.height));
    let mut worth = rects.take_while(|rect| longer(*rect) <= WORTH * f64::from(photo.0.max(photo.1)));
    let looked_at = |rect: Rect| grown(hole, (f64::from(REACH) * longer(rect)) as u32, photo);
    worth.find(|rect| will_do(looked_at(*rect)))
}

/// Pictures of windows, laid into the photo at the size the whole would be worked on.
pub(super) fn in_photo(pictures: &[(&Window, &Rgb32FImage)], photo: &Photo) -> Rgb32FImage {
    if let &[(window, picture)] = pictures
        && window.is_whole()
    {
        return picture.clone();
    }
    let (width, height) = within((photo.width(), photo.height()), GUIDE_PX);
    let mut all = shrunk(&photo.pixels, width, height);
    pictures.iter().for_each(|(window, picture)| window.lay(picture, &mut all));
    all
}

/// A picture of all of a scene's target, of any size, without what lies outside the frame, as [`Scene::framed`] cuts the photo.
pub fn cut_to_frame<P: Pixel + 'static>(
    picture: ImageBuffer<P, Vec<P::Subpixel>>,
    scene: &Scene,
) -> ImageBuffer<P, Vec<P::Subpixel>> {
    let Some(frame) = scene.frame else { return picture };
    let kept = scaled(frame, (scene.target.width(), scene.target.height()), picture.dimensions());
    imageops::crop_imm(&picture, kept.x, kept.y, kept.width, kept.height).to_image()
}

/// Where a target's known part has texture.
struct Texture {
    /// At a small size, none where it is not known.
    found: Vec<Option<bool>>,
    size: (u32, u32),
    photo: (u32, u32),
}

impl Texture {
    fn of(scene: &Scene) -> Self {
        let photo = (scene.target.width(), scene.target.height());
        let size = within(photo, LOOKED_AT);
        let picture = shrunk_known(&scene.target.pixels, &scene.mask, size.0, size.1);
        let hole = scene.mask.resized_max(size.0, size.1);
        let known = |x: u32, y: u32| x < size.0 && y < size.1 && !hole.is_hole(x, y);
        let differs = |a: (u32, u32), b: (u32, u32)| {
            let [a, b] = [a, b].map(|(x, y)| picture.get_pixel(x, y).0);
            a.iter().zip(b).any(|(a, b)| (a - b).abs() > TEXTURE)
        };
        let textured = |x, y| {
            let beside = [(x + 1, y), (x, y + 1)];
            known(x, y).then(|| beside.into_iter().any(|to| known(to.0, to.1) && differs((x, y), to)))
        };
        let found = (0..size.1).flat_map(|y| (0..size.0).map(move |x| (x, y))).map(|(x, y)| textured(x, y)).collect();
        Self { found, size, photo }
    }

    /// The share of what is known in a rectangle of the photo, 0 to 1.
    fn share(&self, rect: Rect) -> f64 {
        let part = scaled(rect, self.photo, self.size);
        let places = (part.y..part.y + part.height).flat_map(|y| (part.x..part.x + part.width).map(move |x| (x, y)));
        let inside = places.filter(|(x, y)| *x < self.size.0 && *y < self.size.1);
        let known = inside.filter_map(|(x, y)| self.found[(y * self.size.0 + x) as usize]);
        let (textured, all) = known.fold((0, 0), |(textured, all), is| (textured + u32::from(is), all + 1));
        f64::from(textured) / f64::from(all.max(1))
    }
}

/// A rectangle of a picture in one of another size; at least a pixel of that.
fn scaled(Rect { x, y, width, height }: Rect, from: (u32, u32), to: (u32, u32)) -> Rect {
    let along = |v: u32, from: u32, to: u32| (f64::from(v) * f64::from(to) / f64::from(from)).round() as u32;
    let (left, right) = (along(x, from.0, to.0).min(to.0 - 1), along(x + width, from.0, to.0));
    let (top, bottom) = (along(y, from.1, to.1).min(to.1 - 1), along(y + height, from.1, to.1));
    Rect { x: left, y: top, width: (right - left).max(1), height: (bottom - top).max(1) }
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
        holes(size, &[rect])
    }

    fn holes(size: (u32, u32), rects: &[Rect]) -> Mask {
        let inside = |at: u32, from: u32, length: u32| (from..from + length).contains(&at);
        let holds = |rect: &Rect, x, y| inside(x, rect.x, rect.width) && inside(y, rect.y, rect.height);
        Mask::from_fn(size.0, size.1, |x, y| rects.iter().any(|rect| holds(rect, x, y)))
    }

    #[test]
    fn a_small_hole_is_seen_closely_in_its_surroundings_and_not_too_closely() {
        let around = |width, height| {
            let window = Window::around(&hole((4000, 3000), Rect { x: 2000, y: 1000, width, height }), |_| true);
            (window.rect(), window.is_whole())
        };
        assert_eq!(around(800, 400), (Rect { x: 1400, y: 400, width: 2000, height: 1600 }, false));
        assert_eq!(around(100, 100), (Rect { x: 1282, y: 282, width: 1536, height: 1536 }, false));
        assert_eq!(around(1600, 900), (Rect { x: 0, y: 0, width: 4000, height: 3000 }, true));
    }

    /// Windows around holes of a photo of 6000 by 4000 px.
    fn around_each(rects: &[Rect], will_do: impl Fn(Rect) -> bool) -> Vec<Window> {
        Window::around_each(&holes((6000, 4000), rects), will_do)
    }

    fn small(x: u32, y: u32) -> Rect {
        Rect { x, y, width: 200, height: 100 }
    }

    #[test]
    fn holes_far_from_each_other_have_windows_of_their_own() {
        let (left, right) = (small(1000, 800), small(4500, 3000));
        let alone = |rect: Rect| Window::around(&hole((6000, 4000), rect), |_| true);
        assert_eq!(around_each(&[left, right], |_| true), [alone(left), alone(right)]);
        let beside = small(1900, 800); // its window and that of the left one overlap
        let both = Window::around_each(&hole((6000, 4000), Rect { width: 1100, ..left }), |_| true);
        assert_eq!(around_each(&[left, beside], |_| true), both);
        assert_eq!(around_each(&[left, beside, right], |_| true), [both[0], alone(right)]);
    }

    #[test]
    fn where_a_hole_is_worth_no_window_all_have_the_one_that_they_had() {
        let large = Rect { x: 3000, y: 500, width: 2200, height: 2000 };
        let found = around_each(&[small(100, 3500), large], |_| true);
        assert!(found.len() == 1 && found[0].is_whole(), "{found:?}");
        let untextured = around_each(&[small(1000, 800), small(4500, 3000)], |around| around.x < 2000);
        assert!(untextured.len() == 1 && untextured[0].is_whole(), "{untextured:?}");
    }

    #[test]
    fn a_hole_of_any_shape_has_one_window() {
        let ring = Mask::from_fn(4000, 3000, |x, y| {
            let apart = (f64::from(x) - 2000.0).hypot(f64::from(y) - 1500.0);
            (300.0..320.0).contains(&apart)
        });
        assert_eq!(Window::around_each(&ring, |_| true), [Window::around(&ring, |_| true)]);
    }

    #[test]
    fn a_photo_no_larger_than_the_work_is_whole() {
        let window = Window::around(&hole((1024, 768), Rect { x: 500, y: 300, width: 40, height: 40 }), |_| true);
        assert!(window.is_whole());
        assert_eq!((window.share(), window.closeness()), ([0.0, 0.0, 1.0, 1.0], 1.0));
    }

    /// A photo whose sky has nothing to tell right from wrong by: the windows of a hole in it reach down to the houses.
    #[test]
    fn a_window_holds_texture() {
        let houses = |x: u32, y: u32| Rgb([if y > 1500 && (x / 16 + y / 16).is_multiple_of(2) { 200 } else { 90 }; 3]);
        let photo = || Photo::from_pixels(image::RgbImage::from_fn(3000, 3000, houses));
        let window = |y| {
            let hole = hole((3000, 3000), Rect { x: 1000, y, width: 100, height: 100 });
            Window::all_of(&Scene::new("houses", photo(), hole, vec![photo()]).unwrap())[0].rect()
        };
        assert_eq!(window(2000), Rect { x: 282, y: 1282, width: 1536, height: 1536 });
        let from_the_sky = window(200);
        assert!(from_the_sky.height > 1700, "{from_the_sky:?}");
        let texture =
            Texture { found: vec![Some(true), None, Some(false), Some(false)], size: (4, 1), photo: (40, 10) };
        assert_eq!(texture.share(Rect { x: 0, y: 0, width: 30, height: 10 }), 0.5);
    }

    #[test]
    fn a_windows_picture_lies_in_the_photo_where_the_window_does() {
        let photo = Photo::from_pixels(image::RgbImage::from_pixel(4096, 2048, Rgb([51; 3])));
        let window = Window::around(&hole((4096, 2048), Rect { x: 1536, y: 824, width: 400, height: 400 }), |_| true);
        assert_eq!(window.rect(), Rect { x: 968, y: 256, width: 1536, height: 1536 });
        let white = Rgb32FImage::from_pixel(1024, 1024, Rgb([1.0; 3]));
        let all = in_photo(&[(&window, &white)], &photo);
        assert_eq!(all.dimensions(), (1024, 512));
        assert_eq!([241, 242, 625, 626].map(|x| all.get_pixel(x, 100)[0] > 0.9), [false, true, true, false]);
        let shown = window.shown_at((1024, 1024));
        assert_eq!([241, 242, 625, 626].map(|x| shown.place(x, 70)), [None, Some((1, 17)), Some((1022, 17)), None]);
    }
}
