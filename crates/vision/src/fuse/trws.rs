//! Labels on a grid by sequential tree-reweighted message passing (Kolmogorov, PAMI 2006).

/// A labelling problem on the active pixels of a grid with 4 neighbours.
pub(super) struct Grid<'a> {
    pub width: usize,
    pub height: usize,
    pub labels: usize,
    /// Whether a pixel takes part.
    pub active: &'a [bool],
    /// Cost of each label, pixel by pixel.
    pub unary: &'a [f32],
    /// Label pictures: `colours[label][pixel]`.
    pub colours: &'a [Vec<[f32; 3]>],
    /// Weight of the colour difference at a change of label, on both its sides.
    pub seam: f32,
    /// Cost of any change of label.
    pub change: f32,
}

/// Labels at most.
pub(super) const MOST: usize = 16;
/// Differences above this cost no more: an ugly seam is ugly (mean over channels, of 1).
const WORST: f32 = 0.3;

impl Grid<'_> {
    /// The labels after `rounds` passes there and back, those of inactive pixels 0.
    pub fn solve(&self, rounds: usize) -> Vec<u8> {
        let n = self.width * self.height;
        // Messages into a pixel from left, right, above and below.
        let mut messages = vec![0.0f32; n * 4 * self.labels];
        let mut out = vec![0u8; n];
        for round in 0..rounds {
            for i in 0..n {
                if self.active[i] {
                    if round + 1 == rounds {
                        out[i] = self.choose(i, &messages, &out);
                    }
                    self.send(i, &mut messages, [(1, self.right(i)), (3, self.below(i))]);
                }
            }
            if round + 1 < rounds {
                for i in (0..n).rev().filter(|&i| self.active[i]) {
                    self.send(i, &mut messages, [(0, self.left(i)), (2, self.above(i))]);
                }
            }
        }
        out
    }

    fn left(&self, i: usize) -> Option<usize> {
        (!i.is_multiple_of(self.width) && self.active[i - 1]).then(|| i - 1)
    }

    fn right(&self, i: usize) -> Option<usize> {
        (i % self.width + 1 < self.width && self.active[i + 1]).then(|| i + 1)
    }

    fn above(&self, i: usize) -> Option<usize> {
        (i >= self.width && self.active[i - self.width]).then(|| i - self.width)
    }

    fn below(&self, i: usize) -> Option<usize> {
        (i + self.width < self.width * self.height && self.active[i + self.width]).then(|| i + self.width)
    }

    /// The label that suits the labels already chosen and the messages of the pixels to come.
    fn choose(&self, i: usize, messages: &[f32], out: &[u8]) -> u8 {
        let l = self.labels;
        let cost = |k: usize| {
            let mut cost = self.unary[i * l + k];
            for (slot, before) in [(0, self.left(i)), (2, self.above(i))] {
                debug_assert!(slot < 4);
                if let Some(j) = before {
                    cost += self.pair(j, i, out[j] as usize, k);
                }
            }
            cost + messages[(i * 4 + 1) * l + k] + messages[(i * 4 + 3) * l + k]
        };
        (0..l).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(0) as u8
    }

    fn pair(&self, p: usize, q: usize, a: usize, b: usize) -> f32 {
        if a == b { 0.0 } else { self.change + self.seam * (self.apart(p, a, b) + self.apart(q, a, b)) }
    }

    fn apart(&self, p: usize, a: usize, b: usize) -> f32 {
        let (u, v) = (&self.colours[a][p], &self.colours[b][p]);
        ((0..3).map(|c| (u[c] - v[c]).abs()).sum::<f32>() / 3.0).min(WORST)
    }

    /// Messages from `i` to two neighbours; each is told through which of its own slots it comes by `slot ^ 1`.
    fn send(&self, i: usize, messages: &mut [f32], to: [(usize, Option<usize>); 2]) {
        let l = self.labels;
        let (mut belief, mut own) = ([0.0f32; MOST], [0.0f32; MOST]);
        belief[..l].copy_from_slice(&self.unary[i * l..][..l]);
        for slot in 0..4 {
            let m = &messages[(i * 4 + slot) * l..][..l];
            belief.iter_mut().zip(m).for_each(|(b, m)| *b += m);
        }
        for (slot, neighbour) in to {
            let Some(j) = neighbour else { continue };
            let back = &messages[(i * 4 + slot) * l..][..l];
            own.iter_mut().zip(belief.iter().zip(back)).for_each(|(o, (b, m))| *o = 0.5 * b - m);
            let own = &own[..l];
            let message = &mut messages[(j * 4 + (slot ^ 1)) * l..][..l];
            let mut lowest = f32::INFINITY;
            for (b, message) in message.iter_mut().enumerate() {
                let mut best = own[b];
                for (a, own) in own.iter().enumerate() {
                    // Most labels are too dear even without a seam.
                    if own + self.change < best && a != b {
                        best = best.min(own + self.pair(i, j, a, b));
                    }
                }
                *message = best;
                lowest = lowest.min(best);
            }
            message.iter_mut().for_each(|m| *m -= lowest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noisy_half_plane_is_cut_along_its_edge() {
        let (w, h) = (24, 10);
        let flat = |v: f32| vec![[v; 3]; w * h];
        let colours = [flat(0.2), flat(0.4)];
        let unary: Vec<f32> = (0..w * h)
            .flat_map(|i| {
                let left = i % w < 12;
                let noisy = (i * 7919) % 11 == 0 && !(10..14).contains(&(i % w));
                if left != noisy { [0.0, 1.0] } else { [1.0, 0.0] }
            })
            .collect();
        let active = vec![true; w * h];
        let grid = Grid {
            width: w,
            height: h,
            labels: 2,
            active: &active,
            unary: &unary,
            colours: &colours,
            seam: 2.0,
            change: 0.1,
        };
        let out = grid.solve(10);
        assert!((0..w * h).all(|i| (out[i] == 0) == (i % w < 12)), "{out:?}");
    }
}
