//! What a fill misses of the known pixels around, in cells that grow with their distance, so that a wide feather costs little more
//! than a narrow one (Barnes & Hut, "A Hierarchical O(N log N) Force-Calculation Algorithm", Nature 324, 1986).

use super::TILE;
use crate::Plane;
use image::Rgb32FImage;
use rayon::prelude::*;

/// This many cells on each side are looked at in halves before larger ones are taken as they are. With noise, the mean was seen to
/// differ by up to a quarter of a step of 8 bits from that of single pixels; by one with 2 cells.
const NEAR: u32 = 4;

/// Cells that lie across the end of the reach are no larger than this part of it.
const FINEST: u32 = 64;

/// The largest cells are tiles, which lie alike whatever part of a photo is looked at.
const MOST_LEVELS: u32 = TILE.ilog2();

/// How many times cells double until [`NEAR`] of them reach as far as the feather.
fn levels(feather_px: f32) -> u32 {
    (0..MOST_LEVELS).find(|level| (NEAR << level) as f32 >= reach(feather_px)).unwrap_or(MOST_LEVELS)
}

fn reach(feather_px: f32) -> f32 {
    (feather_px.ceil() + 1.0).min((NEAR << MOST_LEVELS) as f32)
}

/// How many pixels around a tile its feather depends on: whole cells.
pub(super) fn margin(feather_px: f32) -> u32 {
    let cell = 1 << levels(feather_px);
    (reach(feather_px) as u32 + cell).next_multiple_of(cell)
}

/// The known pixels of a square: how many, their mean place, and the mean of known minus filled.
#[derive(Clone, Copy, Default)]
struct Cell {
    count: f32,
    place: [f32; 2],
    miss: [f32; 3],
}

impl Cell {
    fn of(parts: impl Iterator<Item = Self>) -> Self {
        let mut whole = Self::default();
        for part in parts.filter(|part| part.count > 0.0) {
            whole.count += part.count;
            let share = part.count / whole.count;
            (0..2).for_each(|c| whole.place[c] += share * (part.place[c] - whole.place[c]));
            (0..3).for_each(|c| whole.miss[c] += share * (part.miss[c] - whole.miss[c]));
        }
        whole
    }
}

/// Cells of one size.
struct Level {
    width: u32,
    height: u32,
    cells: Vec<Cell>,
}

impl Level {
    /// Of twice the side as those of which `cell` gives the one at a place.
    fn halved((width, height): (u32, u32), cell: impl Fn(u32, u32) -> Cell + Sync) -> Self {
        let (across, down) = (width.div_ceil(2), height.div_ceil(2));
        let mut cells = vec![Cell::default(); across as usize * down as usize];
        cells.par_chunks_exact_mut(across as usize).enumerate().for_each(|(row, cells)| {
            for (column, whole) in cells.iter_mut().enumerate() {
                let (x, y) = (2 * column as u32, 2 * row as u32);
                let places = [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)].into_iter();
                *whole = Cell::of(places.filter(|&(x, y)| x < width && y < height).map(|(x, y)| cell(x, y)));
            }
        });
        Self { width: across, height: down, cells }
    }

    fn cell(&self, x: u32, y: u32) -> Cell {
        self.cells[y as usize * self.width as usize + x as usize]
    }
}

/// What is missed everywhere, ready to be asked for.
pub(super) struct Misses<'a> {
    pixels: Pixels<'a>,
    /// From cells of two pixels on.
    levels: Vec<Level>,
    reach: f32,
}

impl<'a> Misses<'a> {
    /// `depth` is the distance into the hole.
    pub(super) fn new(known: &'a Rgb32FImage, filled: &'a Rgb32FImage, depth: &'a Plane, feather_px: f32) -> Self {
        let pixels = Pixels { known, filled, depth };
        let mut all: Vec<Level> = Vec::new();
        for _ in 1..levels(feather_px) {
            let next = match all.last() {
                Some(level) => Level::halved((level.width, level.height), |x, y| level.cell(x, y)),
                None => Level::halved(known.dimensions(), |x, y| pixels.cell(x, y)),
            };
            all.push(next);
        }
        Self { pixels, levels: all, reach: reach(feather_px) }
    }

