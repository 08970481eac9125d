//! Pulls the references of scenes into their targets' views, prints what was found and saves the pictures.
//!
//! `cargo run --release -p realfill-vision --example geometry -- OUT_DIR SCENE_DIR...` reads `target/target.png`, `target/mask.png` and `ref/*` of each.

use image::{DynamicImage, ImageBuffer, Luma, Rgb32FImage};
use realfill_vision::geometry::{Camera, MultiView, PairMatches, multi_view};
use realfill_vision::matching::{Matcher, SiftMatcher, View};
use realfill_vision::{Mask, Plane};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let out = PathBuf::from(arguments.next().ok_or("give a folder for the results and then scenes")?);
    arguments.try_for_each(|scene| report(Path::new(&scene), &out))
}

fn report(scene: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let target = image::open(scene.join("target/target.png"))?.to_rgb32f();
    let mask = image::open(scene.join("target/mask.png"))?.to_luma8();
    let hole = Mask::new(mask.width(), mask.height(), mask.iter().map(|&v| v > 127).collect());
    let references: Vec<Rgb32FImage> =
        references(scene)?.iter().map(|p| image::open(p).map(|i| i.to_rgb32f())).collect::<Result<_, _>>()?;
    let start = Instant::now();
    let mut views = vec![View { image: &target, hole: Some(&hole) }];
    views.extend(references.iter().map(|image| View { image, hole: None }));
    let pairs: Vec<_> = (0..views.len()).flat_map(|i| (i + 1..views.len()).map(move |j| (i, j))).collect();
    let found = SiftMatcher::default().correspondences(&views, &pairs);
    let matched = start.elapsed().as_secs_f64();
    let matches: Vec<_> = pairs.iter().zip(found).map(|(&pair, matches)| PairMatches { pair, matches }).collect();
    let made = multi_view(&target, &hole, &references, &matches);
    let secs = start.elapsed().as_secs_f64();
    print!("{}: matching {matched:.1} s, geometry {:.1} s: ", scene.display(), secs - matched);
    let Some(made) = made else {
        println!("no cameras");
        return Ok(());
    };
    let r = &made.reconstruction;
    let focal = |c: &Option<Camera>| c.as_ref().map_or(0.0, |c| (c.focal * 100.0).round() / 100.0);
    let focals: Vec<_> = r.cameras.iter().map(focal).collect();
    println!(
        "rms {:.2} px, {} points, focals {focals:?}, motion {:.0} px",
        r.rms_px,
        r.points.len(),
        made.depth.motion_px
    );
    save(&made, &out.join(scene.file_name().unwrap_or_default()))
}

/// Colours and confidences as PNG, depth and cost too.
fn save(made: &MultiView, out: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(out)?;
    for p in &made.proposals {
        DynamicImage::ImageRgb32F(p.colour.clone()).to_rgb16().save(out.join(format!("{}.png", p.reference)))?;
        grey16(&p.confidence, 0.0, 1.0).save(out.join(format!("{}_confidence.png", p.reference)))?;
    }
    let depth = &made.depth;
    grey16(&depth.inverse, depth.range.0, depth.range.1).save(out.join("depth.png"))?;
    grey16(&depth.cost, 0.0, 1.3).save(out.join("cost.png"))?;
    grey16(&depth.margin, 0.0, 0.2).save(out.join("margin.png"))?;
    Ok(())
}

fn grey16(plane: &Plane, low: f32, high: f32) -> ImageBuffer<Luma<u16>, Vec<u16>> {
    let level = |v: f32| (((v - low) / (high - low)).clamp(0.0, 1.0) * 65535.0) as u16;
    ImageBuffer::from_fn(plane.width(), plane.height(), |x, y| Luma([level(plane.get_pixel(x, y)[0])]))
}

fn references(scene: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut paths =
        std::fs::read_dir(scene.join("ref"))?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}
