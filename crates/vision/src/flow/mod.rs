//! Dense optical flow: for each pixel of one picture, where it went in another that looks much the same.
//!
//! Coarse to fine: patches are searched (Kroeger et al., Fast optical flow using dense inverse search, ECCV 2016), blended to a dense
//! field, and the field is refined by a variational method (in the manner of Brox et al., ECCV 2004).

mod checkerboard;
mod consistency;
mod densify;
mod patches;
mod pixels;
mod variational;

pub(crate) use checkerboard::{Board, System};
pub(crate) use pixels::gradients;
pub(crate) use variational::{EPSILON, OMEGA, ZETA, diffusivities};

use consistency::forward_backward_error;

use crate::Plane;
use crate::pyramid::{pyramid, resize_bilinear};
use densify::densify;
use patches::search;
use variational::refine;

/// Displacements in pixels: pixel (x, y) of the first picture is at (x + flow.x, y + flow.y) in the second.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Across.
    pub x: Plane,
    /// Down.
    pub y: Plane,
}

impl Flow {
    /// The field that moves nothing.
    pub fn zero(width: u32, height: u32) -> Self {
        Self { x: Plane::new(width, height), y: Plane::new(width, height) }
    }

    /// The coordinates in the second picture that [`crate::warp::remap`] takes to pull it into the first.
    pub fn maps(&self) -> (Plane, Plane) {
        let (mut x, mut y) = (self.x.clone(), self.y.clone());
        x.enumerate_pixels_mut().for_each(|(i, _, p)| p[0] += i as f32);
        y.enumerate_pixels_mut().for_each(|(_, j, p)| p[0] += j as f32);
        (x, y)
    }

    /// The field at another size, its displacements scaled along.
    fn resized(&self, width: u32, height: u32) -> Self {
        let scaled = |plane: &Plane, by: f32| {
            let mut plane = resize_bilinear(plane, width, height);
            plane.iter_mut().for_each(|v| *v *= by);
            plane
        };
        let (sx, sy) = (width as f32 / self.x.width() as f32, height as f32 / self.x.height() as f32);
        Self { x: scaled(&self.x, sx), y: scaled(&self.y, sy) }
    }
}

/// How flow is computed. Weights of the variational terms are for grey values of 0 to 255, as in OpenCV's DIS.
#[derive(Clone, Debug)]
pub struct FlowOptions {
    /// Finest level computed: 0 the full size, 1 half of it (then enlarged), and so on. Default 0.
    pub finest_level: usize,
    /// Pixels between patches of 8×8. Default 4.
    pub stride: usize,
    /// Search steps a patch and start. Default 12.
    pub search_steps: usize,
    /// Weight of smoothness. Default 20.
    pub smoothness: f32,
    /// Weight of equal brightness. Default 5.
    pub brightness: f32,
    /// Weight of equal gradients, which survive a change of light. Default 10.
    pub gradients: f32,
    /// Times the robust weights are computed anew, at each level. Default 5.
    pub outer_steps: usize,
    /// Relaxation sweeps each time. Default 5.
    pub inner_steps: usize,
}

impl Default for FlowOptions {
    fn default() -> Self {
        Self {
            finest_level: 0,
            stride: 4,
            search_steps: 12,
            smoothness: 20.0,
            brightness: 5.0,
            gradients: 10.0,
            outer_steps: 5,
            inner_steps: 5,
        }
    }
}

/// What flow is computed from. All planes have one size.
#[derive(Clone, Copy, Debug)]
pub struct FlowInput<'a> {
    /// The first picture, grey, 0 to 1.
    pub from: &'a Plane,
    /// The second.
    pub to: &'a Plane,
    /// How far to believe the first's pixels, 0 (a hole: the field is carried on smoothly) to 1.
    pub from_weight: Option<&'a Plane>,
    /// How far to believe the second's.
    pub to_weight: Option<&'a Plane>,
    /// Where to start; zero displacement if not given.
    pub initial: Option<&'a Flow>,
}

