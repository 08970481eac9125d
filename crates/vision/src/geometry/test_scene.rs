//! A made scene for tests: a textured card before a textured wall, seen by four cameras, with the matches between them.

use super::camera::Camera;
use super::tracks::PairMatches;
use crate::Mask;
use crate::matching::Correspondence;
use crate::robust::PointPair;
use image::{Rgb, Rgb32FImage};
use nalgebra::{Rotation3, Vector2, Vector3};

const SIZE: (u32, u32) = (200, 150);
const WALL: f64 = 6.0;
const CARD: f64 = 4.0;

/// The scene from the target's camera (photo 0) and from three others.
pub struct TestScene {
    /// Photos, the target whole.
    pub photos: Vec<Rgb32FImage>,
    /// The middle of the target.
    pub hole: Mask,
    /// Exact matches of points outside the hole.
    pub matches: Vec<PairMatches>,
}

/// Renders and matches.
pub fn card_before_wall() -> TestScene {
    let cameras: Vec<Camera> = [(0.0, 0.0), (-0.7, 0.1), (0.6, -0.15), (0.2, 0.5)].map(|(x, y)| camera(x, y)).to_vec();
    let holes = (0..SIZE.0 * SIZE.1).map(|i| is_hole(i % SIZE.0, i / SIZE.0)).collect();
    let photos = cameras.iter().map(render).collect();
    let points: Vec<_> = (0..400).filter_map(scene_point).collect();
    let mut matches = Vec::new();
    for a in 0..4 {
        for b in a + 1..4 {
            matches.push(PairMatches { pair: (a, b), matches: between(a, b, &cameras, &points) });
        }
    }
    TestScene { photos, hole: Mask::new(SIZE.0, SIZE.1, holes), matches }
}

fn is_hole(x: u32, y: u32) -> bool {
    (70..130).contains(&x) && (50..100).contains(&y)
}

/// A camera beside the first one that looks at the card.
fn camera(x: f64, y: f64) -> Camera {
    let turn = Rotation3::from_euler_angles(y / 5.0, -x / 5.0, 0.0);
    Camera { rotation: turn, translation: -(turn * Vector3::new(x, y, 0.0)), ..Camera::new(SIZE, 1.1) }
}

fn on_card(x: f64, y: f64) -> bool {
    x.abs() < 0.7 && y.abs() < 0.5
}

/// A point on the card or on the wall.
fn scene_point(i: usize) -> Option<Vector3<f64>> {
    let (u, v) = ((i * 37 % 401) as f64 / 401.0 - 0.5, (i * 101 % 397) as f64 / 397.0 - 0.5);
    if i.is_multiple_of(2) {
        return Some(Vector3::new(1.3 * u, 0.9 * v, CARD));
    }
    let behind = on_card(6.0 * u * CARD / WALL, 4.4 * v * CARD / WALL);
    (!behind).then(|| Vector3::new(6.0 * u, 4.4 * v, WALL))
}

fn between(a: usize, b: usize, cameras: &[Camera], points: &[Vector3<f64>]) -> Vec<Correspondence> {
    let pixel = |c: usize, p: &Vector3<f64>| {
        let camera = &cameras[c];
        let at = camera.pixel(&camera.image_of_local(&camera.local(p)));
        let inside = at.x > 2.0 && at.y > 2.0 && at.x < SIZE.0 as f64 - 3.0 && at.y < SIZE.1 as f64 - 3.0;
        (inside && (c != 0 || !is_hole(at.x as u32, at.y as u32))).then_some(at)
    };
    let seen = points.iter().filter_map(|p| Some((pixel(a, p)?, pixel(b, p)?)));
    seen.map(|(from, to)| Correspondence { points: PointPair { from, to }, confidence: 0.9, pose: None }).collect()
}

fn render(camera: &Camera) -> Rgb32FImage {
    let position = camera.position();
    Rgb32FImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let mut colour = [0.0f32; 3];
        for (dx, dy) in [(-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)] {
            let slope = camera.slope(&camera.scaled(&Vector2::new(x as f64 + dx, y as f64 + dy)));
            let ray = camera.rotation.inverse() * slope.push(1.0);
            let at = |depth: f64| position + ray * ((depth - position.z) / ray.z);
            let (card, wall) = (at(CARD), at(WALL));
            let shown = if on_card(card.x, card.y) {
                texture(card.x * 1.7, card.y * 1.7, 0.8)
            } else {
                texture(wall.x, wall.y, 0.2)
            };
            colour.iter_mut().zip(shown).for_each(|(c, s)| *c += s / 4.0);
        }
        Rgb(colour)
    })
}

/// Waves of many lengths, around a colour.
fn texture(x: f64, y: f64, tint: f32) -> [f32; 3] {
    let wave = |k: usize| {
        let (angle, pitch) = (k as f64 * 2.4, 3.0 + 2.3 * k as f64);
        (pitch * (x * angle.cos() + y * angle.sin()) + k as f64).sin() / 7.0
    };
    let value = (0..6).map(wave).sum::<f64>() as f32 * 0.6;
    [0.5 * tint + 0.3 + value, 0.45 + value, 0.6 - 0.4 * tint + value].map(|v| v.clamp(0.0, 1.0))
}
