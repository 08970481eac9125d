//! Completes every scene of a folder and scores the results: the tables of docs/results.md.

mod tables;
mod variants;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use clap::Args;
use realfill::embedded::EmbeddedModel;
use realfill::pipeline::{Candidate, Completion, FillConfig, Judgement, fill, finish};
use realfill_vision::metrics::{Scores, TrustTable, hole_psnr, max_change_outside, score};
use realfill_vision::resize::{Filter, quantise, resize};
use realfill_vision::sheet::{Tile, scene_sheet};
use realfill_vision::{Photo, Scene};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tables::{candidates, scores};
use variants::Variant;

/// Completes and scores every scene of a folder.
#[derive(Args)]
pub struct Arguments {
    /// Folder of scenes in the RealBench layout
    scenes: PathBuf,
    /// Where the results go: NAME.png, NAME.sheet.png, results.md, candidates.json; a folder a variant when there are several
    #[arg(long, default_value = "out/evaluate")]
    out: PathBuf,
    /// Only these scenes
    #[arg(long)]
    only: Vec<String>,
    /// What to leave out; several share their guides
    #[arg(long, value_enum, default_value = "everything")]
    variant: Vec<Variant>,
    /// Weights of the embedded model; the built-in ones when not given
    #[arg(long)]
    model: Option<PathBuf>,
    /// Tuning iterations; the preset's when not given
    #[arg(long)]
    iterations: Option<usize>,
    /// Candidates; the default when not given
    #[arg(long)]
    candidates: Option<usize>,
    /// Share of the model's influence where the guide is not trusted, 0 to 1
    #[arg(long)]
    model_weight: Option<f32>,
}

/// One scene's results.
struct Row {
    name: String,
    scores: Option<Scores>,
    max_change_outside: u8,
    supported: f64,
    secs: f64,
    /// The candidates, best first: how each was judged and, with a truth, its hole PSNR.
    candidates: Vec<(Judgement, Option<f64>)>,
}

/// Completes and scores all scenes, one after another.
pub fn run(arguments: &Arguments) -> Result<()> {
    let scenes = scene_folders(&arguments.scenes)?;
    check_out(&scenes, &arguments.out)?;
    let mut all: Vec<Results> = arguments.variant.iter().map(|_| Results::default()).collect();
    for folder in scenes {
        let scene = Scene::open(&folder)?;
        if arguments.only.is_empty() || arguments.only.contains(&scene.name) {
            forget(&arguments.out.join(&scene.name))?;
            for (results, &variant) in all.iter_mut().zip(&arguments.variant) {
                evaluate(&scene, variant, arguments, results)?;
                results.write(&out_of(variant, arguments))?;
            }
            forget(&arguments.out.join(&scene.name))?;
        }
    }
    for (results, variant) in all.iter().zip(&arguments.variant) {
        println!("{}:\n\n{}", variant.name(), results.report());
    }
    Ok(())
}

/// The results of a variant.
#[derive(Default)]
struct Results {
    rows: Vec<Row>,
    trust: TrustTable,
}

impl Results {
    fn report(&self) -> String {
        format!("{}\n{}\n{}", scores(&self.rows), candidates(&self.rows), self.trust)
    }

    /// Writes the tables, and by scene the candidates with what they were judged by and their hole PSNR: what the
    /// ranking's weights are fitted to.
    fn write(&self, out: &Path) -> Result<()> {
        std::fs::write(out.join("results.md"), self.report())?;
        let judged: Vec<_> = self.rows.iter().map(|row| (&row.name, &row.candidates)).collect();
        Ok(std::fs::write(out.join("candidates.json"), serde_json::to_vec_pretty(&judged)?)?)
    }

    /// Counts errors by trust, at the guide's size.
    fn add_trust(&mut self, scene: &Scene, done: &Completion) {
        let Some(truth) = &scene.truth else { return };
        for (part, filled) in done.parts.iter().zip(&done.best().filled) {
            let (width, height) = filled.guide.trust.dimensions();
            let cut = |photo: &Photo| photo.clone().cut_to(part.window.rect()).to_rgb32f();
            let at_guide = |photo: &Photo| quantise(&resize(&cut(photo), width, height, Filter::Bilinear));
            let (result, truth) = (at_guide(&done.photo), at_guide(truth));
            self.trust.add(&result, &truth, &filled.guide.trust, &part.mask);
        }
    }
}

/// The folder of a variant's pictures and tables.
fn out_of(variant: Variant, arguments: &Arguments) -> PathBuf {
    match arguments.variant.len() {
        1 => arguments.out.clone(),
        _ => arguments.out.join(variant.name()),
    }
}

