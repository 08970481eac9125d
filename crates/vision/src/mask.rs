//! Which pixels of the target are to be filled.

mod components;
mod distance;
mod read;
mod rectangles;
mod rim;
#[cfg(test)]
mod tests;

pub use components::{Component, Components};
pub use read::MaskError;

use crate::Plane;
use image::Rgb32FImage;
use image::math::Rect;

/// The hole: one flag a pixel, row by row, at the target's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    width: u32,
    height: u32,
    holes: Vec<bool>,
}

impl Mask {
    /// A mask from one flag a pixel (`true` = fill), row by row.
    ///
    /// # Panics
    /// When `holes` has not `width * height` entries.
    pub fn new(width: u32, height: u32, holes: Vec<bool>) -> Self {
        assert_eq!(holes.len(), width as usize * height as usize, "mask of {width}×{height}");
        Self { width, height, holes }
    }

    /// A mask whose hole is where `is_hole(x, y)` says so.
    pub fn from_fn(width: u32, height: u32, mut is_hole: impl FnMut(u32, u32) -> bool) -> Self {
        let holes = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| is_hole(x, y)).collect();
        Self { width, height, holes }
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Whether the pixel is to be filled.
    pub fn is_hole(&self, x: u32, y: u32) -> bool {
        self.holes[y as usize * self.width as usize + x as usize]
    }

    /// One flag a pixel, row by row.
    pub fn holes(&self) -> &[bool] {
        &self.holes
    }

    /// Share of the pixels to be filled, 0 to 1.
    pub fn hole_share(&self) -> f64 {
        self.holes.iter().filter(|&&h| h).count() as f64 / self.holes.len().max(1) as f64
    }

    /// Euclidean distance in pixels from each pixel to the nearest hole pixel; 0 inside the hole, infinite everywhere
    /// when there is no hole.
    pub fn distance_to_hole(&self) -> Plane {
        distance::distance_to(self.width, self.height, |i| self.holes[i])
    }

    /// Euclidean distance in pixels from each hole pixel to the nearest known pixel (1 at the hole's edge); 0 outside
    /// the hole, infinite everywhere when nothing is known.
    pub fn distance_into_hole(&self) -> Plane {
        distance::distance_to(self.width, self.height, |i| !self.holes[i])
    }

    /// The hole grown by a disc: every pixel within `px` of it is hole too.
    pub fn dilate(&self, px: f32) -> Self {
        let holes = self.distance_to_hole().into_raw().into_iter().map(|distance| distance <= px).collect();
        Self { holes, ..*self }
    }

    /// The hole grown past the known pixels that are mixed with what was painted into it, as in a target that was resized or softly
    /// erased: `picture` has the mask's size. A hole with clean pixels around it stays as it is.
    pub fn past_mixed_rim(&self, picture: &Rgb32FImage) -> Self {
        rim::past_mixed_rim(self, picture)
    }

    /// The smallest rectangle that holds every hole pixel; `None` when there is none.
    pub fn bounding_box(&self) -> Option<Rect> {
        let rows = || self.holes.chunks_exact(self.width as usize);
        let top = rows().position(|row| row.contains(&true))? as u32;
        let bottom = rows().rposition(|row| row.contains(&true))? as u32;
        let column = |x: &u32| (top..=bottom).any(|y| self.is_hole(*x, y));
        let left = (0..self.width).find(column)?;
        let right = (0..self.width).rfind(column)?;
        Some(Rect { x: left, y: top, width: right - left + 1, height: bottom - top + 1 })
    }

    /// The holes that hang together, each by itself (pixels that touch at a corner do).
    pub fn components(&self) -> Components {
        components::components(self)
    }

    /// Rectangles, at most `most`, that together hold every hole pixel, in reading order: where the holes are, in few words.
    /// Several holes get one each; a frame around the photo becomes its four sides.
    pub fn rectangles(&self, most: usize) -> Vec<Rect> {
        rectangles::rectangles(self, most)
    }

    /// The mask at another size: a cell is hole if any pixel under it is, even in part. For latents of an image of
    /// `8w`×`8h`, `resized_max(w, h)`.
    pub fn resized_max(&self, width: u32, height: u32) -> Self {
        Self::from_fn(width, height, |x, y| {
            let (x0, x1) = covered(x, width, self.width);
            let (y0, y1) = covered(y, height, self.height);
            (y0..y1).any(|row| (x0..x1).any(|column| self.is_hole(column, row)))
        })
    }
}

/// The source pixels `from..to` that cell `index` of `cells` touches when they are laid over `pixels` pixels.
fn covered(index: u32, cells: u32, pixels: u32) -> (u32, u32) {
    let (index, cells, pixels) = (u64::from(index), u64::from(cells), u64::from(pixels));
    ((index * pixels / cells) as u32, ((index + 1) * pixels).div_ceil(cells) as u32)
}
