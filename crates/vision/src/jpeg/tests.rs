use super::*;
use crate::Mask;
use image::metadata::Orientation;
use image::{DynamicImage, GenericImageView, Rgb, RgbImage};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

macro_rules! file {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../tests/data/jpeg/", $name, ".jpg")).as_slice())
    };
}

type File = (&'static str, &'static [u8]);

const BASELINE: [File; 4] = [file!("ragged-420"), file!("ragged-422"), file!("ragged-444"), file!("ragged-grey")];
const PROGRESSIVE: [File; 4] = [
    file!("ragged-420-progressive"),
    file!("ragged-422-progressive"),
    file!("ragged-444-progressive"),
    file!("ragged-grey-progressive"),
];

fn read((name, bytes): File) -> Jpeg {
    decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The blocks that hold pixels: what is beyond is up to the encoder.
fn visible(jpeg: &Jpeg) -> Vec<Vec<Block>> {
    let of = |component: &Component| {
        let (across, down) = component.blocks_in_picture((jpeg.width, jpeg.height), jpeg.most());
        (0..down)
            .flat_map(|row| (0..across).map(move |x| row * component.size.0 + x))
            .map(|i| component.blocks[i])
            .collect()
    };
    jpeg.components.iter().map(of).collect()
}

fn pixels(bytes: &[u8]) -> DynamicImage {
    image::load_from_memory(bytes).unwrap()
}

#[test]
fn baseline_progressive_restarted_and_separate_scans_have_the_same_coefficients() {
    for (plain, progressive) in BASELINE.into_iter().zip(PROGRESSIVE) {
        let (plain, other) = (read(plain), read(progressive));
        assert_eq!((plain.progressive, other.progressive), (false, true));
        assert!(visible(&plain) == visible(&other), "{}", progressive.0);
    }
    for other in [file!("ragged-420-restart"), file!("ragged-420-apart")] {
        assert!(visible(&read(BASELINE[0])) == visible(&read(other)), "{}", other.0);
    }
}

#[test]
fn writing_keeps_every_coefficient_table_and_segment() {
    for file in BASELINE.into_iter().chain(PROGRESSIVE) {
        let jpeg = read(file);
        let written = encode(&jpeg);
        let again = decode(&written).unwrap();
        assert!(visible(&again) == visible(&jpeg), "{}", file.0);
        assert_eq!(again.progressive, jpeg.progressive, "{}", file.0);
        assert_eq!(again.segments, jpeg.segments, "{}", file.0);
        for (a, b) in again.components.iter().zip(&jpeg.components) {
            assert_eq!((a.id, a.sampling, a.table), (b.id, b.sampling, b.table), "{}", file.0);
        }
        assert!(pixels(&written) == pixels(file.1), "{}: another decoder sees another picture", file.0);
    }
}

#[test]
fn turning_is_what_jpegtran_does() {
    use Orientation::*;
    let turned = [
        (FlipHorizontal, file!("even-2")),
        (Rotate180, file!("even-3")),
        (FlipVertical, file!("even-4")),
        (Rotate90FlipH, file!("even-5")),
        (Rotate90, file!("even-6")),
        (Rotate270FlipH, file!("even-7")),
        (Rotate270, file!("even-8")),
    ];
    for (orientation, wanted) in turned {
        let (found, wanted) = (turn(read(file!("even")), orientation).unwrap(), read(wanted));
        assert_eq!((found.width, found.height), (wanted.width, wanted.height), "{orientation:?}");
        for (a, b) in found.components.iter().zip(&wanted.components) {
            assert!((a.sampling, a.table, a.size) == (b.sampling, b.table, b.size), "{orientation:?}");
            assert!(a.blocks == b.blocks, "{orientation:?}");
        }
    }
    let message = turn(read(BASELINE[0]), Rotate180).unwrap_err().to_string();
    assert!(message.contains("16×16"), "{message}");
    turn(read(BASELINE[0]), Rotate90FlipH).expect("a transposition mirrors nothing");
}

/// A hole of a few rectangles, sometimes none.
fn random_mask(rng: &mut impl Rng, width: u32, height: u32) -> Mask {
    let rectangles: Vec<[u32; 4]> = (0..rng.random_range(0..4))
        .map(|_| {
            let (x, y) = (rng.random_range(0..width), rng.random_range(0..height));
            [x, y, x + rng.random_range(1..20), y + rng.random_range(1..20)]
        })
        .collect();
    Mask::from_fn(width, height, |x, y| {
        rectangles.iter().any(|r| (r[0]..r[2]).contains(&x) && (r[1]..r[3]).contains(&y))
    })
}

fn painted(source: &DynamicImage, mask: &Mask) -> DynamicImage {
    let painted = RgbImage::from_fn(mask.width(), mask.height(), |x, y| match mask.is_hole(x, y) {
        true => Rgb([200, (3 * x) as u8, (5 * y) as u8]),
        false => Rgb([source.get_pixel(x, y).0[0], source.get_pixel(x, y).0[1], source.get_pixel(x, y).0[2]]),
    });
    let painted = DynamicImage::from(painted);
    if source.color().has_color() { painted } else { painted.to_luma8().into() }
}

#[test]
fn only_blocks_with_filled_pixels_change_whatever_the_hole() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for round in 0..20 {
        for file in BASELINE.into_iter().chain(PROGRESSIVE) {
            let (source, before) = (read(file), pixels(file.1));
            let mask = random_mask(&mut rng, source.width, source.height);
            let after = painted(&before, &mask);
            let placed = Placed { source: &source, at: Some((0, 0)), pixels: &after, mask: &mask };
            let written = encode(&splice(&placed).unwrap());
            let spliced = decode(&written).unwrap();
            for (before, after) in source.components.iter().zip(&spliced.components) {
                assert_eq!(before.table, after.table);
                let scale = (source.most().0 / before.sampling.0, source.most().1 / before.sampling.1);
                let (across, down) = before.blocks_in_picture((source.width, source.height), source.most());
                for (x, y) in (0..down).flat_map(|y| (0..across).map(move |x| (x, y))) {
                    let (left, top) = (x as u32 * 8 * scale.0, y as u32 * 8 * scale.1);
                    let filled = |x: u32, y: u32| x < mask.width() && y < mask.height() && mask.is_hole(x, y);
                    let touched = (top..top + 8 * scale.1).any(|y| (left..left + 8 * scale.0).any(|x| filled(x, y)));
                    let at = y * before.size.0 + x;
                    assert!(touched || before.blocks[at] == after.blocks[at], "{} in round {round}", file.0);
                }
            }
            if mask.hole_share() == 0.0 {
                assert!(pixels(&written) == before, "{}", file.0);
            }
        }
    }
}

