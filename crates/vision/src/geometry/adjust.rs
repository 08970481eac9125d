//! Bundle adjustment: cameras and points together, robustly, with priors on lenses.
//!
//! Levenberg-Marquardt on the reduced camera system (Triggs et al. 2000); Cauchy weights; derivatives by differences, which are cheap for
//! twelve parameters a camera.

use super::camera::{CAMERA_PARAMS, Camera};
use nalgebra::{DMatrix, DVector, Matrix3, SMatrix, SVector, Vector2, Vector3};
use rayon::prelude::*;

/// Residual in pixels at which an observation's weight is a half.
const CAUCHY_PX: f64 = 1.5;
/// How sure the priors are beside one observation of a pixel's accuracy.
const PRIOR_WEIGHT: f64 = 10.0;
/// Spread of the priors: ln focal, radial term, principal point, decentring. Photos of a dozen cameras lie within them.
const SPREAD: [f64; 6] = [0.35, 0.08, 0.015, 0.015, 0.003, 0.003];
/// Focal length that is expected before anything is known, over the longer side (a 28 mm lens on 35 mm film is 0.78, a 50 mm one 1.39).
pub const PRIOR_FOCAL: f64 = 1.15;

type CameraBlock = SMatrix<f64, CAMERA_PARAMS, CAMERA_PARAMS>;
type CameraVector = SVector<f64, CAMERA_PARAMS>;
type MixedBlock = SMatrix<f64, CAMERA_PARAMS, 3>;

/// An image point for the adjustment.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Index into the cameras.
    pub camera: usize,
    /// Index into the points. Sights are sorted by it.
    pub point: usize,
    /// Where, scaled.
    pub at: Vector2<f64>,
}

/// What of a lens may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lens {
    /// The focal length alone.
    Focal,
    /// The radial term and the principal point too.
    Radial,
    /// Decentring as well.
    Decentred,
}

impl Lens {
    /// How many of a camera's parameters may then move, from the first.
    fn parameters(self) -> usize {
        match self {
            Self::Focal => 7,
            Self::Radial => 10,
            Self::Decentred => CAMERA_PARAMS,
        }
    }
}

/// What may move.
#[derive(Clone, Copy, Debug)]
pub struct AdjustOptions {
    /// This camera's pose is held.
    pub fixed: usize,
    /// What of the lenses may.
    pub lens: Lens,
    /// Steps at most.
    pub steps: usize,
}

/// Moves cameras and points to the least robust squared error; returns the final cost.
pub fn adjust(
    cameras: &mut Vec<Camera>,
    points: &mut Vec<Vector3<f64>>,
    sights: &[Sight],
    options: AdjustOptions,
) -> f64 {
    let mut damping = 1e-3;
    let mut cost = total_cost(cameras, points, sights);
    for _ in 0..options.steps {
        let system = System::new(cameras, points, sights);
        let mut gained = None;
        for _ in 0..8 {
            if let Some((c, p)) = system.solve(cameras, points, damping, options) {
                let new = total_cost(&c, &p, sights);
                if new < cost {
                    gained = Some((c, p, new));
                    break;
                }
            }
            damping *= 5.0;
        }
        let Some((c, p, new)) = gained else { break };
        let done = cost - new < 1e-5 * cost;
        (*cameras, *points, cost, damping) = (c, p, new, (damping / 4.0).max(1e-9));
        if done {
            break;
        }
    }
    cost
}

/// Residual of one sight in pixels, and the depth.
pub fn residual(camera: &Camera, point: &Vector3<f64>, at: &Vector2<f64>) -> (Vector2<f64>, f64) {
    let local = camera.local(point);
    ((camera.image_of_local(&local) - at) * camera.side(), local.z)
}

fn prior_residual(camera: &Camera) -> [f64; 6] {
    let (centre, decentring) = (camera.centre, camera.decentring);
    let off = [(camera.focal / PRIOR_FOCAL).ln(), camera.radial, centre.x, centre.y, decentring.x, decentring.y];
    std::array::from_fn(|i| off[i] / SPREAD[i])
}

fn total_cost(cameras: &[Camera], points: &[Vector3<f64>], sights: &[Sight]) -> f64 {
    let c2 = CAUCHY_PX * CAUCHY_PX;
    let sight = |s: &Sight| {
        let (r, z) = residual(&cameras[s.camera], &points[s.point], &s.at);
        c2 * (r.norm_squared() / c2).ln_1p() + if z < 1e-3 { 1e3 } else { 0.0 }
    };
    let prior: f64 = cameras.iter().flat_map(prior_residual).map(|r| r * r).sum();
    // Collected first: a parallel sum would depend on how the work was split.
    let each: Vec<f64> = sights.par_iter().with_min_len(512).map(sight).collect();
    each.iter().sum::<f64>() + PRIOR_WEIGHT * prior
}

