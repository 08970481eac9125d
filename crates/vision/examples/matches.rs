//! Prints one JSON object a target/reference pair of scenes: features, matches, verified inliers and seconds.
//!
//! `cargo run --release -p realfill-vision --example matches -- SCENE_DIR...` reads `target/target.png`, `target/mask.png` and `ref/*`
//! of each. docs/notes/matching.md has the table beside OpenCV's.

use realfill_vision::features::{Features, SiftOptions, sift};
use realfill_vision::matching::{MatchOptions, Matcher, SiftMatcher, View, match_features, point_pairs};
use realfill_vision::pyramid::grey;
use realfill_vision::robust::{PointPair, RobustOptions, fundamental, homography};
use realfill_vision::{Mask, Plane};
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
    let name = scene.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let target = image::open(scene.join("target/target.png"))?.to_rgb32f();
    let mask = image::open(scene.join("target/mask.png"))?.to_luma8();
    let hole = Mask::new(mask.width(), mask.height(), mask.iter().map(|&v| v > 127).collect());
    let allow = allowed(&hole, 8);
    let (grey_target, start) = (grey(&target), Instant::now());
    let to = sift(&grey_target, Some(&allow), &SiftOptions::default());
    let target_secs = start.elapsed().as_secs_f64();
    for reference in references(scene)? {
        let photo = image::open(&reference)?.to_rgb32f();
        let row = compare(&grey(&photo), &to);
        let views = [View { image: &photo, hole: None }, View { image: &target, hole: Some(&hole) }];
        let (start, matcher) = (Instant::now(), SiftMatcher::default());
        let all = point_pairs(&matcher.correspondences(&views, &[(0, 1)])[0]);
        let secs = start.elapsed().as_secs_f64();
        let options = RobustOptions::default();
        let second = (inliers(homography(&all, &options)), inliers(fundamental(&all, &options)));
        println!(
            r#"{{"scene":"{name}","reference":{:?},"target_features":{},"target_secs":{target_secs:.3},{row},"matcher":{},"matcher_h":{},"matcher_f":{},"matcher_secs":{secs:.3}}}"#,
            reference.file_name().unwrap_or_default(),
            to.len(),
            all.len(),
            second.0,
            second.1,
        );
    }
    Ok(())
}

fn compare(photo: &Plane, to: &Features) -> String {
    let start = Instant::now();
    let from = sift(photo, None, &SiftOptions::default());
    let (sift_secs, start) = (start.elapsed().as_secs_f64(), Instant::now());
    let matches = match_features(&from, to, &MatchOptions::default());
    let (match_secs, start) = (start.elapsed().as_secs_f64(), Instant::now());
    let point = |f: &Features, i: usize| [f.keypoints[i].x as f64, f.keypoints[i].y as f64];
    let pairs: Vec<PointPair> = matches.iter().map(|m| PointPair::new(point(&from, m.a), point(to, m.b))).collect();
    let options = RobustOptions::default();
    let h = inliers(homography(&pairs, &options));
    let (h_secs, start) = (start.elapsed().as_secs_f64(), Instant::now());
    let f = inliers(fundamental(&pairs, &options));
    let f_secs = start.elapsed().as_secs_f64();
    format!(
        r#""features":{},"matches":{},"h":{h},"f":{f},"sift_secs":{sift_secs:.3},"match_secs":{match_secs:.3},"h_secs":{h_secs:.3},"f_secs":{f_secs:.3}"#,
        from.len(),
        matches.len()
    )
}

fn inliers(estimate: Option<realfill_vision::robust::Estimate>) -> usize {
    estimate.map_or(0, |e| e.inliers.len())
}

/// Pixels with no hole within a square of `margin` pixels around them, as the OpenCV script has them.
fn allowed(hole: &Mask, margin: i64) -> Vec<bool> {
    let (w, h) = (hole.width() as i64, hole.height() as i64);
    let mut allow = vec![true; (w * h) as usize];
    for (i, _) in hole.holes().iter().enumerate().filter(|(_, hole)| **hole) {
        let (x, y) = (i as i64 % w, i as i64 / w);
        for y in (y - margin).max(0)..=(y + margin).min(h - 1) {
            for x in [(x - margin).max(0), (x + margin).min(w - 1), x] {
                allow[(y * w + x) as usize] = false;
            }
        }
    }
    allow
}

fn references(scene: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut paths =
        std::fs::read_dir(scene.join("ref"))?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}
