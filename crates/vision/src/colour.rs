//! Colour profiles. Everything is worked out in the target's own colours, so that those outside sRGB survive; references
//! with another profile are converted to it first. A photo without profile is sRGB, or Adobe RGB where its EXIF block says so.
//! To complete a black and white photo, references lose their colour.

use crate::{Mask, Photo, metadata};
use image::{GenericImageView, ImageBuffer, ImageFormat, Rgb};
use moxcms::{
    ColorProfile, DataColorSpace, Layout, RenderingIntent, ToneReprCurve, TransformExecutor, TransformOptions,
};
use rayon::prelude::*;
use std::sync::Arc;

type Transform = Arc<dyn TransformExecutor<u16> + Send + Sync>;

/// Profiles whose colours differ by no more than this anywhere are taken to be the same: one and a half steps of 8 bits.
const SAME: u16 = 386;

/// Pixels that one thread converts at a time.
const PIECE: usize = 1 << 14;

/// A curve that is black or white over more than this share of its length tells too few shades apart. Looking up its inverse
/// also takes `moxcms` seconds. A plain exponent reaches it at 8.
const FLAT: f32 = 0.25;

/// The date in profiles made here, year, month, day, hour, minute and second of two bytes each, and where a profile has it (ICC.1:2022, 7.2).
const MADE: [u8; 12] = [0x07, 0xE9, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0];
const MADE_AT: usize = 24;

/// What is wrong with a profile; `None` when its colours can be converted.
pub(crate) fn defect(icc: &[u8]) -> Option<String> {
    match read(icc) {
        Err(error) => Some(error),
        Ok(profile) if profile.color_space != DataColorSpace::Rgb => None,
        Ok(profile) => transform(&profile, &ColorProfile::new_srgb()).err(),
    }
}

/// Whether the profile says the same as sRGB.
pub(crate) fn is_srgb(icc: &[u8]) -> bool {
    let profile = read(icc).ok().filter(|profile| profile.color_space == DataColorSpace::Rgb);
    let transform = profile.and_then(|profile| transform(&profile, &ColorProfile::new_srgb()).ok());
    transform.is_some_and(|transform| changes_nothing(&transform))
}

/// A reference in the target's colours. Grey ones, and those whose profile says the same, stay as they are; others get
/// 16 bits a channel. Colours that the target's profile cannot hold move to the nearest it can.
pub fn in_colours_of(reference: Photo, target: &Photo) -> Photo {
    let is_same = reference.icc == target.icc && is_adobe_rgb(&reference) == is_adobe_rgb(target);
    if !reference.pixels.color().has_color() || is_same {
        return reference;
    }
    match profile(&reference).zip(profile(target)).and_then(|(from, to)| transform(&from, &to).ok()) {
        Some(transform) if !changes_nothing(&transform) => {
            let mut pixels = reference.pixels.to_rgb16();
            convert(&transform, &mut pixels);
            let icc = target.profile();
            // Its EXIF block and a PNG's chunks may name the colours that it had.
            Photo { pixels: pixels.into(), icc, exif: None, png_chunks: None, ..reference }
        }
        _ => reference,
    }
}

/// Channels of a grey pixel differ by this much at most, of 255, and this share of the pixels may differ by more: a stamp's date, say.
const GREY: u8 = 2;
const COLOURED: f32 = 0.001;
/// Grey values that all lie within this are a plain surface, which says nothing about the photo's colours.
const PLAIN: u8 = 24;

/// Whether what is known of a photo is black and white, whatever its file has room for. A plain grey surface does not count.
pub fn is_black_and_white(photo: &Photo, hole: Option<&Mask>) -> bool {
    let known = |x: u32, y: u32| hole.is_none_or(|hole| !hole.is_hole(x, y));
    let most = (COLOURED * photo.width() as f32 * photo.height() as f32) as usize;
    let (mut coloured, mut least, mut greatest) = (0, u8::MAX, 0);
    for (_, _, pixel) in photo.pixels.pixels().filter(|&(x, y, pixel)| known(x, y) && pixel[3] > 0) {
        let [r, g, b, _] = pixel.0;
        coloured += usize::from(r.max(g).max(b) - r.min(g).min(b) > GREY);
        if coloured > most {
            return false;
        }
        (least, greatest) = (least.min(g), greatest.max(g));
    }
    greatest.saturating_sub(least) > PLAIN
}

/// The photo without its colours, as bright as it was.
pub fn without_colour(photo: Photo) -> Photo {
    Photo { pixels: photo.pixels.grayscale(), ..photo }
}

