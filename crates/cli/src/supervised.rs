//! A job that another program watches (`realfill serve`): it stops when it is told to, ends when the other one is gone, and
//! keeps previews. Pipes and locks tell all that on every system; signals would not.

use crate::{interrupt, lock};
use anyhow::{Context, Result};
use realfill::pipeline::Event;
use realfill_vision::Photo;
use realfill_vision::resize::quantise;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The output folder.
static WATCHED: OnceLock<PathBuf> = OnceLock::new();

/// Folder of the previews in an output folder.
const PREVIEWS: &str = "previews";

/// Begins to obey the standard input, and takes the output folder for this process alone: where another one still works
/// in it (its watcher was killed a moment ago), waits for that one's end.
///
/// # Errors
/// The folder cannot be written to or locked.
pub fn begin(output: &Path) -> Result<()> {
    lock::wait_for(output)?;
    let previews = output.join(PREVIEWS);
    std::fs::create_dir_all(&previews).with_context(|| format!("cannot make {}", previews.display()))?;
    let _ = WATCHED.set(output.into());
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

/// Keeps a preview as a file that is named by its seed, or `guide`; returns whether the event is worth telling. Nobody's
/// result depends on a preview, so that one which cannot be written is no reason to fail.
pub fn keep_preview(event: &Event) -> bool {
    let Event::Preview { seed, picture } = event else { return true };
    let Some(output) = WATCHED.get() else { return false };
    let name = seed.map_or_else(|| "guide".to_owned(), |seed| seed.to_string());
    let path = output.join(PREVIEWS).join(name).with_extension("jpg");
    Photo::from_pixels(quantise(picture)).save(path).is_ok()
}
