//! Which names in the output folder are of what this program writes there. These are replaced and removed, everything else
//! stays, and no photo that a job is made from may have one.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The completed photo's name without extension.
pub const COMPLETED: &str = "completed";

/// Folder of the candidates.
pub const CANDIDATES: &str = "candidates";

/// Folder of the photo as the other candidates would complete it.
pub const COMPLETIONS: &str = "completions";

/// Folder of what an interrupted job goes on from.
pub const CHECKPOINTS: &str = "checkpoints";

/// Folder of what a job learnt about the scene.
const ADAPTER: &str = "adapter";

/// Which reference supports which part of the hole, as a picture and for programs; made with a guide only.
pub const FIDELITY: [&str; 2] = ["fidelity.png", "fidelity.json"];

const FILES: [&str; 4] = ["sheet.png", FIDELITY[0], FIDELITY[1], "report.json"];

/// Extensions of the pictures that are written.
const EXTENSIONS: [&str; 6] = ["png", "jpg", "webp", "tif", "avif", "bmp"];

/// A job has no more candidates.
const MOST_CANDIDATES: usize = 1000;

/// The name, without extension, of what is made of the candidate at `rank`, from 1.
pub fn stem(rank: usize, seed: u64) -> String {
    format!("{rank:03}-{seed}")
}

/// Makes a folder for what is made of candidates. What was made of an older job's goes, other files stay.
pub fn make_room(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    remove_pictures(folder)
}

fn remove_pictures(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_of_a_candidate(&entry.file_name().to_string_lossy()) && !entry.file_type()?.is_dir() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes what an older run left in the output folder and this one does not write: the photo in other formats than
/// `completed`, the fidelity map where there is no guide, and the photo as other candidates would complete it.
pub fn remove_older(output: &Path, completed: &Path, has_guide: bool, complete_all: bool) -> io::Result<()> {
    let photos = EXTENSIONS.map(|extension| output.join(COMPLETED).with_extension(extension));
    let maps = FIDELITY.iter().filter(|_| !has_guide).map(|name| output.join(name));
    for path in photos.into_iter().filter(|path| path != completed).chain(maps) {
        if fs::symlink_metadata(&path).is_ok_and(|about| !about.is_dir()) {
            fs::remove_file(path)?;
        }
    }
    let completions = output.join(COMPLETIONS);
    if !complete_all && completions.is_dir() {
        remove_pictures(&completions)?;
        let _ = fs::remove_dir(completions); // where nothing else is in it
    }
    Ok(())
}

/// Whether a file has the name of what is made of a candidate: `001-42.png`, or `.001-42.png.7-0.tmp` while it is written.
fn is_of_a_candidate(name: &str) -> bool {
    let (name, extensions) = match name.strip_prefix('.') {
        Some(rest) => (rest, &["tmp"][..]),
        None => (name, &EXTENSIONS[..]),
    };
    let Some((stem, rest)) = name.split_once('.') else { return false };
    is_stem(stem) && extensions.contains(&rest.rsplit('.').next().unwrap_or(rest))
}

/// Whether [`stem`] makes this of some rank and seed.
fn is_stem(text: &str) -> bool {
    let Some((rank, seed)) = text.split_once('-') else { return false };
    match (rank.parse::<usize>(), seed.parse::<u64>()) {
        (Ok(rank), Ok(seed)) => (1..=MOST_CANDIDATES).contains(&rank) && stem(rank, seed) == text,
        _ => false,
    }
}

/// Checks that none of `photos` lies where a run writes or removes something.
///
/// # Errors
/// One does; it is named.
pub fn check_photos<'a>(output: &Path, photos: impl Iterator<Item = &'a Path>) -> Result<()> {
    let Ok(output) = output.canonicalize() else { return Ok(()) }; // what is not there yet holds no photo
    let is_lost = |place: &PathBuf| place.strip_prefix(&output).is_ok_and(is_replaced);
    for photo in photos {
        if places(photo).iter().any(is_lost) {
            bail!("{} lies where this run writes its results; give another --output", photo.display());
        }
    }
    Ok(())
}

/// Checks that an adapter is not the one that a job left beside its results in this output folder.
///
/// # Errors
/// It is.
pub fn check_adapter(output: &Path, adapter: &Path) -> Result<()> {
    let Ok(folder) = output.canonicalize() else { return Ok(()) };
    if places(adapter).contains(&folder.join(ADAPTER)) {
        bail!(
            "this run would replace the results beside {}, those of the run that learnt it; give another --output",
            adapter.display()
        );
    }
    Ok(())
}

