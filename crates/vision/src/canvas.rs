//! Outpainting: a photo and a request for a wider frame become a larger canvas and the mask of what is new on it, so
//! that everything behind sees a photo with a hole like any other.

mod parse;
#[cfg(test)]
mod tests;

use crate::photo::MAX_MEGAPIXELS;
use crate::{Mask, Photo};
use image::math::Rect;
use image::{DynamicImage, ImageBuffer, Pixel};
use thiserror::Error;

/// The canvas may have this many times the photo's area. Beyond, three quarters of the picture and more would be
/// invented from photos that show as little of it.
pub const MAX_AREA_FACTOR: u64 = 4;

/// How far one side is moved outwards.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Extent {
    /// Not at all.
    #[default]
    Nothing,
    /// By pixels of the photo.
    Pixels(u32),
    /// By a share of the photo's width (left, right) or height (top, bottom), in percent.
    Percent(f64),
}

/// A frame other than the photo's own. It reads from text: see [`CanvasRequest::expand`], [`CanvasRequest::aspect`] and
/// [`CanvasRequest::canvas`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CanvasRequest {
    /// Every side moved outwards by its own extent.
    Expand {
        /// To the left.
        left: Extent,
        /// Upwards.
        top: Extent,
        /// To the right.
        right: Extent,
        /// Downwards.
        bottom: Extent,
    },
    /// The smallest frame around the photo that has this shape (width to height), the photo in its middle.
    Aspect(u32, u32),
    /// A frame of this size with the photo's upper left corner at `x`, `y`. What of the photo lies outside is cut off
    /// in the end.
    Canvas {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Column of the photo's left edge; negative when it is cut off.
        x: i64,
        /// Row of the photo's upper edge; negative when it is cut off.
        y: i64,
    },
}

/// Why a frame cannot be had.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CanvasError {
    /// The text is no such request.
    #[error("`{found}` is not {what}; write {example}")]
    Unreadable {
        /// The text, or the part that is wrong.
        found: String,
        /// What is expected.
        what: &'static str,
        /// How it looks.
        example: &'static str,
    },
    /// A side would move inwards.
    #[error("{side} is {found}, and a side can only move outwards; give {side} 0 or more")]
    Negative {
        /// The side.
        side: String,
        /// What was asked for.
        found: String,
    },
    /// The frame shows nothing new.
    #[error("a frame of {}×{} adds nothing to {photo}, which is {}×{}; ask for more, or leave the option out",
        asked.0, asked.1, size.0, size.1)]
    Nothing {
        /// The photo's name.
        photo: String,
        /// The frame's size in pixels.
        asked: (u32, u32),
        /// The photo's size in pixels.
        size: (u32, u32),
    },
    /// The frame does not show the photo.
    #[error("a frame of {}×{} at that place shows nothing of {photo}, which is {}×{}", asked.0, asked.1, size.0, size.1)]
    Elsewhere {
        /// The photo's name.
        photo: String,
        /// The frame's size in pixels.
        asked: (u32, u32),
        /// The photo's size in pixels.
        size: (u32, u32),
    },
    /// The canvas is too large for the photo, or for the program.
    #[error(
        "the canvas would be {width}×{height}; the limit for {photo}, which is {}×{}, is {MAX_AREA_FACTOR} times its \
         area and {MAX_MEGAPIXELS} megapixels: ask for less",
        size.0, size.1
    )]
    TooLarge {
        /// The photo's name.
        photo: String,
        /// The canvas's width in pixels.
        width: u64,
        /// The canvas's height in pixels.
        height: u64,
        /// The photo's size in pixels.
        size: (u32, u32),
    },
}

/// A photo on a larger canvas.
#[derive(Clone, Debug)]
pub struct Grown {
    /// The canvas; new pixels are zero.
    pub photo: Photo,
    /// What is new, and what was missing in the photo already.
    pub mask: Mask,
    /// The part that was asked for; `None` for the whole canvas.
    pub frame: Option<Rect>,
}