#[test]
fn filled_blocks_look_like_what_was_filled_in() {
    let (source, before) = (read(file!("even")), pixels(file!("even").1));
    let mask = Mask::from_fn(64, 48, |x, y| (20..44).contains(&x) && (10..30).contains(&y));
    let filled = DynamicImage::from(RgbImage::from_fn(64, 48, |x, y| match mask.is_hole(x, y) {
        true => Rgb([180, 120, 60]),
        false => before.to_rgb8().get_pixel(x, y).to_owned(),
    }));
    let spliced = splice(&Placed { source: &source, at: Some((0, 0)), pixels: &filled, mask: &mask }).unwrap();
    let found = pixels(&encode(&spliced)).to_rgb8();
    for (x, y) in [(25, 15), (32, 20), (38, 25)] {
        let near = found.get_pixel(x, y).0.iter().zip([180, 120, 60]).all(|(a, b)| a.abs_diff(b) < 16);
        assert!(near, "{:?} at {x}, {y}", found.get_pixel(x, y));
    }
}

#[test]
fn a_grown_canvas_keeps_the_sources_blocks_where_they_fit() {
    let (source, before) = (read(BASELINE[0]), pixels(BASELINE[0].1));
    let (width, height) = (source.width + 16 + 7, source.height + 32 + 5);
    let mask = Mask::from_fn(width, height, |x, y| {
        !((16..16 + source.width).contains(&x) && (32..32 + source.height).contains(&y))
    });
    let mut canvas = RgbImage::from_pixel(width, height, Rgb([90, 140, 190]));
    image::imageops::replace(&mut canvas, &before.to_rgb8(), 16, 32);
    let canvas = DynamicImage::from(canvas);
    let spliced = |at| splice(&Placed { source: &source, at: Some(at), pixels: &canvas, mask: &mask });
    let grown = decode(&encode(&spliced((16, 32)).unwrap())).unwrap();
    assert_eq!((grown.width, grown.height), (width, height));
    for (before, after) in source.components.iter().zip(&grown.components) {
        let (h, v) = (before.sampling.0 as usize, before.sampling.1 as usize);
        for (x, y) in [(0, 0), (1, 1), (2, 1)] {
            let found = after.blocks[(y + 2 * v) * after.size.0 + x + h];
            assert!(found == before.blocks[y * before.size.0 + x], "{x}, {y}");
        }
    }
    let message = spliced((8, 0)).unwrap_err().to_string();
    assert!(message.contains("16×16") && message.contains("whole ones"), "{message}");
}

