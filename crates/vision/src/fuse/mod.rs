//! One picture from many proposals: per pixel one of them, and where other references show the same, joined by theirs.

mod backgrounds;
mod costs;
mod draw;
mod islands;
mod majority;
mod merge;
mod prepare;
mod resample;
mod slivers;
mod trws;

pub use backgrounds::drop_backgrounds;
pub use draw::Draw;
pub use islands::drop_islands;
pub use merge::{Joined, joined};
pub use prepare::{Canvas, Prepared};
pub use slivers::drop_slivers;

use crate::Plane;
use costs::{Costs, costs};
use image::{Luma, Rgb32FImage};
use trws::Grid;

/// More proposals cannot compete.
pub const MOST_PROPOSALS: usize = trws::MOST - 1;
/// Pixels of the known part beside the hole that take part, so that seams avoid disagreement with the known colours.
const RIM: f32 = 3.0;
/// Weight of colour differences along seams, and cost of any change. Found on the evaluation scenes.
const SEAM: f32 = 6.0;
const CHANGE: f32 = 0.03;
/// Passes; more change almost no label.
const ROUNDS: usize = 6;

/// Which proposal each pixel takes, and how doubtful that is.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Per pixel an index into the prepared proposals; their number means the invented picture.
    pub labels: Vec<u8>,
    /// Cost of the chosen proposal before smoothing, 0 (sure) up.
    pub doubt: Plane,
}

/// The choice among proposals and an invented picture, at the canvas' size.
pub struct Choice {
    size: (usize, usize),
    hole: Vec<bool>,
    /// The hole and its rim.
    active: Vec<bool>,
    costs: Costs,
    /// The proposals' pictures and, last, the invented one.
    colours: Vec<Vec<[f32; 3]>>,
}

impl Choice {
    /// Works out what each choice costs.
    #[tracing::instrument(name = "costs", level = "info", skip_all)]
    pub fn new(canvas: &Canvas, prepared: &[Prepared], invented: &Rgb32FImage) -> Self {
        let picture = |p: &Rgb32FImage| p.pixels().map(|p| p.0).collect::<Vec<_>>();
        let mut colours: Vec<_> = prepared.iter().map(|p| picture(&p.colour)).collect();
        colours.push(picture(invented));
        Self {
            size: (canvas.mask.width() as usize, canvas.mask.height() as usize),
            hole: canvas.mask.holes().to_vec(),
            active: canvas.distance.iter().map(|d| *d <= RIM).collect(),
            costs: costs(canvas, prepared, invented),
            colours,
        }
    }

    /// Labels for all pixels; those outside the hole carry the label of the nearest pixel in it.
    #[tracing::instrument(name = "choose", level = "info", skip_all)]
    pub fn labels(&self, draw: Draw) -> Labels {
        let ((w, h), labels) = (self.size, self.colours.len());
        let grid = Grid {
            width: w,
            height: h,
            labels,
            active: &self.active,
            unary: &draw.disturbed(&self.costs.unary, self.size),
            colours: &self.colours,
            seam: SEAM,
            change: CHANGE,
        };
        let chosen = grid.solve(ROUNDS);
        let doubt = Plane::from_fn(w as u32, h as u32, |x, y| {
            let i = y as usize * w + x as usize;
            Luma([if self.active[i] { self.costs.doubts[i * labels + chosen[i] as usize] } else { 0.0 }])
        });
        // What the rim takes is the target itself mostly, and says nothing of what lies beside it.
        Labels { labels: spread(chosen, &self.hole, w), doubt }
    }
}

/// Carries labels outwards from the hole, two sweeps.
fn spread(mut labels: Vec<u8>, hole: &[bool], width: usize) -> Vec<u8> {
    let mut far: Vec<u32> = hole.iter().map(|is_hole| if *is_hole { 0 } else { u32::MAX / 2 }).collect();
    let n = labels.len();
    let take = |labels: &mut Vec<u8>, far: &mut Vec<u32>, i: usize, j: usize| {
        if far[j] + 1 < far[i] {
            far[i] = far[j] + 1;
            labels[i] = labels[j];
        }
    };
    for i in 0..n {
        if !i.is_multiple_of(width) {
            take(&mut labels, &mut far, i, i - 1);
        }
        if i >= width {
            take(&mut labels, &mut far, i, i - width);
        }
    }
    for i in (0..n).rev() {
        if i % width + 1 < width {
            take(&mut labels, &mut far, i, i + 1);
        }
        if i + width < n {
            take(&mut labels, &mut far, i, i + width);
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mask;
    use crate::pyramid::test_pictures::texture;
    use image::Rgb;

    /// The rim itself takes what costs least there, which is the target.
    #[test]
    fn known_pixels_take_the_label_of_the_hole_beside_them() {
        let fine = texture(60, 60, 3);
        let lit = |by: f32| Rgb32FImage::from_fn(60, 60, |x, y| Rgb([0.2 + by + 0.5 * fine.get_pixel(x, y)[0]; 3]));
        let is_hole = |x: u32, y: u32| (20..40).contains(&x) && (20..40).contains(&y);
        let canvas = Canvas::new(lit(0.0), Mask::from_fn(60, 60, is_hole));
        let prepared = [Prepared::of(0, lit(0.02), 0.1, 0.1)];
        let labels = Choice::new(&canvas, &prepared, &lit(0.0)).labels(Draw::Likeliest);
        assert!(labels.labels.iter().all(|label| *label == 0), "{:?}", &labels.labels[30 * 60..31 * 60]);
    }
}
