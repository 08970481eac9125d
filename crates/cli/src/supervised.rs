//! A job that another program watches (`realfill serve`): it stops when it is told to, ends when the other one is gone, and
//! keeps previews. Pipes and locks tell all that on every system; signals would not.

use crate::{interrupt, lock};
use anyhow::{Context, Result};
use image::Rgb32FImage;
use realfill::pipeline::Event;
use realfill_vision::Photo;
use realfill_vision::resize::quantise;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where this process's previews go.
static PREVIEWS: OnceLock<Previews> = OnceLock::new();

/// Begins to obey the standard input, and takes the output folder for this process alone: where another one still works
/// in it (its watcher was killed a moment ago), waits for that one's end. Previews are in the colours of `target`.
///
/// # Errors
/// The folder cannot be written to or locked.
pub fn begin(output: &Path, target: &Photo) -> Result<()> {
    lock::wait_for(output)?;
    let folder = output.join("previews");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let _ = PREVIEWS.set(Previews { folder, profile: target.rgb_profile() });
    std::thread::spawn(obey);
    Ok(())
}

/// A line asks for a stop at the next step. The end means that nobody watches any more: files are written whole or not at
/// all, so the work may end at any moment.
fn obey() {
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            break;
        }
        interrupt::stop();
    }
    std::process::exit(interrupt::EXIT_CODE);
}

/// Keeps a preview; returns whether the event is worth telling. Nobody's result depends on a preview, so that one which cannot be
/// written is no reason to fail.
pub fn keep_preview(event: &Event) -> bool {
    let Event::Preview { seed, picture } = event else { return true };
    PREVIEWS.get().is_some_and(|previews| previews.keep(*seed, picture))
}

/// A folder of previews, and the profile of their colours.
struct Previews {
    folder: PathBuf,
    profile: Option<Vec<u8>>,
}

impl Previews {
    /// Writes a file that is named by the picture's seed, or `guide`; returns whether it is there.
    fn keep(&self, seed: Option<u64>, picture: &Rgb32FImage) -> bool {
        let name = seed.map_or_else(|| "guide".to_owned(), |seed| seed.to_string());
        let photo = Photo { icc: self.profile.clone(), ..Photo::from_pixels(quantise(picture)) };
        photo.save(self.folder.join(name).with_extension("jpg")).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_has_the_photos_profile() {
        let folder = tempfile::tempdir().unwrap();
        let profile = [&[0; 16][..], b"RGB ", &[7; 112]].concat(); // what a file says is RGB
        let target = Photo { icc: Some(profile.clone()), ..Photo::from_pixels(image::RgbImage::new(4, 4)) };
        let previews = Previews { folder: folder.path().into(), profile: target.rgb_profile() };
        assert!(previews.keep(Some(3), &Rgb32FImage::new(16, 16)));
        let kept = std::fs::read(folder.path().join("3.jpg")).unwrap();
        assert!(kept.windows(profile.len()).any(|part| part == profile));
    }
}
