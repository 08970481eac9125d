//! Red-black successive over-relaxation on a grid, each colour stored apart so that its update is a plain loop.

use crate::linalg::vectorised;
use rayon::prelude::*;

/// A field as its two colours: `fields[c]` has the cells with (x + y) % 2 == c, row by row, with one cell of padding at both ends.
pub(crate) struct Board {
    fields: [Vec<f32>; 2],
    width: usize,
    height: usize,
}

/// Cells a row of one colour, with padding.
fn stride(width: usize) -> usize {
    width.div_ceil(2) + 2
}

/// Column of the `i`-th cell of a colour in row `y`.
fn column(i: usize, y: usize, colour: usize) -> usize {
    2 * i + ((y + colour) & 1)
}

impl Board {
    pub fn split(values: &[f32], width: usize, height: usize) -> Self {
        let mut fields = [0, 1].map(|_| vec![0.0; stride(width) * height]);
        for (colour, field) in fields.iter_mut().enumerate() {
            for (y, row) in field.chunks_exact_mut(stride(width)).enumerate() {
                let cells = values[y * width..][..width].iter().skip((y + colour) & 1).step_by(2);
                row[1..].iter_mut().zip(cells).for_each(|(to, from)| *to = *from);
            }
        }
        Self { fields, width, height }
    }

    pub fn joined(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.width * self.height];
        for (colour, field) in self.fields.iter().enumerate() {
            for (y, (row, out)) in
                field.chunks_exact(stride(self.width)).zip(out.chunks_exact_mut(self.width)).enumerate()
            {
                let cells = out.iter_mut().skip((y + colour) & 1).step_by(2);
                cells.zip(&row[1..]).for_each(|(to, from)| *to = *from);
            }
        }
        out
    }
}

/// For each cell: A·(u, v) + Σ weights·((u, v) - neighbour) = b.
pub(crate) struct System {
    colours: [Colour; 2],
    width: usize,
    height: usize,
}

/// Coefficients of one colour's cells: off-diagonal, right sides, inverse diagonals and the four neighbours' weights.
struct Colour {
    a12: Vec<f32>,
    b1: Vec<f32>,
    b2: Vec<f32>,
    inverse1: Vec<f32>,
    inverse2: Vec<f32>,
    left: Vec<f32>,
    right: Vec<f32>,
    up: Vec<f32>,
    down: Vec<f32>,
}

impl System {
    /// `terms` has [A11, A12, A22, b1, b2] a cell; `smoothness` a cell's diffusivity, averaged between neighbours.
    pub fn new(terms: &[[f32; 5]], smoothness: &[f32], width: usize, height: usize) -> Self {
        let colours = [0, 1].map(|colour| Colour::new(terms, smoothness, width, height, colour));
        Self { colours, width, height }
    }

    /// One sweep over both colours.
    pub fn relax(&self, u: &mut Board, v: &mut Board, omega: f32) {
        for colour in 0..2 {
            let (own_u, other_u) = split_colours(&mut u.fields, colour);
            let (own_v, other_v) = split_colours(&mut v.fields, colour);
            let s = stride(self.width);
            let c = &self.colours[colour];
            own_u.par_chunks_exact_mut(s).zip(own_v.par_chunks_exact_mut(s)).enumerate().for_each(|(y, (u, v))| {
                let (above, below) = (y.saturating_sub(1), (y + 1).min(self.height - 1));
                let shift = (y + colour) & 1;
                let row = |y: usize, first: usize| y * s + first..y * s + first + s - 2;
                let [left, right, up, down] = [row(y, shift), row(y, shift + 1), row(above, 1), row(below, 1)];
                let us =
                    [&other_u[left.clone()], &other_u[right.clone()], &other_u[up.clone()], &other_u[down.clone()]];
                let vs = [&other_v[left], &other_v[right], &other_v[up], &other_v[down]];
                vectorised(|| c.relax_row(y * s + 1..y * s + s - 1, &mut u[1..s - 1], &mut v[1..s - 1], us, vs, omega));
            });
        }
    }
}

fn split_colours(fields: &mut [Vec<f32>; 2], colour: usize) -> (&mut [f32], &[f32]) {
    let [red, black] = fields;
    if colour == 0 { (red, black) } else { (black, red) }
}

