//! The parts of a hole that hang together.

use super::Mask;
use image::math::Rect;

/// One connected part of the hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// The smallest rectangle around it.
    pub bounds: Rect,
    /// Its pixels.
    pub area: usize,
}

/// A mask's connected parts, in reading order of their first pixel.
#[derive(Clone, Debug)]
pub struct Components {
    /// 1 + index into `parts` for each pixel, row by row; 0 where nothing is to be filled.
    pub labels: Vec<u32>,
    /// The parts.
    pub parts: Vec<Component>,
}

/// Labels the 8-connected parts of the hole, each by a flood from its first pixel.
pub(super) fn components(mask: &Mask) -> Components {
    let mut labels = vec![0; mask.holes().len()];
    let mut parts = Vec::new();
    for first in 0..labels.len() {
        if mask.holes()[first] && labels[first] == 0 {
            parts.push(flood(mask, first, parts.len() as u32 + 1, &mut labels));
        }
    }
    Components { labels, parts }
}

fn flood(mask: &Mask, first: usize, label: u32, labels: &mut [u32]) -> Component {
    let width = mask.width() as usize;
    let mut reached = vec![first];
    labels[first] = label;
    let (mut left, mut right, mut top, mut bottom) = (usize::MAX, 0, usize::MAX, 0);
    let mut area = 0;
    while let Some(pixel) = reached.pop() {
        let (x, y) = (pixel % width, pixel / width);
        (left, right, top, bottom) = (left.min(x), right.max(x), top.min(y), bottom.max(y));
        area += 1;
        for near_y in y.saturating_sub(1)..=(y + 1).min(mask.height() as usize - 1) {
            for near_x in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                let near = near_y * width + near_x;
                if mask.holes()[near] && labels[near] == 0 {
                    labels[near] = label;
                    reached.push(near);
                }
            }
        }
    }
    let bounds =
        Rect { x: left as u32, y: top as u32, width: (right - left + 1) as u32, height: (bottom - top + 1) as u32 };
    Component { bounds, area }
}
