//! Pictures as rows of 4×4 patches, and back.

use burn::tensor::Tensor;

/// Side of a patch in pixels.
pub const PATCH: usize = 4;

/// `[n, c, h, w]` to `[n, c·16, h/4, w/4]`; channel order is (channel, row, column).
pub fn patches_from_picture(picture: Tensor<4>) -> Tensor<4> {
    let [n, c, h, w] = picture.dims();
    picture.reshape([n, c, h / PATCH, PATCH, w / PATCH, PATCH]).permute([0, 1, 3, 5, 2, 4]).reshape([
        n,
        c * PATCH * PATCH,
        h / PATCH,
        w / PATCH,
    ])
}

/// The inverse of [`patches_from_picture`].
pub fn picture_from_patches(patches: Tensor<4>) -> Tensor<4> {
    let [n, c, h, w] = patches.dims();
    let channels = c / (PATCH * PATCH);
    patches.reshape([n, channels, PATCH, PATCH, h, w]).permute([0, 1, 4, 2, 5, 3]).reshape([
        n,
        channels,
        h * PATCH,
        w * PATCH,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn patches_round_trip() {
        let picture = Tensor::<4>::random([2, 3, 8, 12], Distribution::Default, &Device::flex());
        let back = picture_from_patches(patches_from_picture(picture.clone()));
        assert_eq!(back.to_data(), picture.to_data());
    }

    #[test]
    fn a_patch_holds_its_own_pixels() {
        let picture = Tensor::<1, burn::tensor::Int>::arange(0..64, &Device::flex()).float().reshape([1, 1, 8, 8]);
        let second =
            patches_from_picture(picture).slice([0..1, 0..16, 0..1, 1..2]).into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(second[..5], [4.0, 5.0, 6.0, 7.0, 12.0]);
    }
}
