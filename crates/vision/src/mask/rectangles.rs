//! A hole in a few rectangles, for people and records that tell where a picture was changed.

use super::Mask;
use image::math::Rect;

/// A rectangle that is hole to this share is not divided further: an ellipse (π/4) stays one.
const FULL_ENOUGH: f64 = 0.7;

/// A rectangle and how many of its pixels are hole.
struct Part {
    bounds: Rect,
    area: u64,
}

impl Part {
    fn waste(&self) -> u64 {
        u64::from(self.bounds.width) * u64::from(self.bounds.height) - self.area
    }

    fn is_full_enough(&self) -> bool {
        self.waste() as f64 <= (1.0 - FULL_ENOUGH) * (self.waste() + self.area) as f64
    }
}

/// Rectangles, at most `most`, that together hold every hole pixel, in reading order. The one that holds the most known
/// pixels is cut in two where its rows or columns differ the most, until all are full enough.
pub(super) fn rectangles(mask: &Mask, most: usize) -> Vec<Rect> {
    let whole = Rect { x: 0, y: 0, width: mask.width(), height: mask.height() };
    let mut parts: Vec<Part> = part(mask, whole).into_iter().collect();
    while parts.len() < most {
        let worst =
            parts.iter().enumerate().filter(|(_, part)| !part.is_full_enough()).max_by_key(|(_, part)| part.waste());
        let Some((worst, _)) = worst else { break };
        let bounds = parts[worst].bounds;
        let Some((first, second)) = cut(mask, bounds) else { break };
        parts.remove(worst);
        parts.extend([first, second].into_iter().filter_map(|half| part(mask, half)));
    }
    let mut bounds: Vec<Rect> = parts.into_iter().map(|part| part.bounds).collect();
    bounds.sort_by_key(|rect| (rect.y, rect.x));
    bounds
}

/// The hole's smallest rectangle within `within`; `None` where nothing is hole.
fn part(mask: &Mask, within: Rect) -> Option<Part> {
    let (rows, columns) = (row_counts(mask, within), column_counts(mask, within));
    let (top, bottom) = (rows.iter().position(|&n| n > 0)?, rows.iter().rposition(|&n| n > 0)?);
    let (left, right) = (columns.iter().position(|&n| n > 0)?, columns.iter().rposition(|&n| n > 0)?);
    let bounds = Rect {
        x: within.x + left as u32,
        y: within.y + top as u32,
        width: (right - left + 1) as u32,
        height: (bottom - top + 1) as u32,
    };
    Some(Part { bounds, area: rows.iter().map(|&n| u64::from(n)).sum() })
}

/// The halves on either side of the largest step between neighbouring rows or columns, as a share of their length.
fn cut(mask: &Mask, bounds: Rect) -> Option<(Rect, Rect)> {
    let (across, along_y) = largest_step(&row_counts(mask, bounds));
    let (down, along_x) = largest_step(&column_counts(mask, bounds));
    let by_rows = f64::from(along_y) / f64::from(bounds.width);
    let by_columns = f64::from(along_x) / f64::from(bounds.height);
    if along_y == 0 && along_x == 0 {
        return None;
    }
    let Rect { x, y, width, height } = bounds;
    Some(match by_rows >= by_columns {
        true => (Rect { height: across, ..bounds }, Rect { y: y + across, height: height - across, ..bounds }),
        false => (Rect { width: down, ..bounds }, Rect { x: x + down, width: width - down, ..bounds }),
    })
}

/// Where the largest step is (1 for that between the first two), and how large.
fn largest_step(counts: &[u32]) -> (u32, u32) {
    let steps = (1..).zip(counts.windows(2).map(|pair| pair[0].abs_diff(pair[1])));
    steps.max_by_key(|&(_, step)| step).unwrap_or((0, 0))
}

fn row_counts(mask: &Mask, within: Rect) -> Vec<u32> {
    rows(mask, within).map(|row| row.iter().filter(|&&hole| hole).count() as u32).collect()
}

fn column_counts(mask: &Mask, within: Rect) -> Vec<u32> {
    let mut counts = vec![0; within.width as usize];
    for row in rows(mask, within) {
        counts.iter_mut().zip(row).for_each(|(count, &hole)| *count += u32::from(hole));
    }
    counts
}

fn rows(mask: &Mask, within: Rect) -> impl Iterator<Item = &[bool]> {
    let (left, width) = (within.x as usize, within.width as usize);
    (within.y..within.y + within.height).map(move |y| {
        let from = y as usize * mask.width as usize + left;
        &mask.holes[from..from + width]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuples(mask: &Mask, most: usize) -> Vec<(u32, u32, u32, u32)> {
        rectangles(mask, most).into_iter().map(|r| (r.x, r.y, r.width, r.height)).collect()
    }

    #[test]
    fn separate_holes_get_a_rectangle_each_and_none_gets_none() {
        let holes = |x, y| (2..7).contains(&x) && (3..5).contains(&y) || (20..30).contains(&x) && (15..25).contains(&y);
        assert_eq!(tuples(&Mask::from_fn(40, 30, holes), 16), [(2, 3, 5, 2), (20, 15, 10, 10)]);
        assert!(tuples(&Mask::from_fn(9, 9, |_, _| false), 16).is_empty());
    }

    #[test]
    fn a_round_hole_is_one_rectangle_and_a_frame_is_its_sides() {
        let round = Mask::from_fn(41, 41, |x, y| (x as i32 - 20).pow(2) + (y as i32 - 20).pow(2) <= 15 * 15);
        assert_eq!(tuples(&round, 16), [(5, 5, 31, 31)]);
        let frame = Mask::from_fn(50, 40, |x, y| !((10..45).contains(&x) && (5..38).contains(&y)));
        let sides = tuples(&frame, 16);
        assert_eq!(sides.len(), 4, "{sides:?}");
        assert_eq!(sides.iter().map(|side| side.2 * side.3).sum::<u32>(), 50 * 40 - 35 * 33);
    }

    #[test]
    fn scattered_holes_stay_within_the_number_asked_for_and_are_all_held() {
        let scattered = Mask::from_fn(60, 60, |x, y| x * 7 % 13 == 0 && y * 5 % 11 == 0);
        let found = rectangles(&scattered, 6);
        assert!(found.len() <= 6);
        let held =
            |x: u32, y: u32| found.iter().any(|r| x >= r.x && y >= r.y && x < r.x + r.width && y < r.y + r.height);
        let holes = (0..60).flat_map(|y| (0..60).map(move |x| (x, y))).filter(|&(x, y)| scattered.is_hole(x, y));
        assert!(holes.into_iter().all(|(x, y)| held(x, y)));
    }
}
