//! The screened Poisson equation on part of a grid, by conjugate gradients from a coarse start.

use super::neighbours;
use rayon::prelude::*;

/// A least-squares problem for three values a pixel: neighbours differ by given steps, some pixels are pulled to values.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    width: usize,
    height: usize,
    inside: Vec<bool>,
    /// Sum of the pulls' weights, and of weight times value.
    weight: Vec<f32>,
    right_side: Vec<[f32; 3]>,
    /// Sum of the steps up to a pixel less those up from it.
    steps: Vec<[f32; 3]>,
}

impl Field {
    /// Values for the pixels `inside`, each drawn to zero with weight `drawn`.
    pub fn new(width: usize, height: usize, inside: Vec<bool>, drawn: f32) -> Self {
        let n = inside.len();
        let nothing = vec![[0.0; 3]; n];
        Self { width, height, inside, weight: vec![drawn; n], right_side: nothing.clone(), steps: nothing }
    }

    /// Pulls a pixel to a value.
    pub fn pull(&mut self, i: usize, value: [f32; 3], weight: f32) {
        self.weight[i] += weight;
        (0..3).for_each(|c| self.right_side[i][c] += weight * value[c]);
    }

    /// Wants the value at `i` to be larger than that at its neighbour `j` by a step.
    pub fn step(&mut self, i: usize, j: usize, step: [f32; 3]) {
        for (c, step) in step.into_iter().enumerate() {
            self.steps[i][c] += step;
            self.steps[j][c] -= step;
        }
    }

    /// The same on those of its pixels that are in a part: its edge holds nothing together.
    pub fn within(&self, is_inside: impl Fn(usize) -> bool) -> Self {
        let inside = self.inside.iter().enumerate().map(|(i, inside)| *inside && is_inside(i)).collect();
        Self { inside, ..self.clone() }
    }

    /// Half the size: weights and right sides add up. The two ends of a step are shared out bilinearly, or one inside of a cell would be
    /// lost and one between two cells count twice.
    fn coarser(&self) -> Self {
        let (w, h) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut out = Self::new(w, h, vec![false; w * h], 0.0);
        let inside = || (0..self.inside.len()).filter(|&i| self.inside[i]);
        for i in inside() {
            let j = (i / self.width / 2) * w + i % self.width / 2;
            out.inside[j] = true;
            out.weight[j] += self.weight[i];
            (0..3).for_each(|c| out.right_side[j][c] += self.right_side[i][c]);
        }
        for i in inside().filter(|&i| self.steps[i] != [0.0; 3]) {
            let (across, down) = (shares(i % self.width, w), shares(i / self.width, h));
            let own = down[0].0 * w + across[0].0;
            for ((y, of_row), (x, of_column)) in down.into_iter().flat_map(|y| across.map(|x| (y, x))) {
                let to = if out.inside[y * w + x] { y * w + x } else { own };
                (0..3).for_each(|c| out.steps[to][c] += of_row * of_column * self.steps[i][c]);
            }
        }
        out
    }
}

/// The coarse cell of a place along one side and the one beside it, with their bilinear weights.
fn shares(at: usize, cells: usize) -> [(usize, f32); 2] {
    let own = at / 2;
    let beside = if at.is_multiple_of(2) { own.checked_sub(1) } else { Some(own + 1).filter(|&cell| cell < cells) };
    [(own, 0.75), (beside.unwrap_or(own), 0.25)]
}

/// The values that obey the field best; 0 outside.
pub(crate) fn solve(field: &Field) -> Vec<[f32; 3]> {
    let mut start = vec![[0.0; 3]; field.inside.len()];
    if field.width.min(field.height) > 8 {
        let coarse = solve(&field.coarser());
        let w = field.width.div_ceil(2);
        for i in (0..start.len()).filter(|&i| field.inside[i]) {
            start[i] = coarse[(i / field.width / 2) * w + i % field.width / 2];
        }
    }
    let system = System::new(field);
    let channels: Vec<Vec<f32>> =
        (0..3usize).into_par_iter().map(|c| system.conjugate_gradients(field, &start, c)).collect();
    for (k, &i) in system.pixels.iter().enumerate() {
        start[i] = std::array::from_fn(|c| channels[c][k]);
    }
    start
}

/// Iterations a level; the coarse start leaves only short waves.
const ITERATIONS: usize = 40;

