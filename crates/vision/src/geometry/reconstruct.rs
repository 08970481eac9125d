//! From matches to cameras: a first pair, the other photos one by one, everything adjusted, for several starts; the best supported wins.

use super::adjust::{AdjustOptions, Lens, PRIOR_FOCAL, Sight, adjust, residual};
use super::camera::Camera;
use super::essential::relative_pose;
use super::resection::{Resection, resection};
use super::tracks::{Observation, PairMatches, tracks, verified};
use super::triangulate::{parallax_degrees, triangulate};
use nalgebra::Vector3;

/// Focal lengths that a first pair is tried with, over the longer side; the adjustment finds the rest.
const FIRST_FOCALS: [f64; 3] = [1.2, 0.8, 1.8];
/// Pairs that a reconstruction is started from, most matches first.
const FIRST_PAIRS: usize = 4;
/// Reprojection errors allowed at first, on adding photos, and at last, in pixels.
const LOOSE_PX: f64 = 4.0;
const TIGHT_PX: f64 = 2.5;
/// Fewer image points than this are no reconstruction.
const MIN_SIGHTS: usize = 24;

/// A point of the scene.
#[derive(Clone, Debug)]
pub struct ScenePoint {
    /// Where it is.
    pub position: Vector3<f64>,
    /// Photos that see it, with the pixel.
    pub seen: Vec<(usize, nalgebra::Vector2<f64>)>,
    /// Widest angle between its rays, in degrees.
    pub parallax_degrees: f64,
}

/// Cameras and points in one world.
#[derive(Clone, Debug)]
pub struct Reconstruction {
    /// A camera for each photo that could be placed.
    pub cameras: Vec<Option<Camera>>,
    /// Points with at least two photos.
    pub points: Vec<ScenePoint>,
    /// Root mean square distance between points and their images, in pixels.
    pub rms_px: f64,
}

impl Reconstruction {
    /// Takes corrected cameras, of the photos in `photo_of`, and where all points are with them.
    pub(super) fn take(&mut self, (cameras, positions): (Vec<Camera>, Vec<Vector3<f64>>), photo_of: &[usize]) {
        photo_of.iter().zip(cameras).for_each(|(&photo, camera)| self.cameras[photo] = Some(camera));
        self.points.iter_mut().zip(positions).for_each(|(point, position)| point.position = position);
    }
}

/// Reconstructs the photos of the given `sizes` from their matches. `None` when no pair of them carries a pose.
#[tracing::instrument(level = "info", skip_all)]
pub fn reconstruct(pairs: &[PairMatches], sizes: &[(u32, u32)]) -> Option<Reconstruction> {
    let sides: Vec<f64> = sizes.iter().map(|s| s.0.max(s.1) as f64).collect();
    let pairs = verified(pairs, &sides);
    let problem = Problem::new(tracks(&pairs), sizes);
    let mut starts: Vec<_> = pairs.iter().map(|p| (p.matches.len(), p.pair)).collect();
    starts.sort_by_key(|s| std::cmp::Reverse(s.0));
    let mut best: Option<Growth> = None;
    for focal in FIRST_FOCALS {
        for (_, pair) in starts.iter().take(FIRST_PAIRS) {
            let Some(found) = problem.grow(*pair, focal) else { continue };
            let complete = found.placed.iter().all(|p| *p);
            let confirmed = best.as_ref().is_some_and(|b| complete && (b.score - found.score).abs() < 0.03 * b.score);
            if best.as_ref().is_none_or(|b| found.score > b.score) {
                best = Some(found);
            }
            if confirmed {
                return best.map(|b| problem.finished(b));
            }
        }
    }
    best.map(|b| problem.finished(b))
}

struct Problem {
    sizes: Vec<(u32, u32)>,
    /// For each track the photos that see it.
    tracks: Vec<Vec<Observation>>,
}

