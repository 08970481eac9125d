//! Nearest source patches, and the picture they vote for.

use super::Shrunk;
use super::rough::Working;
use crate::{Mask, Plane};
use image::{LumaA, Rgb};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Patches are squares of 7 pixels.
const RADIUS: i32 = 3;
/// Weight of known pixels in a patch's distance against pixels still being filled.
const KNOWN: f32 = 4.0;
/// How much less a patch counts for each pixel it lies deeper in the hole, so that what is known goes on inwards (Wexler et al. take 1.3).
const FADING: f32 = 2.0;
/// Squared difference of colour that a source patch costs in addition where it lies as far off as the picture is wide or high, squared with
/// the distance: leaves stay above, paving below.
const FAR: f32 = 0.2;
/// Weight of the squared differences of roughness against those of colour (Newson et al.).
const ROUGHER: f32 = 50.0;
/// The spread of distances that count in a vote, as a share of the third quartile's: wide while structure is found, narrow at last, for sharpness.
const SPREAD: [f32; 2] = [0.5, 0.05];

/// Where a patch was found: source, centre.
type Place = (u8, i16, i16);

/// For each patch that touches the hole its place and distance.
#[derive(Clone, Debug)]
pub(super) struct Field {
    size: (u32, u32),
    places: Vec<Option<(Place, f32)>>,
}

/// One scale of the scene.
pub(super) struct Level<'a> {
    size: (i32, i32),
    mask: &'a Mask,
    /// How deep in the hole each pixel lies, in pixels; finite even where nothing is known.
    depth: Plane,
    sources: &'a [Shrunk],
    /// What each pixel counts in a patch's distance, and all pixels of the patch around it together.
    weights: Vec<f32>,
    totals: Vec<f32>,
    /// Patches that touch the hole.
    wanted: Vec<bool>,
    /// Centres at which a source's whole patch is usable.
    valid: Vec<Vec<bool>>,
    centres: Vec<Place>,
}

impl<'a> Level<'a> {
    /// `None` when no source has a single usable patch.
    pub fn new(mask: &'a Mask, sources: &'a [Shrunk]) -> Option<Self> {
        let size = (mask.width() as i32, mask.height() as i32);
        let around =
            |x: i32, y: i32| (-RADIUS..=RADIUS).flat_map(move |j| (-RADIUS..=RADIUS).map(move |i| (x + i, y + j)));
        let inside = move |x: i32, y: i32| x >= 0 && y >= 0 && x < size.0 && y < size.1;
        let all = || (0..size.1).flat_map(move |y| (0..size.0).map(move |x| (x, y)));
        let wanted = all().map(|(x, y)| around(x, y).any(|(i, j)| inside(i, j) && mask.is_hole(i as u32, j as u32)));
        let usable = |s: &Shrunk| -> Vec<bool> {
            all()
                .map(|(x, y)| {
                    around(x, y).all(|(i, j)| inside(i, j) && s.usable.get_pixel(i as u32, j as u32)[0] > 0.0)
                })
                .collect()
        };
        let valid: Vec<Vec<bool>> = sources.iter().map(usable).collect();
        let centres: Vec<Place> = valid
            .iter()
            .enumerate()
            .flat_map(|(s, v)| all().zip(v).filter(|(_, v)| **v).map(move |((x, y), _)| (s as u8, x as i16, y as i16)))
            .collect();
        let wanted = wanted.collect();
        let weights: Vec<f32> = mask.holes().iter().map(|hole| if *hole { 1.0 } else { KNOWN }).collect();
        let weight = |(i, j): (i32, i32)| if inside(i, j) { weights[(j * size.0 + i) as usize] } else { 0.0 };
        let totals = all().map(|(x, y)| around(x, y).map(weight).sum()).collect();
        let mut depth = mask.distance_into_hole();
        depth.iter_mut().for_each(|d| *d = d.min(f32::MAX));
        (!centres.is_empty()).then_some(Self { size, mask, depth, sources, weights, totals, wanted, valid, centres })
    }

    /// A field of random places.
    pub fn random(&self) -> Field {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut place =
            |wanted: &bool| wanted.then(|| (self.centres[rng.random_range(0..self.centres.len())], f32::INFINITY));
        let places = self.wanted.iter().map(&mut place).collect();
        Field { size: (self.size.0 as u32, self.size.1 as u32), places }
    }

