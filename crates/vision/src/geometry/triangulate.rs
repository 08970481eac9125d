//! Points from their images in cameras that are known.

use super::camera::Camera;
use nalgebra::{Matrix4, Vector2, Vector3, Vector4};

/// The point that is seen at `slopes` in the cameras, by linear least squares; far points come out far. `None` when undetermined.
pub fn triangulate(seen: &[(&Camera, Vector2<f64>)]) -> Option<Vector3<f64>> {
    let mut normal = Matrix4::zeros();
    for (camera, slope) in seen {
        let r = camera.rotation.matrix();
        let row = |k: usize| Vector4::new(r[(k, 0)], r[(k, 1)], r[(k, 2)], camera.translation[k]);
        for k in 0..2 {
            let equation = row(2) * slope[k] - row(k);
            let equation = equation / equation.xyz().norm().max(1e-12);
            normal += equation * equation.transpose();
        }
    }
    let x = crate::linalg::smallest_eigenvector(&normal)?;
    let w = if x.w.abs() < 1e-9 { 1e-9f64.copysign(x.w) } else { x.w };
    Some(x.xyz() / w)
}

/// The widest angle between the rays from the cameras to a point, in degrees.
pub fn parallax_degrees(point: &Vector3<f64>, cameras: &[&Camera]) -> f64 {
    let rays: Vec<_> = cameras.iter().map(|c| (point - c.position()).normalize()).collect();
    let angle = |a: &Vector3<f64>, b: &Vector3<f64>| a.cross(b).norm().atan2(a.dot(b)).to_degrees();
    let pairs = (0..rays.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    pairs.map(|(i, j)| angle(&rays[i], &rays[j])).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Rotation3;

    #[test]
    fn two_views_give_the_point_back() {
        let first = Camera::new((640, 480), 1.0);
        let second = Camera {
            rotation: Rotation3::from_euler_angles(0.1, 0.3, 0.0),
            translation: Vector3::new(-1.0, 0.2, 0.1),
            ..first.clone()
        };
        let point = Vector3::new(0.5, -0.2, 3.0);
        let slope = |c: &Camera| c.local(&point).xy() / c.local(&point).z;
        let found = triangulate(&[(&first, slope(&first)), (&second, slope(&second))]).unwrap();
        assert!((found - point).norm() < 1e-9);
        assert!(parallax_degrees(&point, &[&first, &second]) > 10.0);
    }
}
