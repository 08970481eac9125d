//! What fuzzing runs: a function for each target of `fuzz/`, which takes any bytes and fails by a panic. Tests run them too,
//! on the inputs that once failed.

mod jpegs;
mod kept;
#[cfg(test)]
mod tests;

pub use jpegs::{jpeg, splice};
pub use kept::{metadata, transfer};

use crate::{Mask, Photo, avif as avif_files, colour};
use image::RgbImage;

/// Any file as a photo, and that photo as a mask.
pub fn photo(bytes: &[u8]) {
    let Ok(photo) = Photo::from_bytes(bytes, "photo") else { return };
    assert!(photo.width() > 0 && photo.height() > 0, "a picture without pixels");
    let masks = [Mask::from_photo(&photo, &photo), Mask::from_alpha(&photo)];
    for mask in masks.into_iter().flatten() {
        assert_eq!((mask.width(), mask.height()), (photo.width(), photo.height()));
    }
}

/// Any file as an AVIF, whatever it begins with.
pub fn avif(bytes: &[u8]) {
    let Ok(size) = avif_files::size(bytes) else { return };
    if u64::from(size.0) * u64::from(size.1) > crate::photo::MAX_MEGAPIXELS * 1_000_000 {
        return;
    }
    let Ok(read) = avif_files::decode(bytes) else { return };
    assert_eq!((read.pixels.width(), read.pixels.height()), size, "another size than was said");
}

/// Any block as a colour profile, of a reference and of the target.
pub fn profile(bytes: &[u8]) {
    let plain = || Photo::from_pixels(RgbImage::from_fn(4, 4, |x, y| image::Rgb([(80 * x) as u8, (80 * y) as u8, 90])));
    let profiled = || Photo { icc: Some(bytes.to_vec()), ..plain() };
    let usable = colour::defect(bytes).is_none();
    assert!(usable || !colour::is_srgb(bytes), "a broken profile is said to be sRGB");
    for (reference, target) in [(profiled(), plain()), (plain(), profiled())] {
        let converted = colour::in_colours_of(reference, &target);
        assert_eq!((converted.width(), converted.height()), (4, 4));
    }
}