/// Where a file or folder lies, and where the link to it does if the path names one.
fn places(path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let link = path.file_name().and_then(|name| Some(folder.canonicalize().ok()?.join(name)));
    [path.canonicalize().ok(), link].into_iter().flatten().collect()
}

/// Whether a run replaces or removes what lies there in the output folder, on systems too where capitals do not count.
fn is_replaced(inside: &Path) -> bool {
    let parts: Vec<String> = inside.iter().map(|part| part.to_string_lossy().to_lowercase()).collect();
    match parts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [name] => FILES.contains(&name) || is_completed(name),
        [CANDIDATES | COMPLETIONS, name] => is_of_a_candidate(name),
        [CHECKPOINTS, ..] => true,
        _ => false,
    }
}

fn is_completed(name: &str) -> bool {
    name.split_once('.').is_some_and(|(stem, extension)| stem == COMPLETED && EXTENSIONS.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_candidates_are_told_by_their_names() {
        for name in ["001-42.png", "1000-0.webp", "002-18446744073709551615.jpg", ".001-42.png.7-0.tmp"] {
            assert!(is_of_a_candidate(name), "{name}");
        }
        for name in ["house.jpg", "2024-12.jpg", "01-42.png", "001-042.png", "001-42", "001-42.txt", "001-42.tmp"] {
            assert!(!is_of_a_candidate(name), "{name}");
        }
    }

    #[test]
    fn only_an_older_jobs_pictures_go() {
        let folder = tempfile::tempdir().unwrap();
        let candidates = folder.path().join(CANDIDATES);
        make_room(&candidates).expect("it is made");
        for name in ["001-42.png", "002-43.png", ".003-44.png.7-0.tmp", "house.jpg", "notes.txt"] {
            fs::write(candidates.join(name), name).unwrap();
        }
        make_room(&candidates).unwrap();
        let entries = fs::read_dir(&candidates).unwrap();
        let mut left: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["house.jpg", "notes.txt"]);
    }

    #[test]
    fn only_what_an_older_run_left_and_this_one_does_not_write_goes() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path();
        fs::create_dir(output.join(COMPLETIONS)).unwrap();
        let older = ["completed.jpg", "fidelity.png", "fidelity.json", "completions/002-1.jpg"];
        let stay = ["completed.png", "completed.txt", "house.jpg", "sheet.png"];
        let made = || older.iter().chain(&stay).for_each(|name| fs::write(output.join(name), "a picture").unwrap());
        let is_there = |name: &str| output.join(name).exists();
        made();
        remove_older(output, &output.join("completed.png"), true, true).unwrap();
        assert!(!output.join("completed.jpg").exists() && older[1..].iter().all(|name| is_there(name)));
        made();
        remove_older(output, &output.join("completed.png"), false, false).unwrap();
        assert!(!older.iter().any(|name| is_there(name)) && stay.iter().all(|name| is_there(name)));
        assert!(!output.join(COMPLETIONS).exists(), "the empty folder stays");
    }

    #[test]
    fn results_are_replaced_and_other_files_are_not() {
        let replaced = |inside: &str| is_replaced(Path::new(inside));
        let pictures = ["candidates/001-0.png", "completions/002-1.jpg"];
        for inside in ["completed.jpg", "Completed.PNG", "sheet.png", "fidelity.png"].into_iter().chain(pictures) {
            assert!(replaced(inside), "{inside}");
        }
        for inside in ["house.jpg", "completed.old.jpg", "candidates/house.png", "photos/completed.jpg", ""] {
            assert!(!replaced(inside), "{inside}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn photos_are_found_behind_links() {
        let folder = tempfile::tempdir().unwrap();
        let [output, photos] = ["out", "photos"].map(|name| folder.path().join(name));
        [&output, &photos].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
        for path in [output.join("completed.jpg"), photos.join("house.jpg")] {
            fs::write(path, "a picture").unwrap();
        }
        let link = |from: PathBuf, to: PathBuf| std::os::unix::fs::symlink(from, to).unwrap();
        link(output.join("completed.jpg"), photos.join("linked.jpg"));
        link(photos.join("house.jpg"), output.join("sheet.png"));
        let check = |photo: &Path| check_photos(&output, [photo].into_iter());
        check(&photos.join("house.jpg")).expect("only a link to it is replaced");
        for photo in [photos.join("linked.jpg"), output.join("sheet.png"), photos.join("../out/completed.jpg")] {
            let message = check(&photo).unwrap_err().to_string();
            assert!(message.contains("give another --output"), "{message}");
        }
    }
}
