//! The small picture's pixels with the piece of a photo that each of them shows.

use super::pixels::Pixels;
use crate::Mask;
use crate::guide::Sites;

/// Known pixels up to this far from the hole take part, in pixels of the small picture: fits look that far around.
pub(super) const BESIDE: f32 = 8.0;
/// Neighbours whose places are further apart than this many times the usual step are not of one surface.
const TORN: f32 = 3.0;

/// One pixel of the small picture, as a photo shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// 0 the target, 1 + i reference i.
    pub photo: u8,
    /// Its centre there, in the photo's pixels.
    pub at: [f32; 2],
    /// How the place moves with one cell to the right, and with one down.
    pub step: [[f32; 2]; 2],
    /// Side of one of the target's pixels there.
    pub footprint: f32,
    /// Contrast of the target over the photo's.
    pub gain: f32,
    /// What is then missing of the colours.
    pub miss: [f32; 3],
}

impl Cell {
    /// The place of a point of the cell; (0, 0) is its centre, cells have side 1.
    pub fn place(&self, [u, v]: [f32; 2]) -> [f32; 2] {
        std::array::from_fn(|k| self.at[k] + u * self.step[0][k] + v * self.step[1][k])
    }

    /// Places of one surface as two cells see them differ by less than this.
    pub fn tear(&self) -> f32 {
        let side = |step: [f32; 2]| step[0].hypot(step[1]);
        TORN * side(self.step[0]).max(side(self.step[1])).max(1.0)
    }

    /// Whether another cell, `[u, v]` cells away, shows the same surface.
    pub fn joins(&self, other: &Cell, offset: [f32; 2]) -> bool {
        let place = self.place(offset);
        self.photo == other.photo && (other.at[0] - place[0]).hypot(other.at[1] - place[1]) < self.tear()
    }
}

/// The cells in the hole and around it.
pub(super) struct Cells {
    pub size: (u32, u32),
    pub cells: Vec<Option<Cell>>,
}

impl Cells {
    /// None anywhere.
    pub fn none(size: (u32, u32)) -> Self {
        Self { size, cells: vec![None; size.0 as usize * size.1 as usize] }
    }

    /// Those with a site, their steps from their neighbours' places. `target` is the target's full size.
    pub fn near_the_hole(mask: &Mask, sites: &Sites, photos: &[Pixels], target: (u32, u32)) -> Self {
        let size = (mask.width(), mask.height());
        let distance = mask.distance_to_hole();
        let scale = target.0 as f32 / size.0 as f32;
        let mut out = Self::none(size);
        for (i, cell) in out.cells.iter_mut().enumerate() {
            let (x, y) = (i as u32 % size.0, i as u32 / size.0);
            if distance.get_pixel(x, y)[0] <= BESIDE {
                *cell = sites.get(x, y).map(|(photo, share)| placed(photo - 1, share, photos, target, scale));
            }
        }
        out.step_as_usual(photos.len());
        let rough = out.cells.clone();
        let at = |x: i32, y: i32| inside(size, x, y).and_then(|i| rough[i]);
        for (i, cell) in out.cells.iter_mut().enumerate() {
            let (x, y) = (i as i32 % size.0 as i32, i as i32 / size.0 as i32);
            if let Some(cell) = cell {
                let across = step(cell, at(x - 1, y), at(x + 1, y), [1.0, 0.0]);
                let down = step(cell, at(x, y - 1), at(x, y + 1), [0.0, 1.0]);
                cell.step = [across, down];
                let area = (across[0] * down[1] - across[1] * down[0]).abs();
                cell.footprint = (area.sqrt() / scale).clamp(0.25, 8.0);
            }
        }
        out
    }

    /// Gives all cells of a photo the middle way from one to the next, so that neighbours are told from what lies elsewhere by it.
    fn step_as_usual(&mut self, photos: usize) {
        let (w, h) = (self.size.0 as usize, self.size.1 as usize);
        let mut ways: Vec<[[Vec<f32>; 2]; 2]> = vec![Default::default(); photos];
        for (x, y) in (0..h).flat_map(|y| (0..w).map(move |x| (x, y))) {
            let i = y * w + x;
            let Some(cell) = &self.cells[i] else { continue };
            for (direction, there) in [(0, (x + 1 < w).then_some(i + 1)), (1, (y + 1 < h).then_some(i + w))] {
                let neighbour = there.and_then(|i| self.cells[i].as_ref()).filter(|other| other.photo == cell.photo);
                let Some(other) = neighbour else { continue };
                (0..2).for_each(|k| ways[usize::from(cell.photo)][direction][k].push(other.at[k] - cell.at[k]));
            }
        }
        let usual: Vec<[Option<[f32; 2]>; 2]> =
            ways.into_iter().map(|ways| ways.map(|[x, y]| Some([middle(x)?, middle(y)?]))).collect();
        for cell in self.cells.iter_mut().flatten() {
            let usual = &usual[usize::from(cell.photo)];
            (0..2).for_each(|direction| cell.step[direction] = usual[direction].unwrap_or(cell.step[direction]));
        }
    }

