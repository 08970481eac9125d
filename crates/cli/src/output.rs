//! The output folder: the completed photo, the candidates, the report, the fidelity map and the sheet.

mod ours;

use crate::arguments::Talk;
use crate::credentials::{CredentialArguments, attach};
use crate::failure::{Failure, OrBadInput, OrFailed};
use crate::source::remark;
use crate::{lock, supervised};
use anyhow::bail;
use clap::{Args, ValueEnum};
use image::ImageFormat;
use realfill::pipeline::{Candidate, Completion, Fidelity, Report, cut_to_frame, finish};
use realfill_credentials::{Identity, Signer};
use realfill_vision::metadata::Strip;
use realfill_vision::resize::quantise;
use realfill_vision::save::{Saved, Wanted, check_output_folder, losses, oversize, write_whole};
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
    /// Format of the completed photo [default: the target's]. From JPEG to JPEG the blocks that nothing was filled into
    /// keep their coefficients exactly; where that cannot be (a canvas that moves the photo by no whole blocks, CMYK),
    /// and where a side is too long for the format, the default is PNG
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Write a format that cannot hold all of the photo, such as 16 bits a channel or alpha as a JPEG
    #[arg(long)]
    pub lossy_ok: bool,
    /// Leave out where the photo was taken, the names of places too, and the maker's note, which may name it; the rest of its
    /// EXIF, XMP and IPTC stays, but not the content credentials that it and the references had
    #[arg(long)]
    pub strip_gps: bool,
    /// Leave out EXIF, XMP and IPTC, and the content credentials that the photos had; what stays is the colour profile, and
    /// the mark that parts of the picture are generated
    #[arg(long)]
    pub strip_metadata: bool,
    /// Write the photo as every candidate would complete it, not only as the best one does: completions/, by rank and seed
    #[arg(long)]
    pub complete_all: bool,
    /// A program watches: a line on the standard input stops the work, its end ends it at once, and previews are kept
    #[arg(long, hide = true)]
    pub supervised: bool,
    #[command(flatten)]
    pub credentials: CredentialArguments,
}

/// Formats that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Png,
    Jpeg,
    Webp,
    Tiff,
    Avif,
    Bmp,
}

impl Format {
    fn of_image(self) -> ImageFormat {
        match self {
            Self::Png => ImageFormat::Png,
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Webp => ImageFormat::WebP,
            Self::Tiff => ImageFormat::Tiff,
            Self::Avif => ImageFormat::Avif,
            Self::Bmp => ImageFormat::Bmp,
        }
    }
}

/// Bytes a pixel that the results take at most, roughly: the photo at 16 bits with alpha, and room for the rest.
const BYTES_PER_PIXEL: u64 = 12;

/// Bytes that a candidate's picture takes at most, roughly: 1024 pixels square, 8 bits a channel.
const CANDIDATE_BYTES: u64 = 4_000_000;

impl OutputArguments {
    /// Makes the folder and checks that it can be written to and has room for the results of so many candidates and
    /// `more_bytes`, that none of the scene's photos, nor the file of its `mask`, would be replaced, and that the format can
    /// hold the photo. From then on no other run works in the folder; one that is watched waits for another's end.
    ///
    /// # Errors
    /// [`Failure::BadInput`], or [`Failure::Failed`] where a folder that is watched cannot be locked.
    pub fn prepare(
        &self,
        scene: &Scene,
        mask: Option<&Path>,
        candidates: usize,
        more_bytes: u64,
    ) -> Result<(), Failure> {
        let photos = std::iter::once(&scene.target).chain(&scene.references).map(|photo| photo.path.as_path());
        ours::check_photos(&self.output, photos.chain(mask)).or_bad_input()?;
        self.check_sides(scene).or_bad_input()?;
        self.check_losses(scene).or_bad_input()?;
        let needed = self.needed_bytes(&scene.target, candidates as u64) + more_bytes;
        check_output_folder(&self.output, needed).or_bad_input()?;
        match self.supervised {
            true => supervised::begin(&self.output, &scene.target).or_failed(),
            false => lock::take(&self.output).or_bad_input(),
        }
    }

