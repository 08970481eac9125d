//! The README's program, on tiny scenes.

use realfill::Device;
use realfill::embedded::EmbeddedModel;
use realfill::models::embedded::{EmbeddedConfig, PatchUNet};
use realfill::pipeline::{Event, FillConfig, fill, remove_checkpoints};
use realfill::samplers::SamplerSettings;
use realfill::tuning::TuneConfig;
use realfill::vision::{Mask, Photo, Scene, save::Wanted};
use std::error::Error;
use std::path::Path;

/// What the program does with its folder, scene, model and settings, to the letter.
fn completed(scene: Scene, mut model: EmbeddedModel, config: FillConfig, folder: &Path) -> Result<(), Box<dyn Error>> {
    let completion = fill(&scene, &mut model, &config, folder, &mut |event| {
        if let Event::Stage { stage, .. } = event {
            println!("{stage}");
        }
        true // false stops it, and the same call goes on from there
    })?;
    let (photo, mask) = scene.framed(&completion.photo); // cut to the canvas that was asked for, if any
    let saved = photo.save_completed(&mask, &folder.join("completed"), Wanted::default())?;
    remove_checkpoints(folder)?; // it is done, and the next job here may be another
    println!("{}, {:.0} % supported", saved.path.display(), 100.0 * completion.report.supported_share);
    Ok(())
}

fn scene(shift: u32) -> Scene {
    let wave = |a: u32, b: u32| (127.0 + 120.0 * (a as f32 * 0.3 + b as f32 * 0.1).sin()) as u8;
    let photo = |shift: u32| {
        let colour = |x: u32, y: u32| image::Rgb([wave(x + shift, y), wave(y, x + shift), (4 * x) as u8]);
        Photo::from_pixels(image::RgbImage::from_fn(64, 48, colour))
    };
    let hole = Mask::from_fn(64, 48, |x, y| (20..40).contains(&x) && (16..32).contains(&y));
    Scene::new("waves", photo(shift), hole, vec![photo(shift + 5)]).expect("a scene")
}

#[test]
fn the_readmes_program_completes_one_scene_after_another_in_one_folder() {
    let readme = include_str!("../../../../README.md");
    let program = readme.split("```").find(|block| block.starts_with("rust,no_run\n")).expect("a program");
    let (_, work) = program.split_once("    let completion = ").expect("it completes a photo");
    assert!(include_str!("readme.rs").contains(work), "what is tested here is not what the program does:\n{work}");

    let (shape, device, folder) = (EmbeddedConfig::tiny(), Device::flex(), tempfile::tempdir().unwrap());
    let network = PatchUNet::new(&shape, &device.clone().autodiff());
    let config = FillConfig {
        guide: false,
        view_px: 64,
        candidates: 1,
        tune: TuneConfig { iterations: 1, batch: 1, ..TuneConfig::default() },
        sampler: SamplerSettings { steps: 1, ..SamplerSettings::default() },
        ..FillConfig::default()
    };
    for shift in [0, 30] {
        let model = EmbeddedModel::new(network.clone(), &shape, "tiny".into(), &device);
        completed(scene(shift), model, config.clone(), folder.path()).expect("a completed photo");
    }
    assert!(folder.path().join("completed.png").is_file() && !folder.path().join("checkpoints").exists());
}
