//! JPEG files at the level of their quantised coefficients (ITU-T T.81), so that a completed photo can keep every
//! block that nothing was filled in exactly as the camera wrote it. Decoding to pixels and encoding again would change
//! all of them.

mod bits;
mod blocks;
mod dct;
mod decode;
mod encode;
mod end;
mod huffman;
mod markers;
mod splice;
#[cfg(test)]
mod tests;
mod turn;

pub(crate) use decode::{decode, segments};
pub(crate) use encode::{encode, with_segments};
pub(crate) use end::behind;
pub(crate) use splice::{Placed, splice};
pub(crate) use turn::turn;

use thiserror::Error;

/// Natural index of each coefficient in zigzag order (T.81, figure A.6).
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// One block's quantised coefficients, row by row (not zigzag).
pub(crate) type Block = [i16; 64];

/// A JPEG's coefficients with everything that is needed to write it again.
#[derive(Clone, Debug)]
pub(crate) struct Jpeg {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Whether it is coded in several passes (SOF2).
    pub progressive: bool,
    /// The colour channels in the file's order.
    pub components: Vec<Component>,
    /// Application and comment segments in the file's order.
    pub segments: Vec<Segment>,
}

/// A colour channel.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    /// Its number in the file.
    pub id: u8,
    /// Horizontal and vertical sampling factors.
    pub sampling: (u32, u32),
    /// Blocks in a row and rows of blocks, whole MCUs.
    pub size: (usize, usize),
    /// The quantisation table, row by row (not zigzag).
    pub table: [u16; 64],
    /// The blocks, row by row.
    pub blocks: Vec<Block>,
}

/// An application or comment segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The marker's second byte: 0xE0 to 0xEF, or 0xFE.
    pub marker: u8,
    /// What it holds, without its length.
    pub data: Vec<u8>,
}

/// What a JPEG's channels mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    Grey,
    YCbCr,
    Rgb,
}

/// Why a JPEG's blocks cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JpegError {
    /// A variant that is not handled.
    #[error("{0} JPEGs are not handled block by block")]
    Unsupported(&'static str),
    /// The file is damaged.
    #[error("the JPEG is damaged ({0})")]
    Broken(&'static str),
    /// The photo's blocks do not lie on the result's.
    #[error("its blocks of {}×{} pixels do not fit the result's: {why}", block.0, block.1)]
    Unaligned {
        /// Width and height of the unit that has to fit, in pixels.
        block: (u32, u32),
        /// What moved them.
        why: &'static str,
    },
}

impl Jpeg {
    /// The largest sampling factors.
    pub(crate) fn most(&self) -> (u32, u32) {
        let most = |side: fn(&Component) -> u32| self.components.iter().map(side).max().unwrap_or(1);
        (most(|c| c.sampling.0), most(|c| c.sampling.1))
    }

    /// Width and height of an MCU in pixels; a single component has MCUs of one block whatever its factors say.
    pub(crate) fn mcu(&self) -> (u32, u32) {
        let (h, v) = self.most();
        (8 * h, 8 * v)
    }

    /// What the channels mean, as libjpeg guesses it: by Adobe's segment, JFIF's, or the channels' names.
    pub(crate) fn colours(&self) -> Result<Colours, JpegError> {
        let ids: Vec<u8> = self.components.iter().map(|component| component.id).collect();
        let adobe = self.segments.iter().find(|s| s.marker == 0xEE && s.data.starts_with(b"Adobe"));
        let jfif = self.segments.iter().any(|s| s.marker == 0xE0 && s.data.starts_with(b"JFIF\0"));
        match (ids.len(), adobe.and_then(|s| s.data.get(11))) {
            (1, _) => Ok(Colours::Grey),
            (3, _) if jfif => Ok(Colours::YCbCr),
            (3, Some(0)) => Ok(Colours::Rgb),
            (3, None) if ids == *b"RGB" => Ok(Colours::Rgb),
            (3, _) => Ok(Colours::YCbCr),
            _ => Err(JpegError::Unsupported("CMYK")),
        }
    }
}

impl Component {
    /// Blocks across and down that hold pixels of a picture of `width`×`height` whose largest factors are `most`: what
    /// a scan of this component alone has (T.81, A.2.2).
    pub(crate) fn blocks_in_picture(&self, (width, height): (u32, u32), most: (u32, u32)) -> (usize, usize) {
        let along = |pixels: u32, factor: u32, most: u32| (pixels * factor).div_ceil(most).div_ceil(8) as usize;
        (along(width, self.sampling.0, most.0), along(height, self.sampling.1, most.1))
    }
}
