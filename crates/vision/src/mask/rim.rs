//! Known pixels that are mixed with what was painted into the hole: a target that was resized, or softly erased, has a rim of them.

use super::Mask;
use image::Rgb32FImage;

/// Mean step of colour (of 1) from the rim to the pixels behind it from which on the rim is mixed; the evaluation scenes' clean targets have
/// 0.008 at most, two that were resized 0.08 and 0.13.
const STEP: f64 = 0.02;
/// By how many standard errors it has to differ from none.
const SURE: f64 = 5.0;
/// Pixels by which the hole grows at a time, corners included, and how often at most.
const AROUND: f32 = 1.5;
const MOST: usize = 3;

/// The hole grown past the rim that is mixed; something stays known.
pub(super) fn past_mixed_rim(mask: &Mask, picture: &Rgb32FImage) -> Mask {
    let mut grown = mask.clone();
    for _ in 0..MOST {
        let wider = grown.dilate(AROUND);
        if !wider.holes().contains(&false) || !is_mixed(&grown, picture) {
            break;
        }
        grown = wider;
    }
    grown
}

/// Whether the outermost known pixels differ from those behind them, on the whole and all to one side.
fn is_mixed(mask: &Mask, picture: &Rgb32FImage) -> bool {
    let mut steps = [Steps::default(); 3];
    for (x, y) in
        (0..mask.height()).flat_map(|y| (0..mask.width()).map(move |x| (x, y))).filter(|&(x, y)| mask.is_hole(x, y))
    {
        for [first, second] in outwards(mask, x, y) {
            let [a, b] = [first, second].map(|(x, y)| picture.get_pixel(x, y).0);
            (0..3).for_each(|k| steps[k].add(f64::from(a[k] - b[k])));
        }
    }
    steps.iter().any(Steps::are_a_rims)
}

/// The two known pixels beside a hole's pixel, in each direction that has them.
fn outwards(mask: &Mask, x: u32, y: u32) -> impl Iterator<Item = [(u32, u32); 2]> {
    let at = move |dx: i32, dy: i32| {
        let (x, y) = (x.checked_add_signed(dx)?, y.checked_add_signed(dy)?);
        (x < mask.width() && y < mask.height() && !mask.is_hole(x, y)).then_some((x, y))
    };
    let ray = move |(dx, dy): (i32, i32)| Some([at(dx, dy)?, at(2 * dx, 2 * dy)?]);
    [(-1, 0), (1, 0), (0, -1), (0, 1)].into_iter().filter_map(ray)
}

/// Sums over the rim of a channel's step from the outermost known pixel to the next, and of its square.
#[derive(Clone, Copy, Default)]
struct Steps {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Steps {
    fn add(&mut self, step: f64) {
        self.count += 1.0;
        self.sum += step;
        self.squares += step * step;
    }

    fn are_a_rims(&self) -> bool {
        let mean = self.sum / self.count;
        let error = ((self.squares / self.count - mean * mean).max(0.0) / self.count).sqrt();
        self.count > 0.0 && mean.abs() > STEP.max(SURE * error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;
    use image::Rgb;

    fn hole() -> Mask {
        Mask::from_fn(120, 90, |x, y| (40..80).contains(&x) && (30..60).contains(&y))
    }

    /// A picture whose pixels at the depths of `shares` around the hole hold that much of the hole's paint.
    fn painted(paint: f32, shares: &[f32]) -> Rgb32FImage {
        let (grey, away) = (texture(120, 90, 7), hole().distance_to_hole());
        Rgb32FImage::from_fn(120, 90, |x, y| {
            let depth = away.get_pixel(x, y)[0];
            let share = if depth == 0.0 { 1.0 } else { shares.get(depth.round() as usize - 1).copied().unwrap_or(0.0) };
            Rgb([grey.get_pixel(x, y)[0] * (1.0 - share) + paint * share; 3])
        })
    }

    /// Masks are not printed: they have ten thousand pixels.
    fn check(paint: f32, shares: &[f32], wanted: &Mask) {
        let found = past_mixed_rim(&hole(), &painted(paint, shares));
        let holes = |mask: &Mask| mask.holes().iter().filter(|hole| **hole).count();
        assert!(found == *wanted, "{paint}, {shares:?}: {} pixels of hole for {}", holes(&found), holes(wanted));
    }

    #[test]
    fn a_clean_target_keeps_its_hole_whatever_is_painted_there() {
        [0.0, 0.5, 1.0].into_iter().for_each(|paint| check(paint, &[], &hole()));
    }

    #[test]
    fn the_hole_grows_past_a_rim_that_is_mixed_and_no_further() {
        for paint in [0.0, 1.0] {
            check(paint, &[0.3], &hole().dilate(1.5));
            check(paint, &[0.6, 0.3], &hole().dilate(1.5).dilate(1.5));
        }
    }

    #[test]
    fn something_stays_known() {
        let nearly_all = Mask::from_fn(9, 9, |x, y| (x, y) != (4, 4));
        let picture = Rgb32FImage::from_pixel(9, 9, Rgb([0.5; 3]));
        assert!(past_mixed_rim(&nearly_all, &picture) == nearly_all);
    }
}
