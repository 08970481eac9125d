//! Exhaustive nearest neighbours between unit descriptors, as blocked matrix products.

use crate::features::{DESCRIPTOR_LEN, Features};
use crate::linalg::vectorised;
use nalgebra::{DMatrix, DMatrixView};
use rayon::prelude::*;

/// Queries a block: its products with 8000 candidates (1 MiB a 32 queries) stay near the cache.
const BLOCK: usize = 64;

/// What counts as a match.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatchOptions {
    /// Largest ratio of the distances to the nearest and the second nearest; 1 switches the test off. Default 0.83:
    /// on RootSIFT about as strict as Lowe's 0.8 on plain SIFT (docs/notes/matching.md).
    pub ratio: f32,
    /// Whether the two must be each other's nearest. Default true.
    pub mutual: bool,
}

impl Default for MatchOptions {
    fn default() -> Self {
        Self { ratio: 0.83, mutual: true }
    }
}

/// Two features that look alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// Index in the first set.
    pub a: usize,
    /// Index in the second set.
    pub b: usize,
    /// Euclidean distance of the descriptors, 0 to 2.
    pub distance: f32,
    /// Distance over that of the second nearest, 0 to 1: the smaller, the surer.
    pub ratio: f32,
}

/// Matches from `a` to `b`, surest (smallest ratio) first.
pub fn match_features(a: &Features, b: &Features, options: &MatchOptions) -> Vec<Match> {
    match_descriptors(&a.descriptors, &b.descriptors, DESCRIPTOR_LEN, options)
}

/// Matches between descriptors of `len` values and Euclidean length 1, one after another, surest first.
/// Fewer than two candidates in `b` give no matches, as the ratio test needs a second.
///
/// # Panics
/// When a slice is no whole number of descriptors.
pub fn match_descriptors(a: &[f32], b: &[f32], len: usize, options: &MatchOptions) -> Vec<Match> {
    assert!(len > 0 && a.len().is_multiple_of(len) && b.len().is_multiple_of(len), "whole descriptors of {len} values");
    let (rows, candidates) = (a.len() / len, b.len() / len);
    if rows == 0 || candidates < 2 {
        return Vec::new();
    }
    let b_matrix = DMatrixView::from_slice(b, len, candidates);
    let blocks: Vec<Block> = a
        .par_chunks(BLOCK * len)
        .map(|chunk| {
            let queries = DMatrixView::from_slice(chunk, len, chunk.len() / len).transpose();
            Block::search(&(queries * b_matrix))
        })
        .collect();
    let back = nearest_queries(&blocks, candidates);
    let mut matches: Vec<Match> = blocks.iter().flat_map(|block| &block.nearest).enumerate().map(as_match).collect();
    matches.retain(|m| m.ratio < options.ratio && (!options.mutual || back[m.b].1 == m.a as u32));
    matches.sort_by(|x, y| x.ratio.total_cmp(&y.ratio));
    matches
}

/// The two largest products of a query, and whose the largest is.
#[derive(Clone, Copy)]
struct Nearest {
    first: f32,
    second: f32,
    index: u32,
}

/// What one block of queries found.
struct Block {
    nearest: Vec<Nearest>,
    /// A candidate's largest product in this block, and the query within the block.
    back: Vec<(f32, u32)>,
}

impl Block {
    /// `products` has a row a query and a column a candidate.
    fn search(products: &DMatrix<f32>) -> Self {
        let queries = products.nrows();
        let (mut first, mut second) = (vec![f32::MIN; queries], vec![f32::MIN; queries]);
        let mut index = vec![0u32; queries];
        for (j, column) in products.as_slice().chunks_exact(queries).enumerate() {
            vectorised(|| keep_two_largest(column, j as u32, &mut first, &mut second, &mut index));
        }
        let back = products.as_slice().chunks_exact(queries).map(|column| vectorised(|| largest(column))).collect();
        let nearest = (0..queries).map(|i| Nearest { first: first[i], second: second[i], index: index[i] }).collect();
        Self { nearest, back }
    }
}

#[inline(always)]
fn keep_two_largest(column: &[f32], j: u32, first: &mut [f32], second: &mut [f32], index: &mut [u32]) {
    for (((&v, first), second), index) in column.iter().zip(first).zip(second).zip(index) {
        let better = v > *first;
        *second = second.max(v.min(*first));
        *index = if better { j } else { *index };
        *first = if better { v } else { *first };
    }
}

