//! From coded samples to RGB (ITU-T H.273, 8.3) and from codes to profiles.

use super::AvifError;
use super::av1::{Picture, Plane};
use crate::colour;
use moxcms::{CicpColorPrimaries, CicpProfile, ColorProfile, MatrixCoefficients, TransferCharacteristics};
use rayon::prelude::*;

/// Red, green and blue, or grey alone, 0 to 65535, interleaved.
pub(super) struct Colours {
    pub channels: usize,
    pub values: Vec<u16>,
}

/// How the channels were mixed.
#[derive(Clone, Copy)]
enum Mix {
    /// They are green, blue, red.
    None,
    /// Luma with these weights of red and blue.
    Luma { red: f32, blue: f32 },
}

/// The picture's colours. `matrix` and `full_range` are what the container says, where it does.
pub(super) fn colours(picture: &Picture, code: Option<(u16, bool)>) -> Result<Colours, AvifError> {
    let (matrix, full_range) = code.unwrap_or((picture.code.2, picture.full_range));
    let range = Range::of(picture.depth, full_range);
    let width = picture.width as usize;
    let luma = &picture.planes[0];
    if picture.planes.len() < 3 {
        let values = luma.samples.par_iter().map(|&v| to_16(range.luma(f32::from(v)))).collect();
        return Ok(Colours { channels: 1, values });
    }
    let mix = mix(matrix)?;
    let mut values = vec![0; 3 * width * picture.height as usize];
    values.par_chunks_exact_mut(3 * width).enumerate().for_each(|(y, row)| {
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            let first = f32::from(luma.samples[y * width + x]);
            let [second, third] = [1, 2].map(|plane| chroma(&picture.planes[plane], (x, y), picture.halved));
            let rgb = match mix {
                Mix::None => [third, first, second].map(|v| range.luma(v)),
                Mix::Luma { red, blue } => {
                    unmixed([range.luma(first), range.chroma(second), range.chroma(third)], red, blue)
                }
            };
            (0..3).for_each(|c| pixel[c] = to_16(rgb[c]));
        }
    });
    Ok(Colours { channels: 3, values })
}

fn mix(matrix: u16) -> Result<Mix, AvifError> {
    Ok(match matrix {
        0 => Mix::None,
        1 => Mix::Luma { red: 0.2126, blue: 0.0722 },
        4 => Mix::Luma { red: 0.3, blue: 0.11 },
        2 | 5 | 6 => Mix::Luma { red: 0.299, blue: 0.114 },
        7 => Mix::Luma { red: 0.212, blue: 0.087 },
        9 => Mix::Luma { red: 0.2627, blue: 0.0593 },
        _ => return Err(AvifError::Unsupported("its way of mixing colours (matrix coefficients)")),
    })
}

fn unmixed([luma, blue_difference, red_difference]: [f32; 3], red: f32, blue: f32) -> [f32; 3] {
    let r = luma + 2.0 * (1.0 - red) * red_difference;
    let b = luma + 2.0 * (1.0 - blue) * blue_difference;
    [r, (luma - red * r - blue * b) / (1.0 - red - blue), b]
}

/// What of the samples' range is used.
struct Range {
    black: f32,
    luma: f32,
    middle: f32,
    chroma: f32,
}

impl Range {
    fn of(depth: u32, full: bool) -> Self {
        let unit = (1u32 << (depth - 8)) as f32;
        let middle = 128.0 * unit;
        match full {
            true => Self { black: 0.0, luma: 256.0 * unit - 1.0, middle, chroma: 256.0 * unit - 1.0 },
            false => Self { black: 16.0 * unit, luma: 219.0 * unit, middle, chroma: 224.0 * unit },
        }
    }

    fn luma(&self, value: f32) -> f32 {
        (value - self.black) / self.luma
    }

    fn chroma(&self, value: f32) -> f32 {
        (value - self.middle) / self.chroma
    }
}

fn to_16(value: f32) -> u16 {
    (value.clamp(0.0, 1.0) * 65535.0 + 0.5) as u16
}

