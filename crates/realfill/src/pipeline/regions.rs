//! The regions of a hole: for each what it comes from, how surely, and where it lies in the photo.

use super::fidelity::Fidelity;
use image::math::Rect;
use realfill_vision::{Guide, Mask};
use serde::{Deserialize, Serialize};

/// Regions with a smaller share of the hole are not listed.
const SMALLEST: f64 = 0.002;

/// A connected part of the hole that comes from one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// 1 for the first reference; none where it is invented.
    pub reference: Option<usize>,
    /// Share of the hole, 0 to 1.
    pub share: f64,
    /// Mean trust in it, 0 to 1.
    pub trust: f64,
    /// Left edge of its bounding box in the completed photo, in pixels.
    pub x: i64,
    /// Top edge.
    pub y: i64,
    /// Width of the bounding box.
    pub width: i64,
    /// Height of the bounding box.
    pub height: i64,
}

/// The regions of holes that are this `share` of all, largest first. `part` is what the guide stands for, in the photo's pixels; `frame` the
/// part of the photo that is kept, where not all is.
pub(super) fn regions(guide: &Guide, mask: &Mask, share: f64, part: Rect, frame: Option<Rect>) -> Vec<Region> {
    let (w, h) = (mask.width() as usize, mask.height() as usize);
    let mut left = (0..w * h).map(|i| mask.holes()[i].then(|| Fidelity::supporter(guide, i))).collect::<Vec<_>>();
    let holes = mask.holes().iter().filter(|hole| **hole).count().max(1) as f64;
    let mut found = Vec::new();
    for start in 0..w * h {
        let Some(supporter) = left[start] else { continue };
        let pixels = connected(&mut left, start, w);
        let share = share * (pixels.len() as f64 / holes);
        if share >= SMALLEST {
            let trust = pixels.iter().map(|&i| f64::from(guide.trust.as_raw()[i])).sum::<f64>() / pixels.len() as f64;
            let [x, y, width, height] = bounds(&pixels, (w, h), (part.width, part.height));
            let place = [x + i64::from(part.x), y + i64::from(part.y), width, height];
            let [x, y, width, height] = frame.map_or(place, |frame| in_frame(place, frame));
            found.push(Region { reference: supporter, share, trust, x, y, width, height });
        }
    }
    found.sort_by(|a, b| b.share.total_cmp(&a.share));
    found
}

/// Takes the pixels of one source that touch each other, from `start` on, out of `left`.
fn connected(left: &mut [Option<Option<usize>>], start: usize, w: usize) -> Vec<usize> {
    let of = left[start].take();
    let mut pixels = vec![start];
    let mut next = 0;
    while let Some(&at) = pixels.get(next) {
        next += 1;
        let (x, below) = (at % w, at + w);
        let beside = [(x > 0).then(|| at - 1), (x + 1 < w).then_some(at + 1), at.checked_sub(w), Some(below)];
        for i in beside.into_iter().flatten() {
            if left.get(i) == Some(&of) {
                left[i] = None;
                pixels.push(i);
            }
        }
    }
    pixels
}

/// Left, top, width and height around pixels of a picture of `size`, in pixels of the `part` it stands for.
fn bounds(pixels: &[usize], (w, h): (usize, usize), part: (u32, u32)) -> [i64; 4] {
    let across = |column: usize| (column as f64 * f64::from(part.0) / w as f64).round() as i64;
    let down = |row: usize| (row as f64 * f64::from(part.1) / h as f64).round() as i64;
    let (mut first, mut last) = ((w, h), (0, 0));
    for &i in pixels {
        let (x, y) = (i % w, i / w);
        (first, last) = ((first.0.min(x), first.1.min(y)), (last.0.max(x + 1), last.1.max(y + 1)));
    }
    let (x, y) = (across(first.0), down(first.1));
    [x, y, across(last.0) - x, down(last.1) - y]
}

/// What a frame shows of a rectangle of the photo, from the frame's own corner.
fn in_frame([x, y, width, height]: [i64; 4], frame: Rect) -> [i64; 4] {
    let along = |at: i64, length: i64, from: u32, side: u32| {
        let shown = |edge: i64| (edge - i64::from(from)).clamp(0, i64::from(side));
        (shown(at), shown(at + length) - shown(at))
    };
    let (x, width) = along(x, width, frame.x, frame.width);
    let (y, height) = along(y, height, frame.y, frame.height);
    [x, y, width, height]
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    /// At working size edges are rounded, so that a region reaches a little beyond the frame.
    #[test]
    fn a_region_lies_in_the_frame() {
        let frame = Rect { x: 875, y: 0, width: 2250, height: 4000 };
        assert_eq!(in_frame([873, 3496, 2254, 504], frame), [0, 3496, 2250, 504]);
    }

    #[test]
    fn regions_are_connected_of_one_source_and_in_the_photos_pixels() {
        let mut guide = Guide::empty(8, 4);
        // Two columns of reference 2, one invented, one of reference 2 again; the rest is known.
        for y in 0..4 {
            for x in [4, 5, 7] {
                guide.trust.put_pixel(x, y, Luma([0.75]));
                guide.source.put_pixel(x, y, Luma([2]));
            }
        }
        let mask = Mask::from_fn(8, 4, |x, _| x >= 4);
        let frame = Rect { x: 15, y: 20, width: 70, height: 40 };
        let found = regions(&guide, &mask, 1.0, Rect { x: 5, y: 20, width: 80, height: 40 }, Some(frame));
        let brief: Vec<_> =
            found.iter().map(|r| (r.reference, r.share, r.trust, [r.x, r.y, r.width, r.height])).collect();
        assert_eq!(
            brief,
            [
                (Some(2), 0.5, 0.75, [30, 0, 20, 40]),
                (None, 0.25, 0.0, [50, 0, 10, 40]),
                (Some(2), 0.25, 0.75, [60, 0, 10, 40]),
            ]
        );
    }
}
