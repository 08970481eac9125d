//! A photo's camera: pose, one focal length, one radial term, decentring, principal point.
//!
//! Image coordinates here are *scaled*: pixels from the picture's centre divided by its longer side, so that priors on lenses mean the
//! same at every size.

use nalgebra::{Matrix3, Rotation3, SVector, Vector2, Vector3};

/// Numbers that describe a camera to the bundle adjustment: turn (3), translation (3), ln focal, radial, principal point (2),
/// decentring (2).
pub const CAMERA_PARAMS: usize = 12;
/// Beyond this squared slope the lens bends no more, so that wild points cannot fold over.
pub const RADIAL_LIMIT: f64 = 4.0;

/// Where a photo was taken from and how it maps rays to pixels.
#[derive(Clone, Debug)]
pub struct Camera {
    /// Turns world vectors into the camera's frame (x right, y down, z forward).
    pub rotation: Rotation3<f64>,
    /// The world's origin in the camera's frame.
    pub translation: Vector3<f64>,
    /// Focal length over the longer side of the photo.
    pub focal: f64,
    /// Radial term: a ray of slope `s` is seen at `s·(1 + radial·s²)`.
    pub radial: f64,
    /// How far the lens elements stand beside each other's axis (Brown 1966): a ray of slope `s` is seen moved by
    /// `d·s² + 2·s·(d·s)`. A stabiliser that shifts an element makes it differ from photo to photo.
    pub decentring: Vector2<f64>,
    /// Principal point, scaled, from the picture's centre.
    pub centre: Vector2<f64>,
    /// The photo's size in pixels.
    pub size: (u32, u32),
}

impl Camera {
    /// A camera at the origin that looks along z.
    pub fn new(size: (u32, u32), focal: f64) -> Self {
        Self {
            rotation: Rotation3::identity(),
            translation: Vector3::zeros(),
            focal,
            radial: 0.0,
            decentring: Vector2::zeros(),
            centre: Vector2::zeros(),
            size,
        }
    }

    /// Pixel to scaled coordinates.
    pub fn scaled(&self, pixel: &Vector2<f64>) -> Vector2<f64> {
        (pixel - self.middle()) / self.side()
    }

    /// Scaled coordinates to pixels.
    pub fn pixel(&self, scaled: &Vector2<f64>) -> Vector2<f64> {
        scaled * self.side() + self.middle()
    }

    /// The photo's longer side in pixels.
    pub fn side(&self) -> f64 {
        self.size.0.max(self.size.1).max(1) as f64
    }

    fn middle(&self) -> Vector2<f64> {
        Vector2::new(self.size.0 as f64 - 1.0, self.size.1 as f64 - 1.0) / 2.0
    }

    /// A world point in the camera's frame.
    pub fn local(&self, point: &Vector3<f64>) -> Vector3<f64> {
        self.rotation * point + self.translation
    }

    /// Scaled image of a point in the camera's frame, whatever the sign of its depth.
    pub fn image_of_local(&self, local: &Vector3<f64>) -> Vector2<f64> {
        let z = if local.z.abs() < 1e-6 { 1e-6 } else { local.z };
        let slope = local.xy() / z;
        let (gain, shift) = self.bend(&slope);
        slope * (self.focal * gain) + shift * self.focal + self.centre
    }

    /// What the lens multiplies a slope by, and what it adds.
    fn bend(&self, slope: &Vector2<f64>) -> (f64, Vector2<f64>) {
        let square = slope.norm_squared();
        let bent = square.min(RADIAL_LIMIT);
        let within = if square > RADIAL_LIMIT { RADIAL_LIMIT / square } else { 1.0 };
        (1.0 + self.radial * bent + 2.0 * within * self.decentring.dot(slope), self.decentring * bent)
    }

    /// Slopes of the ray through scaled coordinates (the ray is `(x, y, 1)` in the camera's frame).
    pub fn slope(&self, scaled: &Vector2<f64>) -> Vector2<f64> {
        let bent = (scaled - self.centre) / self.focal;
        let mut slope = bent;
        for _ in 0..6 {
            let (gain, shift) = self.bend(&slope);
            slope = (bent - shift) / gain;
        }
        slope
    }

    /// Where the camera stands in the world.
    pub fn position(&self) -> Vector3<f64> {
        -(self.rotation.inverse() * self.translation)
    }

    /// The pose of this camera in `first`'s frame: `x_this = R·x_first + t`.
    pub fn relative_to(&self, first: &Camera) -> (Matrix3<f64>, Vector3<f64>) {
        let rotation = self.rotation * first.rotation.inverse();
        (*rotation.matrix(), self.translation - rotation * first.translation)
    }

    /// The camera after a step of its parameters.
    pub fn moved(&self, step: &SVector<f64, CAMERA_PARAMS>) -> Self {
        Self {
            rotation: Rotation3::from_scaled_axis(step.fixed_rows::<3>(0).into_owned()) * self.rotation,
            translation: self.translation + step.fixed_rows::<3>(3),
            focal: self.focal * step[6].clamp(-1.0, 1.0).exp(),
            radial: self.radial + step[7],
            centre: self.centre + step.fixed_rows::<2>(8),
            decentring: self.decentring + step.fixed_rows::<2>(10),
            size: self.size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_undo_images() {
        let centre = Vector2::new(0.01, -0.02);
        let decentring = Vector2::new(-0.004, 0.003);
        let camera = Camera { radial: -0.08, centre, decentring, ..Camera::new((800, 600), 0.9) };
        let point = Vector3::new(0.4, -0.3, 1.3);
        let slope = camera.slope(&camera.image_of_local(&point));
        assert!((slope - point.xy() / point.z).norm() < 1e-6);
        let pixel = Vector2::new(12.0, 500.0);
        assert!((camera.pixel(&camera.scaled(&pixel)) - pixel).norm() < 1e-9);
    }
}
