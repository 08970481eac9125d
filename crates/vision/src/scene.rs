//! One job's photos: the target, its hole and the references.

mod folder;
#[cfg(test)]
mod tests;

use crate::canvas::{CanvasError, CanvasRequest};
use crate::colour::{in_colours_of, is_black_and_white, without_colour};
use crate::mask::MaskError;
use crate::photo::PhotoError;
use crate::{Mask, Photo};
use image::math::Rect;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The most references a scene takes, as in the paper. Matching and geometry work on pairs of photos, so time grows
/// with the square; more photos are refused rather than left out in silence.
pub const MAX_REFERENCES: usize = 5;

/// A target with a hole, and one to five other photos of the same place.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What reports call it: the folder's or the target's name.
    pub name: String,
    /// The photo to complete.
    pub target: Photo,
    /// The hole, at the target's size.
    pub mask: Mask,
    /// Other photos of the place, in any size, in the target's colours: without any where the target is black and white.
    pub references: Vec<Photo>,
    /// What really was in the hole, where it is known (evaluation scenes).
    pub truth: Option<Photo>,
    /// The part of the target that the result is cut to ([`Scene::framed`]); `None` for all of it.
    pub frame: Option<Rect>,
}

/// Where the hole is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskSource {
    /// In a picture of the target's size: white = fill.
    File(PathBuf),
    /// In the target's own transparency: transparent = fill.
    Alpha,
}

/// Why a scene cannot be used.
#[derive(Debug, Error)]
pub enum SceneError {
    /// A photo cannot be read.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// The mask cannot be used.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// The canvas cannot be had.
    #[error(transparent)]
    Canvas(#[from] CanvasError),
    /// There is no reference.
    #[error("{scene} has no reference photos; one to five photos of the same place are needed")]
    NoReferences {
        /// The scene's folder or the target's name.
        scene: String,
    },
    /// There are more references than [`MAX_REFERENCES`].
    #[error(
        "{scene} has {found} reference photos, and one to five photos of the same place are needed; \
         keep the ones that show best what is missing"
    )]
    TooManyReferences {
        /// The scene's folder or the target's name.
        scene: String,
        /// How many there are.
        found: usize,
    },
    /// The truth has not the target's size.
    #[error(
        "{truth} is {}×{} but {target} is {}×{}; the truth must be the same photo without the hole",
        truth_size.0, truth_size.1, target_size.0, target_size.1
    )]
    TruthSize {
        /// The truth's name.
        truth: String,
        /// Its width and height in pixels.
        truth_size: (u32, u32),
        /// The target's name.
        target: String,
        /// The target's width and height in pixels.
        target_size: (u32, u32),
    },
    /// A scene's folder, or one in it, cannot be listed.
    #[error(
        "cannot read the folder {}: {source}; a scene has ref/ with photos, target/target.* and target/mask.*",
        path.display()
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file the layout asks for is not there.
    #[error("{} has no {stem}.* picture; a scene has ref/ with photos, target/target.* and target/mask.*", folder.display())]
    NoFile {
        /// The folder it should be in.
        folder: PathBuf,
        /// Its name without extension.
        stem: &'static str,
    },
    /// Two files could both be meant.
    #[error("{} has both {first} and {second}; keep one", folder.display())]
    Ambiguous {
        /// The folder they are in.
        folder: PathBuf,
        /// The name of one.
        first: String,
        /// The name of the other.
        second: String,
    },
}

