//! Bundle adjustment: cameras and points refined together, the points eliminated by the Schur complement.
//!
//! Triggs et al., Bundle adjustment, a modern synthesis, 2000. What a camera is, is the caller's: `C` numbers and a projection.

use super::solve_symmetric;
use nalgebra::{DMatrix, DVector, Matrix3, SMatrix, SVector, Vector2, Vector3};

/// One camera's unknowns.
#[derive(Clone, Debug)]
pub struct Camera<const C: usize> {
    /// Parameters, in whatever meaning the projection gives them.
    pub params: SVector<f64, C>,
    /// Which of them may change.
    pub free: [bool; C],
    /// How strongly each is held to its first value: 1 over its standard deviation, 0 for not at all. In the units of residuals in pixels.
    pub prior: SVector<f64, C>,
}

/// A point seen by a camera.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Index of the camera.
    pub camera: usize,
    /// Index of the point.
    pub point: usize,
    /// Where it was seen, in pixels.
    pub pixel: Vector2<f64>,
}

/// How far to go.
#[derive(Clone, Debug)]
pub struct BundleOptions {
    /// Steps at most, taken or refused. Default 30.
    pub max_iterations: usize,
    /// Residual beyond which an observation loses influence (Cauchy's loss), in pixels. Default 2.
    pub loss_px: f64,
    /// Stops when a step gains less than this share of the cost. Default 1e-6.
    pub tolerance: f64,
}

impl Default for BundleOptions {
    fn default() -> Self {
        Self { max_iterations: 30, loss_px: 2.0, tolerance: 1e-6 }
    }
}

/// Where the adjustment ended.
#[derive(Clone, Copy, Debug)]
pub struct BundleReport {
    /// Robust cost before and after.
    pub start_cost: f64,
    /// See `start_cost`.
    pub cost: f64,
    /// Steps tried.
    pub iterations: usize,
}

/// Minimises the robust reprojection errors over `cameras` and `points`, in place; never worse than the start.
///
/// `project` gives the pixel of a point in a camera, or `None` behind it (such an observation costs as much as a very far one).
/// Fix the gauge by `free` (one camera's pose, one coordinate of another's position) or leave it to the damping.
pub fn bundle_adjust<const C: usize>(
    cameras: &mut [Camera<C>],
    points: &mut [Vector3<f64>],
    observations: &[Observation],
    project: impl Fn(&SVector<f64, C>, &Vector3<f64>) -> Option<Vector2<f64>>,
    options: &BundleOptions,
) -> BundleReport {
    let first: Vec<SVector<f64, C>> = cameras.iter().map(|c| c.params).collect();
    let problem = Problem { observations, first, project, options };
    let start_cost = problem.cost(cameras, points);
    let mut report = BundleReport { start_cost, cost: start_cost, iterations: 0 };
    let mut damping = 1e-3;
    while report.iterations < options.max_iterations && damping < 1e8 {
        let normal = problem.linearise(cameras, points);
        loop {
            report.iterations += 1;
            let moved = normal.step(damping).map(|step| step.applied(cameras, points));
            let cost = moved.as_ref().map_or(f64::INFINITY, |(c, p)| problem.cost(c, p));
            if let Some((new_cameras, new_points)) = moved
                && cost < report.cost
            {
                cameras.clone_from_slice(&new_cameras);
                points.copy_from_slice(&new_points);
                let gained = report.cost - cost;
                report.cost = cost;
                damping = (damping * 0.2).max(1e-9);
                if gained < options.tolerance * cost {
                    return report;
                }
                break;
            }
            damping *= 5.0;
            if damping > 1e8 || report.iterations >= options.max_iterations {
                break;
            }
        }
    }
    report
}

struct Problem<'a, const C: usize, F> {
    observations: &'a [Observation],
    first: Vec<SVector<f64, C>>,
    project: F,
    options: &'a BundleOptions,
}

/// An observation's block between its camera and its point.
struct Coupling<const C: usize> {
    camera: usize,
    point: usize,
    block: SMatrix<f64, C, 3>,
}

