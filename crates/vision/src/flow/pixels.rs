//! Row-wise helpers on single-channel pictures.

use crate::Plane;
use crate::pyramid::picture;
use rayon::prelude::*;

/// Central differences across and down, one-sided halves at the edges.
pub(crate) fn gradients(image: &Plane) -> (Plane, Plane) {
    let (w, h) = (image.width() as usize, image.height() as usize);
    let (mut gx, mut gy) = (vec![0.0; image.len()], vec![0.0; image.len()]);
    gx.par_chunks_mut(w).zip(gy.par_chunks_mut(w)).enumerate().for_each(|(y, (gx, gy))| {
        let row = |y: usize| &image.as_raw()[y * w..][..w];
        let (above, here, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(h - 1)));
        for x in 0..w {
            gx[x] = 0.5 * (here[(x + 1).min(w - 1)] - here[x.saturating_sub(1)]);
            gy[x] = 0.5 * (below[x] - above[x]);
        }
    });
    (picture(image.width(), image.height(), gx), picture(image.width(), image.height(), gy))
}

/// The picture with its edge pixels repeated `by` times all around.
pub(super) fn padded(image: &Plane, by: usize) -> Plane {
    let (w, h) = (image.width() as usize, image.height() as usize);
    let (wide, high) = (w + 2 * by, h + 2 * by);
    let mut out = Vec::with_capacity(wide * high);
    for y in 0..high {
        let row = &image.as_raw()[y.saturating_sub(by).min(h - 1) * w..][..w];
        out.extend(std::iter::repeat_n(row[0], by));
        out.extend_from_slice(row);
        out.extend(std::iter::repeat_n(row[w - 1], by));
    }
    picture(wide as u32, high as u32, out)
}
