//! The motion that a field has in common.

use crate::Plane;
use crate::flow::Flow;
use image::Luma;
use nalgebra::{Matrix3, Vector3};

/// Pixels of the field looked at, across and down.
const EVERY: usize = 2;
/// Rounds of reweighting, with a robust scale that falls from `WIDEST` pixels to one.
const ROUNDS: usize = 10;
const WIDEST: f64 = 8.0;
/// Share of the weight within a pixel of the common motion from which it is believed, and from which fully.
const BELIEVED: f64 = 0.3;
const FULLY: f64 = 0.6;

/// The affine motion that most of a field has, everywhere; none as far as too little of the field has it. Robust least squares (Geman and
/// McClure 1985): a moved shadow or a wrong depth on a quarter of the field, all to one side, has no say elsewhere; on a third it has.
pub fn common_motion(field: &Flow, weight: &Plane, side: f32) -> Flow {
    let (w, h) = weight.dimensions();
    let seen = samples(field, weight, side);
    let mut model = [Vector3::zeros(); 2];
    for round in 0..ROUNDS {
        let scale = if round == 0 { f64::INFINITY } else { (WIDEST / round as f64).max(1.0) };
        let (mut normal, mut right_side) = (Matrix3::identity(), [Vector3::zeros(); 2]);
        for s in &seen {
            let weight = s.weight / (1.0 + (s.off(&model) / scale).powi(2)).powi(2);
            normal += s.basis * s.basis.transpose() * weight;
            (0..2).for_each(|c| right_side[c] += s.basis * (weight * s.motion[c]));
        }
        let Some(inverse) = normal.try_inverse() else { return Flow::zero(w, h) };
        model = right_side.map(|right_side| inverse * right_side);
    }
    let total: f64 = seen.iter().map(|s| s.weight).sum();
    let within: f64 = seen.iter().filter(|s| s.off(&model) < 1.0).map(|s| s.weight).sum();
    let share = ((within / total.max(1e-9) - BELIEVED) / (FULLY - BELIEVED)).clamp(0.0, 1.0);
    let along = |c: usize| Plane::from_fn(w, h, |x, y| Luma([(share * model[c].dot(&basis(x, y, side))) as f32]));
    Flow { x: along(0), y: along(1) }
}

/// A place with its motion.
struct Sample {
    basis: Vector3<f64>,
    motion: [f64; 2],
    weight: f64,
}

impl Sample {
    /// How far the motion is from the model's, in pixels.
    fn off(&self, model: &[Vector3<f64>; 2]) -> f64 {
        (self.motion[0] - model[0].dot(&self.basis)).hypot(self.motion[1] - model[1].dot(&self.basis))
    }
}

fn samples(field: &Flow, weight: &Plane, side: f32) -> Vec<Sample> {
    let (w, h) = weight.dimensions();
    let places = (0..h).step_by(EVERY).flat_map(|y| (0..w).step_by(EVERY).map(move |x| (x, y)));
    let sure = places.filter(|&(x, y)| weight.get_pixel(x, y)[0] > 0.0);
    sure.map(|(x, y)| {
        let at = |p: &Plane| f64::from(p.get_pixel(x, y)[0]);
        Sample { basis: basis(x, y, side), motion: [at(&field.x), at(&field.y)], weight: at(weight) }
    })
    .collect()
}

fn basis(x: u32, y: u32, side: f32) -> Vector3<f64> {
    Vector3::new(1.0, f64::from(x) / f64::from(side) - 0.5, f64::from(y) / f64::from(side) - 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_that_moves_otherwise_has_no_say_and_a_field_without_a_common_motion_gives_none() {
        let everywhere = Plane::from_pixel(80, 60, Luma([1.0]));
        let shift = |x: u32, y: u32| if y < 45 { 2.0 + 0.02 * x as f32 } else { -5.0 + 0.3 * (x % 7) as f32 };
        let field = Flow { x: Plane::from_fn(80, 60, |x, y| Luma([shift(x, y)])), y: Plane::new(80, 60) };
        let common = common_motion(&field, &everywhere, 80.0);
        for (x, y) in [(10, 10), (70, 50)] {
            let (found, wanted) = (common.x.get_pixel(x, y)[0], 2.0 + 0.02 * x as f32);
            assert!((found - wanted).abs() < 0.3, "at {x}, {y}: {found}, not {wanted}");
        }
        let wild = |x: u32, y: u32| Luma([((x * 37 + y * 91) % 23) as f32 - 11.0]);
        let field = Flow { x: Plane::from_fn(80, 60, wild), y: Plane::from_fn(80, 60, |x, y| wild(y, x)) };
        let none = common_motion(&field, &everywhere, 80.0);
        assert!(none.x.iter().chain(none.y.iter()).all(|v| *v == 0.0));
    }
}
