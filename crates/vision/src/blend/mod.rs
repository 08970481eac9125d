//! Meets the known colours at the hole's edge in the gradient domain (Perez et al., Poisson image editing, 2003).
//!
//! A smooth correction is added to the filled picture. At the edge it is what the fill misses of the known colours, believed only where
//! fill and target show the same thing; inside it obeys Laplace's equation, drawn to zero deep in the hole. So the seam vanishes, and an
//! occluder that lies a few pixels off does not bleed.

mod solve;

pub(crate) use solve::{Field, solve};

use crate::Mask;
use image::Rgb32FImage;

/// A miss this large (mean over channels, of 1) is believed half.
const BELIEVED: f32 = 0.10;
/// How strongly the correction is drawn to zero at each pixel: it reaches about 1/sqrt of it into the hole.
pub(crate) const DRAWN: f32 = 4e-4;

/// The target with its hole filled from `fill`, which must also show what it thinks of the known pixels beside the hole.
/// Known pixels are the target's, bit for bit.
///
/// # Panics
/// When the sizes differ.
pub fn composite_in_gradient_domain(target: &Rgb32FImage, mask: &Mask, fill: &Rgb32FImage) -> Rgb32FImage {
    assert_eq!(target.dimensions(), fill.dimensions(), "target and fill of one size");
    assert_eq!(target.dimensions(), (mask.width(), mask.height()), "target and mask of one size");
    let mut field = Field::new(mask.width() as usize, mask.height() as usize, mask.holes().to_vec(), DRAWN);
    add_rim(&mut field, target, mask, |_, j| rgb(fill, j));
    corrected(target, mask, fill, &solve(&field))
}

/// Pulls the hole's outermost pixels to what the fill misses of the known pixels beside them: `shown(i, j)` is what the picture that fills
/// pixel `i` shows at its known neighbour `j`.
pub(crate) fn add_rim(field: &mut Field, target: &Rgb32FImage, mask: &Mask, shown: impl Fn(usize, usize) -> [f32; 3]) {
    let (w, h) = (mask.width() as usize, mask.height() as usize);
    for i in (0..w * h).filter(|&i| mask.holes()[i]) {
        for j in neighbours(i, w, h).into_iter().flatten().filter(|&j| !mask.holes()[j]) {
            let (wanted, shown) = (rgb(target, j), shown(i, j));
            let miss: [f32; 3] = std::array::from_fn(|c| wanted[c] - shown[c]);
            let size = miss.iter().map(|m| m.abs()).sum::<f32>() / 3.0;
            field.pull(i, miss, 1.0 / (1.0 + (size / BELIEVED).powi(2)));
        }
    }
}

/// The target, its hole taken from the fill plus the correction.
pub(crate) fn corrected(target: &Rgb32FImage, mask: &Mask, fill: &Rgb32FImage, correction: &[[f32; 3]]) -> Rgb32FImage {
    let mut out = target.clone();
    for (i, c) in correction.iter().enumerate().filter(|(i, _)| mask.holes()[*i]) {
        for (k, c) in c.iter().enumerate() {
            out.as_mut()[3 * i + k] = (fill.as_raw()[3 * i + k] + c).clamp(0.0, 1.0);
        }
    }
    out
}

/// The colour of pixel `i`, row by row.
pub(crate) fn rgb(picture: &Rgb32FImage, i: usize) -> [f32; 3] {
    std::array::from_fn(|c| picture.as_raw()[3 * i + c])
}

/// The four neighbours of a pixel that exist.
pub(crate) fn neighbours(i: usize, w: usize, h: usize) -> [Option<usize>; 4] {
    let (x, y) = (i % w, i / w);
    [(x > 0).then(|| i - 1), (x + 1 < w).then(|| i + 1), (y > 0).then(|| i - w), (y + 1 < h).then(|| i + w)]
}

/// Where the fill's labels change, the jump between the two pictures is taken out of the gradient: adds it to the field.
pub(crate) fn add_seams(field: &mut Field, labels: &[u8], mask: &Mask, jump: impl Fn(usize, usize) -> [f32; 3]) {
    let (w, h) = (mask.width() as usize, mask.height() as usize);
    for i in 0..w * h {
        for j in [neighbours(i, w, h)[1], neighbours(i, w, h)[3]].into_iter().flatten() {
            if mask.holes()[i] && mask.holes()[j] && labels[i] != labels[j] {
                field.step(i, j, jump(i, j));
            }
        }
    }
}
