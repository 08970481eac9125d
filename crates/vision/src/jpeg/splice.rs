//! A completed photo's coefficients: the source's where nothing was filled in, new ones where something was.

use super::dct::{self, Samples};
use super::{Block, Colours, Component, Jpeg, JpegError};
use crate::Mask;
use image::{DynamicImage, GenericImageView};
use rayon::prelude::*;

/// The largest side that a JPEG can have.
const MAX_SIDE: u32 = 65_535;

/// A source and what became of it.
pub(crate) struct Placed<'a> {
    /// The source, upright.
    pub source: &'a Jpeg,
    /// Where its upper left corner lies in the completed picture; `None` to keep nothing but its tables.
    pub at: Option<(i64, i64)>,
    /// The completed picture.
    pub pixels: &'a DynamicImage,
    /// Its pixels that were filled in.
    pub mask: &'a Mask,
}

/// The completed picture in the source's tables, subsampling and mode. A block that holds no filled pixel keeps its
/// coefficients. In the others, samples without filled pixels are still the source's, so that they change by no more
/// than one more rounding.
///
/// # Errors
/// [`JpegError::Unaligned`] where the source's MCUs do not lie on the result's, and colours that are not handled.
pub(crate) fn splice(placed: &Placed) -> Result<Jpeg, JpegError> {
    let (source, (width, height)) = (placed.source, placed.pixels.dimensions());
    let (colours, most, mcu) = (source.colours()?, source.most(), source.mcu());
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(JpegError::Unsupported("more than 65535 pixels wide or high"));
    }
    let fits = |at: (i64, i64)| at.0 % i64::from(mcu.0) == 0 && at.1 % i64::from(mcu.1) == 0;
    if placed.at.is_some_and(|at| !fits(at)) {
        let why = "left and top have to move by whole ones";
        return Err(JpegError::Unaligned { block: mcu, why });
    }
    let components = source.components.iter().enumerate().map(|(index, component)| {
        let scale = (most.0 / component.sampling.0, most.1 / component.sampling.1);
        let along = |pixels: u32, mcu: u32, factor: u32| (pixels.div_ceil(mcu) * factor) as usize;
        let size = (along(width, mcu.0, component.sampling.0), along(height, mcu.1, component.sampling.1));
        let shift = placed.at.map(|(x, y)| (x / i64::from(8 * scale.0), y / i64::from(8 * scale.1)));
        let channel = Channel { component, index, scale, shift, colours, placed };
        Component { size, blocks: channel.blocks(size), ..component.bare() }
    });
    let components = components.collect();
    Ok(Jpeg { width, height, components, segments: source.segments.clone(), ..*source })
}

impl Component {
    /// The component without its blocks.
    fn bare(&self) -> Self {
        Self { blocks: Vec::new(), ..*self }
    }
}

struct Channel<'a> {
    component: &'a Component,
    index: usize,
    /// Pixels a sample, across and down.
    scale: (u32, u32),
    /// Where the source's first block lies in the result, in blocks.
    shift: Option<(i64, i64)>,
    colours: Colours,
    placed: &'a Placed<'a>,
}

impl Channel<'_> {
    fn blocks(&self, (across, down): (usize, usize)) -> Vec<Block> {
        let mut blocks = vec![[0; 64]; across * down];
        blocks.par_chunks_exact_mut(across.max(1)).enumerate().for_each(|(row, blocks)| {
            blocks.iter_mut().enumerate().for_each(|(column, block)| *block = self.block(column, row));
        });
        blocks
    }

    fn block(&self, column: usize, row: usize) -> Block {
        let (x, y) = (column as u32 * 8 * self.scale.0, row as u32 * 8 * self.scale.1);
        let kept = self.source_block(column, row);
        match kept {
            Some(kept) if !self.is_filled(x, y, (8 * self.scale.0, 8 * self.scale.1)) => *kept,
            _ => dct::forward(&self.samples(x, y, kept), &self.component.table),
        }
    }

    fn source_block(&self, column: usize, row: usize) -> Option<&Block> {
        let shift = self.shift?;
        let within =
            |at: usize, shift: i64, size: usize| usize::try_from(at as i64 - shift).ok().filter(|at| *at < size);
        let (across, down) = self.component.size;
        let (column, row) = (within(column, shift.0, across)?, within(row, shift.1, down)?);
        self.component.blocks.get(row * across + column)
    }

    /// Whether any pixel of the rectangle, as far as it lies in the picture, was filled in.
    fn is_filled(&self, x: u32, y: u32, (width, height): (u32, u32)) -> bool {
        let mask = self.placed.mask;
        (y..(y + height).min(mask.height())).any(|y| (x..(x + width).min(mask.width())).any(|x| mask.is_hole(x, y)))
    }

    /// A block's samples: the source's where none of their pixels was filled in. What lies outside the picture repeats
    /// its edge.
    fn samples(&self, x: u32, y: u32, kept: Option<&Block>) -> Samples {
        let (width, height) = self.placed.pixels.dimensions();
        let kept = kept.map(|block| dct::inverse(block, &self.component.table));
        let inside = |at: u32, side: u32, scale: u32| at.min((side - 1) / scale * scale);
        std::array::from_fn(|i| {
            let (across, down) = (i as u32 % 8 * self.scale.0, i as u32 / 8 * self.scale.1);
            let (x, y) = (inside(x + across, width, self.scale.0), inside(y + down, height, self.scale.1));
            match &kept {
                Some(kept) if !self.is_filled(x, y, self.scale) => kept[i],
                _ => self.sample(x, y),
            }
        })
    }

    /// The mean of a sample's pixels.
    fn sample(&self, x: u32, y: u32) -> f32 {
        let pixels = self.placed.pixels;
        let (right, bottom) = ((x + self.scale.0).min(pixels.width()), (y + self.scale.1).min(pixels.height()));
        let values = (y..bottom).flat_map(|y| (x..right).map(move |x| (x, y)));
        let sum: f32 = values.map(|(x, y)| self.value(pixels.get_pixel(x, y).0)).sum();
        sum / ((right - x) * (bottom - y)) as f32 - 128.0
    }

    /// The channel's value of a pixel, 0 to 255 (JFIF 1.02).
    fn value(&self, [r, g, b, _]: [u8; 4]) -> f32 {
        let (r, g, b) = (f32::from(r), f32::from(g), f32::from(b));
        match (self.colours, self.index) {
            (Colours::YCbCr, 0) => 0.299 * r + 0.587 * g + 0.114 * b,
            (Colours::YCbCr, 1) => 128.0 - 0.168_735_9 * r - 0.331_264_1 * g + 0.5 * b,
            (Colours::YCbCr, _) => 128.0 + 0.5 * r - 0.418_687_6 * g - 0.081_312_4 * b,
            (Colours::Rgb, 1) => g,
            (Colours::Rgb, 2) => b,
            _ => r,
        }
    }
}
