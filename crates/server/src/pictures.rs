//! Pictures from outside: decoded with the guards of the command line before anything is kept of them, and made small for
//! the page.

use crate::config::Limits;
use crate::problem::{Answer, Problem};
use crate::request::FormatName;
use crate::store::ScenePhoto;
use image::DynamicImage;
use realfill_vision::resize::{quantise, shrunk};
use realfill_vision::save::{losses, oversize};
use realfill_vision::{Mask, Photo};
use std::fs;
use std::path::Path;

/// Longest side of the preview that masks are painted on, in pixels.
const TARGET_PREVIEW_PX: u32 = 2048;

/// Longest side of a reference's preview, in pixels.
const REFERENCE_PREVIEW_PX: u32 = 640;

/// A picture that was read.
pub struct Checked {
    /// What is kept about it.
    pub about: ScenePhoto,
    /// The picture itself.
    pub photo: Photo,
}

/// Reads the picture in `file`, which came as `name`, and renames the file after its role and format.
///
/// # Errors
/// 413 for too many megapixels, 422 for what is no picture, broken, or in another format; the sentence is the command line's.
pub fn check(file: &Path, role: &str, name: &str, limits: &Limits) -> Answer<Checked> {
    let content = fs::read(file)?;
    check_megapixels(&content, name, limits)?;
    let photo = Photo::from_bytes(&content, name).map_err(|error| Problem::unusable(error.to_string()))?;
    let extension = extension(&photo).to_owned();
    fs::rename(file, file.with_file_name(format!("{role}.{extension}")))?;
    let (width, height, bytes) = (photo.width(), photo.height(), content.len() as u64);
    let about = ScenePhoto { role: role.into(), name: name.into(), width, height, bytes, extension };
    Ok(Checked { about, photo })
}

/// What the file of a photo is called by: `photo.extension()` is that of a result, and there are none in JPEG XL.
fn extension(photo: &Photo) -> &'static str {
    if photo.format.is_none() { "jxl" } else { photo.extension() }
}

fn check_megapixels(content: &[u8], name: &str, limits: &Limits) -> Answer<()> {
    let size = Photo::declared_size(content, name);
    let (width, height) = size.map_err(|error| Problem::unusable(error.to_string()))?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels <= limits.megapixels * 1_000_000 {
        return Ok(());
    }
    Err(Problem::too_large(format!(
        "{name} is {width}×{height}, {} megapixels, and this server takes {}; scale it down first",
        pixels / 1_000_000,
        limits.megapixels
    )))
}

/// Checks that a mask fits a target of this size and name, and marks something.
///
/// # Errors
/// 422 with the command line's sentence.
pub fn check_mask(mask: &Photo, target: &ScenePhoto) -> Answer<()> {
    let size = DynamicImage::new_luma8(target.width, target.height);
    let target = Photo { path: target.name.clone().into(), ..Photo::from_pixels(size) };
    Mask::from_photo(mask, &target).map(|_| ()).map_err(|error| Problem::unusable(error.to_string()))
}

/// Checks that a format has room for the sides of a result of this size, whose photo people call `name`.
///
/// # Errors
/// 422 with the command line's sentence.
pub fn check_sides(size: (u32, u32), name: &str, format: FormatName) -> Answer<()> {
    match oversize(size, format.image()) {
        Some(oversize) => {
            Err(Problem::unusable(format!("{name} completed would be {oversize}; ask for the format png or tiff")))
        }
        None => Ok(()),
    }
}

/// Checks that a format holds all of what is known of a target, which people call `name`.
///
/// # Errors
/// 422 with the command line's sentence.
pub fn check_losses(target: &Photo, mask: Option<&Photo>, name: &str, format: FormatName) -> Answer<()> {
    let all_known = || Mask::from_fn(target.width(), target.height(), |_, _| false);
    let hole = match mask {
        Some(mask) => Mask::from_photo(mask, target).map_err(|error| Problem::unusable(error.to_string()))?,
        None => Mask::from_alpha(target).unwrap_or_else(|_| all_known()),
    };
    let format = format.image();
    let lost = losses(target, &hole, format);
    if lost.is_empty() {
        return Ok(());
    }
    Err(Problem::unusable(format!(
        "{name} has {}, which a {format:?} cannot hold; ask for the format png or tiff, or send `\"lossy_ok\": true` to lose that",
        lost.join(" and ")
    )))
}

/// Writes a picture small enough for the page, beside the original; like that, it is not flushed to the disk by itself.
///
/// # Errors
/// When it cannot be written.
pub fn write_preview(checked: &Checked, folder: &Path) -> Answer<()> {
    let role = &checked.about.role;
    let most = if role == "target" { TARGET_PREVIEW_PX } else { REFERENCE_PREVIEW_PX };
    let (width, height) = (checked.photo.width(), checked.photo.height());
    let scale = f64::from(most) / f64::from(width.max(height));
    let side = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    let small = match scale < 1.0 {
        true => quantise(&shrunk(&checked.photo.pixels, side(width), side(height))),
        false => checked.photo.pixels.to_rgb8(),
    };
    let small = Photo { icc: checked.photo.rgb_profile(), ..Photo::from_pixels(small) };
    let path = folder.join(format!("preview-{role}.jpg"));
    let bytes = small.encoded(&path).map_err(Problem::ours)?;
    Ok(fs::write(path, bytes)?)
}