    /// The field of a coarser level, its places scaled.
    pub fn refined(&self, coarse: &Field) -> Field {
        let mut out = self.random();
        let (sx, sy) = (self.size.0 as f32 / coarse.size.0 as f32, self.size.1 as f32 / coarse.size.1 as f32);
        for (k, place) in out.places.iter_mut().enumerate() {
            let (x, y) = (k as i32 % self.size.0, k as i32 / self.size.0);
            let (cx, cy) = ((x as f32 / sx) as usize, (y as f32 / sy) as usize);
            let from = coarse.places
                [cy.min(coarse.size.1 as usize - 1) * coarse.size.0 as usize + cx.min(coarse.size.0 as usize - 1)];
            if let (Some(place), Some(((s, px, py), _))) = (place.as_mut(), from) {
                let at = ((px as f32 + 0.5) * sx, (py as f32 + 0.5) * sy);
                let offset = (x as f32 - (cx as f32 + 0.5) * sx, y as f32 - (cy as f32 + 0.5) * sy);
                let (nx, ny) = ((at.0 + offset.0) as i32, (at.1 + offset.1) as i32);
                if self.usable(s, nx, ny) {
                    place.0 = (s, nx as i16, ny as i16);
                }
            }
        }
        out
    }

    fn usable(&self, s: u8, x: i32, y: i32) -> bool {
        x >= 0 && y >= 0 && x < self.size.0 && y < self.size.1 && self.valid[s as usize][(y * self.size.0 + x) as usize]
    }

    /// One sweep there and one back: neighbours' places shifted along, then random places ever nearer.
    pub fn search(&self, picture: &Working, field: &mut Field) {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let n = field.places.len();
        for k in 0..n {
            if let Some((place, distance)) = &mut field.places[k] {
                *distance = self.distance(picture, k, *place, f32::INFINITY);
            }
        }
        for k in 0..n {
            self.improve(picture, field, k, -1, &mut rng);
        }
        for k in (0..n).rev() {
            self.improve(picture, field, k, 1, &mut rng);
        }
    }

    fn improve(&self, picture: &Working, field: &mut Field, k: usize, from: i32, rng: &mut ChaCha8Rng) {
        let Some((mut best, mut least)) = field.places[k] else { return };
        let (x, y) = (k as i32 % self.size.0, k as i32 / self.size.0);
        let mut attempt = |place: Place| {
            if place != best && self.usable(place.0, place.1 as i32, place.2 as i32) {
                let d = self.distance(picture, k, place, least);
                if d < least {
                    (best, least) = (place, d);
                }
            }
        };
        for (dx, dy) in [(from, 0), (0, from)] {
            let (nx, ny) = (x + dx, y + dy);
            let is_inside = nx >= 0 && ny >= 0 && nx < self.size.0 && ny < self.size.1;
            if is_inside && let Some(((s, px, py), _)) = field.places[(ny * self.size.0 + nx) as usize] {
                attempt((s, px - dx as i16, py - dy as i16));
            }
        }
        attempt(self.centres[rng.random_range(0..self.centres.len())]);
        let (s, cx, cy) = field.places[k].expect("checked above").0;
        let mut reach = self.size.0.max(self.size.1) / 2;
        while reach >= 1 {
            let mut off = || rng.random_range(-reach..=reach) as i16;
            attempt((s, cx.saturating_add(off()), cy.saturating_add(off())));
            reach /= 2;
        }
        field.places[k] = Some((best, least));
    }