/// Whether the photo is in Adobe RGB without a profile, as cameras write it.
fn is_adobe_rgb(photo: &Photo) -> bool {
    let is_camera_file = photo.format == Some(ImageFormat::Jpeg) && photo.icc.is_none(); // others say it themselves
    let is_marked = is_camera_file && photo.exif.as_deref().is_some_and(metadata::says_adobe_rgb);
    is_marked && photo.pixels.color().has_color()
}

/// The profile that a photo without one has by its EXIF block.
pub(crate) fn named_by_exif(photo: &Photo) -> Option<Vec<u8>> {
    is_adobe_rgb(photo).then(ColorProfile::new_adobe_rgb).as_ref().and_then(encoded)
}

/// A profile's bytes, the same whenever they are made: by itself it says that it was made now.
pub(crate) fn encoded(profile: &ColorProfile) -> Option<Vec<u8>> {
    let mut bytes = profile.encode().ok()?;
    bytes.get_mut(MADE_AT..MADE_AT + MADE.len())?.copy_from_slice(&MADE);
    Some(bytes)
}

/// The photo's RGB profile; sRGB when it has none (or only grey values), and its EXIF block names no other.
fn profile(photo: &Photo) -> Option<ColorProfile> {
    if is_adobe_rgb(photo) {
        return Some(ColorProfile::new_adobe_rgb());
    }
    let profile = photo.icc.as_deref().map(read).transpose().ok()?;
    Some(profile.filter(|profile| profile.color_space == DataColorSpace::Rgb).unwrap_or_else(ColorProfile::new_srgb))
}

fn read(icc: &[u8]) -> Result<ColorProfile, String> {
    let profile = ColorProfile::new_from_slice(icc).map_err(|error| error.to_string())?;
    let curves = [("red", &profile.red_trc), ("green", &profile.green_trc), ("blue", &profile.blue_trc)];
    for (name, curve) in curves {
        let flat = curve.as_ref().map_or(0.0, flat_share);
        if flat > FLAT {
            return Err(format!("its {name} curve is black or white over {:.0} % of its length", 100.0 * flat));
        }
    }
    Ok(profile)
}

/// The share of a curve's length over which it is black or white, of 16 bits. A curve that cannot be worked out counts as none.
fn flat_share(curve: &ToneReprCurve) -> f32 {
    const PLACES: usize = 256;
    let Ok(curve) = curve.make_linear_evaluator() else { return 0.0 };
    let shade = |i: usize| 65535.0 * curve.evaluate_value(i as f32 / (PLACES - 1) as f32);
    let shades = (0..PLACES).filter(|&i| (1.0..65535.0).contains(&shade(i))).count();
    1.0 - shades as f32 / PLACES as f32
}

fn transform(from: &ColorProfile, to: &ColorProfile) -> Result<Transform, String> {
    let options =
        TransformOptions { rendering_intent: RenderingIntent::RelativeColorimetric, ..TransformOptions::default() };
    from.create_transform_16bit(Layout::Rgb, to, Layout::Rgb, options).map_err(|error| error.to_string())
}

/// Tried on a lattice of colours.
fn changes_nothing(transform: &Transform) -> bool {
    let steps: Vec<u16> = (0..6).map(|i| i * 13_107).collect();
    let colours = steps.iter().flat_map(|r| steps.iter().flat_map(|g| steps.iter().flat_map(|b| [*r, *g, *b])));
    let before: Vec<u16> = colours.collect();
    let mut after = vec![0; before.len()];
    let converted = transform.transform(&before, &mut after).is_ok();
    !converted || before.iter().zip(&after).all(|(a, b)| a.abs_diff(*b) <= SAME)
}

