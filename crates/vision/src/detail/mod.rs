//! A completed picture at the photo's own resolution: the small one decides light and structure, the photos give the detail.
//!
//! Around each pixel of the small picture the photo it comes from is followed by an affine map, and matched to it in contrast and light:
//! `fine = gain · photo + miss`, where `miss = small - gain · mean(photo)` is taken over the small pixel. So the mean of the fine pixels
//! is the small pixel, seams stay healed, and what the photo shows beyond the small picture comes back. Where another reference shows the
//! same, `fine` is the mean of both but for what is finer than three pixels, as in the small picture. Nothing here is larger than the
//! rectangle that is asked for.

mod cells;
mod fit;
mod pixels;

pub(crate) use pixels::Pixels;

use crate::guide::{Origins, Sites};
use crate::warp::{Sampling, sample};
use crate::{Mask, Photo, Plane};
use cells::{Cell, Cells};
use image::Rgb32FImage;
use image::math::Rect;
use rayon::prelude::*;

/// Finer detail than this is one photo's alone, in pixels of the target: places that differ by half a pixel would blur it.
const SOFT: f32 = 3.0;

/// A small completed picture with the photos its detail comes from.
pub struct Detail<'a> {
    small: &'a Rgb32FImage,
    size: (u32, u32),
    photos: Vec<Pixels<'a>>,
    own: Cells,
    /// What another reference shows of the same.
    beside: Cells,
    /// How much of each small pixel is its.
    share: &'a Plane,
}

impl<'a> Detail<'a> {
    /// `small` is the target completed, known pixels included; `mask` and `origins` have its size. The photos are at theirs.
    pub fn new(
        small: &'a Rgb32FImage,
        mask: &Mask,
        origins: &'a Origins,
        target: &'a Photo,
        references: &'a [Photo],
    ) -> Self {
        let size = (target.width(), target.height());
        let photos: Vec<Pixels> = std::iter::once(target).chain(references).map(|p| Pixels::of(&p.pixels)).collect();
        let fitted = |sites: &Sites| {
            if size.0 <= small.width() {
                return Cells::none(small.dimensions());
            }
            let mut cells = Cells::near_the_hole(mask, sites, &photos, size);
            fit::fit(&mut cells, small, &photos);
            cells
        };
        let (own, beside) = (fitted(&origins.own), fitted(&origins.beside));
        Self { small, size, photos, own, beside, share: &origins.share }
    }

    /// Whether the photos give the detail at this pixel of the target.
    pub fn covers(&self, x: u32, y: u32) -> bool {
        let at = self.in_small(x, y);
        self.own.get(at[0].round() as i32, at[1].round() as i32).is_some()
    }

    /// The pixels of a rectangle of the target.
    pub fn render(&self, rect: Rect) -> Rgb32FImage {
        let mut out = Rgb32FImage::new(rect.width, rect.height);
        out.par_chunks_exact_mut(3 * rect.width.max(1) as usize).enumerate().for_each(|(j, row)| {
            for (i, pixel) in row.chunks_exact_mut(3).enumerate() {
                pixel.copy_from_slice(&self.pixel(rect.x + i as u32, rect.y + j as u32));
            }
        });
        out
    }

    fn in_small(&self, x: u32, y: u32) -> [f32; 2] {
        let along = |v: u32, small: u32, full: u32| (v as f32 + 0.5) * small as f32 / full as f32 - 0.5;
        [along(x, self.small.width(), self.size.0), along(y, self.small.height(), self.size.1)]
    }

    fn pixel(&self, x: u32, y: u32) -> [f32; 3] {
        let at = self.in_small(x, y);
        let corners = Corners::around(at, self.small.dimensions());
        let own = self.shown(&self.own, &corners, 1.0);
        let mut out = own.sum;
        if own.weight < 1.0 {
            let mut plain = [0.0; 3];
            sample(self.small, at[0], at[1], Sampling::Bicubic, &mut plain);
            (0..3).for_each(|c| out[c] += (1.0 - own.weight) * plain[c]);
        }
        let share = own.weight * corners.mean(|x, y| self.share_at(x, y));
        if share > 0.0 {
            let [soft, beside] = [&self.own, &self.beside].map(|cells| self.shown(cells, &corners, SOFT).mean());
            (0..3).for_each(|c| out[c] += share * (beside[c] - soft[c]));
        }
        out.map(|v| v.clamp(0.0, 1.0))
    }

    /// How much of a small pixel is another reference's.
    fn share_at(&self, x: i32, y: i32) -> f32 {
        if self.beside.get(x, y).is_some() { self.share.get_pixel(x as u32, y as u32)[0] } else { 0.0 }
    }