/// The last part of a name from outside, without what could confuse: a name for people, never a path.
pub fn plain_name(given: &str, otherwise: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| !c.is_control()).take(120).collect();
    match plain.trim() {
        "" | "." | ".." => otherwise.into(),
        plain => plain.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage, Rgba, RgbaImage};
    use realfill_vision::resize::{Filter, resize};

    #[test]
    fn a_file_is_kept_under_the_extension_of_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let samples: [(&[u8], &str); 2] = [
            (include_bytes!("../../vision/src/photo/samples/lossless.jxl"), "jxl"),
            (include_bytes!("../../vision/src/photo/samples/lossless.avif"), "avif"),
        ];
        for (content, extension) in samples {
            let file = folder.path().join("target");
            fs::write(&file, content).unwrap();
            let checked = check(&file, "target", "photo.png", &Limits::default()).unwrap();
            let kept = folder.path().join(format!("target.{extension}"));
            assert!(checked.about.extension == extension && fs::read(kept).unwrap() == content, "{extension}");
        }
    }

    #[test]
    fn a_preview_shows_the_photo_made_small() {
        let folder = tempfile::tempdir().unwrap();
        let photo = Photo::from_pixels(RgbImage::from_fn(1500, 900, |x, y| Rgb([(x / 6) as u8, (y / 4) as u8, 90])));
        let plain = quantise(&resize(&photo.to_rgb32f(), 640, 384, Filter::Bilinear));
        let (role, name, extension) = ("ref-1".into(), "a.png".into(), "png".into());
        let about = ScenePhoto { role, name, width: 1500, height: 900, bytes: 0, extension };
        write_preview(&Checked { about, photo }, folder.path()).unwrap();
        let preview = Photo::open(folder.path().join("preview-ref-1.jpg")).unwrap().pixels.to_rgb8();
        assert_eq!(preview.dimensions(), plain.dimensions());
        let differences = preview.iter().zip(plain.iter()).map(|(a, b)| f64::from(a.abs_diff(*b)));
        let mean = differences.sum::<f64>() / plain.len() as f64;
        assert!(mean < 2.0, "they differ by {mean} of 255 in the mean");
    }

    #[test]
    fn a_format_that_loses_something_of_a_target_is_named_with_what_is_lost() {
        let halves = RgbaImage::from_fn(4, 2, |x, _| Rgba([9, 9, 9, if x < 2 { 200 } else { 255 }]));
        let transparent = Photo::from_pixels(halves);
        let deep = Photo::from_pixels(DynamicImage::new_rgb16(4, 2));
        let left =
            Photo::from_pixels(image::GrayImage::from_fn(4, 2, |x, _| image::Luma([if x < 2 { 255 } else { 0 }])));
        let check = |photo, mask, format| check_losses(photo, mask, "a.png", format).map_err(|problem| problem.detail);
        let told = check(&transparent, None, FormatName::Jpeg).unwrap_err();
        assert!(told.starts_with("a.png has alpha, which a Jpeg cannot hold; ask for"), "{told}");
        assert_eq!(check(&transparent, Some(&left), FormatName::Jpeg), Ok(()), "the hole becomes opaque");
        assert_eq!(check(&transparent, None, FormatName::Webp), Ok(()));
        for format in [FormatName::Jpeg, FormatName::Webp, FormatName::Bmp, FormatName::Avif] {
            assert!(check(&deep, None, format).unwrap_err().contains("16 bits a channel"), "{format:?}");
        }
        assert_eq!(check(&deep, None, FormatName::Tiff), Ok(()));
    }

    #[test]
    fn a_format_whose_sides_are_too_short_is_told_with_its_limit() {
        let check = |size: (u32, u32), format| check_sides(size, "a.png", format).map_err(|problem| problem.detail);
        let told = check((200, 16_385), FormatName::Webp).unwrap_err();
        assert!(told.starts_with("a.png completed would be 200×16385, and a WebP has at most 16384 pixels"), "{told}");
        for format in [FormatName::Jpeg, FormatName::Avif] {
            assert!(check((65_536, 1), format).is_err() && check((65_535, 1), format).is_ok(), "{format:?}");
        }
        for format in [FormatName::Png, FormatName::Tiff, FormatName::Bmp] {
            assert_eq!(check((200_000_000, 1), format), Ok(()), "{format:?}");
        }
    }

    #[test]
    fn names_from_outside_lose_their_folders() {
        for (given, plain) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\photos\\a.jpg", "a.jpg"),
            ("..", "photo"),
            ("a/..", "photo"),
            ("x\u{0}\n.png", "x.png"),
            ("", "photo"),
        ] {
            assert_eq!(plain_name(given, "photo"), plain, "{given:?}");
        }
    }
}
