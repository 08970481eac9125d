//! The feather: filled colours near the hole's edge are shifted towards the known ones beyond it.

use super::misses::{self, Misses};
use crate::{Mask, Plane};
use image::Rgb32FImage;
use rayon::prelude::*;

/// In wider feathers, what lies far away is looked at in cells: pixel by pixel the work grows with the third power of the width. Here
/// both cost about the same.
const WIDE_PX: f32 = 32.0;

/// How many pixels around a tile its feather depends on, so that tiles meet without a trace.
pub(super) fn margin(feather_px: f32) -> u32 {
    match feather_px {
        none if none <= 0.0 => 0,
        wide if wide > WIDE_PX => misses::margin(wide),
        narrow => narrow.ceil() as u32 + 1,
    }
}

/// The filled colours, shifted towards the known ones near the hole's edge.
pub(super) fn feathered(known: &Rgb32FImage, mask: &Mask, filled: &Rgb32FImage, feather_px: f32) -> Rgb32FImage {
    let mut colours = filled.clone();
    if feather_px <= 0.0 {
        return colours;
    }
    let depth = mask.distance_into_hole();
    let wide = (feather_px > WIDE_PX).then(|| Misses::new(known, filled, &depth, feather_px));
    let width = mask.width() as usize;
    colours.par_chunks_exact_mut(3 * width).enumerate().for_each(|(y, row)| {
        for (x, colour) in row.chunks_exact_mut(3).enumerate() {
            let share = edge_share(depth.get_pixel(x as u32, y as u32).0[0], feather_px);
            if share > 0.0 {
                let at = (x as u32, y as u32);
                let miss = match &wide {
                    Some(misses) => misses.around(at),
                    None => nearby_miss(known, filled, &depth, at, feather_px),
                };
                colour.iter_mut().zip(miss).for_each(|(value, miss)| *value += share * miss);
            }
        }
    });
    colours
}

/// How much of the shift a pixel takes: nearly all at the edge, nothing outside the hole or deeper than the feather.
fn edge_share(depth: f32, feather_px: f32) -> f32 {
    if depth <= 0.0 || depth > feather_px {
        return 0.0;
    }
    let t = 1.0 - depth / (feather_px + 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Mean of known minus filled over the known pixels around, weighted by the inverse square of their distance (Shepard
/// 1968). The window always holds the nearest known pixel, which is at most `feather_px` away.
fn nearby_miss(
    known: &Rgb32FImage,
    filled: &Rgb32FImage,
    depth: &Plane,
    (x, y): (u32, u32),
    feather_px: f32,
) -> [f32; 3] {
    let reach = feather_px.ceil() as u32 + 1;
    let (mut sum, mut weights) = ([0.0; 3], 0.0);
    for near_y in y.saturating_sub(reach)..=(y + reach).min(known.height() - 1) {
        for near_x in x.saturating_sub(reach)..=(x + reach).min(known.width() - 1) {
            if depth.get_pixel(near_x, near_y).0[0] == 0.0 {
                let (dx, dy) = (near_x as f32 - x as f32, near_y as f32 - y as f32);
                let weight = 1.0 / (dx * dx + dy * dy);
                let (k, f) = (known.get_pixel(near_x, near_y).0, filled.get_pixel(near_x, near_y).0);
                (0..3).for_each(|c| sum[c] += weight * (k[c] - f[c]));
                weights += weight;
            }
        }
    }
    if weights == 0.0 { sum } else { sum.map(|value| value / weights) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn cells_give_the_same_as_single_pixels() {
        let (width, height) = (300, 220);
        let mask = Mask::from_fn(width, height, |x, y| {
            (70..230).contains(&x) && (60..170).contains(&y) && !((140..150).contains(&x) && y < 110)
        });
        let known = Rgb32FImage::from_fn(width, height, |x, y| {
            let noise = ((x * 7919 + y * 104_729) % 101) as f32 / 1010.0;
            Rgb([(x as f32 / 30.0).sin() * 0.3 + noise, y as f32 / 220.0, noise])
        });
        let filled = Rgb32FImage::from_pixel(width, height, Rgb([0.1, 0.2, 0.3]));
        let depth = mask.distance_into_hole();
        for feather_px in [40.0, 80.0] {
            let misses = Misses::new(&known, &filled, &depth, feather_px);
            let holes = (0..width * height).step_by(13).map(|i| (i % width, i / width));
            for at in holes.filter(|&(x, y)| edge_share(depth.get_pixel(x, y).0[0], feather_px) > 0.0) {
                let (cells, single) = (misses.around(at), nearby_miss(&known, &filled, &depth, at, feather_px));
                let near = cells.iter().zip(single).all(|(a, b)| (a - b).abs() < 0.002);
                assert!(near, "{at:?}, {feather_px} px: {cells:?} instead of {single:?}");
            }
        }
    }
}