/// A reconstruction under way.
#[derive(Clone)]
struct Growth {
    cameras: Vec<Camera>,
    placed: Vec<bool>,
    /// A point for each track, where there is one.
    points: Vec<Option<Vector3<f64>>>,
    fixed: usize,
    score: f64,
}

impl Problem {
    fn new(observations: Vec<Observation>, sizes: &[(u32, u32)]) -> Self {
        let mut tracks: Vec<Vec<Observation>> = Vec::new();
        for o in observations {
            tracks.resize(tracks.len().max(o.track + 1), Vec::new());
            tracks[o.track].push(o);
        }
        Self { sizes: sizes.to_vec(), tracks }
    }

    fn grow(&self, pair: (usize, usize), focal: f64) -> Option<Growth> {
        let mut growth = self.first_pair(pair, focal)?;
        growth = self.settled(growth, LOOSE_PX, Lens::Focal, 12)?;
        let mut refused = vec![false; self.sizes.len()];
        while let Some(photo) = self.next_photo(&growth, &refused) {
            match self.place(&growth, photo) {
                Some((found, focal)) => {
                    let camera = &mut growth.cameras[photo];
                    (camera.rotation, camera.translation, camera.focal) = (found.rotation, found.translation, focal);
                    growth.placed[photo] = true;
                    refused.fill(false);
                    growth = self.settled(growth, LOOSE_PX, Lens::Focal, 12)?;
                }
                None => refused[photo] = true,
            }
        }
        growth = self.settled(growth, LOOSE_PX, Lens::Radial, 15)?;
        self.settled(growth, TIGHT_PX, Lens::Radial, 25)
    }

    fn first_pair(&self, (a, b): (usize, usize), focal: f64) -> Option<Growth> {
        let mut cameras: Vec<Camera> = self.sizes.iter().map(|&s| Camera::new(s, focal)).collect();
        let slope = |o: &Observation| cameras[o.photo].slope(&cameras[o.photo].scaled(&o.pixel));
        let both = |t: &Vec<Observation>| {
            let of = |photo: usize| t.iter().find(|o| o.photo == photo).map(slope);
            Some((of(a)?, of(b)?))
        };
        let pairs: Vec<_> = self.tracks.iter().filter_map(both).collect();
        let tolerance = 2.0 / (focal * cameras[a].side().min(cameras[b].side()));
        let pose = relative_pose(&pairs, tolerance, 1)?;
        (cameras[b].rotation, cameras[b].translation) = (pose.rotation, pose.translation);
        let placed = (0..cameras.len()).map(|i| i == a || i == b).collect();
        Some(Growth { cameras, placed, points: vec![None; self.tracks.len()], fixed: a, score: 0.0 })
    }

    /// The photo that sees most points and is neither placed nor refused.
    fn next_photo(&self, growth: &Growth, refused: &[bool]) -> Option<usize> {
        let count = |photo: usize| {
            let sees = |t: &Vec<Observation>| t.iter().any(|o| o.photo == photo);
            self.tracks.iter().zip(&growth.points).filter(|(t, p)| p.is_some() && sees(t)).count()
        };
        let open = (0..self.sizes.len()).filter(|&i| !growth.placed[i] && !refused[i]);
        open.map(|i| (count(i), i)).filter(|c| c.0 >= 8).max().map(|c| c.1)
    }

    /// The best pose over several focal lengths, with the one that gave it.
    fn place(&self, growth: &Growth, photo: usize) -> Option<(Resection, f64)> {
        let seen: Vec<_> = self
            .tracks
            .iter()
            .zip(&growth.points)
            .filter_map(|(t, p)| Some((t.iter().find(|o| o.photo == photo)?.pixel, (*p)?)))
            .collect();
        let points: Vec<_> = seen.iter().map(|s| s.1).collect();
        let tries = [1.0f64, 0.78, 1.28, 0.61, 1.65].into_iter().filter_map(|factor| {
            let camera = Camera::new(self.sizes[photo], factor * PRIOR_FOCAL);
            let slopes: Vec<_> = seen.iter().map(|s| camera.slope(&camera.scaled(&s.0))).collect();
            let tolerance = 6.0 / (camera.focal * camera.side());
            resection(&points, &slopes, tolerance, 1).map(|r| (r, camera.focal))
        });
        tries.max_by(|a, b| a.0.score.total_cmp(&b.0.score))
    }

