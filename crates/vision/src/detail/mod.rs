//! A completed picture at the photo's own resolution: the small one decides light and structure, the photos give the detail.
//!
//! Around each pixel of the small picture the photo it comes from is followed by an affine map, and matched to it in contrast and light:
//! `fine = gain · photo + miss`, where `miss = small - gain · mean(photo)` is taken over the small pixel. So the mean of the fine pixels
//! is the small pixel, seams stay healed, and what the photo shows beyond the small picture comes back. Nothing here is larger than the
//! rectangle that is asked for.

mod cells;
mod fit;
mod pixels;

use crate::composite::Rect;
use crate::guide::Origins;
use crate::warp::{Sampling, sample};
use crate::{Mask, Photo};
use cells::{Cell, Cells};
use image::Rgb32FImage;
use pixels::Pixels;
use rayon::prelude::*;

/// A small completed picture with the photos its detail comes from.
pub struct Detail<'a> {
    small: &'a Rgb32FImage,
    size: (u32, u32),
    photos: Vec<Pixels<'a>>,
    cells: Cells,
}

impl<'a> Detail<'a> {
    /// `small` is the target completed, known pixels included; `mask` and `origins` have its size. The photos are at theirs.
    pub fn new(
        small: &'a Rgb32FImage,
        mask: &Mask,
        origins: &Origins,
        target: &'a Photo,
        references: &'a [Photo],
    ) -> Self {
        let size = (target.width(), target.height());
        let photos: Vec<Pixels> = std::iter::once(target).chain(references).map(|p| Pixels::of(&p.pixels)).collect();
        let mut cells = Cells::none(small.dimensions());
        if size.0 > small.width() {
            cells = Cells::near_the_hole(mask, origins, &photos, size);
            fit::fit(&mut cells, small, &photos);
        }
        Self { small, size, photos, cells }
    }

    /// Whether the photos give the detail at this pixel of the target.
    pub fn covers(&self, x: u32, y: u32) -> bool {
        let at = self.in_small(x, y);
        self.cells.get(at[0].round() as i32, at[1].round() as i32).is_some()
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

    /// The four cells around, those of one surface together; where a seam runs through, its sides cross over one cell.
    fn pixel(&self, x: u32, y: u32) -> [f32; 3] {
        let at = self.in_small(x, y);
        let (left, top) = (at[0].floor() as i32, at[1].floor() as i32);
        let (fx, fy) = (at[0] - left as f32, at[1] - top as f32);
        let corners =
            [(0, 0, (1.0 - fx) * (1.0 - fy)), (1, 0, fx * (1.0 - fy)), (0, 1, (1.0 - fx) * fy), (1, 1, fx * fy)];
        let mut surfaces: [Surface; 4] = Default::default();
        let (mut count, mut plain) = (0, 0.0);
        for (i, j, weight) in corners.into_iter().filter(|c| c.2 > 0.0) {
            let Some(cell) = self.cells.get(left + i, top + j) else {
                plain += weight;
                continue;
            };
            let offset = [fx - i as f32, fy - j as f32];
            let place = cell.place(offset);
            match surfaces[..count].iter_mut().find(|s| s.holds(cell, place)) {
                Some(surface) => surface.add(cell, place, weight),
                None => {
                    surfaces[count].add(cell, place, weight);
                    count += 1;
                }
            }
        }
        let mut out = [0.0; 3];
        if plain > 0.0 {
            sample(self.small, at[0], at[1], Sampling::Bicubic, &mut out);
            out.iter_mut().for_each(|v| *v *= plain);
        }
        for surface in &surfaces[..count] {
            surface.show(&self.photos, &mut out);
        }
        out.map(|v| v.clamp(0.0, 1.0))
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
    fn show(&self, photos: &[Pixels], out: &mut [f32; 3]) {
        let place = self.place.map(|v| v / self.weight);
        let colour = photos[usize::from(self.photo)].covering(place, self.footprint / self.weight);
        (0..3).for_each(|c| out[c] += self.gain * colour[c] + self.miss[c]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plane;
    use crate::pyramid::test_pictures::texture;
    use crate::resize::{Filter, quantise, resize};
    use crate::warp::Places;
    use image::{GrayImage, Luma, Rgb};

    const FULL: (u32, u32) = (320, 240);
    const SMALL: (u32, u32) = (80, 60);

    fn coloured(plane: &Plane, gain: f32) -> Rgb32FImage {
        Rgb32FImage::from_fn(FULL.0, FULL.1, |x, y| Rgb([0.2 + gain * plane.get_pixel(x, y)[0]; 3]))
    }

    /// The reference is the truth moved by (8, 4) pixels at another contrast; the small picture is the truth's.
    fn rendered(photo_gain: f32, shown: impl Fn(u32, u32) -> bool) -> (Rgb32FImage, Rgb32FImage) {
        let fine = texture(FULL.0, FULL.1, 3);
        let truth = coloured(&fine, 0.5);
        let moved = Plane::from_fn(FULL.0, FULL.1, |x, y| *fine.get_pixel(x.saturating_sub(8), y.saturating_sub(4)));
        let reference = Photo::from_pixels(quantise(&coloured(&moved, photo_gain)));
        let small = resize(&truth, SMALL.0, SMALL.1, Filter::Area);
        let mask = Mask::from_fn(SMALL.0, SMALL.1, |x, y| (20..60).contains(&x) && (15..45).contains(&y));
        let mut origins = Origins::none(SMALL.0, SMALL.1);
        origins.photo = GrayImage::from_fn(SMALL.0, SMALL.1, |x, y| Luma([2 * shown(x, y) as u8]));
        let share = |x: u32, y: u32| [((x as f32 + 0.5) * 4.0 + 8.0) / 320.0, ((y as f32 + 0.5) * 4.0 + 4.0) / 240.0];
        origins.places = Places::from_fn(SMALL.0, SMALL.1, |x, y| Some(share(x, y)));
        let target = Photo::from_pixels(quantise(&truth));
        let references = [reference];
        let detail = Detail::new(&small, &mask, &origins, &target, &references);
        let rect = Rect { x: 96, y: 72, width: 128, height: 96 };
        let cut = image::imageops::crop_imm(&truth, rect.x, rect.y, rect.width, rect.height).to_image();
        (detail.render(rect), cut)
    }

    fn error(a: &Rgb32FImage, b: &Rgb32FImage) -> f32 {
        (a.iter().zip(b.iter()).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32).sqrt()
    }

    #[test]
    fn detail_comes_back_from_the_photo_in_the_targets_light() {
        let (found, truth) = rendered(0.3, |_, _| true);
        let (blurred, _) = rendered(0.3, |_, _| false);
        let (with, without) = (error(&found, &truth), error(&blurred, &truth));
        assert!(with < 0.25 * without && with < 0.02, "{with} with the photo, {without} enlarged");
    }

    #[test]
    fn a_seam_between_shown_and_invented_stays_smooth() {
        let (found, truth) = rendered(0.5, |x, _| x < 40);
        let jump = (0..96).map(|y| (found.get_pixel(63, y)[0] - found.get_pixel(64, y)[0]).abs()).sum::<f32>() / 96.0;
        let usual = (0..96).map(|y| (truth.get_pixel(63, y)[0] - truth.get_pixel(64, y)[0]).abs()).sum::<f32>() / 96.0;
        assert!(jump < 1.5 * usual + 0.01, "{jump} for {usual}");
    }
}
