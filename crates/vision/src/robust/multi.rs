//! Several homographies, one after another: a scene of planes.

use super::{Estimate, PointPair, RobustOptions, homography};

/// Up to `max_models` homographies, each found among the pairs that the earlier ones left. Inliers index the given pairs.
pub fn homographies(pairs: &[PointPair], max_models: usize, options: &RobustOptions) -> Vec<Estimate> {
    let mut left: Vec<usize> = (0..pairs.len()).collect();
    let mut found = Vec::new();
    while found.len() < max_models {
        let rest: Vec<PointPair> = left.iter().map(|&i| pairs[i]).collect();
        let Some(mut estimate) = homography(&rest, options) else { break };
        let inliers: Vec<usize> = estimate.inliers.iter().map(|&i| left[i]).collect();
        left.retain(|i| inliers.binary_search(i).is_err());
        estimate.inliers = inliers;
        found.push(estimate);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robust::test_pairs::{noisy_pairs, with_outliers};
    use nalgebra::Vector2;

    #[test]
    fn two_planes_are_told_apart() {
        let mut pairs = noisy_pairs(120, 0.4, 1, |p| p + Vector2::new(30.0, 0.02 * p.x));
        pairs.extend(noisy_pairs(80, 0.4, 2, |p| p * 1.1 - Vector2::new(40.0, 10.0)));
        let pairs = with_outliers(pairs, 60, 3);
        let options = RobustOptions { best_first: false, min_inliers: 20, ..Default::default() };
        let found = homographies(&pairs, 6, &options);
        assert_eq!(found.len(), 2);
        assert!(found[0].inliers.iter().filter(|&&i| i < 120).count() >= 115);
        assert!(found[1].inliers.iter().filter(|&&i| (120..200).contains(&i)).count() >= 74);
        assert!(found[1].inliers.iter().all(|i| !found[0].inliers.contains(i)));
    }
}