    /// Checks that the results do not replace those of the job that learnt an adapter.
    ///
    /// # Errors
    /// The adapter lies among them.
    pub fn check_adapter(&self, adapter: &Path) -> anyhow::Result<()> {
        ours::check_adapter(&self.output, adapter)
    }

    /// Bytes that the results take at most, roughly.
    fn needed_bytes(&self, target: &Photo, candidates: u64) -> u64 {
        let pixels = u64::from(target.width()) * u64::from(target.height());
        let others = if self.complete_all { candidates.saturating_sub(1) } else { 0 };
        let stored = pixels * u64::from(target.pixels.color().bytes_per_pixel());
        pixels * BYTES_PER_PIXEL + candidates * CANDIDATE_BYTES.min(BYTES_PER_PIXEL * pixels) + others * stored
    }

    fn check_sides(&self, scene: &Scene) -> anyhow::Result<()> {
        let target = (scene.target.width(), scene.target.height());
        let size = scene.frame.map_or(target, |frame| (frame.width, frame.height));
        if let Some(oversize) = self.format.and_then(|format| oversize(size, format.of_image())) {
            bail!("{} completed would be {oversize}; give --format png or tiff", scene.target.name());
        }
        Ok(())
    }

    fn check_losses(&self, scene: &Scene) -> anyhow::Result<()> {
        let Some(format) = self.format.filter(|_| !self.lossy_ok).map(Format::of_image) else { return Ok(()) };
        let lost = losses(&scene.target, &scene.mask, format);
        if !lost.is_empty() {
            bail!(
                "{} has {}, which a {format:?} cannot hold; give --format png or tiff, or --lossy-ok to lose that",
                scene.target.name(),
                lost.join(" and ")
            );
        }
        Ok(())
    }

    fn strip(&self) -> Strip {
        match (self.strip_metadata, self.strip_gps) {
            (true, _) => Strip::All,
            (false, true) => Strip::Gps,
            (false, false) => Strip::Nothing,
        }
    }

    /// Writes everything of a finished job, the photo signed by `identity`, and removes what an older one left that would be
    /// taken for its; returns the completed photo's path, what to know about it, and who signed.
    ///
    /// # Errors
    /// [`Failure::Failed`]; what was written before stays.
    pub fn write(
        &self,
        scene: &Scene,
        completion: &Completion,
        identity: Option<&Identity>,
    ) -> Result<Written, Failure> {
        let stem = self.output.join(ours::COMPLETED);
        let (saved, signer) = self.save_photo(scene, &completion.photo, &completion.report, identity, &stem)?;
        let has_guide = completion.report.config.guide;
        ours::remove_older(&self.output, &saved.path, has_guide, self.complete_all).or_failed()?;
        self.write_completions(scene, completion, identity)?;
        write_candidates(&self.output.join(ours::CANDIDATES), scene, completion)?;
        write_report(&self.output, &completion.report)?;
        if has_guide {
            let [picture, list] = ours::FIDELITY.map(|name| self.output.join(name));
            let map = cut_to_frame(Fidelity::picture(&completion.best().filled, &completion.parts), scene);
            Photo::from_pixels(map).save(picture).or_failed()?;
            write_json(&list, &completion.fidelity)?;
        }
        write_sheet(&self.output, scene, completion)?;
        Ok(Written { saved, signer: signer? })
    }