    /// Mean of known minus filled over the known pixels around one of the hole, weighted by the inverse square of their distance
    /// (Shepard 1968).
    pub(super) fn around(&self, at: (u32, u32)) -> [f32; 3] {
        let mut sum = Sum { at, miss: [0.0; 3], weights: 0.0 };
        for level in 0..=self.levels.len() as u32 {
            each_in_ring(at, level, self.size(level), |x, y| self.add(level, (x, y), &mut sum));
        }
        if sum.weights == 0.0 { sum.miss } else { sum.miss.map(|value| value / sum.weights) }
    }

    fn size(&self, level: u32) -> (u32, u32) {
        let above = level.checked_sub(1).map(|index| &self.levels[index as usize]);
        above.map_or(self.pixels.known.dimensions(), |level| (level.width, level.height))
    }

    fn cell(&self, level: u32, x: u32, y: u32) -> Cell {
        match level.checked_sub(1) {
            None => self.pixels.cell(x, y),
            Some(index) => self.levels[index as usize].cell(x, y),
        }
    }

    /// Adds a cell as far as it is within the reach; where that ends in a large one, part by part.
    fn add(&self, level: u32, (x, y): (u32, u32), sum: &mut Sum) {
        let cell = self.cell(level, x, y);
        let share = self.share(level, x, sum.at.0) * self.share(level, y, sum.at.1);
        if cell.count == 0.0 || share == 0.0 {
            return;
        }
        if level == 0 || share == 1.0 || ((FINEST << level) as f32) < self.reach {
            return sum.add(&cell, share);
        }
        let (width, height) = self.size(level - 1);
        let parts = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(right, down)| (2 * x + right, 2 * y + down));
        parts
            .into_iter()
            .filter(|part| part.0 < width && part.1 < height)
            .for_each(|part| self.add(level - 1, part, sum));
    }

    /// How much of a cell's side lies within the reach.
    fn share(&self, level: u32, cell: u32, at: u32) -> f32 {
        let (start, side, at) = ((cell << level) as f32 - 0.5, (1 << level) as f32, at as f32);
        let (from, to) = (at - self.reach - 0.5, at + self.reach + 0.5);
        ((start + side).min(to) - start.max(from)).max(0.0) / side
    }
}

/// What is summed up around a pixel.
struct Sum {
    at: (u32, u32),
    miss: [f32; 3],
    weights: f32,
}

impl Sum {
    fn add(&mut self, cell: &Cell, share: f32) {
        let [dx, dy] = [cell.place[0] - self.at.0 as f32, cell.place[1] - self.at.1 as f32];
        let weight = share * cell.count / (dx * dx + dy * dy);
        (0..3).for_each(|c| self.miss[c] += weight * cell.miss[c]);
        self.weights += weight;
    }
}

/// The cells of a level that are as small as they have to be around a pixel, and no smaller: the halves of those of twice the side
/// that are near it, but for those that are near it themselves, unless they are pixels.
fn each_in_ring((x, y): (u32, u32), level: u32, (width, height): (u32, u32), mut each: impl FnMut(u32, u32)) {
    let range = |at: u32, length: u32| {
        let whole = at >> (level + 1);
        2 * whole.saturating_sub(NEAR)..(2 * (whole + NEAR) + 2).min(length)
    };
    let is_near = |cell: u32, at: u32| cell.abs_diff(at >> level) <= NEAR;
    for row in range(y, height) {
        for column in range(x, width) {
            if level == 0 || !(is_near(column, x) && is_near(row, y)) {
                each(column, row);
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Pixels<'a> {
    known: &'a Rgb32FImage,
    filled: &'a Rgb32FImage,
    depth: &'a Plane,
}

impl Pixels<'_> {
    /// A pixel as a cell, empty in the hole.
    fn cell(&self, x: u32, y: u32) -> Cell {
        if self.depth.get_pixel(x, y).0[0] != 0.0 {
            return Cell::default();
        }
        let (known, filled) = (self.known.get_pixel(x, y).0, self.filled.get_pixel(x, y).0);
        Cell { count: 1.0, place: [x as f32, y as f32], miss: [0, 1, 2].map(|c| known[c] - filled[c]) }
    }
}
