//! Which pixels of the target are to be filled.

/// The hole: one flag a pixel, row by row, at the target's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    width: u32,
    height: u32,
    holes: Vec<bool>,
}

impl Mask {
    /// A mask from one flag a pixel (`true` = fill), row by row.
    ///
    /// # Panics
    /// When `holes` has not `width * height` entries.
    pub fn new(width: u32, height: u32, holes: Vec<bool>) -> Self {
        assert_eq!(holes.len(), width as usize * height as usize, "mask of {width}×{height}");
        Self { width, height, holes }
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Whether the pixel is to be filled.
    pub fn is_hole(&self, x: u32, y: u32) -> bool {
        self.holes[y as usize * self.width as usize + x as usize]
    }

    /// One flag a pixel, row by row.
    pub fn holes(&self) -> &[bool] {
        &self.holes
    }

    /// Share of the pixels to be filled, 0 to 1.
    pub fn hole_share(&self) -> f64 {
        self.holes.iter().filter(|&&h| h).count() as f64 / self.holes.len().max(1) as f64
    }
}