/// The largest value and where it stands first.
#[inline(always)]
fn largest(values: &[f32]) -> (f32, u32) {
    const LANES: usize = 16;
    let mut lanes = [f32::MIN; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder().iter().cloned().fold(f32::MIN, f32::max);
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = lanes[i].max(chunk[i]);
        }
    }
    let best = lanes.iter().cloned().fold(rest, f32::max);
    (best, values.iter().position(|&v| v == best).unwrap_or(0) as u32)
}

/// For each candidate the query that is nearest to it, over all blocks.
fn nearest_queries(blocks: &[Block], candidates: usize) -> Vec<(f32, u32)> {
    let mut best = vec![(f32::MIN, 0); candidates];
    for (b, block) in blocks.iter().enumerate() {
        for (best, &(value, row)) in best.iter_mut().zip(&block.back) {
            if value > best.0 {
                *best = (value, (b * BLOCK) as u32 + row);
            }
        }
    }
    best
}

/// Products of unit vectors become distances: |a - b|² = 2 - 2 a·b.
fn as_match((a, n): (usize, &Nearest)) -> Match {
    let distance = |product: f32| (2.0 - 2.0 * product).max(0.0).sqrt();
    let (near, far) = (distance(n.first), distance(n.second));
    Match { a, b: n.index as usize, distance: near, ratio: if far > 0.0 { near / far } else { 1.0 } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn descriptors(count: usize, len: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let mut all = Vec::new();
        for _ in 0..count {
            let one: Vec<f32> = (0..len).map(|_| rng.random::<f32>()).collect();
            let length = one.iter().map(|v| v * v).sum::<f32>().sqrt();
            all.extend(one.iter().map(|v| v / length));
        }
        all
    }

    fn plain(a: &[f32], b: &[f32], len: usize, options: &MatchOptions) -> Vec<(usize, usize)> {
        let distance = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f32>().sqrt();
        let ranked = |q: &[f32], set: &[f32]| {
            let mut all: Vec<_> = set.chunks(len).map(|c| distance(q, c)).enumerate().collect();
            all.sort_by(|x, y| x.1.total_cmp(&y.1));
            all
        };
        let mut found = Vec::new();
        for (i, q) in a.chunks(len).enumerate() {
            let best = ranked(q, b);
            let mutual = ranked(&b[best[0].0 * len..][..len], a)[0].0 == i;
            if best[0].1 < options.ratio * best[1].1 && (mutual || !options.mutual) {
                found.push((i, best[0].0));
            }
        }
        found
    }

    #[test]
    fn blocked_search_finds_what_the_plain_search_finds() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (n, m, mutual) in [(150, 131, true), (150, 131, false), (3, 2, true), (65, 200, true)] {
            let len = 24;
            let (mut a, b) = (descriptors(n, len, &mut rng), descriptors(m, len, &mut rng));
            for i in 0..n.min(m) / 2 {
                let noisy: Vec<f32> = b[i * len..][..len].iter().map(|v| v + 0.02 * rng.random::<f32>()).collect();
                let length = noisy.iter().map(|v| v * v).sum::<f32>().sqrt();
                a[i * len..][..len].iter_mut().zip(&noisy).for_each(|(a, v)| *a = v / length);
            }
            let options = MatchOptions { ratio: 0.9, mutual };
            let mut fast: Vec<_> = match_descriptors(&a, &b, len, &options).iter().map(|m| (m.a, m.b)).collect();
            fast.sort_unstable();
            assert_eq!(fast, plain(&a, &b, len, &options));
        }
    }

    #[test]
    fn surest_matches_come_first() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (a, b) = (descriptors(80, 16, &mut rng), descriptors(90, 16, &mut rng));
        let found = match_descriptors(&a, &b, 16, &MatchOptions { ratio: 1.0, mutual: false });
        assert!(found.len() > 70 && found.windows(2).all(|p| p[0].ratio <= p[1].ratio));
    }

    #[test]
    fn too_few_candidates_give_no_matches() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let a = descriptors(5, 8, &mut rng);
        assert!(match_descriptors(&a, &a[..8], 8, &MatchOptions::default()).is_empty());
        assert!(match_descriptors(&[], &a, 8, &MatchOptions::default()).is_empty());
    }
}