    /// Triangulates anew, drops what does not fit and adjusts, twice.
    fn settled(&self, mut growth: Growth, tolerance_px: f64, lens: Lens, steps: usize) -> Option<Growth> {
        let mut points: Vec<Option<Vector3<f64>>> = self.tracks.iter().map(|t| self.triangulated(&growth, t)).collect();
        for tolerance in [4.0 * tolerance_px, tolerance_px] {
            let (ids, sights) = self.fitting(&growth, &points, tolerance);
            if sights.len() < MIN_SIGHTS {
                return None;
            }
            let mut moving: Vec<_> = ids.iter().map(|&i| points[i].expect("fitting points exist")).collect();
            let options = AdjustOptions { fixed: growth.fixed, lens, steps };
            adjust(&mut growth.cameras, &mut moving, &sights, options);
            ids.iter().zip(moving).for_each(|(&i, p)| points[i] = Some(p));
        }
        let (ids, sights) = self.fitting(&growth, &points, tolerance_px);
        if sights.len() < MIN_SIGHTS {
            return None;
        }
        growth.score = self.score(&growth, &points, &ids, &sights);
        growth.points = vec![None; points.len()];
        ids.iter().for_each(|&i| growth.points[i] = points[i]);
        Some(growth)
    }

    fn triangulated(&self, growth: &Growth, track: &[Observation]) -> Option<Vector3<f64>> {
        let seen: Vec<_> = track
            .iter()
            .filter(|o| growth.placed[o.photo])
            .map(|o| {
                (&growth.cameras[o.photo], growth.cameras[o.photo].slope(&growth.cameras[o.photo].scaled(&o.pixel)))
            })
            .collect();
        (seen.len() >= 2).then(|| triangulate(&seen)).flatten()
    }

    /// Tracks with at least two images that fit, and those images (their points count through the tracks kept).
    fn fitting(&self, growth: &Growth, points: &[Option<Vector3<f64>>], tolerance: f64) -> (Vec<usize>, Vec<Sight>) {
        let (mut ids, mut sights) = (Vec::new(), Vec::new());
        for (i, (track, point)) in self.tracks.iter().zip(points).enumerate() {
            let Some(point) = point else { continue };
            let fits = track.iter().filter(|o| growth.placed[o.photo]).filter_map(|o| {
                let at = growth.cameras[o.photo].scaled(&o.pixel);
                let (r, depth) = residual(&growth.cameras[o.photo], point, &at);
                (r.norm() < tolerance && depth > 0.0).then_some(Sight { camera: o.photo, point: ids.len(), at })
            });
            let fits: Vec<_> = fits.collect();
            if fits.len() >= 2 {
                sights.extend(fits);
                ids.push(i);
            }
        }
        (ids, sights)
    }

    /// Image points explained, the target's counting thrice, less their errors; next to nothing without the target.
    fn score(&self, growth: &Growth, points: &[Option<Vector3<f64>>], ids: &[usize], sights: &[Sight]) -> f64 {
        let value = |s: &Sight| {
            let point = points[ids[s.point]].expect("fitting points exist");
            let error = residual(&growth.cameras[s.camera], &point, &s.at).0.norm_squared();
            let weight = if s.camera == 0 { 3.0 } else { 1.0 };
            weight - error / 4.0
        };
        sights.iter().map(value).sum::<f64>() * if growth.placed[0] { 1.0 } else { 0.1 }
    }

