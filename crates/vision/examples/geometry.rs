//! Reconstructs scenes and prints what was found, a line a scene.
//!
//! `cargo run --release -p realfill-vision --example geometry -- SCENE_DIR...` reads `target/target.png`, `target/mask.png` and `ref/*` of each.

use image::Rgb32FImage;
use realfill_vision::Mask;
use realfill_vision::geometry::{PairMatches, reconstruct};
use realfill_vision::matching::{Matcher, SiftMatcher, View};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    for scene in std::env::args().skip(1) {
        report(Path::new(&scene))?;
    }
    Ok(())
}

fn report(scene: &Path) -> Result<(), Box<dyn Error>> {
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
    let matches: Vec<_> =
        pairs.iter().zip(found).map(|(&pair, matches)| PairMatches { pair, matches }).collect();
    let sizes: Vec<_> = views.iter().map(|v| v.image.dimensions()).collect();
    let r = reconstruct(&matches, &sizes);
    let secs = start.elapsed().as_secs_f64();
    print!("{}: matching {matched:.1} s, cameras {:.1} s: ", scene.display(), secs - matched);
    match r {
        Some(r) => {
            let focals: Vec<_> = r.cameras.iter().map(|c| c.as_ref().map_or(0.0, |c| (c.focal * 100.0).round() / 100.0)).collect();
            println!("rms {:.2} px, {} points, focals {focals:?}", r.rms_px, r.points.len());
        }
        None => println!("no reconstruction"),
    }
    Ok(())
}

fn references(scene: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut paths =
        std::fs::read_dir(scene.join("ref"))?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}
