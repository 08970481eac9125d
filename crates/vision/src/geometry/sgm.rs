//! One depth for each pixel from a cost volume: semi-global matching (Hirschmüller 2008) around any base surface.
//!
//! Paths run in eight directions. Where the hypotheses lie around a base surface, neighbours' hypotheses are compared at equal depth, so the
//! base's steps cost nothing by themselves.

use super::sweep::CostVolume;
use rayon::prelude::*;

/// How smooth the depth is wished.
#[derive(Clone, Copy, Debug)]
pub struct Smoothness {
    /// Penalty of a step of one hypothesis between neighbours.
    pub small: f32,
    /// Penalty of a jump where neighbours look alike.
    pub jump: f32,
}

/// A jump costs less where the grey value (0 to 1) changes: `jump / (1 + EDGE·|difference|)`.
const EDGE: f32 = 30.0;
const DIRECTIONS: [[(isize, isize); 4]; 2] = [[(1, 0), (0, 1), (1, 1), (-1, 1)], [(-1, 0), (0, -1), (-1, -1), (1, -1)]];
const FAR: f32 = 1e9;

/// The chosen hypotheses of a volume.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Hypothesis, between two by a parabola.
    pub index: Vec<f32>,
    /// Matching cost of the chosen one.
    pub cost: Vec<f32>,
    /// Lead over the best other hypothesis, after smoothing; 0 is undecided.
    pub margin: Vec<f32>,
}

/// Aggregates and chooses. `base` is the inverse depth of hypothesis 0 at each pixel, `step` that between hypotheses; `edges` a grey picture 0
/// to 1.
pub fn choose(volume: &CostVolume, base: &[f32], step: f32, edges: &[f32], smoothness: Smoothness) -> Chosen {
    let run = |directions: &[(isize, isize)]| {
        let mut sums = vec![0.0; volume.cost.len()];
        for &(dx, dy) in directions {
            Path { volume, base, step, edges, smoothness, dx, dy }.add(&mut sums);
        }
        sums
    };
    let (mut sums, other) = rayon::join(|| run(&DIRECTIONS[0]), || run(&DIRECTIONS[1]));
    sums.par_iter_mut().zip(other).with_min_len(4096).for_each(|(a, b)| *a += b);
    winners(&sums, volume)
}

fn winners(sums: &[f32], volume: &CostVolume) -> Chosen {
    let depths = volume.depths;
    let best = |(sums, costs): (&[f32], &[f32])| {
        let k = (0..depths).fold(0, |b, k| if sums[k] < sums[b] { k } else { b });
        let curve = if k > 0 && k + 1 < depths { sums[k - 1] - 2.0 * sums[k] + sums[k + 1] } else { 0.0 };
        let shift = if curve > 1e-6 { 0.5 * (sums[k - 1] - sums[k + 1]) / curve } else { 0.0 };
        let second = (0..depths).filter(|i| i.abs_diff(k) > 2).map(|i| sums[i]).fold(FAR, f32::min);
        (k as f32 + shift, costs[k], (second - sums[k]) / 8.0)
    };
    let rows = sums.par_chunks(depths).zip(volume.cost.par_chunks(depths)).with_min_len(1024).map(best);
    let rows: Vec<_> = rows.collect();
    Chosen {
        index: rows.iter().map(|r| r.0).collect(),
        cost: rows.iter().map(|r| r.1).collect(),
        margin: rows.iter().map(|r| r.2).collect(),
    }
}

struct Path<'a> {
    volume: &'a CostVolume,
    base: &'a [f32],
    step: f32,
    edges: &'a [f32],
    smoothness: Smoothness,
    dx: isize,
    dy: isize,
}