/// A chroma sample at a luma pixel; between the samples of a halved plane, which lie in the middle of their pixels, by
/// distance.
fn chroma(plane: &Plane, (x, y): (usize, usize), halved: (bool, bool)) -> f32 {
    let height = plane.samples.len() / plane.width;
    let (x0, x1, across) = neighbours(x, plane.width, halved.0);
    let (y0, y1, down) = neighbours(y, height, halved.1);
    let at = |x: usize, y: usize| f32::from(plane.samples[y * plane.width + x]);
    if across == 0.0 && down == 0.0 {
        return at(x0, y0);
    }
    let row = |y: usize| at(x0, y) * (1.0 - across) + at(x1, y) * across;
    row(y0) * (1.0 - down) + row(y1) * down
}

/// The nearest sample, the one on the other side, and the share of the latter.
fn neighbours(at: usize, length: usize, halved: bool) -> (usize, usize, f32) {
    if !halved {
        return (at, at, 0.0);
    }
    let near = (at / 2).min(length - 1);
    let far = if at.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(length - 1) };
    (near, far, 0.25)
}

/// Whether a code of primaries and transfer characteristics stands for sRGB.
pub(crate) fn is_srgb_code(code: (u16, u16)) -> bool {
    matches!(code, (1, 13 | 1 | 6))
}

/// The profile that a code stands for; `None` for sRGB, for what is not said, and for what has no profile.
pub(crate) fn profile_of_code((primaries, transfer): (u16, u16)) -> Option<Vec<u8>> {
    let unspecified = primaries == 2 || transfer == 2;
    if unspecified || is_srgb_code((primaries, transfer)) {
        return None;
    }
    let code = CicpProfile {
        color_primaries: CicpColorPrimaries::try_from(u8::try_from(primaries).ok()?).ok()?,
        transfer_characteristics: TransferCharacteristics::try_from(u8::try_from(transfer).ok()?).ok()?,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: true,
    };
    colour::encoded(&ColorProfile::new_from_cicp(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(samples: [u16; 3], matrix: u16, full_range: bool, depth: u32) -> Picture {
        let planes = samples.map(|v| Plane { width: 1, samples: vec![v] }).into();
        Picture { width: 1, height: 1, depth, planes, halved: (false, false), code: (1, 13, matrix), full_range }
    }

    fn rgb8(picture: &Picture) -> [u8; 3] {
        let values = colours(picture, None).unwrap().values;
        [0, 1, 2].map(|c| (f64::from(values[c]) / 257.0).round() as u8)
    }

    #[test]
    fn known_colours_come_out() {
        assert_eq!(rgb8(&picture([20, 30, 10], 0, true, 8)), [10, 20, 30]);
        assert_eq!(rgb8(&picture([76, 85, 255], 6, true, 8)), [254, 0, 0], "red in BT.601, full range (JFIF)");
        assert_eq!(rgb8(&picture([235, 128, 128], 1, false, 8)), [255; 3], "white in video range");
        assert_eq!(rgb8(&picture([16 * 4, 512, 512], 9, false, 10)), [0; 3], "black in video range, 10 bits");
    }

    #[test]
    fn halved_chroma_is_spread_smoothly() {
        let planes = [
            Plane { width: 4, samples: vec![128; 4] },
            Plane { width: 2, samples: vec![128; 2] },
            Plane { width: 2, samples: vec![100, 140] },
        ];
        let spread: Vec<f32> = (0..4).map(|x| chroma(&planes[2], (x, 0), (true, true))).collect();
        assert_eq!(spread, [100.0, 110.0, 130.0, 140.0]);
    }

    #[test]
    fn codes_other_than_srgb_have_profiles() {
        assert!([(1, 13), (2, 2), (999, 13)].iter().all(|code| profile_of_code(*code).is_none()));
        let p3 = ColorProfile::new_from_slice(&profile_of_code((12, 13)).expect("Display P3")).unwrap();
        assert!((p3.red_colorant.x - ColorProfile::new_display_p3().red_colorant.x).abs() < 1e-3);
        assert_eq!(
            (p3.creation_date_time.year, p3.creation_date_time.month),
            (2025, 1),
            "the same whenever it is read"
        );
    }
}
