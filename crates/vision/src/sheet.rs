//! One picture with everything a person wants to see first: references, target, result, candidates, truth, each with
//! its label.

mod text;

use crate::resize::{Filter, quantise, resize, shrunk};
use crate::{Photo, Scene};
use image::imageops::{overlay, replace};
use image::{Rgb, Rgb32FImage, RgbImage};

/// Wide enough for four pictures side by side, narrow enough for a screen.
const WIDTH: u32 = 1600;

/// Rows are as tall as their pictures allow at full width, but no taller than this.
const MAX_HEIGHT: u32 = 420;

/// Pictures in a row before the next one begins.
const PER_ROW: usize = 5;

const GAP: u32 = 12;
const PAPER: Rgb<u8> = Rgb([250, 250, 250]);

/// Stripes that mark a hole: two colours that photos seldom have.
const HOLE: [Rgb<f32>; 2] = [Rgb([0.86, 0.16, 0.62]), Rgb([0.96, 0.72, 0.90])];
const STRIPE_SHARE: u32 = 48;

/// A picture on a sheet with its label.
#[derive(Clone, Debug)]
pub struct Tile {
    picture: Rgb32FImage,
    label: String,
}

impl Tile {
    /// A tile; the picture is scaled down to what a sheet can show, so that many large ones can be kept.
    pub fn new(picture: &Rgb32FImage, label: impl Into<String>) -> Self {
        let height = picture.height().min(MAX_HEIGHT);
        let width = scaled_width(picture.dimensions(), height);
        Self { picture: resize(picture, width, height, Filter::Bilinear), label: label.into() }
    }

    /// A tile of a photo.
    pub fn photo(photo: &Photo, label: impl Into<String>) -> Self {
        let (width, height) = tile_size(photo);
        Self { picture: shrunk(&photo.pixels, width, height), label: label.into() }
    }

    /// A tile of the scene's target, its hole striped.
    pub fn target(scene: &Scene) -> Self {
        let (width, height) = tile_size(&scene.target);
        let mut picture = shrunk(&scene.target.pixels, width, height);
        let mask = scene.mask.resized_max(width, height);
        let stripe = (width.max(height) / STRIPE_SHARE).max(1);
        for (x, y, pixel) in picture.enumerate_pixels_mut().filter(|(x, y, _)| mask.is_hole(*x, *y)) {
            *pixel = HOLE[((x + y) / stripe % 2) as usize];
        }
        Self { picture, label: "target".into() }
    }

    fn aspect(&self) -> f64 {
        f64::from(self.picture.width()) / f64::from(self.picture.height())
    }
}

/// The sheet of one job: references; target, best result and, where it is known, the truth; other candidates.
pub fn scene_sheet(scene: &Scene, best: &Photo, others: &[Tile]) -> RgbImage {
    let reference = |(i, photo): (usize, &Photo)| Tile::photo(photo, format!("reference {}", i + 1));
    let mut middle = vec![Tile::target(scene), Tile::photo(best, "completed")];
    middle.extend(scene.truth.iter().map(|truth| Tile::photo(truth, "truth")));
    let references: Vec<Tile> = scene.references.iter().enumerate().map(reference).collect();
    sheet(&[&references, &middle, others])
}

/// A sheet of groups of tiles, each group in rows of its own; a group without tiles takes no room.
pub fn sheet(groups: &[&[Tile]]) -> RgbImage {
    let rows: Vec<RgbImage> = groups.iter().flat_map(|group| group.chunks(PER_ROW)).map(row).collect();
    let height: u32 = GAP + rows.iter().map(|row| row.height() + GAP).sum::<u32>();
    let mut sheet = RgbImage::from_pixel(WIDTH, height, PAPER);
    let mut y = GAP;
    for row in &rows {
        replace(&mut sheet, row, 0, i64::from(y));
        y += row.height() + GAP;
    }
    sheet
}