    /// The photo without what lies outside the frame, signed; its format is the extension. Who signed it, if anyone could.
    fn save_photo(
        &self,
        scene: &Scene,
        photo: &Photo,
        report: &Report,
        identity: Option<&Identity>,
        stem: &Path,
    ) -> Result<(Saved, Result<Option<Signer>, Failure>), Failure> {
        let (photo, mask) = scene.framed(photo);
        let wanted = Wanted { format: self.format.map(Format::of_image), strip: self.strip() };
        let mut saved = photo.save_completed(&mask, stem, wanted).or_failed()?;
        let signer = attach(identity, &mut saved, scene, &mask, report, wanted.strip);
        Ok((saved, signer))
    }

    /// The photo by every candidate but the best, where that is asked for.
    fn write_completions(
        &self,
        scene: &Scene,
        completion: &Completion,
        identity: Option<&Identity>,
    ) -> Result<(), Failure> {
        if !self.complete_all {
            return Ok(());
        }
        let folder = self.output.join(ours::COMPLETIONS);
        ours::make_room(&folder).or_failed()?;
        for (rank, candidate) in completion.candidates.iter().enumerate().skip(1) {
            let photo = finish(scene, &candidate.filled, &completion.parts, &completion.report.config);
            let stem = folder.join(ours::stem(rank + 1, candidate.seed));
            self.save_photo(scene, &photo, &completion.report, identity, &stem)?.1?;
        }
        Ok(())
    }
}

/// A finished job's photo.
pub struct Written {
    /// Its file.
    pub saved: Saved,
    /// Who signed its content credentials, if it has any.
    pub signer: Option<Signer>,
}

/// What is kept of the photo, by every candidate, at working size, named by rank and seed; those of an older job go.
fn write_candidates(folder: &Path, scene: &Scene, completion: &Completion) -> Result<(), Failure> {
    ours::make_room(folder).or_failed()?;
    for (rank, candidate) in completion.candidates.iter().enumerate() {
        let path = folder.join(ours::stem(rank + 1, candidate.seed)).with_extension("png");
        let picture = cut_to_frame(completion.in_photo(candidate, &scene.target), scene);
        let photo = Photo { icc: scene.target.rgb_profile(), ..Photo::from_pixels(quantise(&picture)) };
        photo.save(path).or_failed()?;
    }
    Ok(())
}

/// Tells someone who asked to go on from a checkpoint that there is none.
pub fn note_new_start(folder: &Path, talk: Talk) {
    if !folder.join(ours::CHECKPOINTS).exists() {
        remark(&format!("note: {} has no checkpoint to go on from; the work begins anew", folder.display()), talk);
    }
}

/// Writes `report.json`.
///
/// # Errors
/// [`Failure::Failed`].
pub fn write_report(folder: &Path, report: &Report) -> Result<(), Failure> {
    write_json(&folder.join("report.json"), report)
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(value).or_failed()?;
    write_whole(path, |file| file.write_all(&text)).or_failed()
}

fn write_sheet(folder: &Path, scene: &Scene, completion: &Completion) -> Result<(), Failure> {
    let tile = |c: &Candidate| Tile::new(&completion.closely(c, &scene.target), format!("seed {}", c.seed));
    let others: Vec<Tile> = completion.candidates.iter().skip(1).map(tile).collect();
    let sheet = Photo::from_pixels(scene_sheet(scene, &completion.photo, &others));
    Photo { icc: scene.target.rgb_profile(), ..sheet }.save(folder.join("sheet.png")).or_failed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        output: OutputArguments,
    }

    #[test]
    fn room_is_asked_for_for_every_candidate_and_its_photo() {
        let target = Photo::from_pixels(image::RgbImage::new(3000, 2000));
        let needed = |flags: &[&str], candidates| {
            let typed = Typed::try_parse_from(std::iter::once(&"realfill").chain(flags)).unwrap();
            typed.output.needed_bytes(&target, candidates)
        };
        assert_eq!(needed(&[], 1), 76_000_000);
        assert_eq!(needed(&[], 4), 88_000_000);
        assert_eq!(needed(&["--complete-all"], 4), 88_000_000 + 3 * 18_000_000);
    }
}
