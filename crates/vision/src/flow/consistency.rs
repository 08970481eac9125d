//! Whether flow there and flow back agree: where they do not, something is hidden or was mistaken.

use super::Flow;
use crate::Plane;
use crate::warp::{Sampling, sample};
use image::Luma;

/// Per pixel of the first picture how far from itself it ends after going there and back, in pixels; infinite where it leaves the
/// second picture. Occlusions and mistakes stand out above about 1.5 px.
pub fn forward_backward_error(forward: &Flow, backward: &Flow) -> Plane {
    let (right, bottom) = (backward.x.width() as f32 - 1.0, backward.x.height() as f32 - 1.0);
    Plane::from_fn(forward.x.width(), forward.x.height(), |x, y| {
        let (dx, dy) = (forward.x.get_pixel(x, y)[0], forward.y.get_pixel(x, y)[0]);
        let (px, py) = (x as f32 + dx, y as f32 + dy);
        if !(px >= 0.0 && py >= 0.0 && px <= right && py <= bottom) {
            return Luma([f32::INFINITY]);
        }
        let (mut bx, mut by) = ([0.0], [0.0]);
        sample(&backward.x, px, py, Sampling::Bilinear, &mut bx);
        sample(&backward.y, px, py, Sampling::Bilinear, &mut by);
        Luma([(dx + bx[0]).hypot(dy + by[0])])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(dx: f32, dy: f32) -> Flow {
        Flow { x: Plane::from_pixel(20, 10, Luma([dx])), y: Plane::from_pixel(20, 10, Luma([dy])) }
    }

    #[test]
    fn opposite_fields_agree_and_others_do_not() {
        let error = forward_backward_error(&constant(3.0, -1.0), &constant(-3.0, 1.0));
        assert_eq!(error.get_pixel(5, 5)[0], 0.0);
        assert_eq!(error.get_pixel(18, 5)[0], f32::INFINITY);
        let error = forward_backward_error(&constant(3.0, 0.0), &constant(0.0, 4.0));
        assert_eq!(error.get_pixel(5, 5)[0], 5.0);
    }
}