impl<'a> FlowInput<'a> {
    /// Two whole pictures.
    pub fn new(from: &'a Plane, to: &'a Plane) -> Self {
        Self { from, to, from_weight: None, to_weight: None, initial: None }
    }
}

/// One level of the pyramids.
struct Level {
    from: Plane,
    to: Plane,
    from_weight: Plane,
    to_weight: Plane,
}

/// The flow from `input.from` to `input.to`, at their size.
///
/// # Panics
/// When the planes differ in size.
pub fn dense_flow(input: &FlowInput, options: &FlowOptions) -> Flow {
    let (width, height) = input.from.dimensions();
    if width.min(height) < patches::SIDE as u32 {
        return input.initial.cloned().unwrap_or_else(|| Flow::zero(width, height));
    }
    let levels = levels(input);
    let coarsest = levels.len() - 1;
    let (w, h) = levels[coarsest].from.dimensions();
    let mut flow = input.initial.map_or_else(|| Flow::zero(w, h), |initial| initial.resized(w, h));
    for level in levels[options.finest_level.min(coarsest)..].iter().rev() {
        flow = flow.resized(level.from.width(), level.from.height());
        let patches = search(level, &flow, options);
        flow = refine(level, densify(level, &patches, &flow), options);
    }
    flow.resized(width, height)
}

/// The flow between two pictures whose pixels are believed that far, and how far each pixel ends from itself after going there and back,
/// in pixels (infinite where it leaves the second picture): above about 1.5 px it is hidden or was mistaken.
pub fn checked_flow(
    (from, from_weight): (&Plane, &Plane),
    (to, to_weight): (&Plane, &Plane),
    options: &FlowOptions,
) -> (Flow, Plane) {
    let input = |from, to, a, b| FlowInput { from, to, from_weight: Some(a), to_weight: Some(b), initial: None };
    let there = dense_flow(&input(from, to, from_weight, to_weight), options);
    let back = dense_flow(&input(to, from, to_weight, from_weight), options);
    let error = forward_backward_error(&there, &back);
    (there, error)
}

/// Coarsest side at which 8×8 patches still tell places apart.
const COARSEST_SIDE: u32 = 16;