/// Normal equations before damping.
struct System<'a> {
    sights: &'a [Sight],
    of_camera: Vec<(CameraBlock, CameraVector)>,
    of_point: Vec<(Matrix3<f64>, Vector3<f64>)>,
    mixed: Vec<MixedBlock>,
    /// Where each point's sights start.
    starts: Vec<usize>,
}

impl<'a> System<'a> {
    fn new(cameras: &[Camera], points: &[Vector3<f64>], sights: &'a [Sight]) -> Self {
        let mut of_camera: Vec<_> = cameras.iter().map(prior_system).collect();
        let mut of_point = vec![(Matrix3::zeros(), Vector3::zeros()); points.len()];
        let linear: Vec<_> =
            sights.par_iter().with_min_len(256).map(|s| linearised(&cameras[s.camera], &points[s.point], s)).collect();
        let mut mixed = Vec::with_capacity(sights.len());
        for (s, (r, by_camera, by_point, w)) in sights.iter().zip(&linear) {
            let (c, p) = (&mut of_camera[s.camera], &mut of_point[s.point]);
            c.0 += by_camera.transpose() * by_camera * *w;
            c.1 += by_camera.transpose() * r * *w;
            p.0 += by_point.transpose() * by_point * *w;
            p.1 += by_point.transpose() * r * *w;
            mixed.push(by_camera.transpose() * by_point * *w);
        }
        let mut starts = vec![0; points.len() + 1];
        sights.iter().for_each(|s| starts[s.point + 1] += 1);
        (0..points.len()).for_each(|i| starts[i + 1] += starts[i]);
        Self { sights, of_camera, of_point, mixed, starts }
    }

    fn solve(
        &self,
        cameras: &[Camera],
        points: &[Vector3<f64>],
        damping: f64,
        options: AdjustOptions,
    ) -> Option<(Vec<Camera>, Vec<Vector3<f64>>)> {
        const N: usize = CAMERA_PARAMS;
        let mut a = DMatrix::<f64>::zeros(cameras.len() * N, cameras.len() * N);
        let mut b = DVector::<f64>::zeros(cameras.len() * N);
        for (i, (block, gradient)) in self.of_camera.iter().enumerate() {
            let damped = block + CameraBlock::from_diagonal(&(block.diagonal() * damping).add_scalar(1e-9));
            a.view_mut((i * N, i * N), (N, N)).copy_from(&damped);
            b.rows_mut(i * N, N).copy_from(gradient);
        }
        let inverses: Vec<Matrix3<f64>> = self
            .of_point
            .iter()
            .map(|(v, _)| (v + Matrix3::from_diagonal(&(v.diagonal() * damping).add_scalar(1e-9))).try_inverse())
            .collect::<Option<_>>()?;
        for (point, inverse) in inverses.iter().enumerate() {
            let range = self.starts[point]..self.starts[point + 1];
            for i in range.clone() {
                let (camera, scaled) = (self.sights[i].camera, self.mixed[i] * inverse);
                let mut rows = b.rows_mut(camera * N, N);
                rows -= scaled * self.of_point[point].1;
                for j in range.clone() {
                    let mut block = a.view_mut((camera * N, self.sights[j].camera * N), (N, N));
                    block -= scaled * self.mixed[j].transpose();
                }
            }
        }
        let steps = solve_free(a, b, options)?;
        let cameras: Vec<Camera> =
            cameras.iter().enumerate().map(|(i, c)| c.moved(&steps.fixed_rows::<N>(i * N).into_owned())).collect();
        let moved = |point: usize| {
            let back = (self.starts[point]..self.starts[point + 1]).fold(self.of_point[point].1, |g, i| {
                g + self.mixed[i].transpose() * steps.fixed_rows::<N>(self.sights[i].camera * N)
            });
            points[point] - inverses[point] * back
        };
        Some((cameras, (0..points.len()).map(moved).collect()))
    }
}

/// Solves for the parameters that may move; the others stay. Those after the principal point are left out where they are held: in the
/// system they would do nothing but change how the others are rounded.
fn solve_free(mut a: DMatrix<f64>, mut b: DVector<f64>, options: AdjustOptions) -> Option<DVector<f64>> {
    let lens = options.lens.parameters();
    for i in 0..b.len() {
        let (camera, parameter) = (i / CAMERA_PARAMS, i % CAMERA_PARAMS);
        if (camera == options.fixed && parameter < 6) || parameter >= lens {
            a.row_mut(i).fill(0.0);
            a.column_mut(i).fill(0.0);
            a[(i, i)] = 1.0;
            b[i] = 0.0;
        }
    }
    let size = lens.max(Lens::Radial.parameters());
    let solved: Vec<usize> = (0..b.len()).filter(|i| i % CAMERA_PARAMS < size).collect();
    let found =
        crate::linalg::solve_symmetric(&a.select_rows(&solved).select_columns(&solved), &-b.select_rows(&solved))?;
    let mut steps = DVector::zeros(b.len());
    solved.iter().zip(found.iter()).for_each(|(&i, step)| steps[i] = *step);
    Some(steps)
}