/// Removes intermediate results, a folder or a file, if they are there.
fn forget(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

fn scene_folders(scenes: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(scenes).with_context(|| format!("{} cannot be listed", scenes.display()))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.retain(|folder| folder.join("target").is_dir());
    folders.sort();
    Ok(folders)
}

/// What lies at `out/NAME` is removed before and after a scene's turn, so it may neither be a scene nor hold one.
fn check_out(scenes: &[PathBuf], out: &Path) -> Result<()> {
    let whole = |scene: &PathBuf| scene.canonicalize().with_context(|| format!("{} cannot be found", scene.display()));
    let scenes = scenes.iter().map(whole).collect::<Result<Vec<_>>>()?;
    let working = scenes.iter().filter_map(|scene| out.join(scene.file_name()?).canonicalize().ok());
    for working in working {
        if let Some(scene) = scenes.iter().find(|scene| scene.starts_with(&working)) {
            bail!("--out {} would remove the scene {}; name another folder", out.display(), scene.display());
        }
    }
    Ok(())
}

fn evaluate(scene: &Scene, variant: Variant, arguments: &Arguments, results: &mut Results) -> Result<()> {
    let config = settings(variant, arguments);
    let clock = Instant::now();
    let mut model = match &arguments.model {
        Some(path) => EmbeddedModel::open(path, &Device::flex())?,
        None => EmbeddedModel::built_in(&Device::flex())?,
    };
    let out = &out_of(variant, arguments);
    std::fs::create_dir_all(out)?;
    let folder = arguments.out.join(&scene.name);
    forget_tuning(&folder)?;
    let done = fill(scene, &mut model, &config, &folder, &mut |_| true)?;
    let secs = clock.elapsed().as_secs_f64();
    done.photo.save(out.join(format!("{}.png", scene.name)))?;
    save_sheet(scene, &done, out)?;
    let row = judged(scene, &done, &config, secs);
    eprint!("{}", tables::line(&row));
    if tables::is_counted(&row) {
        results.add_trust(scene, &done);
    }
    results.rows.push(row);
    Ok(())
}

/// A variant's tuning is not the next one's, nor is the note of whose it is; the guides are.
fn forget_tuning(folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(folder.join("checkpoints")).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path()).filter(|path| !path.ends_with("guides"));
    paths.try_for_each(|path| forget(&path))
}

fn settings(variant: Variant, arguments: &Arguments) -> FillConfig {
    let mut config = FillConfig::default();
    config.tune.iterations = arguments.iterations.unwrap_or(config.tune.iterations);
    config.candidates = arguments.candidates.unwrap_or(config.candidates);
    config.model_weight = arguments.model_weight.unwrap_or(config.model_weight);
    variant.applied_to(config)
}

fn save_sheet(scene: &Scene, done: &Completion, out: &Path) -> Result<()> {
    let guides = done.best().filled.iter().map(|filled| Tile::new(&filled.guide.colour, "guide"));
    let other = |c: &Candidate| Tile::new(&done.closely(c, &scene.target), format!("seed {}", c.seed));
    let tiles: Vec<Tile> = guides.chain(done.candidates.iter().skip(1).map(other)).collect();
    let sheet = scene_sheet(scene, &done.photo, &tiles);
    sheet.save(out.join(format!("{}.sheet.png", scene.name)))?;
    Ok(())
}

fn judged(scene: &Scene, done: &Completion, config: &FillConfig, secs: f64) -> Row {
    let rgb = |photo: &Photo| photo.pixels.to_rgb8();
    let (result, target) = (rgb(&done.photo), rgb(&scene.target));
    let truth = scene.truth.as_ref().map(rgb);
    let psnr = |candidate: &Candidate| {
        let photo = finish(scene, &candidate.filled, &done.parts, config);
        truth.as_ref().map(|truth| hole_psnr(&rgb(&photo), truth, &scene.mask))
    };
    Row {
        name: scene.name.clone(),
        scores: truth.as_ref().map(|truth| score(&result, &target, truth, &scene.mask)),
        max_change_outside: max_change_outside(&result, &target, &scene.mask),
        supported: done.report.supported_share,
        secs,
        candidates: done.candidates.iter().map(|c| (Judgement::of(c), psnr(c))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_scene_is_removed_for_its_results() {
        let folder = std::env::temp_dir().join(format!("realfill-evaluate-{}", std::process::id()));
        let scenes = folder.join("scenes");
        for name in ["house", "scenes"] {
            std::fs::create_dir_all(scenes.join(name).join("target")).unwrap();
        }
        let found = scene_folders(&scenes).unwrap();
        let refused = |out: &Path| check_out(&found, out).err().map(|error| error.to_string());
        for out in [&scenes, &scenes.join("house/.."), &folder] {
            assert!(refused(out).is_some_and(|why| why.contains("would remove the scene")), "{}", out.display());
        }
        assert_eq!(refused(&folder.join("out")), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