/// The matrix over the inside pixels, numbered one after the other.
struct System {
    pixels: Vec<usize>,
    /// Numbers of the neighbours; one past the last where there is none.
    around: Vec<[u32; 4]>,
    diagonal: Vec<f32>,
}

impl System {
    fn new(field: &Field) -> Self {
        let pixels: Vec<usize> = (0..field.inside.len()).filter(|&i| field.inside[i]).collect();
        let mut number = vec![pixels.len() as u32; field.inside.len()];
        pixels.iter().enumerate().for_each(|(k, &i)| number[i] = k as u32);
        let none = pixels.len() as u32;
        let around: Vec<[u32; 4]> = pixels
            .iter()
            .map(|&i| neighbours(i, field.width, field.height).map(|j| j.map_or(none, |j| number[j])))
            .collect();
        let count = |a: &[u32; 4]| a.iter().filter(|&&k| k != none).count() as f32;
        let diagonal = pixels.iter().zip(&around).map(|(&i, a)| field.weight[i] + count(a)).collect();
        Self { pixels, around, diagonal }
    }

    /// `out = A v`; `v` has a last entry that is 0.
    fn apply(&self, v: &[f32], out: &mut [f32]) {
        for (k, (a, d)) in self.around.iter().zip(&self.diagonal).enumerate() {
            out[k] = d * v[k] - a.iter().map(|&j| v[j as usize]).sum::<f32>();
        }
    }

    /// Preconditioned by the diagonal.
    fn conjugate_gradients(&self, field: &Field, start: &[[f32; 3]], c: usize) -> Vec<f32> {
        let n = self.pixels.len();
        let mut x: Vec<f32> = self.pixels.iter().map(|&i| start[i][c]).chain([0.0]).collect();
        let (mut r, mut p, mut ap) = (vec![0.0; n], vec![0.0; n + 1], vec![0.0; n]);
        self.apply(&x, &mut ap);
        let mut rz = 0.0f64;
        for k in 0..n {
            let i = self.pixels[k];
            r[k] = field.right_side[i][c] + field.steps[i][c] - ap[k];
            p[k] = r[k] / self.diagonal[k];
            rz += (r[k] * p[k]) as f64;
        }
        for _ in 0..ITERATIONS {
            if rz < 1e-12 {
                break;
            }
            self.apply(&p, &mut ap);
            let pap: f64 = p.iter().zip(&ap).map(|(p, ap)| (p * ap) as f64).sum();
            let step = (rz / pap.max(1e-30)) as f32;
            let mut next = 0.0f64;
            for k in 0..n {
                x[k] += step * p[k];
                r[k] -= step * ap[k];
                next += (r[k] * r[k] / self.diagonal[k]) as f64;
            }
            let ratio = (next / rz) as f32;
            for k in 0..n {
                p[k] = r[k] / self.diagonal[k] + ratio * p[k];
            }
            rz = next;
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_pulled_at_both_ends_is_a_ramp_between() {
        let (w, h) = (40, 12);
        let mut field = Field::new(w, h, vec![true; w * h], 0.0);
        for y in 0..h {
            field.pull(y * w, [0.0; 3], 1e3);
            field.pull(y * w + w - 1, [0.39; 3], 1e3);
        }
        let out = solve(&field);
        for x in 0..w {
            assert!((out[5 * w + x][1] - 0.01 * x as f32).abs() < 2e-3, "{x}: {}", out[5 * w + x][1]);
        }
    }

    /// Held at 0 all around, the two sides of a step along the middle are half of it apart from 0, whichever column it lies at.
    #[test]
    fn a_straight_step_is_split_between_its_sides() {
        let (w, h) = (256, 256);
        for column in [127, 128] {
            let mut field = Field::new(w, h, vec![true; w * h], 0.0);
            for i in (0..w * h).filter(|&i| i % w == 0 || i % w == w - 1 || i < w || i >= w * (h - 1)) {
                field.pull(i, [0.0; 3], 1e3);
            }
            (0..h).for_each(|y| field.step(y * w + column + 1, y * w + column, [0.1; 3]));
            let out = solve(&field);
            let sides = [column - 4, column + 5].map(|x| out[128 * w + x][0]);
            assert!((sides[0] + 0.05).abs() < 4e-3 && (sides[1] - 0.05).abs() < 4e-3, "{column}: {sides:?}");
        }
    }
}
