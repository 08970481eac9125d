//! A line of small text, in Noto Sans Mono as rasterised by the crate `noto-sans-mono-bitmap` (SIL Open Font License).

use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

const SIZE: RasterHeight = RasterHeight::Size20;
const WEIGHT: FontWeight = FontWeight::Regular;
const INK: f32 = 30.0;

/// Height of a line in pixels, with a little room below.
pub(super) const HEIGHT: u32 = SIZE.val() as u32 + 4;

/// `text` on `paper`, cut off (with two dots) where it is wider than `width` pixels. Characters the font has not become
/// question marks.
pub(super) fn line(text: &str, width: u32, paper: Rgb<u8>) -> RgbImage {
    let mut line = RgbImage::from_pixel(width, HEIGHT, paper);
    let advance = get_raster_width(WEIGHT, SIZE);
    for (i, character) in fitted(text, width as usize / advance).enumerate() {
        let Some(glyph) = get_raster(character, WEIGHT, SIZE).or_else(|| get_raster('?', WEIGHT, SIZE)) else {
            continue;
        };
        for (y, row) in glyph.rows().enumerate() {
            for (x, &coverage) in row.iter().enumerate() {
                let pixel = line.get_pixel_mut((i * advance + x) as u32, y as u32);
                pixel.0 = pixel.0.map(|value| blend(value, coverage));
            }
        }
    }
    line
}

/// The characters that fit into `room`.
fn fitted(text: &str, room: usize) -> impl Iterator<Item = char> {
    let (kept, dots) = if text.chars().count() <= room { (room, 0) } else { (room.saturating_sub(2), room.min(2)) };
    text.chars().take(kept).chain(std::iter::repeat_n('.', dots))
}

fn blend(paper: u8, coverage: u8) -> u8 {
    let ink = f32::from(coverage) / 255.0;
    (f32::from(paper) * (1.0 - ink) + INK * ink) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Rgb<u8> = Rgb([255; 3]);

    #[test]
    fn letters_leave_ink_and_blanks_do_not() {
        let ink = |text: &str| line(text, 200, WHITE).pixels().filter(|pixel| pixel.0[0] < 128).count();
        assert!(ink("seed 42, 18.3 dB, 512×384") > 300);
        assert_eq!(ink("   "), 0);
        assert!(ink("写") > 0, "a question mark stands for what the font has not");
    }

    #[test]
    fn long_text_is_cut_off_with_dots() {
        assert_eq!(fitted("reference 1", 20).collect::<String>(), "reference 1");
        assert_eq!(fitted("reference 1", 6).collect::<String>(), "refe..");
        assert_eq!(fitted("reference 1", 1).collect::<String>(), ".");
        line("reference 1", 1, WHITE);
    }
}