    fn finished(&self, growth: Growth) -> Reconstruction {
        let (mut points, mut squares, mut count) = (Vec::new(), 0.0, 0.0f64);
        let (ids, sights) = self.fitting(&growth, &growth.points, TIGHT_PX);
        let mut seen = vec![Vec::new(); ids.len()];
        for s in &sights {
            let camera = &growth.cameras[s.camera];
            let point = growth.points[ids[s.point]].expect("fitting points exist");
            squares += residual(camera, &point, &s.at).0.norm_squared();
            count += 1.0;
            seen[s.point].push((s.camera, camera.pixel(&s.at)));
        }
        for (id, seen) in ids.iter().zip(seen) {
            let position = growth.points[*id].expect("fitting points exist");
            let cameras: Vec<_> = seen.iter().map(|(c, _)| &growth.cameras[*c]).collect();
            let parallax_degrees = parallax_degrees(&position, &cameras);
            points.push(ScenePoint { position, seen, parallax_degrees });
        }
        let cameras = growth.cameras.into_iter().zip(growth.placed).map(|(c, placed)| placed.then_some(c)).collect();
        Reconstruction { cameras, points, rms_px: (squares / count.max(1.0)).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Correspondence;
    use crate::robust::PointPair;
    use nalgebra::{Rotation3, Vector2};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Four photos of a box-like scene, every point seen everywhere, with a fifth of the matches wrong.
    fn matches(count: usize, seed: u64) -> (Vec<Camera>, Vec<PairMatches>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let cameras: Vec<Camera> = (0..4)
            .map(|i| Camera {
                rotation: Rotation3::from_euler_angles(0.02 * i as f64, 0.12 * i as f64, 0.03),
                translation: Vector3::new(-0.5 * i as f64, 0.1, 0.15 * i as f64),
                ..Camera::new((768, 576), 1.0 + 0.05 * i as f64)
            })
            .collect();
        let mut noise = |s: f64| s * (rng.random::<f64>() * 2.0 - 1.0);
        let points: Vec<_> = (0..count).map(|_| Vector3::new(noise(1.4), noise(1.0), 4.0 + noise(1.2))).collect();
        let pixel = |c: usize, p: usize| {
            let camera: &Camera = &cameras[c];
            camera.pixel(&camera.image_of_local(&camera.local(&points[p])))
        };
        let mut pairs = Vec::new();
        for a in 0..4 {
            for b in a + 1..4 {
                let matches = (0..count).map(|p| {
                    let to =
                        if p % 5 == 4 { pixel(b, (p * 7 + a) % count) + Vector2::new(0.3, 0.7) } else { pixel(b, p) };
                    Correspondence { points: PointPair { from: pixel(a, p), to }, confidence: 0.5, pose: None }
                });
                pairs.push(PairMatches { pair: (a, b), matches: matches.collect() });
            }
        }
        (cameras, pairs)
    }

    #[test]
    fn cameras_are_found_from_matches_of_which_some_are_wrong() {
        let (truth, pairs) = matches(150, 1);
        let found = reconstruct(&pairs, &[(768, 576); 4]).unwrap();
        assert!(found.rms_px < 0.5 && found.points.len() >= 110, "{} px, {}", found.rms_px, found.points.len());
        for i in 1..4 {
            let camera = |c: &Camera, first: &Camera| c.relative_to(first).0;
            let (a, b) = (found.cameras[i].as_ref().unwrap(), found.cameras[0].as_ref().unwrap());
            let turn = Rotation3::from_matrix_unchecked(camera(a, b));
            let wanted = Rotation3::from_matrix_unchecked(camera(&truth[i], &truth[0]));
            assert!(turn.angle_to(&wanted) < 0.03, "{}", turn.angle_to(&wanted));
        }
    }

    #[test]
    fn photos_without_matches_stay_unplaced() {
        let (_, mut pairs) = matches(100, 2);
        pairs.retain(|p| p.pair.0 != 3 && p.pair.1 != 3);
        let found = reconstruct(&pairs, &[(768, 576); 4]).unwrap();
        assert!(found.cameras[3].is_none() && found.cameras[..3].iter().all(|c| c.is_some()));
        assert!(reconstruct(&[], &[(768, 576); 2]).is_none());
    }
}
