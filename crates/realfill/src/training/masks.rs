//! Random holes to learn on: several rectangles, their union or its complement (PAPER: RealFill, section 4.1).

use rand::{Rng, RngExt};
use realfill_vision::Mask;

/// How many rectangles a random mask has at most, and their sides as a share of the picture's: the values of the
/// public implementation people use (thuanz123/realfill).
const MAX_RECTANGLES: usize = 29;
const SIDES: std::ops::Range<f32> = 0.03..0.25;

/// A random mask of rectangles; with probability 1/2 everything but them.
pub fn rectangles(width: u32, height: u32, rng: &mut impl Rng) -> Mask {
    let mut holes = vec![false; width as usize * height as usize];
    for _ in 0..rng.random_range(1..=MAX_RECTANGLES) {
        let (w, h) = (rng.random_range(SIDES) * width as f32, rng.random_range(SIDES) * height as f32);
        draw(&mut holes, width, height, (w as u32).max(1), (h as u32).max(1), rng);
    }
    if rng.random_bool(0.5) {
        holes.iter_mut().for_each(|hole| *hole = !*hole);
    }
    Mask::new(width, height, holes)
}

/// A mask like those people paint: one large box inside, or a strip along one or two sides.
pub fn like_a_users(width: u32, height: u32, rng: &mut impl Rng) -> Mask {
    let mut holes = vec![false; width as usize * height as usize];
    if rng.random_bool(0.6) {
        let side = |length: u32, rng: &mut dyn Rng| (length as f32 * rng.random_range(0.3..0.75)) as u32;
        let (w, h) = (side(width, rng), side(height, rng));
        draw(&mut holes, width, height, w.max(1), h.max(1), rng);
    } else {
        let (left, right) = (rng.random_range(0.0..0.4), rng.random_range(0.7..1.3));
        let is_vertical = rng.random_bool(0.5);
        for (i, hole) in holes.iter_mut().enumerate() {
            let (x, y) = (i as u32 % width, i as u32 / width);
            let place = if is_vertical { x as f32 / width as f32 } else { y as f32 / height as f32 };
            *hole = place < left || place > right;
        }
    }
    if holes.iter().all(|&h| !h) {
        holes[0] = true;
    }
    Mask::new(width, height, holes)
}

fn draw(holes: &mut [bool], width: u32, height: u32, w: u32, h: u32, rng: &mut impl Rng) {
    let left = rng.random_range(0..=width.saturating_sub(w));
    let top = rng.random_range(0..=height.saturating_sub(h));
    for y in top..(top + h).min(height) {
        let row = (y * width) as usize;
        holes[row + left as usize..row + (left + w).min(width) as usize].fill(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn every_mask_has_a_hole_and_both_kinds_occur() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let shares: Vec<f64> = (0..200).map(|_| rectangles(64, 48, &mut rng).hole_share()).collect();
        assert!(shares.iter().all(|&s| s > 0.0));
        assert!(shares.iter().any(|&s| s < 0.3) && shares.iter().any(|&s| s > 0.7));
        assert!((0..200).all(|_| like_a_users(64, 48, &mut rng).hole_share() > 0.0));
    }
}