fn prior_system(camera: &Camera) -> (CameraBlock, CameraVector) {
    let (mut block, mut gradient) = (CameraBlock::zeros(), CameraVector::zeros());
    for (i, r) in prior_residual(camera).into_iter().enumerate() {
        block[(6 + i, 6 + i)] = PRIOR_WEIGHT / (SPREAD[i] * SPREAD[i]);
        gradient[6 + i] = PRIOR_WEIGHT * r / SPREAD[i];
    }
    (block, gradient)
}

type Linear = (Vector2<f64>, SMatrix<f64, 2, CAMERA_PARAMS>, SMatrix<f64, 2, 3>, f64);

/// Residual, its derivatives by the camera and by the point, and its weight.
fn linearised(camera: &Camera, point: &Vector3<f64>, sight: &Sight) -> Linear {
    const H: f64 = 1e-6;
    let (r, _) = residual(camera, point, &sight.at);
    let mut by_camera = SMatrix::<f64, 2, CAMERA_PARAMS>::zeros();
    for k in 0..CAMERA_PARAMS {
        let mut step = CameraVector::zeros();
        step[k] = H;
        let (ahead, behind) = (camera.moved(&step), camera.moved(&-step));
        let slope = (residual(&ahead, point, &sight.at).0 - residual(&behind, point, &sight.at).0) / (2.0 * H);
        by_camera.set_column(k, &slope);
    }
    let mut by_point = SMatrix::<f64, 2, 3>::zeros();
    for k in 0..3 {
        let mut step = Vector3::zeros();
        step[k] = H;
        let slope = residual(camera, &(point + step), &sight.at).0 - residual(camera, &(point - step), &sight.at).0;
        by_point.set_column(k, &(slope / (2.0 * H)));
    }
    (r, by_camera, by_point, 1.0 / (1.0 + r.norm_squared() / (CAUCHY_PX * CAUCHY_PX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Rotation3;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn camera(i: usize) -> Camera {
        Camera {
            rotation: Rotation3::from_euler_angles(0.02 * i as f64, 0.15 * i as f64, 0.0),
            translation: Vector3::new(-0.6 * i as f64, 0.05, 0.1 * i as f64),
            ..Camera::new((800, 600), 1.1)
        }
    }

    fn sights(cameras: &[Camera], points: &[Vector3<f64>]) -> Vec<Sight> {
        let sight = |point: usize, camera: usize| Sight {
            camera,
            point,
            at: cameras[camera].image_of_local(&cameras[camera].local(&points[point])),
        };
        (0..points.len()).flat_map(|p| (0..cameras.len()).map(move |c| sight(p, c))).collect()
    }

    #[test]
    fn disturbed_cameras_and_points_find_back_to_their_images() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut noise = |s: f64| s * (rng.random::<f64>() * 2.0 - 1.0);
        let truth: Vec<Camera> = (0..3).map(camera).collect();
        let solid: Vec<_> = (0..80).map(|_| Vector3::new(noise(1.5), noise(1.0), 4.0 + noise(1.0))).collect();
        let sights = sights(&truth, &solid);
        let mut cameras = truth.clone();
        for c in &mut cameras[1..] {
            c.translation += Vector3::new(noise(0.1), noise(0.1), noise(0.1));
            c.focal *= 1.1;
        }
        let mut points: Vec<_> = solid.iter().map(|p| p + Vector3::new(noise(0.1), noise(0.1), noise(0.3))).collect();
        let options = AdjustOptions { fixed: 0, lens: Lens::Focal, steps: 40 };
        adjust(&mut cameras, &mut points, &sights, options);
        let rms =
            sights.iter().map(|s| residual(&cameras[s.camera], &points[s.point], &s.at).0.norm()).sum::<f64>() / 240.0;
        assert!(rms < 0.2, "{rms} px");
    }

    /// Across the baseline: along it, the points' depths take up most of what a lens does.
    #[test]
    fn a_decentred_lens_is_told_by_what_no_other_lens_explains() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut noise = |s: f64| s * (rng.random::<f64>() * 2.0 - 1.0);
        let mut truth: Vec<Camera> = (0..3).map(camera).collect();
        truth[2].decentring.y = 0.004;
        let solid: Vec<_> = (0..1500).map(|_| Vector3::new(noise(1.5), noise(1.2), 4.0 + noise(1.0))).collect();
        let sights = sights(&truth, &solid);
        let adjusted = |lens: Lens| {
            let (mut cameras, mut points): (Vec<Camera>, _) = ((0..3).map(camera).collect(), solid.clone());
            let cost = adjust(&mut cameras, &mut points, &sights, AdjustOptions { fixed: 0, lens, steps: 40 });
            (cost, cameras[2].decentring.y - cameras[0].decentring.y)
        };
        let ((plain, none), (cost, found)) = (adjusted(Lens::Radial), adjusted(Lens::Decentred));
        assert!(none == 0.0 && cost < 0.5 * plain, "{plain} to {cost}");
        assert!((0.002..0.005).contains(&found), "{found}");
    }
}