    /// What the photos show through the four cells around, those of one surface together; where a seam runs through, its sides cross over
    /// one cell. `breadth` is the side of what is averaged, in pixels of the target.
    fn shown(&self, cells: &Cells, corners: &Corners, breadth: f32) -> Shown {
        let mut surfaces: [Surface; 4] = Default::default();
        let (mut count, mut shown) = (0, Shown::default());
        for (x, y, offset, weight) in corners.each() {
            let Some(cell) = cells.get(x, y) else { continue };
            shown.weight += weight;
            let place = cell.place(offset);
            match surfaces[..count].iter_mut().find(|s| s.holds(cell, place)) {
                Some(surface) => surface.add(cell, place, weight),
                None => {
                    surfaces[count].add(cell, place, weight);
                    count += 1;
                }
            }
        }
        surfaces[..count].iter().for_each(|surface| surface.show(&self.photos, breadth, &mut shown.sum));
        shown
    }
}

/// Colours times the weights of the cells that have any, and the sum of those weights.
#[derive(Default)]
struct Shown {
    sum: [f32; 3],
    weight: f32,
}

impl Shown {
    fn mean(&self) -> [f32; 3] {
        self.sum.map(|v| v / self.weight)
    }
}

/// The four small pixels around a place.
struct Corners {
    at: [f32; 2],
    left: i32,
    top: i32,
    within: [f32; 2],
}

impl Corners {
    /// At the picture's edge those that are there have all the weight.
    fn around(at: [f32; 2], (w, h): (u32, u32)) -> Self {
        let inside = [at[0].clamp(0.0, w as f32 - 1.0), at[1].clamp(0.0, h as f32 - 1.0)];
        let [left, top] = inside.map(f32::floor);
        Self { at, left: left as i32, top: top as i32, within: [inside[0] - left, inside[1] - top] }
    }

    /// Those that count: pixel, offset of the place from it, and weight.
    fn each(&self) -> impl Iterator<Item = (i32, i32, [f32; 2], f32)> {
        let [fx, fy] = self.within;
        let corners =
            [(0, 0, (1.0 - fx) * (1.0 - fy)), (1, 0, fx * (1.0 - fy)), (0, 1, (1.0 - fx) * fy), (1, 1, fx * fy)];
        let placed = move |(i, j, weight)| {
            let (x, y) = (self.left + i, self.top + j);
            (x, y, [self.at[0] - x as f32, self.at[1] - y as f32], weight)
        };
        corners.into_iter().filter(|c| c.2 > 0.0).map(placed)
    }

    /// The weighted mean.
    fn mean(&self, of: impl Fn(i32, i32) -> f32) -> f32 {
        self.each().map(|(x, y, _, weight)| weight * of(x, y)).sum()
    }
}

/// Cells of one surface around a pixel, weighted.
#[derive(Clone, Copy, Default)]
struct Surface {
    photo: u8,
    weight: f32,
    place: [f32; 2],
    gain: f32,
    miss: [f32; 3],
    footprint: f32,
}

impl Surface {
    fn holds(&self, cell: &Cell, place: [f32; 2]) -> bool {
        let mean = self.place.map(|v| v / self.weight);
        self.photo == cell.photo && (mean[0] - place[0]).hypot(mean[1] - place[1]) < cell.tear()
    }

    fn add(&mut self, cell: &Cell, place: [f32; 2], weight: f32) {
        self.photo = cell.photo;
        self.weight += weight;
        (0..2).for_each(|k| self.place[k] += weight * place[k]);
        (0..3).for_each(|c| self.miss[c] += weight * cell.miss[c]);
        self.gain += weight * cell.gain;
        self.footprint += weight * cell.footprint;
    }