fn levels(input: &FlowInput) -> Vec<Level> {
    let size = input.from.dimensions();
    let weight =
        |given: Option<&Plane>| given.cloned().unwrap_or_else(|| Plane::from_pixel(size.0, size.1, image::Luma([1.0])));
    let planes = [input.from.clone(), input.to.clone(), weight(input.from_weight), weight(input.to_weight)];
    assert!(planes.iter().all(|p| p.dimensions() == size), "flow needs planes of one size, {}×{}", size.0, size.1);
    let [from, to, from_weight, to_weight] = planes.map(|p| pyramid(&p, COARSEST_SIDE));
    let scaled = |mut plane: Plane| {
        plane.iter_mut().for_each(|v| *v *= 255.0);
        plane
    };
    from.into_iter()
        .zip(to)
        .zip(from_weight.into_iter().zip(to_weight))
        .map(|((from, to), (from_weight, to_weight))| Level {
            from: scaled(from),
            to: scaled(to),
            from_weight,
            to_weight,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::texture;
    use crate::warp::{Sampling, remap};
    use image::Luma;

    /// A smooth motion of up to about 9 pixels.
    fn motion(width: u32, height: u32) -> Flow {
        let wave =
            |x: u32, y: u32, phase: f32| 5.0 * (x as f32 / 37.0 + phase).sin() + 4.0 * (y as f32 / 45.0 - phase).cos();
        Flow {
            x: Plane::from_fn(width, height, |x, y| Luma([wave(x, y, 0.3)])),
            y: Plane::from_fn(width, height, |x, y| Luma([wave(y, x, 1.1)])),
        }
    }

    fn moved_pair(width: u32, height: u32) -> (Plane, Plane, Flow) {
        let (to, truth) = (texture(width, height, 31), motion(width, height));
        let (x, y) = truth.maps();
        (remap(&to, &x, &y, Sampling::Bicubic).image, to, truth)
    }

    fn mean_error(flow: &Flow, truth: &Flow, counts: impl Fn(u32, u32) -> bool) -> f32 {
        let errors: Vec<f32> = truth
            .x
            .enumerate_pixels()
            .filter(|(x, y, _)| counts(*x, *y))
            .map(|(x, y, p)| {
                (flow.x.get_pixel(x, y)[0] - p[0]).hypot(flow.y.get_pixel(x, y)[0] - truth.y.get_pixel(x, y)[0])
            })
            .collect();
        errors.iter().sum::<f32>() / errors.len() as f32
    }

    fn inside(x: u32, y: u32) -> bool {
        (16..224).contains(&x) && (16..144).contains(&y)
    }

    #[test]
    fn a_known_smooth_motion_is_found_to_a_fraction_of_a_pixel() {
        let (from, to, truth) = moved_pair(240, 160);
        let flow = dense_flow(&FlowInput::new(&from, &to), &FlowOptions::default());
        let error = mean_error(&flow, &truth, inside);
        assert!(error < 0.25, "{error} px");
    }

    #[test]
    fn a_change_of_light_costs_little() {
        let (from, to, truth) = moved_pair(240, 160);
        let darker = Plane::from_fn(240, 160, |x, y| Luma([0.75 * to.get_pixel(x, y)[0] + 0.1]));
        let error = mean_error(&dense_flow(&FlowInput::new(&from, &darker), &FlowOptions::default()), &truth, inside);
        assert!(error < 0.6, "{error} px");
    }

    #[test]
    fn the_field_is_carried_through_a_hole() {
        let (mut from, to, truth) = moved_pair(240, 160);
        let hole = |x: u32, y: u32| (100..130).contains(&x) && (60..90).contains(&y);
        let weight = Plane::from_fn(240, 160, |x, y| Luma([!hole(x, y) as u8 as f32]));
        from.enumerate_pixels_mut().filter(|(x, y, _)| hole(*x, *y)).for_each(|(_, _, p)| p[0] = 1.0);
        let input = FlowInput { from_weight: Some(&weight), ..FlowInput::new(&from, &to) };
        let error = mean_error(&dense_flow(&input, &FlowOptions::default()), &truth, hole);
        assert!(error < 1.5, "{error} px in the hole");
    }

    #[test]
    fn a_start_near_the_truth_helps_where_the_motion_is_large() {
        let to = texture(240, 160, 33);
        let truth =
            Flow { x: Plane::from_pixel(240, 160, Luma([70.0])), y: Plane::from_pixel(240, 160, Luma([-40.0])) };
        let (x, y) = truth.maps();
        let from = remap(&to, &x, &y, Sampling::Bilinear).image;
        let near = Flow { x: Plane::from_pixel(240, 160, Luma([66.0])), y: Plane::from_pixel(240, 160, Luma([-43.0])) };
        let input = FlowInput { initial: Some(&near), ..FlowInput::new(&from, &to) };
        let error = mean_error(&dense_flow(&input, &FlowOptions::default()), &truth, |x, y| {
            (16..150).contains(&x) && (60..144).contains(&y)
        });
        assert!(error < 0.3, "{error} px");
    }

    #[test]
    fn tiny_and_flat_pictures_do_not_move() {
        for (w, h) in [(5, 5), (64, 48)] {
            let flat = Plane::from_pixel(w, h, Luma([0.4]));
            let flow = dense_flow(&FlowInput::new(&flat, &flat), &FlowOptions::default());
            assert!(flow.x.iter().chain(flow.y.iter()).all(|v| v.abs() < 1e-3));
        }
    }
}