/// The normal equations in blocks.
struct Normal<const C: usize> {
    cameras: Vec<(SMatrix<f64, C, C>, SVector<f64, C>)>,
    points: Vec<(Matrix3<f64>, Vector3<f64>)>,
    /// Sorted by point.
    couplings: Vec<Coupling<C>>,
}

struct Step<const C: usize> {
    cameras: Vec<SVector<f64, C>>,
    points: Vec<Vector3<f64>>,
}

impl<const C: usize> Step<C> {
    fn applied(&self, cameras: &[Camera<C>], points: &[Vector3<f64>]) -> (Vec<Camera<C>>, Vec<Vector3<f64>>) {
        let cameras =
            cameras.iter().zip(&self.cameras).map(|(c, d)| Camera { params: c.params + d, ..c.clone() }).collect();
        (cameras, points.iter().zip(&self.points).map(|(p, d)| p + d).collect())
    }
}

impl<const C: usize, F: Fn(&SVector<f64, C>, &Vector3<f64>) -> Option<Vector2<f64>>> Problem<'_, C, F> {
    /// Cauchy's loss of the residuals plus the priors.
    fn cost(&self, cameras: &[Camera<C>], points: &[Vector3<f64>]) -> f64 {
        let scale = self.options.loss_px * self.options.loss_px;
        let loss = |o: &Observation| {
            let seen = (self.project)(&cameras[o.camera].params, &points[o.point]);
            let squared = seen.map_or(1e12, |p| (p - o.pixel).norm_squared().min(1e12));
            scale * (1.0 + squared / scale).ln()
        };
        let prior =
            |(c, first): (&Camera<C>, &SVector<f64, C>)| (c.params - first).component_mul(&c.prior).norm_squared();
        self.observations.iter().map(loss).sum::<f64>() + cameras.iter().zip(&self.first).map(prior).sum::<f64>()
    }

    fn linearise(&self, cameras: &[Camera<C>], points: &[Vector3<f64>]) -> Normal<C> {
        let mut normal = Normal {
            cameras: vec![(SMatrix::zeros(), SVector::zeros()); cameras.len()],
            points: vec![(Matrix3::zeros(), Vector3::zeros()); points.len()],
            couplings: Vec::with_capacity(self.observations.len()),
        };
        let scale = self.options.loss_px * self.options.loss_px;
        for o in self.observations {
            let (camera, point) = (&cameras[o.camera], &points[o.point]);
            let Some((residual, by_camera, by_point)) = self.derivatives(camera, point, &o.pixel) else { continue };
            let weight = 1.0 / (1.0 + residual.norm_squared() / scale);
            let (camera, point) = (&mut normal.cameras[o.camera], &mut normal.points[o.point]);
            camera.0 += weight * by_camera.tr_mul(&by_camera);
            camera.1 += weight * by_camera.tr_mul(&residual);
            point.0 += weight * by_point.tr_mul(&by_point);
            point.1 += weight * by_point.tr_mul(&residual);
            let block = weight * by_camera.tr_mul(&by_point);
            normal.couplings.push(Coupling { camera: o.camera, point: o.point, block });
        }
        for (i, camera) in cameras.iter().enumerate() {
            let squared = camera.prior.component_mul(&camera.prior);
            normal.cameras[i].0 += SMatrix::from_diagonal(&squared);
            normal.cameras[i].1 += squared.component_mul(&(camera.params - self.first[i]));
        }
        for (camera, (block, gradient)) in cameras.iter().zip(&mut normal.cameras) {
            hold_fixed(&camera.free, block, gradient);
        }
        normal.couplings.sort_by_key(|c| c.point);
        normal
    }

    /// Residual and its derivatives by central differences; fixed parameters have none.
    fn derivatives(
        &self,
        camera: &Camera<C>,
        point: &Vector3<f64>,
        pixel: &Vector2<f64>,
    ) -> Option<(Vector2<f64>, SMatrix<f64, 2, C>, SMatrix<f64, 2, 3>)> {
        let residual = (self.project)(&camera.params, point)? - pixel;
        let mut by_camera = SMatrix::<f64, 2, C>::zeros();
        for i in (0..C).filter(|&i| camera.free[i]) {
            let step = 1e-6 * camera.params[i].abs().max(1e-2);
            let at = |by: f64| {
                let mut moved = camera.params;
                moved[i] += by;
                (self.project)(&moved, point)
            };
            by_camera.set_column(i, &((at(step)? - at(-step)?) / (2.0 * step)));
        }
        let mut by_point = SMatrix::<f64, 2, 3>::zeros();
        let step = 1e-6 * point.norm().max(1e-3);
        for i in 0..3 {
            let at = |by: f64| (self.project)(&camera.params, &(point + Vector3::ith(i, by)));
            by_point.set_column(i, &((at(step)? - at(-step)?) / (2.0 * step)));
        }
        Some((residual, by_camera, by_point))
    }
}

