//! Which known pixels are looked at.

use crate::Plane;

/// A known pixel seen by the proposal too.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub x: u32,
    pub y: u32,
    /// The proposal's colour, slightly blurred.
    pub colour: [f32; 3],
    /// The target's.
    pub wanted: [f32; 3],
    /// What is missing after the tone.
    pub miss: [f32; 3],
    /// How surely both show the same surface, 0 to 1.
    pub agrees: f32,
    /// How little texture there was to tell, 0 to 1.
    pub flat: f32,
}

/// Up to `count` pixels of `known` within `reach` of the hole, denser near it; the same ones every time.
///
/// Weighted sampling without replacement (Efraimidis and Spirakis 2006) with a hash for the random numbers.
pub(super) fn choose(known: &Plane, distance: &Plane, reach: f32, count: usize) -> Vec<Sample> {
    let mut keyed: Vec<(f32, u32, u32)> = known
        .enumerate_pixels()
        .filter(|(x, y, k)| k[0] > 0.0 && distance.get_pixel(*x, *y)[0] < reach)
        .map(|(x, y, _)| {
            let weight = (-2.5 * distance.get_pixel(x, y)[0] / reach).exp();
            (-uniform(x, y).ln() / weight, x, y)
        })
        .collect();
    if keyed.len() > count {
        keyed.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0));
        keyed.truncate(count);
    }
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    keyed.into_iter().map(|(_, x, y)| Sample { x, y, ..Default::default() }).collect()
}

/// A number in (0, 1) from a place (splitmix64's finaliser).
fn uniform(x: u32, y: u32) -> f32 {
    let mut z = ((x as u64) << 32 | y as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (((z ^ (z >> 31)) >> 40) as f32 + 0.5) / (1u64 << 24) as f32
}