#[test]
fn damage_is_an_error_or_another_picture_but_never_a_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for file in [BASELINE[0], PROGRESSIVE[0], file!("ragged-420-restart"), file!("ragged-420-apart"), BASELINE[3]] {
        for end in (0..file.1.len()).step_by(7) {
            assert!(decode(&file.1[..end]).is_err(), "{} cut at {end}", file.0);
        }
        for _ in 0..800 {
            let mut damaged = file.1.to_vec();
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..damaged.len());
                damaged[at] = rng.random();
            }
            if let Ok(jpeg) = decode(&damaged).filter_small() {
                let _ = jpeg.colours();
                assert!(decode(&encode(&jpeg)).is_ok(), "{}", file.0);
            }
        }
    }
}

/// Damage can announce a picture of many megapixels: a valid one, but slow to go on with.
trait FilterSmall {
    fn filter_small(self) -> Result<Jpeg, JpegError>;
}

impl FilterSmall for Result<Jpeg, JpegError> {
    fn filter_small(self) -> Self {
        self.and_then(|jpeg| match jpeg.width * jpeg.height < 1 << 16 {
            true => Ok(jpeg),
            false => Err(JpegError::Unsupported("large")),
        })
    }
}

#[test]
fn the_best_huffman_table_is_a_prefix_code_within_16_bits() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for symbols in [1, 2, 3, 17, 256] {
        for skew in [1.0, 1.5, 2.0] {
            let mut counts = [0u64; 256];
            (0..symbols)
                .for_each(|i| counts[i] = 1 + f64::powf(skew, (i as f64).min(60.0)) as u64 + rng.random_range(0..3));
            let codes = huffman::Codes::best_for(&counts).codes().unwrap();
            assert_eq!(codes.len(), symbols);
            assert!(codes.iter().all(|(_, code, length)| (1..=16).contains(length) && *code != (1 << length) - 1));
        }
    }
}

#[test]
fn a_file_of_endless_scans_is_refused() {
    let bytes = file!("ragged-grey").1;
    let start = bytes.windows(2).position(|marker| marker == [0xFF, 0xDA]).unwrap();
    let (head, scan) = bytes[..bytes.len() - 2].split_at(start);
    let repeated = |times: usize| decode(&[head, &scan.repeat(times), &[0xFF, 0xD9]].concat());
    assert!(repeated(1).is_ok() && repeated(100).is_ok());
    assert_eq!(repeated(101).err(), Some(JpegError::Unsupported("more than 100 times scanned")));
}