/// Rows and columns of fixed parameters become those of the identity.
fn hold_fixed<const C: usize>(free: &[bool; C], block: &mut SMatrix<f64, C, C>, gradient: &mut SVector<f64, C>) {
    for i in (0..C).filter(|&i| !free[i]) {
        block.row_mut(i).fill(0.0);
        block.column_mut(i).fill(0.0);
        block[(i, i)] = 1.0;
        gradient[i] = 0.0;
    }
}

impl<const C: usize> Normal<C> {
    /// The damped step, or `None` where the equations are singular.
    fn step(&self, damping: f64) -> Option<Step<C>> {
        let n = self.cameras.len() * C;
        let (mut reduced, mut right) = (DMatrix::zeros(n, n), DVector::zeros(n));
        for (i, (block, gradient)) in self.cameras.iter().enumerate() {
            let mut block = *block;
            (0..C).for_each(|k| block[(k, k)] += damping * block[(k, k)].max(1e-9));
            reduced.fixed_view_mut::<C, C>(i * C, i * C).copy_from(&block);
            right.fixed_rows_mut::<C>(i * C).copy_from(&-gradient);
        }
        let inverses: Vec<Matrix3<f64>> = self.points.iter().map(|(block, _)| damped_inverse(block, damping)).collect();
        for group in self.couplings.chunk_by(|a, b| a.point == b.point) {
            let (inverse, gradient) = (&inverses[group[0].point], &self.points[group[0].point].1);
            for a in group {
                let weighted = a.block * inverse;
                let mut rows = right.fixed_rows_mut::<C>(a.camera * C);
                rows += weighted * gradient;
                for b in group {
                    let mut block = reduced.fixed_view_mut::<C, C>(a.camera * C, b.camera * C);
                    block -= weighted * b.block.transpose();
                }
            }
        }
        let solved = solve_symmetric(&reduced, &right)?;
        let cameras: Vec<SVector<f64, C>> =
            (0..self.cameras.len()).map(|i| solved.fixed_rows::<C>(i * C).into_owned()).collect();
        let mut gradients: Vec<Vector3<f64>> = self.points.iter().map(|(_, g)| *g).collect();
        self.couplings.iter().for_each(|c| gradients[c.point] += c.block.tr_mul(&cameras[c.camera]));
        let points = inverses.iter().zip(&gradients).map(|(inverse, g)| -(inverse * g)).collect();
        Some(Step { cameras, points })
    }
}

