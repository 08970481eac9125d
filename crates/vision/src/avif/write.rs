//! Writing AVIF so finely that nothing is lost. AV1 has a mode without loss, `rav1e` has not; but at its finest step, with 12
//! bits and small blocks, what is decoded rounds to the 8 bits that were encoded. That is checked, not hoped.

use super::mux::{Parts, Stream, file};
use super::{AvifError, decode};
use image::{DynamicImage, ImageBuffer, Luma, LumaA, Rgb, Rgba};
use rav1e::prelude::*;

/// What a file says about its picture.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Description<'a> {
    pub icc: Option<&'a [u8]>,
    pub exif: Option<&'a [u8]>,
    pub xmp: Option<&'a [u8]>,
}

/// A file, and whether its picture decodes to exactly what it was made from.
pub(crate) struct Encoded {
    pub bytes: Vec<u8>,
    pub exact: bool,
}

/// The most that AV1 has.
const DEPTH: u8 = 12;

/// A pixel that differs from a flat neighbourhood by one of 8 bits is 16 of 12. In a block of 8×8 that makes coefficients of 2,
/// which the finest step (1.6) keeps; in one of 32×32 they are 0.5, and the pixel is lost.
const LARGEST_BLOCK: BlockSize = BlockSize::BLOCK_8X8;

/// The fastest; at the finest quantiser the slower ones save little.
const SPEED: u8 = 10;

/// Encodes a picture with its alpha: 8 bits a channel exactly, deeper ones to two steps of 10 bits at worst.
pub(crate) fn encode(pixels: &DynamicImage, description: &Description) -> Result<Encoded, AvifError> {
    let bytes = encoded(pixels, DEPTH, description)?;
    let exact = is_same(pixels, &decode(&bytes)?.pixels);
    Ok(Encoded { bytes, exact })
}

fn encoded(pixels: &DynamicImage, depth: u8, description: &Description) -> Result<Vec<u8>, AvifError> {
    let size = (pixels.width(), pixels.height());
    let colour = pixels.color();
    let (planes, alpha) = planes(pixels, depth);
    let colour_channels = planes.len() as u8;
    let unspecified = description.icc.is_some();
    let alpha = colour.has_alpha().then(|| stream(&[alpha], size, depth, true)).transpose()?;
    let colour = stream(&planes, size, depth, unspecified)?;
    let Description { icc, exif, xmp } = *description;
    Ok(file(Parts { size, depth, colour, colour_channels, alpha, icc, exif, xmp }))
}

/// Green, blue and red (or grey), and alpha, at `depth` bits.
fn planes(pixels: &DynamicImage, depth: u8) -> (Vec<Vec<u16>>, Vec<u16>) {
    let at_depth = |value: u16| quantised(value, depth);
    if pixels.color().has_color() {
        let picture: ImageBuffer<Rgba<u16>, _> = pixels.to_rgba16();
        let plane = |c: usize| picture.pixels().map(|p| at_depth(p.0[c])).collect::<Vec<u16>>();
        (vec![plane(1), plane(2), plane(0)], plane(3))
    } else {
        let picture: ImageBuffer<LumaA<u16>, _> = pixels.to_luma_alpha16();
        let plane = |c: usize| picture.pixels().map(|p| at_depth(p.0[c])).collect::<Vec<u16>>();
        (vec![plane(0)], plane(1))
    }
}

fn quantised(value: u16, depth: u8) -> u16 {
    let most = (1u32 << depth) - 1;
    ((u32::from(value) * most + 32_767) / 65_535) as u16
}

fn stream(planes: &[Vec<u16>], (width, height): (u32, u32), depth: u8, unspecified: bool) -> Result<Stream, AvifError> {
    let fail = |error: &dyn std::fmt::Display| AvifError::Encoder(error.to_string());
    let mut settings = EncoderConfig::with_speed_preset(SPEED);
    (settings.width, settings.height) = (width as usize, height as usize);
    settings.bit_depth = usize::from(depth);
    settings.chroma_sampling = if planes.len() == 1 { ChromaSampling::Cs400 } else { ChromaSampling::Cs444 };
    settings.pixel_range = PixelRange::Full;
    settings.color_description = Some(description(planes.len(), unspecified));
    settings.still_picture = true;
    (settings.quantizer, settings.min_quantizer) = (0, 0);
    // Filters that smooth what was coded.
    (settings.speed_settings.cdef, settings.speed_settings.lrf) = (false, false);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    settings.speed_settings.partition.partition_range = PartitionRange::new(LARGEST_BLOCK, LARGEST_BLOCK);
    settings.tiles = threads;
    let mut context: Context<u16> = Config::new()
        .with_encoder_config(settings)
        .with_threads(threads)
        .new_context()
        .map_err(|error| fail(&error))?;
    let mut frame = context.new_frame();
    for (plane, samples) in frame.planes.iter_mut().zip(planes) {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        plane.copy_from_raw_u8(&bytes, 2 * width as usize, 2);
    }
    let configuration = context.container_sequence_header();
    context.send_frame(frame).map_err(|error| fail(&error))?;
    context.flush();
    let mut bytes = Vec::new();
    loop {
        match context.receive_packet() {
            Ok(packet) => bytes.extend(packet.data),
            Err(EncoderStatus::Encoded) => {}
            Err(EncoderStatus::LimitReached) => return Ok(Stream { bytes, configuration }),
            Err(error) => return Err(fail(&error)),
        }
    }
}

fn description(channels: usize, unspecified: bool) -> ColorDescription {
    let matrix_coefficients =
        if channels == 1 { MatrixCoefficients::Unspecified } else { MatrixCoefficients::Identity };
    match unspecified {
        true => ColorDescription {
            color_primaries: ColorPrimaries::Unspecified,
            transfer_characteristics: TransferCharacteristics::Unspecified,
            matrix_coefficients,
        },
        false => ColorDescription {
            color_primaries: ColorPrimaries::BT709,
            transfer_characteristics: TransferCharacteristics::SRGB,
            matrix_coefficients,
        },
    }
}

/// Whether both have the same values, at the depth of the first or, where it is deep, at the 10 bits that deep AVIFs have.
fn is_same(before: &DynamicImage, after: &DynamicImage) -> bool {
    let deep = |picture: &DynamicImage| -> ImageBuffer<Rgba<u16>, Vec<u16>> { picture.to_rgba16() };
    let ten = |value: &u16| quantised(*value, 10);
    match before {
        DynamicImage::ImageLuma8(_) => same::<Luma<u8>>(&before.to_luma8(), &after.to_luma8()),
        DynamicImage::ImageLumaA8(_) => same::<LumaA<u8>>(&before.to_luma_alpha8(), &after.to_luma_alpha8()),
        DynamicImage::ImageRgb8(_) => same::<Rgb<u8>>(&before.to_rgb8(), &after.to_rgb8()),
        DynamicImage::ImageRgba8(_) => same::<Rgba<u8>>(&before.to_rgba8(), &after.to_rgba8()),
        _ => deep(before).iter().map(ten).eq(deep(after).iter().map(ten)),
    }
}

fn same<P: image::Pixel<Subpixel = u8>>(a: &ImageBuffer<P, Vec<u8>>, b: &ImageBuffer<P, Vec<u8>>) -> bool {
    a.as_raw() == b.as_raw()
}
