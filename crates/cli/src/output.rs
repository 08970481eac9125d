//! The output folder: the completed photo, the candidates, the report, the fidelity map and the sheet.

use crate::failure::{Failure, OrBadInput, OrFailed};
use clap::{Args, ValueEnum};
use realfill::pipeline::{Candidate, Completion, Fidelity, Report};
use realfill_vision::resize::quantise;
use realfill_vision::save::{check_output_folder, write_whole};
use realfill_vision::sheet::{Tile, scene_sheet};
use realfill_vision::{Photo, Scene};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArguments {
    /// Folder for the results; made if need be
    #[arg(long, short, value_name = "DIR", default_value = "out")]
    pub output: PathBuf,
    /// Format of the completed photo [default: the target's; PNG for a JPEG target, because encoding a JPEG again would
    /// change the known pixels]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
}

/// Formats that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Png,
    Jpeg,
    Webp,
    Tiff,
    Bmp,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Tiff => "tif",
            Self::Bmp => "bmp",
        }
    }
}

/// Bytes a pixel that the results take at most, roughly: the photo at 16 bits with alpha, and room for the rest.
const BYTES_PER_PIXEL: u64 = 12;

impl OutputArguments {
    /// Makes the folder and checks that it can be written to and has room for the results and `more_bytes`.
    ///
    /// # Errors
    /// [`Failure::BadInput`].
    pub fn prepare(&self, scene: &Scene, more_bytes: u64) -> Result<(), Failure> {
        let pixels = u64::from(scene.target.width()) * u64::from(scene.target.height());
        check_output_folder(&self.output, pixels * BYTES_PER_PIXEL + more_bytes).or_bad_input()
    }

    /// Writes everything of a finished job; returns the completed photo's path.
    ///
    /// # Errors
    /// [`Failure::Failed`]; what was written before stays.
    pub fn write(&self, scene: &Scene, completion: &Completion) -> Result<PathBuf, Failure> {
        let extension = self.format.map_or_else(|| lossless_extension(&scene.target), Format::extension);
        let path = self.output.join(format!("completed.{extension}"));
        completion.photo.save(&path).or_failed()?;
        write_candidates(&self.output.join("candidates"), &completion.candidates)?;
        write_report(&self.output, &completion.report)?;
        if completion.report.config.guide {
            let map = Fidelity::picture(&completion.guide, &completion.mask);
            Photo::from_pixels(map).save(self.output.join("fidelity.png")).or_failed()?;
        }
        write_sheet(&self.output, scene, completion)?;
        Ok(path)
    }
}

fn lossless_extension(target: &Photo) -> &'static str {
    match target.extension() {
        "jpg" => "png",
        other => other,
    }
}

/// The candidates at the model's size, named by rank and seed; those of an older job go.
fn write_candidates(folder: &Path, candidates: &[Candidate]) -> Result<(), Failure> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).or_failed()?;
    }
    std::fs::create_dir_all(folder).or_failed()?;
    for (rank, candidate) in candidates.iter().enumerate() {
        let path = folder.join(format!("{:03}-{}.png", rank + 1, candidate.seed));
        Photo::from_pixels(quantise(&candidate.picture)).save(path).or_failed()?;
    }
    Ok(())
}

/// Writes `report.json`.
///
/// # Errors
/// [`Failure::Failed`].
pub fn write_report(folder: &Path, report: &Report) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(report).or_failed()?;
    write_whole(folder.join("report.json"), |file| file.write_all(&text)).or_failed()
}

fn write_sheet(folder: &Path, scene: &Scene, completion: &Completion) -> Result<(), Failure> {
    let others = completion.candidates.iter().skip(1);
    let others: Vec<Tile> = others.map(|c| Tile::new(&c.picture, format!("seed {}", c.seed))).collect();
    let sheet = scene_sheet(scene, &completion.photo.to_rgb32f(), &others);
    Photo::from_pixels(sheet).save(folder.join("sheet.png")).or_failed()
}
