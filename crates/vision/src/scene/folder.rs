//! Finding a scene's files in the RealBench folder layout.

use super::{MaskSource, Scene, SceneError, check_count};
use crate::canvas::CanvasRequest;
use crate::{Mask, Photo};
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// What systems leave beside photos; hidden files are passed over anyway.
const LITTER: [&str; 2] = ["Thumbs.db", "desktop.ini"];

pub(super) fn open(
    folder: &Path,
    mask: Option<&MaskSource>,
    canvas: Option<&CanvasRequest>,
) -> Result<Scene, SceneError> {
    files(folder)?;
    let target_folder = folder.join("target");
    let target_path = find(&target_folder, "target")?
        .ok_or_else(|| SceneError::NoFile { folder: target_folder.clone(), stem: "target" })?;
    let reference_folder = folder.join("ref");
    let reference_paths = if reference_folder.exists() { files(&reference_folder)? } else { Vec::new() };
    check_count(&folder.to_string_lossy(), reference_paths.len())?;

    let target = Photo::open(target_path)?;
    let mask = match mask {
        Some(source) => Some(source.open(&target)?),
        None => find(&target_folder, "mask")?.map(|path| Mask::open(path, &target)).transpose()?,
    };
    if mask.is_none() && canvas.is_none() && !target.pixels.color().has_alpha() {
        return Err(SceneError::NoFile { folder: target_folder, stem: "mask" });
    }
    let truth = find(&target_folder, "gt")?.map(|path| open_truth(&path, &target)).transpose()?;
    let references = reference_paths.iter().map(Photo::open).collect::<Result<_, _>>()?;
    let scene = Scene::assemble(name_of(folder), target, mask, references, canvas)?;
    Ok(Scene { truth: truth.filter(|_| canvas.is_none()), ..scene })
}

fn open_truth(path: &Path, target: &Photo) -> Result<Photo, SceneError> {
    let truth = Photo::open(path)?;
    let (truth_size, target_size) = ((truth.width(), truth.height()), (target.width(), target.height()));
    if truth_size != target_size {
        return Err(SceneError::TruthSize { truth: truth.name(), truth_size, target: target.name(), target_size });
    }
    Ok(truth)
}

/// The folder's own name, also where it was given as `.` or with `..` in it.
fn name_of(folder: &Path) -> String {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    whole.file_name().map_or_else(|| "scene".into(), |name| name.to_string_lossy().into_owned())
}

/// The folder's files in natural order, without hidden ones, litter and sub-folders.
fn files(folder: &Path) -> Result<Vec<PathBuf>, SceneError> {
    let fail = |source| SceneError::Folder { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = file_name(&path);
        if !name.starts_with('.') && !LITTER.contains(&name.as_str()) && path.is_file() {
            found.push(path);
        }
    }
    found.sort_by(|a, b| natural_order(&file_name(a), &file_name(b)));
    Ok(found)
}

/// The one file of that name without extension, whatever its extension.
fn find(folder: &Path, stem: &str) -> Result<Option<PathBuf>, SceneError> {
    let mut found = files(folder)?.into_iter().filter(|path| path.file_stem().is_some_and(|name| name == stem));
    let first = found.next();
    if let (Some(first), Some(second)) = (&first, found.next()) {
        let (first, second) = (file_name(first), file_name(&second));
        return Err(SceneError::Ambiguous { folder: folder.to_owned(), first, second });
    }
    Ok(first)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Compares names as people do: runs of digits by their value, `2.jpg` before `10.jpg`.
pub(super) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (left_number, right_number) = (digits(left), digits(right));
        let step = if left_number.is_empty() || right_number.is_empty() {
            let (l, r) = (left.chars().next(), right.chars().next());
            left = &left[l.map_or(0, char::len_utf8)..];
            right = &right[r.map_or(0, char::len_utf8)..];
            match (l, r) {
                (None, None) => return a.cmp(b),
                _ => l.cmp(&r),
            }
        } else {
            left = &left[left_number.len()..];
            right = &right[right_number.len()..];
            by_value(left_number, right_number)
        };
        if step.is_ne() {
            return step;
        }
    }
}

fn digits(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())]
}

fn by_value(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