impl Scene {
    /// Opens a scene's folder in the RealBench layout: `ref/*` in natural order (`2.jpg` before `10.jpg`),
    /// `target/target.*`, `target/mask.*` (where there is none, the target's transparency tells the hole), and
    /// `target/gt.*` where the truth is known. Hidden files and what systems leave in folders are passed over.
    ///
    /// # Errors
    /// A missing or doubled file, an unreadable photo, an unusable mask, or not one to five references.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, SceneError> {
        folder::open(folder.as_ref(), None, None)
    }

    /// As [`Scene::open`], with the hole told by `mask` where it is given, and the target laid onto the canvas that is
    /// asked for. Then a mask is not needed, and the truth is left out.
    ///
    /// # Errors
    /// As [`Scene::open`], and a canvas that cannot be had.
    pub fn open_on_canvas(
        folder: impl AsRef<Path>,
        mask: Option<&MaskSource>,
        canvas: Option<&CanvasRequest>,
    ) -> Result<Self, SceneError> {
        folder::open(folder.as_ref(), mask, canvas)
    }

    /// Opens a scene from explicit paths, named after the target's file.
    ///
    /// # Errors
    /// An unreadable photo, an unusable mask, or not one to five references.
    pub fn from_paths<P: AsRef<Path>>(
        target: impl AsRef<Path>,
        mask: &MaskSource,
        references: &[P],
    ) -> Result<Self, SceneError> {
        Self::from_paths_on_canvas(target, Some(mask), references, None)
    }

    /// As [`Scene::from_paths`], with the target laid onto the canvas that is asked for. Then a mask is not needed;
    /// without one, what is transparent in the target is missing too.
    ///
    /// # Errors
    /// As [`Scene::from_paths`], and a canvas that cannot be had.
    pub fn from_paths_on_canvas<P: AsRef<Path>>(
        target: impl AsRef<Path>,
        mask: Option<&MaskSource>,
        references: &[P],
        canvas: Option<&CanvasRequest>,
    ) -> Result<Self, SceneError> {
        let target_path = target.as_ref();
        check_count(&target_path.to_string_lossy(), references.len())?;
        let target = Photo::open(target_path)?;
        let mask = mask.map(|mask| mask.open(&target)).transpose()?;
        let references = references.iter().map(Photo::open).collect::<Result<_, _>>()?;
        let name = target_path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self::assemble(name, target, mask, references, canvas)
    }

    fn assemble(
        name: String,
        target: Photo,
        mask: Option<Mask>,
        references: Vec<Photo>,
        canvas: Option<&CanvasRequest>,
    ) -> Result<Self, SceneError> {
        let references = in_colours_of_all(references, &target, mask.as_ref());
        let mask = mask.map_or_else(|| Mask::from_alpha(&target), Ok);
        let Some(canvas) = canvas else {
            return Ok(Self { name, target, mask: mask?, references, truth: None, frame: None });
        };
        let mask = match mask {
            Err(MaskError::NothingTransparent { .. }) => None,
            told => Some(told?),
        };
        let grown = canvas.grow(target, mask.as_ref())?;
        Ok(Self { name, target: grown.photo, mask: grown.mask, references, truth: None, frame: grown.frame })
    }

    /// A scene from photos in memory, for programs that receive them some other way.
    ///
    /// # Errors
    /// A mask of another size than the target's, one that marks nothing or everything, or not one to five references.
    pub fn new(name: &str, target: Photo, mask: Mask, references: Vec<Photo>) -> Result<Self, SceneError> {
        check_count(name, references.len())?;
        let (mask_size, target_size) = ((mask.width(), mask.height()), (target.width(), target.height()));
        if mask_size != target_size {
            let (mask, target) = ("the mask".into(), target.name());
            return Err(MaskError::Size { mask, mask_size, target, target_size }.into());
        }
        mask.check("the mask")?;
        let references = in_colours_of_all(references, &target, Some(&mask));
        Ok(Self { name: name.into(), target, mask, references, truth: None, frame: None })
    }

    /// The scene with its hole grown by `px` pixels all around, for a mask that leaves a rim of what is to go.
    ///
    /// # Errors
    /// Nothing known would be left.
    pub fn with_grown_mask(self, px: u32) -> Result<Self, SceneError> {
        let mask = self.mask.dilate(px as f32);
        match mask.holes().contains(&false) {
            true => Ok(Self { mask, ..self }),
            false => Err(MaskError::Overgrown { px }.into()),
        }
    }

    /// The target as it was completed without what lies outside the frame, and the hole in that: what is to be saved. Nothing
    /// is copied where there is no frame.
    ///
    /// # Panics
    /// When the photo has not the target's size and the frame reaches beyond it.
    pub fn framed<'a>(&'a self, completed: &'a Photo) -> (Cow<'a, Photo>, Cow<'a, Mask>) {
        match self.frame {
            Some(frame) => (Cow::Owned(completed.clone().cut_to(frame)), Cow::Owned(self.mask.cut_to(frame))),
            None => (Cow::Borrowed(completed), Cow::Borrowed(&self.mask)),
        }
    }

    /// Whether what is known of the target is black and white, so that the hole has to be.
    pub fn is_black_and_white(&self) -> bool {
        is_black_and_white(&self.target, Some(&self.mask))
    }
}

/// `hole` is what a mask tells; what is transparent is missing anyway.
fn in_colours_of_all(references: Vec<Photo>, target: &Photo, hole: Option<&Mask>) -> Vec<Photo> {
    let references = references.into_iter().map(|reference| in_colours_of(reference, target));
    if is_black_and_white(target, hole) { references.map(without_colour).collect() } else { references.collect() }
}

impl MaskSource {
    fn open(&self, target: &Photo) -> Result<Mask, MaskError> {
        match self {
            Self::File(path) => Mask::open(path, target),
            Self::Alpha => Mask::from_alpha(target),
        }
    }
}

fn check_count(scene: &str, found: usize) -> Result<(), SceneError> {
    match found {
        0 => Err(SceneError::NoReferences { scene: scene.into() }),
        1..=MAX_REFERENCES => Ok(()),
        _ => Err(SceneError::TooManyReferences { scene: scene.into(), found }),
    }
}
