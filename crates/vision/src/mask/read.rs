//! Masks from picture files and from a photo's own transparency.

use super::Mask;
use crate::photo::{Photo, PhotoError};
use image::{DynamicImage, GrayAlphaImage};
use std::ops::Range;
use std::path::Path;
use thiserror::Error;

/// What is neither black nor white, of 255. Of a mask with a soft edge of 12 px about a sixth is so. Where it is more than half,
/// it is a mask in a few flat tones, such as half opaque paint, or a photo by mistake, which has many.
const GREY: Range<u8> = 32..224;

/// How many greys make one tone.
const TONE: u8 = 8;

/// How many tones [`GREY`] has.
const TONES: usize = ((GREY.end - GREY.start) / TONE) as usize;

/// Why a mask cannot be used.
#[derive(Debug, Error)]
pub enum MaskError {
    /// Its file cannot be read.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// It has not the target's size.
    #[error(
        "{mask} is {}×{} but {target} is {}×{}; export the mask at the photo's size",
        mask_size.0, mask_size.1, target_size.0, target_size.1
    )]
    Size {
        /// The mask's name.
        mask: String,
        /// Its width and height in pixels.
        mask_size: (u32, u32),
        /// The target's name.
        target: String,
        /// The target's width and height in pixels.
        target_size: (u32, u32),
    },
    /// More than half of it is neither black nor white, in many greys.
    #[error(
        "{mask} is mostly grey, so it looks like a photo and not like a mask; paint what is missing white and the rest black"
    )]
    Grey {
        /// The mask's name.
        mask: String,
    },
    /// No pixel is marked.
    #[error("{mask} marks nothing to fill; paint what is missing white and the rest black")]
    Empty {
        /// The mask's name.
        mask: String,
    },
    /// Every pixel is marked.
    #[error("{mask} marks the whole photo, so nothing known is left to go by; leave what is to stay black")]
    Full {
        /// The mask's name.
        mask: String,
    },
    /// Growing it left nothing known.
    #[error("the mask grown by {px} px covers the whole photo, so nothing known is left to go by; grow it by less")]
    Overgrown {
        /// By how many pixels it was grown.
        px: u32,
    },
    /// The photo that should tell the hole by transparency has none.
    #[error(
        "{photo} has no transparent part, so there is nothing to fill; erase what is missing, or give a mask picture"
    )]
    NothingTransparent {
        /// The photo's name.
        photo: String,
    },
    /// The photo that should tell the hole by transparency is transparent everywhere.
    #[error("{photo} is transparent everywhere, so nothing known is left to go by; erase only what is missing")]
    AllTransparent {
        /// The photo's name.
        photo: String,
    },
}

impl Mask {
    /// Reads a mask picture for `target`: white = fill, soft edges fill from 50 % on.
    ///
    /// # Errors
    /// An unreadable file, another size than the target's, a photo in place of a mask, nothing to fill, or nothing known.
    pub fn open(path: impl AsRef<Path>, target: &Photo) -> Result<Self, MaskError> {
        Self::from_photo(&Photo::open(path)?, target)
    }

    /// The mask that a picture describes: white = fill, from 50 % brightness on. Alpha is ignored, unless the colour is
    /// the same everywhere: then white paint on transparency fills where it is opaque, and black where it is not.
    ///
    /// # Errors
    /// Another size than the target's, a photo in place of a mask, nothing to fill, or nothing known.
    pub fn from_photo(mask: &Photo, target: &Photo) -> Result<Self, MaskError> {
        let size = (mask.width(), mask.height());
        let target_size = (target.width(), target.height());
        if size != target_size {
            return Err(MaskError::Size { mask: mask.name(), mask_size: size, target: target.name(), target_size });
        }
        let brightness = brightness(&mask.pixels);
        if looks_like_a_photo(&brightness) {
            return Err(MaskError::Grey { mask: mask.name() });
        }
        let holes = brightness.into_iter().map(|value| value >= 128).collect();
        let read = Self::new(size.0, size.1, holes);
        read.check(&mask.name())?;
        Ok(read)
    }