impl Photo {
    /// The part of the photo that `frame` names.
    ///
    /// # Panics
    /// When the frame reaches beyond the photo.
    pub fn cut_to(self, frame: Rect) -> Self {
        let (right, bottom) = (frame.x + frame.width, frame.y + frame.height);
        assert!(right <= self.width() && bottom <= self.height(), "{frame:?} of {}×{}", self.width(), self.height());
        let pixels = self.pixels.crop_imm(frame.x, frame.y, frame.width, frame.height);
        Self { pixels, ..self.moved((-i64::from(frame.x), -i64::from(frame.y))) }
    }
}

impl Mask {
    /// The part of the mask that `frame` names.
    ///
    /// # Panics
    /// When the frame reaches beyond the mask.
    pub fn cut_to(&self, frame: Rect) -> Self {
        Self::from_fn(frame.width, frame.height, |x, y| self.is_hole(frame.x + x, frame.y + y))
    }
}

impl CanvasRequest {
    /// Lays the photo, and the mask of what is missing in it, onto the canvas.
    ///
    /// # Errors
    /// A frame that shows nothing new, nothing of the photo, or more than [`MAX_AREA_FACTOR`] times its area.
    ///
    /// # Panics
    /// When the mask has another size than the photo.
    pub fn grow(&self, photo: Photo, mask: Option<&Mask>) -> Result<Grown, CanvasError> {
        let size = (photo.width(), photo.height());
        assert!(mask.is_none_or(|mask| (mask.width(), mask.height()) == size), "mask and photo differ in size");
        let layout = self.layout(size, &photo.name())?;
        let (width, height, x, y) = (layout.width, layout.height, layout.x, layout.y);
        let missing = |column: u32, row: u32| match (column.checked_sub(x), row.checked_sub(y)) {
            (Some(column), Some(row)) if column < size.0 && row < size.1 => {
                mask.is_some_and(|mask| mask.is_hole(column, row))
            }
            _ => true,
        };
        let mask = Mask::from_fn(width, height, missing);
        let pixels = on_canvas(&photo.pixels, width, height, x, y);
        let photo = Photo { pixels, ..photo.moved((i64::from(x), i64::from(y))) };
        Ok(Grown { photo, mask, frame: layout.frame })
    }

    /// Width and height in pixels of the result of a photo of `size`: the canvas that [`CanvasRequest::grow`] would lay it onto,
    /// cut to the frame. No picture is made.
    ///
    /// # Errors
    /// As [`CanvasRequest::grow`]; the photo is called "the photo".
    pub fn check(&self, size: (u32, u32)) -> Result<(u32, u32), CanvasError> {
        let layout = self.layout(size, "the photo")?;
        Ok(layout.frame.map_or((layout.width, layout.height), |frame| (frame.width, frame.height)))
    }

    /// Where a photo of that size and name comes to lie.
    fn layout(&self, size: (u32, u32), name: &str) -> Result<Layout, CanvasError> {
        Layout::of(self.frame(size), size, name)
    }

    /// The frame in the photo's own coordinates: left, top, right and bottom edge.
    fn frame(&self, (width, height): (u32, u32)) -> [i64; 4] {
        let (w, h) = (i64::from(width), i64::from(height));
        match *self {
            Self::Expand { left, top, right, bottom } => {
                [-left.of(width), -top.of(height), w + right.of(width), h + bottom.of(height)]
            }
            Self::Aspect(across, down) => {
                let (across, down) = (i64::from(across), i64::from(down));
                let (wide, tall) = ((h * across).div_euclid(down).max(w), (w * down).div_euclid(across).max(h));
                let (left, top) = ((wide - w) / 2, (tall - h) / 2);
                [-left, -top, wide - left, tall - top]
            }
            Self::Canvas { width, height, x, y } => [-x, -y, i64::from(width) - x, i64::from(height) - y],
        }
    }
}

