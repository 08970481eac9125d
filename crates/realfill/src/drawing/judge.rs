//! Which candidates go on from the middle of the sampling, by the pictures predicted there.

use burn::tensor::Tensor;

/// What a prediction should be somewhere.
pub(crate) struct Wanted {
    /// `[1, channels, height, width]`.
    pub x0: Tensor<4>,
    /// How much each place counts, `[1, 1, height, width]`; all 0 where nothing is known.
    pub weight: Tensor<4>,
}

/// What predictions are judged by, in the space that is sampled in.
pub(crate) struct Judge {
    /// The likeliest guide, by its trust, in the hole.
    pub guide: Wanted,
    /// The known part, at the hole's rim.
    pub rim: Wanted,
}

impl Judge {
    /// For each row of `x0`, `[n, channels, height, width]`, its mean squared difference from the guide and that at the rim, added.
    pub fn errors(&self, x0: &Tensor<4>) -> Vec<f32> {
        let rows = (0..x0.dims()[0]).map(|row| x0.clone().narrow(0, row, 1));
        rows.map(|x0| self.guide.error(x0.clone()) + self.rim.error(x0)).collect()
    }
}

impl Wanted {
    /// The weighted mean of the squared differences of `[1, channels, height, width]`.
    fn error(&self, x0: Tensor<4>) -> f32 {
        let weight = self.weight.clone().sum().into_scalar::<f32>();
        if weight <= 0.0 {
            return 0.0;
        }
        let squared = (x0 - self.x0.clone()).square().mean_dim(1) * self.weight.clone();
        squared.sum().into_scalar::<f32>() / weight
    }
}

/// The places of the half with the smaller errors (of an odd number the larger half), in their order; of equal ones the first go on.
pub(super) fn better_half(errors: &[f32]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..errors.len()).collect();
    let error = |i: usize| if errors[i].is_nan() { f32::INFINITY } else { errors[i] };
    places.sort_by(|&a, &b| error(a).total_cmp(&error(b)));
    places.truncate(errors.len().div_ceil(2));
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn tensor(values: &[f32], shape: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
    }

    #[test]
    fn the_half_with_the_smaller_errors_goes_on_in_its_order() {
        assert_eq!(better_half(&[0.3, 0.1, 0.4, 0.2]), [1, 3]);
        assert_eq!(better_half(&[0.3, 0.1, 0.2]), [1, 2]);
        assert_eq!(better_half(&[0.1, 0.1, 0.1]), [0, 1]);
        assert_eq!([f32::NAN, -f32::NAN].map(|nan| better_half(&[nan, 5.0])), [[1], [1]]);
    }

    #[test]
    fn the_guide_counts_by_its_trust_and_the_rim_by_itself() {
        let guide =
            Wanted { x0: tensor(&[1.0, 1.0, 0.0, 0.0], [1, 2, 1, 2]), weight: tensor(&[0.5, 0.0], [1, 1, 1, 2]) };
        let rim = Wanted { x0: tensor(&[0.0; 4], [1, 2, 1, 2]), weight: tensor(&[0.0, 1.0], [1, 1, 1, 2]) };
        let judge = Judge { guide, rim };
        // Channels of two cells; what the first cell should be counts, then what the second should be.
        let as_wanted: [f32; 4] = [1.0, 0.0, 0.0, 0.0];
        let first_is_off = [3.0, 0.0, 0.0, 0.0];
        let second_is_off = [1.0, 0.0, 0.0, 4.0];
        let rows = tensor(&[as_wanted, first_is_off, second_is_off].concat(), [3, 2, 1, 2]);
        assert_eq!(judge.errors(&rows), [0.0, 2.0, 8.0]);
    }

    #[test]
    fn what_nothing_is_known_of_does_not_count() {
        let nothing = || Wanted { x0: tensor(&[1.0], [1, 1, 1, 1]), weight: tensor(&[0.0], [1, 1, 1, 1]) };
        let judge = Judge { guide: nothing(), rim: nothing() };
        assert_eq!(judge.errors(&tensor(&[0.0, 3.0], [2, 1, 1, 1])), [0.0, 0.0]);
    }
}