impl Colour {
    fn new(terms: &[[f32; 5]], smoothness: &[f32], width: usize, height: usize, colour: usize) -> Self {
        let cells = stride(width) * height;
        let mut all: [Vec<f32>; 9] = std::array::from_fn(|_| vec![0.0; cells]);
        for y in 0..height {
            for i in 0..(width + 1 - ((y + colour) & 1)) / 2 {
                let x = column(i, y, colour);
                let at = y * width + x;
                let between =
                    |exists: bool, other: usize| if exists { 0.5 * (smoothness[at] + smoothness[other]) } else { 0.0 };
                let left = between(x > 0, at.wrapping_sub(1));
                let right = between(x + 1 < width, at + 1);
                let up = between(y > 0, at.wrapping_sub(width));
                let down = between(y + 1 < height, at + width);
                let sum = left + right + up + down;
                let [a11, a12, a22, b1, b2] = terms[at];
                let values =
                    [a12, b1, b2, 1.0 / (a11 + sum).max(1e-12), 1.0 / (a22 + sum).max(1e-12), left, right, up, down];
                all.iter_mut().zip(values).for_each(|(all, value)| all[y * stride(width) + 1 + i] = value);
            }
        }
        let [a12, b1, b2, inverse1, inverse2, left, right, up, down] = all;
        Self { a12, b1, b2, inverse1, inverse2, left, right, up, down }
    }

    #[inline(always)]
    fn relax_row(
        &self,
        cells: std::ops::Range<usize>,
        u: &mut [f32],
        v: &mut [f32],
        us: [&[f32]; 4],
        vs: [&[f32]; 4],
        omega: f32,
    ) {
        let n = cells.len();
        let (a12, b1, b2) = (&self.a12[cells.clone()], &self.b1[cells.clone()], &self.b2[cells.clone()]);
        let (i1, i2) = (&self.inverse1[cells.clone()], &self.inverse2[cells.clone()]);
        let (wl, wr) = (&self.left[cells.clone()], &self.right[cells.clone()]);
        let (wu, wd) = (&self.up[cells.clone()], &self.down[cells]);
        let (u, v) = (&mut u[..n], &mut v[..n]);
        let [ul, ur, uu, ud] = us.map(|s| &s[..n]);
        let [vl, vr, vu, vd] = vs.map(|s| &s[..n]);
        for i in 0..n {
            let around = wl[i] * ul[i] + wr[i] * ur[i] + wu[i] * uu[i] + wd[i] * ud[i];
            u[i] += omega * ((around + b1[i] - a12[i] * v[i]) * i1[i] - u[i]);
            let around = wl[i] * vl[i] + wr[i] * vr[i] + wu[i] * vu[i] + wd[i] * vd[i];
            v[i] += omega * ((around + b2[i] - a12[i] * u[i]) * i2[i] - v[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn plain_sweep(terms: &[[f32; 5]], s: &[f32], u: &mut [f32], v: &mut [f32], w: usize, h: usize, omega: f32) {
        for colour in 0..2 {
            for at in 0..w * h {
                let (x, y) = (at % w, at / w);
                if (x + y) % 2 != colour {
                    continue;
                }
                let (mut sum, mut around_u, mut around_v) = (0.0, 0.0, 0.0);
                let neighbours = [(x > 0, -1), (x + 1 < w, 1), (y > 0, -(w as isize)), (y + 1 < h, w as isize)];
                for (_, step) in neighbours.into_iter().filter(|n| n.0) {
                    let n = (at as isize + step) as usize;
                    let weight = 0.5 * (s[at] + s[n]);
                    (sum, around_u, around_v) = (sum + weight, around_u + weight * u[n], around_v + weight * v[n]);
                }
                let [a11, a12, a22, b1, b2] = terms[at];
                u[at] += omega * ((around_u + b1 - a12 * v[at]) / (a11 + sum) - u[at]);
                v[at] += omega * ((around_v + b2 - a12 * u[at]) / (a22 + sum) - v[at]);
            }
        }
    }

    #[test]
    fn split_sweeps_equal_plain_ones_at_odd_and_even_sizes() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for (w, h) in [(9, 7), (8, 6), (13, 4), (2, 3)] {
            let mut random = || (0..w * h).map(|_| rng.random::<f32>()).collect::<Vec<f32>>();
            let (s, mut u, mut v) = (random(), random(), random());
            let [a, b, c, d] = [random(), random(), random(), random()];
            let terms: Vec<[f32; 5]> =
                (0..w * h).map(|i| [1.0 + a[i], 0.3 * b[i], 1.0 + c[i], d[i], a[i] - b[i]]).collect();
            let (mut board_u, mut board_v) = (Board::split(&u, w, h), Board::split(&v, w, h));
            let system = System::new(&terms, &s, w, h);
            for _ in 0..3 {
                system.relax(&mut board_u, &mut board_v, 1.5);
                plain_sweep(&terms, &s, &mut u, &mut v, w, h, 1.5);
            }
            for (fast, slow) in board_u.joined().iter().zip(&u).chain(board_v.joined().iter().zip(&v)) {
                assert!((fast - slow).abs() < 1e-4, "{w}×{h}: {fast} and {slow}");
            }
        }
    }
}
