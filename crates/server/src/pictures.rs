//! Pictures from outside: decoded with the guards of the command line before anything is kept of them, and made small for
//! the page.

use crate::config::Limits;
use crate::problem::{Answer, Problem};
use crate::store::ScenePhoto;
use image::DynamicImage;
use realfill_vision::resize::{Filter, quantise, resize};
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
    let extension = photo.extension().to_owned();
    fs::rename(file, file.with_file_name(format!("{role}.{extension}")))?;
    let (width, height, bytes) = (photo.width(), photo.height(), content.len() as u64);
    let about = ScenePhoto { role: role.into(), name: name.into(), width, height, bytes, extension };
    Ok(Checked { about, photo })
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
        true => quantise(&resize(&checked.photo.to_rgb32f(), side(width), side(height), Filter::Area)),
        false => checked.photo.pixels.to_rgb8(),
    };
    let small = Photo {
        icc: checked.photo.icc.clone().filter(|_| checked.photo.pixels.color().has_color()),
        ..Photo::from_pixels(small)
    };
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