    /// The cell at a pixel of the small picture.
    pub fn get(&self, x: i32, y: i32) -> Option<&Cell> {
        inside(self.size, x, y).and_then(|i| self.cells[i].as_ref())
    }
}

/// The middle one; `None` of none.
fn middle(mut values: Vec<f32>) -> Option<f32> {
    let half = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(half, f32::total_cmp).1)
}

fn inside((w, h): (u32, u32), x: i32, y: i32) -> Option<usize> {
    (x >= 0 && y >= 0 && x < w as i32 && y < h as i32).then(|| y as usize * w as usize + x as usize)
}

/// A cell that looks at the photo upright and at the scale at which both photos fit each other.
fn placed(photo: u8, share: [f32; 2], photos: &[Pixels], target: (u32, u32), scale: f32) -> Cell {
    let (w, h) = photos[usize::from(photo)].size();
    let at = [share[0] * w as f32 - 0.5, share[1] * h as f32 - 0.5];
    let side = scale * w.max(h) as f32 / target.0.max(target.1) as f32;
    Cell { photo, at, step: [[side, 0.0], [0.0, side]], footprint: side / scale, gain: 1.0, miss: [0.0; 3] }
}

/// Half the way from the one neighbour to the other where both join, else all the way to or from the one that does.
fn step(cell: &Cell, before: Option<Cell>, after: Option<Cell>, direction: [f32; 2]) -> [f32; 2] {
    let backwards = direction.map(|v| -v);
    let before = before.filter(|b| cell.joins(b, backwards)).map(|b| b.at);
    let after = after.filter(|a| cell.joins(a, direction)).map(|a| a.at);
    match (before, after) {
        (Some(b), Some(a)) => [0.5 * (a[0] - b[0]), 0.5 * (a[1] - b[1])],
        (Some(b), None) => [cell.at[0] - b[0], cell.at[1] - b[1]],
        (None, Some(a)) => [a[0] - cell.at[0], a[1] - cell.at[1]],
        (None, None) => std::array::from_fn(|k| direction[0] * cell.step[0][k] + direction[1] * cell.step[1][k]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warp::Places;
    use image::{GrayImage, Luma, RgbImage};

    /// The step across at column `x` of a photo whose places move by `way` px a cell, and by 8 px more behind column 49.
    fn step_at(x: i32, way: f32, target: (u32, u32), photo: (u32, u32)) -> [f32; 2] {
        let size = (96, 72);
        let mask = Mask::from_fn(size.0, size.1, |x, y| (20..80).contains(&x) && (20..60).contains(&y));
        let place = |x: u32, y: u32| {
            let moved = way * x as f32 + if x >= 50 { 8.0 } else { 0.0 };
            [(100.0 + moved + 0.5) / photo.0 as f32, (100.0 + way * y as f32 + 0.5) / photo.1 as f32]
        };
        let sites = Sites {
            photo: GrayImage::from_pixel(size.0, size.1, Luma([2])),
            places: Places::from_fn(size.0, size.1, |x, y| Some(place(x, y))),
        };
        let photos = [target, photo]
            .map(|(w, h)| crate::Photo::from_pixels(image::DynamicImage::ImageRgb8(RgbImage::new(w, h))));
        let pixels: Vec<Pixels> = photos.iter().map(|photo| Pixels::of(&photo.pixels)).collect();
        let cells = Cells::near_the_hole(&mask, &sites, &pixels, target);
        cells.get(x, 40).expect("it has a site").step[0]
    }

    /// A part of a photo has less of the scene than a reference of the same pixels.
    #[test]
    fn a_jump_beside_a_cell_does_not_stretch_it() {
        let [across, down] = step_at(49, 1.5, (144, 108), (600, 450));
        assert!((across - 1.5).abs() < 1e-3 && down.abs() < 1e-3, "{across}, {down}");
    }

    #[test]
    fn a_photo_from_much_nearer_has_its_own_step() {
        let [across, down] = step_at(30, 18.0, (384, 288), (2400, 1800));
        assert!((across - 18.0).abs() < 1e-2 && down.abs() < 1e-3, "{across}, {down}");
    }
}
