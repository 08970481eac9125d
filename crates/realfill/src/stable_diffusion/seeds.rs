//! Seeds of everything random in tuning, each from the configuration's seed, the step and its own place in the step, so
//! that a step draws the same whether or not the run was interrupted before it.

/// What a seed is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Noise, timestep and prompt of a sample.
    Sample,
    /// The adapter's dropout in a pass.
    Dropout,
    /// Noise of a sample that is only looked at.
    Validation,
}

/// The seed of entry `index` of a step.
pub(super) fn seed(of_run: u64, step: usize, index: usize, purpose: Purpose) -> u64 {
    [step as u64, index as u64, purpose as u64].iter().fold(mixed(of_run), |state, part| mixed(state ^ part))
}

/// The finaliser of SplitMix64 (Steele et al. 2014): near seeds become unlike.
fn mixed(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_place_has_its_own_seed() {
        let places =
            (0..4u64).flat_map(|run| (0..20).flat_map(move |step| (0..16).map(move |index| (run, step, index))));
        let purposes = [Purpose::Sample, Purpose::Dropout, Purpose::Validation];
        let seeds: Vec<u64> =
            places.flat_map(|(run, step, index)| purposes.map(|purpose| seed(run, step, index, purpose))).collect();
        assert_eq!(seeds.iter().collect::<BTreeSet<_>>().len(), seeds.len());
    }
}