    /// Weighted mean squared difference between the patch at pixel `k` and a source patch, and what it costs to lie far off; infinite
    /// if that is beyond `least`.
    fn distance(&self, picture: &Working, k: usize, (s, px, py): Place, least: f32) -> f32 {
        let (x, y) = (k as i32 % self.size.0, k as i32 / self.size.0);
        let off = [px as i32 - x, py as i32 - y];
        let w = self.size.0;
        let far = self.far(off) + self.rougher(picture, k, (s, px, py));
        let limit = (least - far) * self.totals[k];
        let (left, right) = ((x - RADIUS).max(0), (x + RADIUS).min(w - 1));
        let mut sum = 0.0;
        for row in (y - RADIUS).max(0)..=(y + RADIUS).min(self.size.1 - 1) {
            let own = (row * w + left) as usize..(row * w + right + 1) as usize;
            let there = ((row + off[1]) * w + left + off[0]) as usize;
            let found = &self.sources[s as usize].picture.colour.as_raw()[3 * there..3 * (there + own.len())];
            let wanted = &picture.colour.as_raw()[3 * own.start..3 * own.end];
            let pixels = wanted.as_chunks::<3>().0.iter().zip(found.as_chunks::<3>().0);
            for ((a, b), weight) in pixels.zip(&self.weights[own]) {
                sum += weight * ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2) + (a[2] - b[2]).powi(2));
            }
            if sum > limit {
                return f32::INFINITY;
            }
        }
        sum / self.totals[k] + far
    }

    /// What another roughness costs.
    fn rougher(&self, picture: &Working, k: usize, (s, x, y): Place) -> f32 {
        let there = 2 * (y as usize * self.size.0 as usize + x as usize);
        let (a, b) = (
            &picture.rough.as_raw()[2 * k..2 * k + 2],
            &self.sources[s as usize].picture.rough.as_raw()[there..there + 2],
        );
        ROUGHER * ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2))
    }

    fn far(&self, by: [i32; 2]) -> f32 {
        let [x, y] = [by[0] as f32 / self.size.0 as f32, by[1] as f32 / self.size.1 as f32];
        FAR * (x * x + y * y)
    }

    /// For each hole pixel the place of the pixel that the best of the patches over it has there.
    pub fn best(&self, field: &Field) -> Vec<Option<(u8, [i32; 2])>> {
        let best = |t: usize| {
            let (x, y) = (t as i32 % self.size.0, t as i32 / self.size.0);
            let around = (-RADIUS..=RADIUS).flat_map(|j| (-RADIUS..=RADIUS).map(move |i| (i, j)));
            let over = around.filter_map(|(i, j)| {
                let (cx, cy) = (x + i, y + j);
                let inside = cx >= 0 && cy >= 0 && cx < self.size.0 && cy < self.size.1;
                let ((s, px, py), d) = field.places[inside.then_some((cy * self.size.0 + cx) as usize)?]?;
                Some((d, s, [px as i32 - i, py as i32 - j]))
            });
            over.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, s, place)| (s, place))
        };
        (0..field.places.len()).map(|t| if self.mask.holes()[t] { best(t) } else { None }).collect()
    }

    /// Every hole pixel as the patches over it have it, those nearer to what is known before others; at the last level only the better
    /// ones count, for sharpness.
    pub fn vote(&self, picture: &Working, field: &Field, sharp: bool) -> Working {
        let mut distances: Vec<f32> = field.places.iter().flatten().map(|p| p.1).filter(|d| d.is_finite()).collect();
        if distances.is_empty() {
            return picture.clone();
        }
        let at = distances.len() * 3 / 4;
        let sigma = distances.select_nth_unstable_by(at, f32::total_cmp).1.max(1e-5) * SPREAD[usize::from(sharp)];
        let mut out = picture.clone();
        for t in (0..field.places.len()).filter(|&t| self.mask.holes()[t]) {
            let (x, y) = (t as i32 % self.size.0, t as i32 / self.size.0);
            let (mut sum, mut rough, mut total) = ([0.0f32; 3], [0.0f32; 2], 0.0f32);
            for j in -RADIUS..=RADIUS {
                for i in -RADIUS..=RADIUS {
                    let (cx, cy) = (x + i, y + j);
                    if cx < 0 || cy < 0 || cx >= self.size.0 || cy >= self.size.1 {
                        continue;
                    }
                    let centre = (cy * self.size.0 + cx) as usize;
                    if let Some(((s, px, py), d)) = field.places[centre] {
                        let deeper = self.depth.as_raw()[centre] - self.depth.as_raw()[t];
                        let weight = (-d / (2.0 * sigma) - deeper * FADING.ln()).exp().max(1e-12);
                        let (at, source) =
                            (((px as i32 - i) as u32, (py as i32 - j) as u32), &self.sources[s as usize].picture);
                        let (p, r) = (source.colour.get_pixel(at.0, at.1), source.rough.get_pixel(at.0, at.1));
                        (0..3).for_each(|c| sum[c] += weight * p[c]);
                        (0..2).for_each(|c| rough[c] += weight * r.0[c]);
                        total += weight;
                    }
                }
            }
            if total > 0.0 {
                out.colour.put_pixel(x as u32, y as u32, Rgb(sum.map(|s| s / total)));
                out.rough.put_pixel(x as u32, y as u32, LumaA(rough.map(|r| r / total)));
            }
        }
        out
    }
}