impl Extent {
    fn of(self, side: u32) -> i64 {
        match self {
            Self::Nothing => 0,
            Self::Pixels(pixels) => i64::from(pixels),
            Self::Percent(percent) => (f64::from(side) * percent / 100.0).round() as i64,
        }
    }
}

/// Where the photo lies on the canvas, in pixels.
struct Layout {
    width: u32,
    height: u32,
    x: u32,
    y: u32,
    frame: Option<Rect>,
}

impl Layout {
    /// The canvas holds the whole photo, since what is cut off in the end still helps to find where it belongs.
    fn of([left, top, right, bottom]: [i64; 4], size: (u32, u32), name: &str) -> Result<Self, CanvasError> {
        let photo = name.to_owned();
        let (w, h) = (i64::from(size.0), i64::from(size.1));
        let asked = ((right - left) as u32, (bottom - top) as u32);
        if right <= 0 || bottom <= 0 || left >= w || top >= h {
            return Err(CanvasError::Elsewhere { photo, asked, size });
        }
        if left >= 0 && top >= 0 && right <= w && bottom <= h {
            return Err(CanvasError::Nothing { photo, asked, size });
        }
        let (x, y) = ((-left).max(0), (-top).max(0));
        let (width, height) = ((right.max(w) + x) as u64, (bottom.max(h) + y) as u64);
        let most = (u64::from(size.0) * u64::from(size.1)).saturating_mul(MAX_AREA_FACTOR);
        let area = width.saturating_mul(height);
        if area > most.min(MAX_MEGAPIXELS * 1_000_000) {
            return Err(CanvasError::TooLarge { photo, width, height, size });
        }
        let frame = Rect { x: (left + x) as u32, y: (top + y) as u32, width: asked.0, height: asked.1 };
        let whole = (u64::from(asked.0), u64::from(asked.1)) == (width, height);
        let (width, height) = (width as u32, height as u32);
        Ok(Self { width, height, x: x as u32, y: y as u32, frame: (!whole).then_some(frame) })
    }
}

/// The picture on a canvas of zeros, at the same depth and colour type.
fn on_canvas(pixels: &DynamicImage, width: u32, height: u32, x: u32, y: u32) -> DynamicImage {
    fn place<P: Pixel>(
        image: &ImageBuffer<P, Vec<P::Subpixel>>,
        (width, height): (u32, u32),
        (x, y): (u32, u32),
    ) -> ImageBuffer<P, Vec<P::Subpixel>> {
        let mut canvas = ImageBuffer::new(width, height);
        let (from, channels) = (image.width() as usize, usize::from(P::CHANNEL_COUNT));
        let rows = image.as_raw().chunks_exact(from * channels);
        for (i, row) in rows.enumerate() {
            let at = ((y as usize + i) * width as usize + x as usize) * channels;
            canvas.as_mut()[at..at + row.len()].copy_from_slice(row);
        }
        canvas
    }
    let (size, at) = ((width, height), (x, y));
    match pixels {
        DynamicImage::ImageLuma8(image) => place(image, size, at).into(),
        DynamicImage::ImageLumaA8(image) => place(image, size, at).into(),
        DynamicImage::ImageRgb8(image) => place(image, size, at).into(),
        DynamicImage::ImageRgba8(image) => place(image, size, at).into(),
        DynamicImage::ImageLuma16(image) => place(image, size, at).into(),
        DynamicImage::ImageLumaA16(image) => place(image, size, at).into(),
        DynamicImage::ImageRgb16(image) => place(image, size, at).into(),
        DynamicImage::ImageRgba16(image) => place(image, size, at).into(),
        DynamicImage::ImageRgba32F(image) => place(image, size, at).into(),
        // A colour type a later `image` may add goes the widest way: none is read today.
        other => place(&other.to_rgb32f(), size, at).into(),
    }
}