/// Zero for a point that nothing constrains, which then stays.
fn damped_inverse(block: &Matrix3<f64>, damping: f64) -> Matrix3<f64> {
    let mut block = *block;
    (0..3).for_each(|k| block[(k, k)] += damping * block[(k, k)].max(1e-12 * block.trace()));
    block.try_inverse().unwrap_or_else(Matrix3::zeros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Rotation3;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Rotation vector, translation, focal length.
    fn project(c: &SVector<f64, 7>, p: &Vector3<f64>) -> Option<Vector2<f64>> {
        let q = Rotation3::new(c.fixed_rows::<3>(0).into_owned()) * p + c.fixed_rows::<3>(3);
        (q.z > 0.05).then(|| q.xy() / q.z * c[6])
    }

    fn scene(rng: &mut ChaCha8Rng) -> (Vec<Camera<7>>, Vec<Vector3<f64>>, Vec<Observation>) {
        let mut centred = |by: f64| by * (rng.random::<f64>() - 0.5);
        let cameras: Vec<Camera<7>> = (0..4)
            .map(|i| {
                let params = SVector::from([
                    centred(0.1),
                    centred(0.1) - 0.1 * i as f64,
                    centred(0.1),
                    0.5 * i as f64,
                    centred(0.2),
                    centred(0.2),
                    700.0,
                ]);
                Camera { params, free: [true; 7], prior: SVector::zeros() }
            })
            .collect();
        let points: Vec<_> = (0..120).map(|_| Vector3::new(centred(4.0), centred(3.0), 6.0 + centred(4.0))).collect();
        let mut observations = Vec::new();
        for (c, camera) in cameras.iter().enumerate() {
            for (p, point) in points.iter().enumerate() {
                let noise = Vector2::new(centred(0.4), centred(0.4));
                let pixel = project(&camera.params, point).expect("in front") + noise;
                observations.push(Observation { camera: c, point: p, pixel });
            }
        }
        (cameras, points, observations)
    }

    fn rms(cameras: &[Camera<7>], points: &[Vector3<f64>], observations: &[Observation]) -> f64 {
        let error =
            |o: &Observation| (project(&cameras[o.camera].params, &points[o.point]).unwrap() - o.pixel).norm_squared();
        (observations.iter().map(error).sum::<f64>() / observations.len() as f64).sqrt()
    }

    #[test]
    fn disturbed_cameras_and_points_come_back_to_the_noise() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut cameras, mut points, observations) = scene(&mut rng);
        cameras[0].free = [false; 7];
        cameras[1].free[3] = false;
        cameras.iter_mut().skip(1).for_each(|c| {
            (0..7).filter(|&i| c.free[i]).for_each(|i| c.params[i] *= 1.0 + 0.03 * (rng.random::<f64>() - 0.5));
        });
        points.iter_mut().for_each(|p| *p *= 1.0 + 0.1 * (rng.random::<f64>() - 0.5));
        let held = cameras[0].params;
        let before = rms(&cameras, &points, &observations);
        let report = bundle_adjust(&mut cameras, &mut points, &observations, project, &BundleOptions::default());
        let after = rms(&cameras, &points, &observations);
        assert!(before > 3.0 && after < 0.2, "{before} -> {after} px, {report:?}");
        assert_eq!(cameras[0].params, held);
    }

    #[test]
    fn wrong_observations_lose_their_influence() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let (mut cameras, mut points, clean) = scene(&mut rng);
        let mut observations = clean.clone();
        observations.iter_mut().step_by(17).for_each(|o| o.pixel.x += 60.0);
        points.iter_mut().for_each(|p| *p *= 1.02);
        cameras[0].free = [false; 7];
        bundle_adjust(&mut cameras, &mut points, &observations, project, &BundleOptions::default());
        let right: Vec<Observation> = clean.iter().enumerate().filter(|(i, _)| i % 17 != 0).map(|(_, o)| *o).collect();
        assert!(rms(&cameras, &points, &right) < 0.5);
    }

    #[test]
    fn a_prior_holds_what_the_observations_leave_open() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (mut cameras, mut points, observations) = scene(&mut rng);
        for camera in &mut cameras {
            camera.prior[6] = 1e3;
        }
        points.iter_mut().for_each(|p| *p *= 1.05);
        let report = bundle_adjust(&mut cameras, &mut points, &observations, project, &BundleOptions::default());
        assert!(cameras.iter().all(|c| (c.params[6] - 700.0).abs() < 0.01), "{report:?}");
    }
}
