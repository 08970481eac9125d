//! JPEGs at the level of their coefficients.

use crate::Mask;
use crate::jpeg::{self, Block, Jpeg, Placed};
use image::metadata::Orientation;
use image::{DynamicImage, Rgb, RgbImage};

/// Any file as a JPEG: what is written again has the same coefficients, tables and segments, and turning back undoes turning.
pub fn jpeg(bytes: &[u8]) {
    jpeg::segments(bytes);
    let Ok(read) = jpeg::decode(bytes) else { return };
    let again = jpeg::decode(&jpeg::encode(&read)).expect("what was written is read");
    assert_same(&again, &read);
    use Orientation::*;
    for (there, back) in [(Rotate90, Rotate270), (Rotate180, Rotate180), (Rotate90FlipH, Rotate90FlipH)] {
        let turned = jpeg::turn(read.clone(), there).and_then(|turned| jpeg::turn(turned, back));
        turned.into_iter().for_each(|turned| assert_same(&turned, &read));
    }
}

fn assert_same(found: &Jpeg, wanted: &Jpeg) {
    assert_eq!((found.width, found.height, found.progressive), (wanted.width, wanted.height, wanted.progressive));
    assert_eq!(found.segments, wanted.segments);
    assert_eq!(found.components.len(), wanted.components.len());
    for (index, (a, b)) in found.components.iter().zip(&wanted.components).enumerate() {
        assert_eq!((a.id, a.sampling, a.table, a.size), (b.id, b.sampling, b.table, b.size));
        assert!(visible(found, index).eq(visible(wanted, index)), "channel {index} has other coefficients");
    }
}

/// A channel's blocks that hold pixels: what is beyond is up to the encoder.
fn visible(jpeg: &Jpeg, index: usize) -> impl Iterator<Item = &Block> {
    let component = &jpeg.components[index];
    let (across, down) = component.blocks_in_picture((jpeg.width, jpeg.height), jpeg.most());
    (0..down).flat_map(move |row| (0..across).map(move |x| &component.blocks[row * component.size.0 + x]))
}

/// How many bytes of an input say what is done with the file behind them.
const HEAD: usize = 12;

/// A hole of up to two rectangles, a canvas that may be larger than the file's picture, and any file as a JPEG: blocks
/// without filled pixels keep their coefficients, and what is written is read, here and by the other decoder if that reads the source.
pub fn splice(bytes: &[u8]) {
    let Some((head, file)) = bytes.split_at_checked(HEAD) else { return };
    let Ok(source) = jpeg::decode(file) else { return };
    let other_decoder = |file: &[u8]| image::load_from_memory_with_format(file, image::ImageFormat::Jpeg);
    let is_readable = other_decoder(file).is_ok(); // it knows fewer samplings than ours
    let at = (i64::from(head[0] % 3) * i64::from(source.mcu().0), i64::from(head[1] % 3) * i64::from(source.mcu().1));
    let (width, height) =
        (source.width + at.0 as u32 + u32::from(head[2] % 20), source.height + at.1 as u32 + u32::from(head[3] % 20));
    let within = |corner: &[u8], x: u32, y: u32| {
        let [left, top, across, down] = [0, 1, 2, 3].map(|i| u32::from(corner[i]));
        (left..left + across).contains(&x) && (top..top + down).contains(&y)
    };
    let mask = Mask::from_fn(width, height, |x, y| within(&head[4..8], x, y) || within(&head[8..12], x, y));
    let pixels = RgbImage::from_fn(width, height, |x, y| Rgb([(3 * x) as u8, (5 * y) as u8, head[0]]));
    let pixels = DynamicImage::from(pixels);
    for at in [Some(at), Some((at.0 - 1, at.1)), None] {
        let Ok(spliced) = jpeg::splice(&Placed { source: &source, at, pixels: &pixels, mask: &mask }) else { continue };
        let written = jpeg::encode(&spliced);
        assert_same(&jpeg::decode(&written).expect("what was written is read"), &spliced);
        if is_readable && let Err(error) = other_decoder(&written) {
            panic!("another decoder says: {error}");
        }
        if let Some(at) = at {
            assert_kept(&source, &spliced, at, &mask);
        }
    }
}

/// Every block of the source that holds no filled pixel is where it belongs, as it was.
fn assert_kept(source: &Jpeg, spliced: &Jpeg, at: (i64, i64), mask: &Mask) {
    for (index, (before, after)) in source.components.iter().zip(&spliced.components).enumerate() {
        let side = (8 * source.most().0 / before.sampling.0, 8 * source.most().1 / before.sampling.1);
        let (across, down) = before.blocks_in_picture((source.width, source.height), source.most());
        for (row, column) in (0..down).flat_map(|row| (0..across).map(move |column| (row, column))) {
            let (left, top) = (at.0 as u32 + column as u32 * side.0, at.1 as u32 + row as u32 * side.1);
            let filled = (top..(top + side.1).min(mask.height()))
                .any(|y| (left..(left + side.0).min(mask.width())).any(|x| mask.is_hole(x, y)));
            let place = (top / side.1) as usize * after.size.0 + (left / side.0) as usize;
            let kept = before.blocks[row * before.size.0 + column] == after.blocks[place];
            assert!(filled || kept, "channel {index} lost block {column}, {row}");
        }
    }
}