    /// Checks that the mask of this name leaves something to fill and something known.
    pub(crate) fn check(&self, name: &str) -> Result<(), MaskError> {
        match self.content() {
            Content::Empty => Err(MaskError::Empty { mask: name.into() }),
            Content::Full => Err(MaskError::Full { mask: name.into() }),
            Content::Both => Ok(()),
        }
    }

    /// The mask that a photo's transparency describes, as editors export it: transparent (50 % or more) = fill.
    ///
    /// # Errors
    /// Nothing transparent, or everything.
    pub fn from_alpha(photo: &Photo) -> Result<Self, MaskError> {
        let holes = if photo.pixels.color().has_alpha() {
            photo.pixels.to_luma_alpha8().pixels().map(|pixel| pixel.0[1] < 128).collect()
        } else {
            vec![false; photo.width() as usize * photo.height() as usize]
        };
        let read = Self::new(photo.width(), photo.height(), holes);
        match read.content() {
            Content::Empty => Err(MaskError::NothingTransparent { photo: photo.name() }),
            Content::Full => Err(MaskError::AllTransparent { photo: photo.name() }),
            Content::Both => Ok(read),
        }
    }

    fn content(&self) -> Content {
        match (self.holes().contains(&true), self.holes().contains(&false)) {
            (true, true) => Content::Both,
            (true, false) => Content::Full,
            (false, _) => Content::Empty,
        }
    }
}

enum Content {
    Empty,
    Full,
    Both,
}

/// Whether more than half is grey and no tone has half of the greys or more.
fn looks_like_a_photo(brightness: &[u8]) -> bool {
    let mut tones = [0_usize; TONES];
    for value in brightness.iter().filter(|&value| GREY.contains(value)) {
        tones[usize::from((value - GREY.start) / TONE)] += 1;
    }
    let grey: usize = tones.iter().sum();
    2 * grey > brightness.len() && tones.iter().all(|&count| 2 * count < grey)
}

/// How white each pixel is, 0 to 255.
fn brightness(pixels: &DynamicImage) -> Vec<u8> {
    if !pixels.color().has_alpha() {
        return pixels.to_luma8().into_raw();
    }
    let both: GrayAlphaImage = pixels.to_luma_alpha8();
    let first = both.pixels().next().map_or(0, |pixel| pixel.0[0]);
    let flat = both.pixels().all(|pixel| pixel.0[0] == first);
    let white = |pixel: &image::LumaA<u8>| match (flat, first >= 128) {
        (false, _) => pixel.0[0],
        (true, true) => pixel.0[1],
        (true, false) => 255 - pixel.0[1],
    };
    both.pixels().map(white).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma};

    /// What is read of a picture of 10×10 pixels with `shares` of 100 pixels in these greys.
    fn read(shares: &[(u8, usize)]) -> Result<Mask, MaskError> {
        let mut greys = shares.iter().flat_map(|&(grey, pixels)| std::iter::repeat_n(grey, pixels));
        let mask = GrayImage::from_fn(10, 10, |_, _| Luma([greys.next().unwrap()]));
        Mask::from_photo(&Photo::from_pixels(mask), &Photo::from_pixels(GrayImage::new(10, 10)))
    }

    #[test]
    fn masks_in_a_few_flat_tones_are_read() {
        let holes = |shares: &[(u8, usize)]| read(shares).unwrap().holes().iter().filter(|&&hole| hole).count();
        assert_eq!(holes(&[(0x33, 80), (255, 20)]), 20, "white on dark grey");
        assert_eq!(holes(&[(128, 62), (0, 38)]), 62, "half opaque paint");
        assert_eq!(holes(&[(0x33, 50), (200, 50)]), 50, "two greys");
        assert_eq!(holes(&[(0x33, 60), (90, 5), (130, 5), (180, 5), (255, 25)]), 35, "a soft edge on dark grey");
    }

    #[test]
    fn a_photo_has_many_greys() {
        let photo = [(0, 10), (40, 20), (70, 20), (110, 20), (150, 15), (190, 10), (255, 5)];
        assert!(matches!(read(&photo), Err(MaskError::Grey { .. })));
    }
}
