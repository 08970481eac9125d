//! Builds the guides of scenes and saves them as OUT/NAME.png, their trust as OUT/NAME.trust.png, and the sources as OUT/NAME.source.png.
//!
//! `cargo run --release -p realfill-vision --example guide -- SCENES_DIR OUT_DIR [NAME ...]`

use image::{DynamicImage, GrayImage, Luma, Rgb32FImage};
use realfill_vision::guide::GuideOptions;
use realfill_vision::{Guide, Mask};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let scenes = PathBuf::from(arguments.next().ok_or("give the folder of scenes, then one for the results")?);
    let out = PathBuf::from(arguments.next().ok_or("give a folder for the results")?);
    let only: Vec<String> = arguments.collect();
    std::fs::create_dir_all(&out)?;
    for scene in sorted(&scenes)? {
        let name = scene.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        if scene.join("target/target.png").exists() && (only.is_empty() || only.contains(&name)) {
            build(&scene, &out, &name)?;
        }
    }
    Ok(())
}

fn build(scene: &Path, out: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    let target = image::open(scene.join("target/target.png"))?.to_rgb32f();
    let mask = image::open(scene.join("target/mask.png"))?.to_luma8();
    let mask = Mask::new(mask.width(), mask.height(), mask.iter().map(|&v| v > 127).collect());
    let open = |p: &PathBuf| image::open(p).map(|i| i.to_rgb32f());
    let references: Vec<Rgb32FImage> = sorted(&scene.join("ref"))?.iter().map(open).collect::<Result<_, _>>()?;
    let start = Instant::now();
    let mut stages = String::new();
    let guide = Guide::build(&target, &mask, &references, &GuideOptions::default(), &mut |stage, _| {
        stages += &format!(" {:.1}s {stage};", start.elapsed().as_secs_f64());
    });
    println!("{name}: {:.1} s ({stages})", start.elapsed().as_secs_f64());
    guide.references.iter().enumerate().for_each(|(i, r)| println!("  reference {i}: {r}"));
    DynamicImage::from(guide.colour).to_rgb8().save(out.join(format!("{name}.png")))?;
    let trust = GrayImage::from_fn(mask.width(), mask.height(), |x, y| {
        Luma([(guide.trust.get_pixel(x, y)[0] * 255.0 + 0.5) as u8])
    });
    trust.save(out.join(format!("{name}.trust.png")))?;
    guide.source.save(out.join(format!("{name}.source.png")))?;
    Ok(())
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut paths = std::fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}