impl Path<'_> {
    /// Adds this direction's path costs.
    fn add(&self, sums: &mut [f32]) {
        let ((w, h), depths) = (self.volume.size, self.volume.depths);
        let padded = depths + 2;
        // Two rows of path costs, each with a far value on either side, and their minima.
        let mut rows = vec![FAR; 2 * w * padded];
        let mut least = vec![0.0; 2 * w];
        for j in 0..h {
            let y = if self.dy >= 0 { j } else { h - 1 - j };
            let (now, before) = (j % 2, if self.dy == 0 { j % 2 } else { (j + 1) % 2 });
            for i in 0..w {
                let x = if self.dx >= 0 { i } else { w - 1 - i };
                let (px, py) = (x as isize - self.dx, y as isize - self.dy);
                let inside = px >= 0 && py >= 0 && (px as usize) < w && (py as usize) < h;
                let at = y * w + x;
                let mut next = [0.0f32; MAX_DEPTHS];
                let cost = &self.volume.cost[at * depths..][..depths];
                if inside {
                    let from = py as usize * w + px as usize;
                    let slot = before * w + px as usize;
                    self.step_costs(cost, &rows[slot * padded..][..padded], least[slot], from, at, &mut next[..depths]);
                } else {
                    next[..depths].copy_from_slice(cost);
                }
                let slot = now * w + x;
                rows[slot * padded + 1..][..depths].copy_from_slice(&next[..depths]);
                least[slot] = next[..depths].iter().cloned().fold(FAR, f32::min);
                sums[at * depths..][..depths].iter_mut().zip(&next).for_each(|(s, v)| *s += v);
            }
        }
    }

    /// Path costs of a pixel from those of the one before.
    #[inline]
    fn step_costs(&self, cost: &[f32], previous: &[f32], least: f32, from: usize, at: usize, out: &mut [f32]) {
        let depths = cost.len();
        let contrast = (self.edges[at] - self.edges[from]).abs();
        let jump = (self.smoothness.jump / (1.0 + EDGE * contrast)).max(1.5 * self.smoothness.small);
        let (shift, small) = (((self.base[at] - self.base[from]) / self.step).round() as isize, self.smoothness.small);
        if shift == 0 {
            for k in 0..depths {
                let near = previous[k].min(previous[k + 2]) + small;
                out[k] = cost[k] + near.min(previous[k + 1]).min(least + jump) - least;
            }
            return;
        }
        let last = depths as isize + 1;
        for k in 0..depths {
            let j = k as isize + shift + 1;
            let value = |j: isize| if j > 0 && j < last { previous[j as usize] } else { FAR };
            let near = value(j - 1).min(value(j + 1)) + small;
            out[k] = cost[k] + near.min(value(j)).min(least + jump) - least;
        }
    }
}

/// Hypotheses a volume may have.
pub const MAX_DEPTHS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(size: (usize, usize), depths: usize, cost: impl Fn(usize, usize, usize) -> f32) -> CostVolume {
        let pixels = (0..size.0 * size.1).flat_map(|i| (0..depths).map(move |k| (i, k)));
        CostVolume { size, depths, cost: pixels.map(|(i, k)| cost(i % size.0, i / size.0, k)).collect() }
    }

    #[test]
    fn undecided_pixels_take_their_neighbours_depth() {
        let size = (20, 12);
        let v = volume(size, 9, |x, _, k| if (6..14).contains(&x) { 0.5 } else { (k as f32 - 5.0).abs() * 0.2 });
        let flat = vec![0.0; 240];
        let chosen = choose(&v, &flat, 1.0, &flat, Smoothness { small: 0.05, jump: 1.0 });
        assert!(chosen.index.iter().all(|i| (i - 5.0).abs() < 0.3));
        assert!(chosen.margin[0] > chosen.margin[6 * 20 + 10]);
    }

    #[test]
    fn a_step_of_the_base_is_no_step_of_the_depth() {
        let size = (16, 6);
        let base: Vec<f32> = (0..96).map(|i| if i % 16 < 8 { 0.0 } else { 3.0 }).collect();
        let wanted = |x: usize| if x < 8 { 6.0 } else { 3.0 };
        let v = volume(size, 9, |x, _, k| if x % 8 == 0 { (k as f32 - wanted(x)).abs() * 0.3 } else { 0.4 });
        let chosen = choose(&v, &base, 1.0, &[0.0; 96], Smoothness { small: 0.1, jump: 1.0 });
        assert!((0..96).all(|i| (chosen.index[i] - wanted(i % 16)).abs() < 0.3), "{:?}", &chosen.index[..16]);
    }
}