/// Tiles side by side at one height, labels above them.
fn row(tiles: &[Tile]) -> RgbImage {
    let room = f64::from(WIDTH - GAP * (tiles.len() as u32 + 1));
    let aspects: f64 = tiles.iter().map(Tile::aspect).sum();
    let height = ((room / aspects) as u32).clamp(1, MAX_HEIGHT);
    let mut row = RgbImage::from_pixel(WIDTH, text::HEIGHT + height, PAPER);
    let mut x = GAP;
    for tile in tiles {
        let width = scaled_width(tile.picture.dimensions(), height);
        let picture = quantise(&resize(&tile.picture, width, height, Filter::Bilinear));
        overlay(&mut row, &text::line(&tile.label, width, PAPER), i64::from(x), 0);
        overlay(&mut row, &picture, i64::from(x), i64::from(text::HEIGHT));
        x += width + GAP;
    }
    row
}

fn tile_size(photo: &Photo) -> (u32, u32) {
    let height = photo.height().min(MAX_HEIGHT);
    (scaled_width((photo.width(), photo.height()), height), height)
}

fn scaled_width((width, full): (u32, u32), height: u32) -> u32 {
    let width = u64::from(width) * u64::from(height) / u64::from(full.max(1));
    (width as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mask;

    fn plain(width: u32, height: u32, value: f32) -> Rgb32FImage {
        Rgb32FImage::from_pixel(width, height, Rgb([value; 3]))
    }

    fn scene(references: &[(u32, u32)]) -> Scene {
        let mask = Mask::from_fn(320, 240, |x, y| x > 200 && y > 100);
        let references = references.iter().map(|&(w, h)| Photo::from_pixels(plain(w, h, 0.2))).collect();
        Scene::new("test", Photo::from_pixels(plain(320, 240, 0.4)), mask, references).unwrap()
    }

    fn share_of(sheet: &RgbImage, wanted: Rgb<u8>) -> f64 {
        sheet.pixels().filter(|pixel| **pixel == wanted).count() as f64 / f64::from(sheet.width() * sheet.height())
    }

    #[test]
    fn a_sheet_shows_every_picture_and_marks_the_hole() {
        let mut scene = scene(&[(320, 240), (240, 320)]);
        scene.truth = Some(Photo::from_pixels(plain(320, 240, 0.6)));
        let sheet = scene_sheet(
            &scene,
            &Photo::from_pixels(plain(320, 240, 0.8)),
            &[Tile::new(&plain(320, 240, 1.0), "seed 2")],
        );
        assert_eq!(sheet.width(), WIDTH);
        for value in [51, 102, 153, 204, 255] {
            assert!(share_of(&sheet, Rgb([value; 3])) > 0.02, "grey {value} is missing");
        }
        let marked = quantise(&Rgb32FImage::from_pixel(1, 1, HOLE[0]));
        assert!(share_of(&sheet, *marked.get_pixel(0, 0)) > 0.005);
    }

    #[test]
    fn no_tile_leaves_the_sheet() {
        for sizes in [&[(4000, 100)][..], &[(100, 4000)], &[(1, 1)], &[(900, 300); 5], &[(3000, 10), (10, 3000)]] {
            let tiles: Vec<Tile> = sizes.iter().map(|&(w, h)| Tile::new(&plain(w, h, 0.0), "a label")).collect();
            let sheet = sheet(&[&tiles]);
            assert!(sheet.height() <= 2 * GAP + text::HEIGHT + MAX_HEIGHT, "{sizes:?}: {}", sheet.height());
            let edge = (0..sheet.height()).all(|y| *sheet.get_pixel(WIDTH - 1, y) == PAPER);
            assert!(edge, "{sizes:?} runs over the right edge");
        }
    }

    #[test]
    fn many_candidates_wrap_into_rows() {
        let tile = Tile::new(&plain(64, 48, 0.5), "seed");
        let (one, three) = (sheet(&[&vec![tile.clone(); PER_ROW]]), sheet(&[&vec![tile; 2 * PER_ROW + 1]]));
        assert!(three.height() > 2 * one.height());
    }

    #[test]
    fn an_empty_group_takes_no_room() {
        let tiles = [Tile::new(&plain(64, 48, 0.5), "one")];
        assert_eq!(sheet(&[&tiles, &[]]), sheet(&[&tiles]));
    }
}
