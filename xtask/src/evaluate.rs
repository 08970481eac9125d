//! Completes every scene of a folder and scores the results: the tables of docs/results.md.

use anyhow::{Context, Result};
use burn::tensor::Device;
use clap::Args;
use realfill::embedded::EmbeddedModel;
use realfill::pipeline::{Completion, FillConfig, fill};
use realfill_vision::Scene;
use realfill_vision::metrics::{Scores, TrustTable, score};
use realfill_vision::resize::{Filter, quantise, resize};
use realfill_vision::sheet::{Tile, scene_sheet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `cargo xtask evaluate`.
#[derive(Args)]
pub struct Arguments {
    /// Folder of scenes in the RealBench layout
    scenes: PathBuf,
    /// Where the results go: NAME.png, NAME.sheet.png, results.md
    #[arg(long, default_value = "out/evaluate")]
    out: PathBuf,
    /// Only these scenes
    #[arg(long)]
    only: Vec<String>,
    /// Tuning iterations; the preset's when not given
    #[arg(long)]
    iterations: Option<usize>,
    /// How far the model may move the guide where trust is 0, from 0 to 1
    #[arg(long)]
    model_weight: Option<f32>,
    /// Leave the geometric guide out
    #[arg(long)]
    unguided: bool,
}

/// One scene's line of the table.
struct Row {
    name: String,
    scores: Option<Scores>,
    max_change_outside: u8,
    supported: f64,
    secs: f64,
}

/// Completes and scores all scenes, one after another.
pub fn run(arguments: &Arguments) -> Result<()> {
    std::fs::create_dir_all(&arguments.out)?;
    let (mut rows, mut trust) = (Vec::new(), TrustTable::default());
    for folder in scene_folders(&arguments.scenes)? {
        let scene = Scene::open(&folder)?;
        if arguments.only.is_empty() || arguments.only.contains(&scene.name) {
            rows.push(evaluate(&scene, arguments, &mut trust)?);
            std::fs::write(arguments.out.join("results.md"), format!("{}\n{trust}", table(&rows)))?;
        }
    }
    print!("{}\n{trust}", table(&rows));
    Ok(())
}

fn scene_folders(scenes: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(scenes).with_context(|| format!("{} cannot be listed", scenes.display()))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.retain(|folder| folder.join("target").is_dir());
    folders.sort();
    Ok(folders)
}

fn evaluate(scene: &Scene, arguments: &Arguments, trust: &mut TrustTable) -> Result<Row> {
    let mut config = FillConfig { guide: !arguments.unguided, ..FillConfig::default() };
    config.tune.iterations = arguments.iterations.unwrap_or(config.tune.iterations);
    config.model_weight = arguments.model_weight.unwrap_or(config.model_weight);
    let clock = Instant::now();
    let mut model = EmbeddedModel::built_in(&Device::flex())?;
    let folder = arguments.out.join(&scene.name);
    let _ = std::fs::remove_dir_all(&folder);
    let done = fill(scene, &mut model, &config, &folder, &mut |_| true)?;
    let secs = clock.elapsed().as_secs_f64();
    done.photo.save(arguments.out.join(format!("{}.png", scene.name)))?;
    let candidate = Tile::new(&done.candidates[0].picture, "candidate");
    let guide = Tile::new(&done.guide.colour, "guide");
    let sheet = scene_sheet(scene, &done.photo.to_rgb32f(), &[guide, candidate]);
    sheet.save(arguments.out.join(format!("{}.sheet.png", scene.name)))?;
    if repeats_no_other(&scene.name) {
        add_trust(trust, scene, &done);
    }
    let result = done.photo.pixels.to_rgb8();
    let target = scene.target.pixels.to_rgb8();
    let truth = scene.truth.as_ref().map(|truth| truth.pixels.to_rgb8());
    let scores = truth.map(|truth| score(&result, &target, &truth, &scene.mask));
    let max_change_outside = realfill_vision::metrics::max_change_outside(&result, &target, &scene.mask);
    let row =
        Row { name: scene.name.clone(), scores, max_change_outside, supported: done.report.supported_share, secs };
    eprint!("{}", line(&row));
    Ok(row)
}

/// A scene at full resolution repeats one that is counted already.
fn repeats_no_other(name: &str) -> bool {
    !name.ends_with("-fullres")
}

/// Counts errors by trust, at the guide's size.
fn add_trust(trust: &mut TrustTable, scene: &Scene, done: &Completion) {
    let Some(truth) = &scene.truth else { return };
    let (width, height) = done.guide.trust.dimensions();
    let at_guide = |picture| quantise(&resize(&picture, width, height, Filter::Area));
    trust.add(&at_guide(done.photo.to_rgb32f()), &at_guide(truth.to_rgb32f()), &done.guide.trust, &done.mask);
}

fn table(rows: &[Row]) -> String {
    let mut text =
        String::from("| scene | hole PSNR | hole SSIM | seam PSNR | max change outside | supported | seconds |\n");
    text += "| --- | --- | --- | --- | --- | --- | --- |\n";
    rows.iter().for_each(|row| text += &line(row));
    let counted: Vec<&Scores> =
        rows.iter().filter(|r| repeats_no_other(&r.name)).filter_map(|r| r.scores.as_ref()).collect();
    let mean = |value: fn(&Scores) -> f64| counted.iter().map(|s| value(s)).sum::<f64>() / counted.len().max(1) as f64;
    let (psnr, ssim, seam) = (mean(|s| s.hole_psnr), mean(|s| s.hole_ssim), mean(|s| s.seam_psnr));
    let _ = writeln!(text, "| mean of {} | {psnr:.2} | {ssim:.3} | {seam:.2} | | | |", counted.len());
    text
}

fn line(row: &Row) -> String {
    let figures = match &row.scores {
        Some(s) => format!("{:.2} | {:.3} | {:.2}", s.hole_psnr, s.hole_ssim, s.seam_psnr),
        None => "- | - | -".into(),
    };
    let Row { name, max_change_outside, supported, secs, .. } = row;
    format!("| {name} | {figures} | {max_change_outside} | {:.0} % | {secs:.0} |\n", 100.0 * supported)
}
