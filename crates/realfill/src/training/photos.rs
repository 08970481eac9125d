//! A folder of photos as an endless source of random crops.

use image::Rgb32FImage;
use image::imageops::{self, FilterType};
use rand::{Rng, RngExt};
use std::path::{Path, PathBuf};

/// One photo in this many is held out for validation.
const HELD_OUT: usize = 32;

/// The photos of a folder, split into those to learn from and those to validate on.
#[derive(Clone, Debug)]
pub struct PhotoFolder {
    /// Photos to learn from.
    pub training: Vec<PathBuf>,
    /// Photos held out.
    pub validation: Vec<PathBuf>,
}

/// Why a folder cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum PhotoFolderError {
    /// The folder cannot be listed.
    #[error("{}: {source}; give a folder of JPEG, PNG, WebP, TIFF or BMP photos", .folder.display())]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Too few photos.
    #[error("{} holds {found} photos; at least {HELD_OUT} are needed to train on and validate with", .folder.display())]
    TooFew {
        /// The folder.
        folder: PathBuf,
        /// Photos found.
        found: usize,
    },
}

impl PhotoFolder {
    /// Lists the photos of `folder` (not of its subfolders), sorted by name.
    ///
    /// # Errors
    /// When it cannot be listed or holds fewer than 32 photos.
    pub fn open(folder: &Path) -> Result<Self, PhotoFolderError> {
        let unreadable = |source| PhotoFolderError::Unreadable { folder: folder.into(), source };
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .map_err(unreadable)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| image::ImageFormat::from_path(path).is_ok())
            .collect();
        paths.sort();
        if paths.len() < HELD_OUT {
            return Err(PhotoFolderError::TooFew { folder: folder.into(), found: paths.len() });
        }
        let is_held_out = |i: usize| i % HELD_OUT == HELD_OUT / 2;
        let part = |held: bool| {
            paths.iter().enumerate().filter(|(i, _)| is_held_out(*i) == held).map(|(_, path)| path.clone()).collect()
        };
        Ok(Self { training: part(false), validation: part(true) })
    }
}

/// A random square crop of a random photo among `paths`, `side` pixels, at a random scale, mirrored half the time.
/// A photo that cannot be read is passed over for the next one.
///
/// # Panics
/// When no photo of `paths` can be read.
pub fn random_crop(paths: &[PathBuf], side: u32, rng: &mut impl Rng) -> Rgb32FImage {
    let first = rng.random_range(0..paths.len());
    let mut candidates = paths[first..].iter().chain(&paths[..first]);
    let photo = candidates.find_map(|path| image::open(path).ok()).expect("a readable photo among those listed");
    crop(&photo.to_rgb8(), side, rng)
}

fn crop(photo: &image::RgbImage, side: u32, rng: &mut impl Rng) -> Rgb32FImage {
    let short = photo.width().min(photo.height());
    let smallest = (side * 3 / 4).min(short);
    let source = rng.random_range(smallest..=short);
    let (x, y) = (rng.random_range(0..=photo.width() - source), rng.random_range(0..=photo.height() - source));
    let view = imageops::crop_imm(photo, x, y, source, source).to_image();
    let mut resized = imageops::resize(&view, side, side, FilterType::Triangle);
    if rng.random_bool(0.5) {
        imageops::flip_horizontal_in_place(&mut resized);
    }
    image::DynamicImage::from(resized).to_rgb32f()
}