fn convert(transform: &Transform, pixels: &mut ImageBuffer<Rgb<u16>, Vec<u16>>) {
    pixels.as_mut().par_chunks_mut(3 * PIECE).for_each(|piece| {
        let before = piece.to_vec();
        if transform.transform(&before, piece).is_err() {
            piece.copy_from_slice(&before);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Strip;
    use crate::metadata::test_blocks::with_interoperability;
    use crate::save::Wanted;
    use crate::test_folder::TestFolder;
    use crate::{Mask, Scene};
    use image::{GrayImage, Luma, RgbImage};

    fn photo(colour: [u8; 3], profile: Option<ColorProfile>) -> Photo {
        let icc = profile.map(|profile| profile.encode().unwrap());
        Photo { icc, ..Photo::from_pixels(RgbImage::from_pixel(5, 4, Rgb(colour))) }
    }

    fn near(photo: &Photo, wanted: [f32; 3]) -> bool {
        let found = photo.to_rgb32f().get_pixel(2, 2).0;
        found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 0.006)
    }

    #[test]
    fn a_reference_in_another_profile_gets_the_targets_colours() {
        let p3 = || Some(ColorProfile::new_display_p3());
        let target = photo([0; 3], p3());
        // sRGB's red and a green, in Display P3 (CSS Color 4, conversions through XYZ).
        let red = in_colours_of(photo([255, 0, 0], None), &target);
        assert!(near(&red, [0.9176, 0.2003, 0.1386]), "{:?}", red.to_rgb32f().get_pixel(0, 0));
        assert_eq!(red.icc, target.icc);
        // Display P3's red is outside sRGB and moves to its edge.
        let edge = in_colours_of(photo([255, 0, 0], p3()), &photo([0; 3], None));
        assert!(near(&edge, [1.0, 0.0, 0.0]) && edge.icc.is_none());
        let grey = in_colours_of(photo([120, 120, 120], p3()), &photo([0; 3], None));
        assert!(near(&grey, [120.0 / 255.0; 3]));
    }

    fn marked(colour: [u8; 3], index: &[u8; 3]) -> Photo {
        let (exif, format) = (Some(with_interoperability(index)), Some(ImageFormat::Jpeg));
        Photo { exif, format, ..photo(colour, None) }
    }

    #[test]
    fn adobe_rgb_that_exif_alone_names_is_told_from_srgb() {
        // A green of sRGB, in Adobe RGB (Adobe RGB (1998), 4.3).
        let (srgb, adobe) = ([60, 180, 90], [112, 179, 96]);
        let near = |photo: &Photo, wanted: [u8; 3]| near(photo, wanted.map(|value| f32::from(value) / 255.0));
        let found = in_colours_of(photo(srgb, None), &marked([0; 3], b"R03"));
        assert!(near(&found, adobe), "{:?}", found.to_rgb32f().get_pixel(0, 0));
        let found = in_colours_of(marked(adobe, b"R03"), &photo([0; 3], None));
        assert!(near(&found, srgb), "{:?}", found.to_rgb32f().get_pixel(0, 0));
        let twice = in_colours_of(found.clone(), &photo([0; 3], None));
        assert_eq!(twice.pixels, found.pixels);
        for (reference, target) in [(b"R03", b"R03"), (b"R98", b"R98")] {
            let same = in_colours_of(marked(adobe, reference), &marked([0; 3], target));
            assert_eq!(same.pixels, photo(adobe, None).pixels);
        }
        let same = in_colours_of(marked(adobe, b"R98"), &photo([0; 3], None));
        let exported = Photo { format: Some(ImageFormat::Png), ..marked(adobe, b"R03") };
        assert_eq!(in_colours_of(exported, &photo([0; 3], None)).pixels, photo(adobe, None).pixels);
        assert_eq!(same.pixels, photo(adobe, None).pixels);
    }

    #[test]
    fn adobe_rgb_that_exif_alone_names_gets_a_profile_where_exif_is_not_looked_at() {
        let folder = TestFolder::new();
        let nothing = Mask::from_fn(5, 4, |_, _| false);
        let written = |format, strip| {
            let wanted = Wanted { format: Some(format), strip };
            let saved = marked([9, 80, 7], b"R03").save_completed(&nothing, &folder.join("completed"), wanted).unwrap();
            Photo::open(saved.path).unwrap()
        };
        let jpeg = written(ImageFormat::Jpeg, Strip::Nothing);
        assert!(jpeg.icc.is_none() && is_adobe_rgb(&jpeg));
        let others = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff];
        let bare = written(ImageFormat::Jpeg, Strip::All);
        for photo in others.map(|format| written(format, Strip::Nothing)).into_iter().chain([bare]) {
            assert_eq!(photo.icc, encoded(&ColorProfile::new_adobe_rgb()), "{:?}", photo.format);
        }
    }

    /// Columns from dark to bright, times a colour.
    fn ramp(colour: [u8; 3]) -> Photo {
        let shade = |c: u8, x: u32| (u32::from(c) * (x + 1) / 64) as u8;
        Photo::from_pixels(RgbImage::from_fn(64, 32, |x, _| Rgb(colour.map(|c| shade(c, x)))))
    }

    #[test]
    fn what_is_known_of_a_black_and_white_photo_is_grey() {
        assert!(is_black_and_white(&ramp([250; 3]), None));
        assert!(!is_black_and_white(&ramp([250, 244, 238]), None), "nearly grey is a colour");
        assert!(!is_black_and_white(&photo([120; 3], None), None), "a plain surface says nothing");
        let marked = |colour| {
            let mut pixels = ramp([250; 3]).pixels.to_rgb8();
            (0..20).for_each(|i| pixels.put_pixel(i, 3, Rgb(colour)));
            Photo::from_pixels(pixels)
        };
        let hole = Mask::from_fn(64, 32, |_, y| y == 3);
        assert!(!is_black_and_white(&marked([255, 0, 0]), None));
        assert!(is_black_and_white(&marked([255, 0, 0]), Some(&hole)), "what lies in the hole does not count");
    }

    #[test]
    fn references_of_a_black_and_white_target_lose_their_colour() {
        let hole = || Mask::from_fn(64, 32, |x, _| x < 9);
        let scene = |target| Scene::new("ramp", target, hole(), vec![ramp([40, 200, 90])]).unwrap();
        let grey = scene(ramp([250; 3]));
        assert!(grey.is_black_and_white());
        let reference = grey.references[0].to_rgb32f();
        assert!(reference.pixels().all(|p| p[0] == p[1] && p[1] == p[2]));
        let luma = (0.2126 * 40.0 + 0.7152 * 200.0 + 0.0722 * 90.0) / 255.0;
        assert!((reference.get_pixel(63, 0)[0] - luma).abs() < 0.01);
        let coloured = scene(ramp([250, 240, 200]));
        assert!(!coloured.is_black_and_white());
        assert_eq!(coloured.references[0].pixels, ramp([40, 200, 90]).pixels);
    }

    #[test]
    fn the_same_colours_under_another_name_stay_bit_identical() {
        let srgb = || Some(ColorProfile::new_srgb());
        let before = photo([10, 200, 30], srgb());
        let after = in_colours_of(before.clone(), &photo([0; 3], None));
        assert_eq!(after.pixels, before.pixels);
        let grey = Photo::from_pixels(GrayImage::from_pixel(3, 3, Luma([9])));
        assert_eq!(in_colours_of(grey.clone(), &photo([0; 3], srgb())).pixels, grey.pixels);
    }

    #[test]
    fn wide_colours_pass_from_reference_to_target_unharmed() {
        let p3 = || Some(ColorProfile::new_display_p3());
        let mask = Mask::from_fn(5, 4, |x, _| x < 2);
        let target = photo([0, 250, 0], p3());
        let scene = Scene::new("s", target.clone(), mask, vec![photo([250, 0, 0], p3())]).unwrap();
        assert_eq!(scene.references[0].pixels, photo([250, 0, 0], None).pixels);
        assert_eq!(scene.target.icc, target.icc);
    }

    #[test]
    fn a_curve_that_is_flat_for_long_is_named() {
        let of = |curve| {
            let mut profile = ColorProfile::new_display_p3();
            profile.green_trc = Some(curve);
            profile.encode().unwrap()
        };
        let exponent = |e: f32| of(ToneReprCurve::Parametric(vec![e, 0.95, 0.05, 0.08, 0.04]));
        let table = |dark: usize| {
            of(ToneReprCurve::Lut((0..1024).map(|i: usize| (64 * i.saturating_sub(dark)) as u16).collect()))
        };
        for good in [exponent(2.4), exponent(1.0), table(0), table(100), of(ToneReprCurve::Lut(vec![]))] {
            assert_eq!(defect(&good), None);
        }
        for bad in [exponent(26_214.0), table(400), of(ToneReprCurve::Lut(vec![0xFFFF]))] {
            let defect = defect(&bad).unwrap_or_default();
            assert!(defect.contains("green curve"), "{defect}");
            assert!(!is_srgb(&bad));
            let broken = Photo { icc: Some(bad), ..photo([10, 200, 30], None) };
            assert_eq!(in_colours_of(broken, &photo([0; 3], None)).pixels, photo([10, 200, 30], None).pixels);
        }
    }

    #[test]
    fn a_broken_profile_is_named_and_every_damage_survived() {
        let icc = ColorProfile::new_display_p3().encode().unwrap();
        assert_eq!(defect(&icc), None);
        assert!(defect(&icc[..100]).is_some() && defect(b"nothing").is_some());
        for at in (0..icc.len()).step_by(11) {
            let mut damaged = icc.clone();
            damaged[at] ^= 0xFF;
            defect(&damaged);
        }
    }
}
