//! The approximate distance that the published evaluation uses to tell the seam: Borgefors' 5×5 chamfer distance
//! ("Distance transformations in digital images", 1986) with OpenCV's weights, in 16.16 fixed point. The exact distance
//! ([`Mask::distance_to_hole`]) differs by up to 2 %, which moves a few pixels across the seam's border.

use crate::Mask;

const ONE: u32 = 1 << 16;
/// 1.4 and 2.1969: a diagonal step and a knight's move.
const DIAGONAL: u32 = 91_750;
const KNIGHT: u32 = 143_976;

/// The steps that reach a pixel from those before it in reading order: x, y and length. The others mirror them.
const STEPS: [(isize, isize, u32); 8] = [
    (-1, -2, KNIGHT),
    (1, -2, KNIGHT),
    (-2, -1, KNIGHT),
    (-1, -1, DIAGONAL),
    (0, -1, ONE),
    (1, -1, DIAGONAL),
    (2, -1, KNIGHT),
    (-1, 0, ONE),
];

/// The border that steps can reach outside the picture.
const BORDER: usize = 2;

/// For each pixel, whether it lies within `limit_px` of a hole pixel (`of_hole`) or of a known one.
pub(super) fn within(mask: &Mask, of_hole: bool, limit_px: u32) -> Vec<bool> {
    let (width, height) = (mask.width() as usize, mask.height() as usize);
    let stride = width + 2 * BORDER;
    let place = |i: usize| (i / width + BORDER) * stride + i % width + BORDER;
    let mut lengths = vec![u32::MAX / 2; stride * (height + 2 * BORDER)];
    for i in (0..width * height).filter(|&i| mask.holes()[i] == of_hole) {
        lengths[place(i)] = 0;
    }
    for i in 0..width * height {
        relax(&mut lengths, place(i), stride, 1);
    }
    for i in (0..width * height).rev() {
        relax(&mut lengths, place(i), stride, -1);
    }
    (0..width * height).map(|i| lengths[place(i)] <= limit_px * ONE).collect()
}

fn relax(lengths: &mut [u32], at: usize, stride: usize, direction: isize) {
    for (x, y, length) in STEPS {
        let from = at.wrapping_add_signed(direction * (y * stride as isize + x));
        lengths[at] = lengths[at].min(lengths[from] + length);
    }
}