    /// Adds its share of the pixel.
    fn show(&self, photos: &[Pixels], breadth: f32, out: &mut [f32; 3]) {
        let place = self.place.map(|v| v / self.weight);
        let colour = photos[usize::from(self.photo)].covering(place, breadth * self.footprint / self.weight);
        (0..3).for_each(|c| out[c] += self.gain * colour[c] + self.miss[c]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;
    use crate::resize::{Filter, quantise, resize};
    use crate::warp::Places;
    use image::{GrayImage, Luma, Rgb};

    const FULL: (u32, u32) = (320, 240);
    const SMALL: (u32, u32) = (80, 60);

    fn coloured(plane: &Plane, gain: f32) -> Rgb32FImage {
        Rgb32FImage::from_fn(FULL.0, FULL.1, |x, y| Rgb([0.2 + gain * plane.get_pixel(x, y)[0]; 3]))
    }

    /// References that show `fine` moved by (8, 4) pixels at contrast `gain`, each placed that far beside where it belongs: the first one is
    /// the origin where it is `shown`, the second is beside it. The rendered middle of the hole, and that of the truth.
    fn rendered(
        fine: &Plane,
        gain: f32,
        off: &[[f32; 2]],
        shown: impl Fn(u32, u32) -> bool,
    ) -> (Rgb32FImage, Rgb32FImage) {
        let truth = coloured(fine, 0.5);
        let moved = Plane::from_fn(FULL.0, FULL.1, |x, y| *fine.get_pixel(x.saturating_sub(8), y.saturating_sub(4)));
        let references = vec![Photo::from_pixels(quantise(&coloured(&moved, gain))); off.len()];
        let small = resize(&truth, SMALL.0, SMALL.1, Filter::Bilinear);
        let mask = Mask::from_fn(SMALL.0, SMALL.1, |x, y| (20..60).contains(&x) && (15..45).contains(&y));
        let mut origins = Origins::none(SMALL.0, SMALL.1);
        let sites = [&mut origins.own, &mut origins.beside];
        for ((sites, photo), [dx, dy]) in sites.into_iter().zip(2u8..).zip(off) {
            sites.photo = GrayImage::from_fn(SMALL.0, SMALL.1, |x, y| Luma([photo * u8::from(shown(x, y))]));
            let along = |v: u32, moved: f32, side: u32| ((v as f32 + 0.5) * 4.0 + moved) / side as f32;
            let place = |x: u32, y: u32| [along(x, 8.0 + dx, FULL.0), along(y, 4.0 + dy, FULL.1)];
            sites.places = Places::from_fn(SMALL.0, SMALL.1, |x, y| Some(place(x, y)));
        }
        origins.share = Plane::from_pixel(SMALL.0, SMALL.1, Luma([if off.len() > 1 { 0.5 } else { 0.0 }]));
        let target = Photo::from_pixels(quantise(&truth));
        let detail = Detail::new(&small, &mask, &origins, &target, &references);
        let rect = Rect { x: 96, y: 72, width: 128, height: 96 };
        let cut = image::imageops::crop_imm(&truth, rect.x, rect.y, rect.width, rect.height).to_image();
        (detail.render(rect), cut)
    }

    fn textured() -> Plane {
        texture(FULL.0, FULL.1, 3)
    }

    fn error(a: &Rgb32FImage, b: &Rgb32FImage) -> f32 {
        (a.iter().zip(b.iter()).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32).sqrt()
    }

    #[test]
    fn detail_comes_back_from_the_photo_in_the_targets_light() {
        let (found, truth) = rendered(&textured(), 0.3, &[[0.0; 2]], |_, _| true);
        let (blurred, _) = rendered(&textured(), 0.3, &[[0.0; 2]], |_, _| false);
        let (with, without) = (error(&found, &truth), error(&blurred, &truth));
        assert!(with < 0.25 * without && with < 0.02, "{with} with the photo, {without} enlarged");
    }

    #[test]
    fn a_seam_between_shown_and_invented_stays_smooth() {
        let (found, truth) = rendered(&textured(), 0.5, &[[0.0; 2]], |x, _| x < 40);
        let jump = (0..96).map(|y| (found.get_pixel(63, y)[0] - found.get_pixel(64, y)[0]).abs()).sum::<f32>() / 96.0;
        let usual = (0..96).map(|y| (truth.get_pixel(63, y)[0] - truth.get_pixel(64, y)[0]).abs()).sum::<f32>() / 96.0;
        assert!(jump < 1.5 * usual + 0.01, "{jump} for {usual}");
    }

    #[test]
    fn two_references_that_miss_their_places_are_better_together() {
        let off = [[0.7, 0.3], [-0.7, -0.3]];
        let (alone, truth) = rendered(&textured(), 0.5, &off[..1], |_, _| true);
        let (together, _) = rendered(&textured(), 0.5, &off, |_, _| true);
        let (alone, together) = (error(&alone, &truth), error(&together, &truth));
        assert!(together < 0.85 * alone, "{together} together, {alone} alone");
    }

    /// Contrast fits a flat place worse than a textured one; the change from one to the other must not show.
    #[test]
    fn a_flat_place_stays_flat_beside_texture() {
        let fine = textured();
        let half = Plane::from_fn(FULL.0, FULL.1, |x, y| if x < 190 { Luma([0.8]) } else { *fine.get_pixel(x, y) });
        let (found, truth) = rendered(&half, 0.3, &[[0.0; 2]], |_, _| true);
        let flat = found.enumerate_pixels().filter(|(x, _, _)| *x < 80);
        let worst = flat.map(|(x, y, p)| (p[0] - truth.get_pixel(x, y)[0]).abs()).fold(0.0, f32::max);
        assert!(worst < 0.005, "{worst}");
    }

    /// Where the hole reaches the photo's edge the last pixels are as sharp as those before them.
    #[test]
    fn detail_reaches_the_photos_edge() {
        let corner = Corners::around([-0.375, 10.25], (80, 60));
        let weights: Vec<f32> = corner.each().filter(|(x, y, ..)| *x >= 0 && *y >= 0).map(|c| c.3).collect();
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{weights:?}");
        assert!(corner.each().all(|(x, y, offset, _)| offset == [-0.375 - x as f32, 10.25 - y as f32]));
        let end = Corners::around([79.375, 59.375], (80, 60));
        let weight: f32 = end.each().filter(|(x, y, ..)| *x < 80 && *y < 60).map(|c| c.3).sum();
        assert!((weight - 1.0).abs() < 1e-6, "{weight}");
    }
}
