//! The discrete cosine transform of 8×8 samples (T.81, A.3.3) and its quantisation, in `f32`.

use super::Block;
use std::sync::LazyLock;

/// 64 samples, row by row, without the level shift of 128.
pub(super) type Samples = [f32; 64];

/// `BASIS[u][x]`: the orthonormal basis.
static BASIS: LazyLock<[[f32; 8]; 8]> = LazyLock::new(|| {
    std::array::from_fn(|u| {
        std::array::from_fn(|x| {
            let scale = if u == 0 { 0.5f64.sqrt() } else { 1.0 } / 2.0;
            (scale * libm::cos((2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / 16.0)) as f32
        })
    })
});

/// The quantised coefficients of samples.
pub(super) fn forward(samples: &Samples, table: &[u16; 64]) -> Block {
    let basis = &*BASIS;
    let rows: Samples = std::array::from_fn(|i| (0..8).map(|x| samples[i / 8 * 8 + x] * basis[i % 8][x]).sum());
    let both: Samples = std::array::from_fn(|i| (0..8).map(|y| rows[8 * y + i % 8] * basis[i / 8][y]).sum());
    std::array::from_fn(|i| (both[i] / f32::from(table[i])).round().clamp(-1023.0, 1023.0) as i16)
}

/// The samples of quantised coefficients, neither rounded nor clamped.
pub(super) fn inverse(block: &Block, table: &[u16; 64]) -> Samples {
    let basis = &*BASIS;
    let scaled: Samples = std::array::from_fn(|i| f32::from(block[i]) * f32::from(table[i]));
    let rows: Samples = std::array::from_fn(|i| (0..8).map(|u| scaled[i / 8 * 8 + u] * basis[u][i % 8]).sum());
    std::array::from_fn(|i| (0..8).map(|v| rows[8 * v + i % 8] * basis[v][i / 8]).sum())
}
