//! References that lie on their side are stood up before anything is measured on them: photos without an orientation tag are common, and
//! what compares square patches works best when the patches stand alike.

use super::Origins;
use crate::geometry::PairMatches;
use crate::matching::Correspondence;
use image::{Rgb32FImage, imageops};

/// Clockwise quarter turns a photo has been given, as its matches with the target show, 0 to 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turns(u8);

impl Turns {
    /// For each reference its turns; `matches` has the target as view 0.
    pub fn of(matches: &[PairMatches], references: usize) -> Vec<Self> {
        let with_target = |i: usize| matches.iter().find(|m| m.pair == (0, i + 1));
        (0..references).map(|i| with_target(i).map_or(Self(0), |m| Self::between(&m.matches))).collect()
    }

    /// Each two matches vote with the direction from one to the other; nothing is turned without a clear majority.
    fn between(matches: &[Correspondence]) -> Self {
        /// As many of the surest matches vote, and no fewer decide.
        const MOST: usize = 120;
        const FEWEST: usize = 12;
        /// Points nearer than this have no direction, in pixels.
        const NEAR: f64 = 8.0;
        let voting = &matches[..matches.len().min(MOST)];
        if voting.len() < FEWEST {
            return Self(0);
        }
        let mut votes = [0usize; 4];
        for (i, a) in voting.iter().enumerate() {
            for b in &voting[i + 1..] {
                let (here, there) = (b.points.from - a.points.from, b.points.to - a.points.to);
                if here.norm() < NEAR || there.norm() < NEAR {
                    continue;
                }
                let turned = there.y.atan2(there.x) - here.y.atan2(here.x);
                votes[(turned / std::f64::consts::FRAC_PI_2).round().rem_euclid(4.0) as usize] += 1;
            }
        }
        let best = (0..4).max_by_key(|&k| (votes[k], 4 - k)).unwrap_or(0);
        if 2 * votes[best] > votes.iter().sum() { Self(best as u8) } else { Self(0) }
    }

    /// Whether there is nothing to undo.
    pub fn none(self) -> bool {
        self.0 == 0
    }

    /// The photo as it was before it was turned.
    pub fn undone(self, photo: &Rgb32FImage) -> Rgb32FImage {
        match self.0 {
            1 => imageops::rotate270(photo),
            2 => imageops::rotate180(photo),
            3 => imageops::rotate90(photo),
            _ => photo.clone(),
        }
    }

    /// Where a place of the upright photo is in the photo as given, both as shares of width and height.
    pub fn given(self, [u, v]: [f32; 2]) -> [f32; 2] {
        match self.0 {
            1 => [1.0 - v, u],
            2 => [1.0 - u, 1.0 - v],
            3 => [v, 1.0 - u],
            _ => [u, v],
        }
    }
}

/// Origins in upright photos become origins in the photos as given.
pub(super) fn as_given(origins: &mut Origins, turns: &[Turns]) {
    for sites in [&mut origins.own, &mut origins.beside] {
        let (w, h) = sites.photo.dimensions();
        for (x, y) in (0..h).flat_map(|y| (0..w).map(move |x| (x, y))) {
            if let Some((photo @ 2.., place)) = sites.get(x, y) {
                sites.put(x, y, (photo, turns[usize::from(photo) - 2].given(place)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robust::PointPair;
    use image::Rgb;
    use nalgebra::Vector2;

    /// Matches of a picture of 40×30 with itself turned `k` times.
    fn turned(k: u8, count: usize) -> Vec<Correspondence> {
        let points = (0..count).map(|i| Vector2::new((7 * i % 40) as f64, (11 * i % 30) as f64));
        let there = |p: Vector2<f64>| match k {
            1 => Vector2::new(29.0 - p.y, p.x),
            2 => Vector2::new(39.0 - p.x, 29.0 - p.y),
            3 => Vector2::new(p.y, 39.0 - p.x),
            _ => p,
        };
        points
            .map(|p| Correspondence { points: PointPair { from: p, to: there(p) }, confidence: 1.0, pose: None })
            .collect()
    }

    #[test]
    fn each_quarter_turn_is_seen_and_undone() {
        let upright = Rgb32FImage::from_fn(40, 30, |x, y| Rgb([x as f32, y as f32, 0.0]));
        for k in 0..4u8 {
            let matches = turned(k, 40);
            let turns = Turns::between(&matches);
            assert_eq!(turns, Turns(k));
            let given = [
                upright.clone(),
                imageops::rotate90(&upright),
                imageops::rotate180(&upright),
                imageops::rotate270(&upright),
            ][k as usize]
                .clone();
            assert_eq!(turns.undone(&given), upright);
            let p = Vector2::new(4.0, 9.0);
            let place = turns.given([(p.x as f32 + 0.5) / 40.0, (p.y as f32 + 0.5) / 30.0]);
            let at = [place[0] * given.width() as f32, place[1] * given.height() as f32];
            assert_eq!(given.get_pixel(at[0] as u32, at[1] as u32), &Rgb([4.0, 9.0, 0.0]));
        }
    }

    #[test]
    fn few_or_contradicting_matches_turn_nothing() {
        assert!(Turns::between(&turned(1, 11)).none());
        let mut mixed = turned(1, 20);
        mixed.extend(turned(3, 20));
        mixed.extend(turned(0, 20));
        assert!(Turns::between(&mixed).none());
    }
}
