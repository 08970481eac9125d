//! Connected patches of pixels.

use crate::blend::neighbours;

/// The patches into which the pixels that `counts` lets in fall, where neighbours belong together when `joined` says so; in reading order
/// of their first pixels.
pub(crate) fn patches(
    (w, h): (usize, usize),
    counts: impl Fn(usize) -> bool,
    joined: impl Fn(usize, usize) -> bool,
) -> Vec<Vec<usize>> {
    let mut seen: Vec<bool> = (0..w * h).map(|i| !counts(i)).collect();
    let mut patches = Vec::new();
    for first in 0..seen.len() {
        if std::mem::replace(&mut seen[first], true) {
            continue;
        }
        let mut patch = vec![first];
        let mut next = 0;
        while next < patch.len() {
            let i = patch[next];
            next += 1;
            for j in neighbours(i, w, h).into_iter().flatten() {
                if !seen[j] && joined(i, j) {
                    seen[j] = true;
                    patch.push(j);
                }
            }
        }
        patches.push(patch);
    }
    patches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_of_one_value_beside_each_other_are_a_patch() {
        let values = [1, 1, 2, 0, 2, 2, 1, 0, 1];
        let found = patches((3, 3), |i| values[i] > 0, |i, j| values[i] == values[j]);
        assert_eq!(found, [vec![0, 1], vec![2, 5, 4], vec![6], vec![8]]);
    }
}
