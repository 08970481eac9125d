//! Turning a JPEG upright without loss: blocks change places, and coefficients change places and signs (as `jpegtran
//! -perfect` does).

use super::{Block, Component, Jpeg, JpegError};
use image::metadata::Orientation;

/// The JPEG as viewers show it, given its orientation.
///
/// # Errors
/// [`JpegError::Unaligned`] when a side that is mirrored ends within an MCU: what is beyond the picture would come first.
pub(crate) fn turn(mut jpeg: Jpeg, orientation: Orientation) -> Result<Jpeg, JpegError> {
    use Orientation::*;
    if matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH) {
        jpeg = transpose(jpeg);
    }
    let mcu = jpeg.mcu();
    let across = matches!(orientation, FlipHorizontal | Rotate180 | Rotate90 | Rotate270FlipH);
    let down = matches!(orientation, FlipVertical | Rotate180 | Rotate270 | Rotate270FlipH);
    if across && !jpeg.width.is_multiple_of(mcu.0) || down && !jpeg.height.is_multiple_of(mcu.1) {
        return Err(JpegError::Unaligned { block: mcu, why: "its sides are no multiples, and it had to be turned" });
    }
    for component in &mut jpeg.components {
        let (columns, _) = component.size;
        if across {
            component.blocks.chunks_exact_mut(columns).for_each(<[Block]>::reverse);
            component.blocks.iter_mut().for_each(|block| negate(block, |i| i % 2 == 1));
        }
        if down {
            let rows: Vec<&[Block]> = component.blocks.chunks_exact(columns).rev().collect();
            component.blocks = rows.concat();
            component.blocks.iter_mut().for_each(|block| negate(block, |i| i / 8 % 2 == 1));
        }
    }
    Ok(jpeg)
}

/// Mirroring changes the sign of the odd frequencies.
fn negate(block: &mut Block, is_odd: impl Fn(usize) -> bool) {
    block.iter_mut().enumerate().filter(|(i, _)| is_odd(*i)).for_each(|(_, value)| *value = -*value);
}

fn transpose(jpeg: Jpeg) -> Jpeg {
    let components = jpeg.components.iter().map(|component| {
        let (columns, rows) = component.size;
        let places = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
        Component {
            sampling: (component.sampling.1, component.sampling.0),
            size: (rows, columns),
            table: transposed(&component.table),
            blocks: places.map(|place| transposed(&component.blocks[place])).collect(),
            ..*component
        }
    });
    let components = components.collect();
    Jpeg { width: jpeg.height, height: jpeg.width, components, ..jpeg }
}

fn transposed<T: Copy>(values: &[T; 64]) -> [T; 64] {
    std::array::from_fn(|i| values[i % 8 * 8 + i / 8])
}
