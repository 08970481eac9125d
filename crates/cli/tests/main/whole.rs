//! Whole jobs on tiny scenes: the files are there, and known pixels are as they were.

use crate::material::{SHORT, mask, photo, realfill, scene, weights};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use realfill_models::sd::{Preset, write_random_checkpoint};
use realfill_vision::Photo;
use std::fs;
use std::path::Path;

fn fill(folder: &Path, output: &str, options: &[&str]) -> assert_cmd::Command {
    let mut command = realfill();
    command.arg("fill").arg(folder.join("scene")).arg("--output").arg(folder.join(output));
    command.arg("--model").arg(weights()).args(SHORT).args(options);
    command
}

fn pixels(path: &Path) -> image::RgbImage {
    image::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).to_rgb8()
}

/// How many pixels differ outside the hole, and inside.
fn changed(before: &image::RgbImage, after: &image::RgbImage) -> (usize, usize) {
    assert_eq!(before.dimensions(), after.dimensions());
    let hole = mask(before.dimensions());
    let differ = |white: bool| {
        let there = hole.enumerate_pixels().filter(|(_, _, pixel)| (pixel[0] > 127) == white);
        there.filter(|(x, y, _)| before.get_pixel(*x, *y) != after.get_pixel(*x, *y)).count()
    };
    (differ(false), differ(true))
}

#[test]
fn fill_writes_everything_and_leaves_known_pixels_alone() {
    let folder = scene();
    fill(folder.path(), "out", &["--iterations", "2"])
        .assert()
        .success()
        .stdout(contains("completed.png"))
        .stdout(contains("took"));
    let out = folder.path().join("out");
    for file in ["sheet.png", "report.json", "adapter/embedded.safetensors", "adapter/realfill.json"] {
        assert!(out.join(file).is_file(), "{file} is missing");
    }
    assert_eq!(fs::read_dir(out.join("candidates")).unwrap().count(), 2);
    assert!(!out.join("checkpoints").exists(), "checkpoints of a finished job stay behind");
    let before = pixels(&folder.path().join("scene/target/target.png"));
    let (outside, inside) = changed(&before, &pixels(&out.join("completed.png")));
    assert!(outside == 0 && inside > 0, "{outside} pixels changed outside the hole, {inside} in it");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["losses"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["config"]["sampler"]["steps"], 2);

    realfill()
        .arg("sample")
        .arg(folder.path().join("scene"))
        .arg("--output")
        .arg(folder.path().join("again"))
        .arg("--adapter")
        .arg(out.join("adapter"))
        .arg("--model")
        .arg(weights())
        .args(["--view-px", "64", "--steps", "2", "--candidates", "2", "--guide", "off"])
        .assert()
        .success();
    let (again, first) = (folder.path().join("again/completed.png"), out.join("completed.png"));
    assert_eq!(pixels(&again), pixels(&first), "the adapter alone gives another picture");
    tells_what_was_done(&again);
    realfill().arg("verify").arg(out.join("sheet.png")).assert().code(1).stdout(contains("no content credentials"));
}

/// `verify` reads the credentials of a completed photo, and finds a changed byte.
fn tells_what_was_done(completed: &Path) {
    let told = realfill()
        .arg("verify")
        .arg(completed)
        .assert()
        .success()
        .stdout(contains("intact").and(contains("untrusted")));
    told.stdout(contains("target.png").and(contains("0.png")).and(contains("14×11 pixels at 26, 21")));
    let read = realfill().args(["verify", "--json"]).arg(completed).assert().success();
    let verdict: serde_json::Value = serde_json::from_slice(&read.get_output().stdout).unwrap();
    assert_eq!((&verdict["state"], &verdict["trusted"]), (&"intact".into(), &false.into()), "{verdict}");
    assert_eq!(verdict["changes"][1]["source_type"], "compositeWithTrainedAlgorithmicMedia");
    let mut bytes = fs::read(completed).unwrap();
    let pixels = bytes.windows(4).position(|window| window == b"IDAT").unwrap() + 100;
    bytes[pixels] ^= 1;
    let changed = completed.with_file_name("changed.png");
    fs::write(&changed, bytes).unwrap();
    realfill()
        .arg("verify")
        .arg(&changed)
        .assert()
        .code(1)
        .stdout(contains("ALTERED"))
        .stderr(contains("not as it was signed"));
}

#[test]
fn a_guided_job_tells_how_much_is_supported_and_where_its_time_went() {
    let folder = scene();
    let trace = folder.path().join("out/trace.json");
    realfill()
        .arg("fill")
        .arg("--profile")
        .arg(&trace)
        .arg(folder.path().join("scene"))
        .arg("--output")
        .arg(folder.path().join("out"))
        .arg("--model")
        .arg(weights())
        .args(["--iterations", "0", "--view-px", "64", "--steps", "1", "--candidates", "1"])
        .assert()
        .success()
        .stdout(contains("supported by the references"));
    assert!(folder.path().join("out/fidelity.png").is_file());
    let fidelity = fs::read(folder.path().join("out/fidelity.json")).unwrap();
    let fidelity: realfill::pipeline::Fidelity = serde_json::from_slice(&fidelity).unwrap();
    let listed: f64 = fidelity.regions.iter().map(|region| region.share).sum();
    assert!(listed > 0.9 && listed < 1.0 + 1e-9, "{listed}");
    let events: Vec<serde_json::Value> = serde_json::from_slice(&fs::read(trace).unwrap()).unwrap();
    for stage in ["guide", "all_matches", "influence", "sample", "finish"] {
        let marks: Vec<_> = events.iter().filter(|event| event["name"] == stage).map(|event| &event["ph"]).collect();
        assert!(marks.contains(&&"B".into()) && marks.contains(&&"E".into()), "{stage}: {marks:?}");
    }
}

#[test]
fn a_jpeg_target_becomes_a_jpeg_with_its_blocks_or_what_is_asked_for() {
    let folder = scene();
    let target = folder.path().join("scene/target");
    fs::remove_file(target.join("target.png")).unwrap();
    photo(crate::material::SIZE, 0).save(target.join("target.jpg")).unwrap();
    fill(folder.path(), "out", &["--iterations", "0"]).assert().success().stdout(contains("completed.jpg"));
    let before = pixels(&target.join("target.jpg"));
    let after = pixels(&folder.path().join("out/completed.jpg"));
    // The hole is 26..40 × 21..32, so that blocks of 16 are touched from 16 to 48 × 16 to 32.
    let changed_far = before.enumerate_pixels().filter(|(x, y, pixel)| {
        let far = *x < 15 || *x > 48 || *y < 15 || *y > 32;
        far && after.get_pixel(*x, *y) != *pixel
    });
    assert_eq!(changed_far.count(), 0);
    realfill().arg("verify").arg(folder.path().join("out/completed.jpg")).assert().success();
    let plain = ["--iterations", "0", "--format", "png", "--no-credentials"];
    fill(folder.path(), "png", &plain).assert().success().stdout(contains("content credentials: none"));
    realfill().arg("verify").arg(folder.path().join("png/completed.png")).assert().code(1);
    assert_eq!(changed(&before, &pixels(&folder.path().join("png/completed.png"))).0, 0);
    let moved = ["--iterations", "0", "--expand", "left=3px"];
    fill(folder.path(), "moved", &moved).assert().success().stdout(contains("note: the result is a PNG"));
    assert!(folder.path().join("moved/completed.png").is_file());
}

#[test]
fn the_hole_may_be_told_by_transparency() {
    let folder = scene();
    let target = folder.path().join("scene/target");
    let (colours, hole) = (photo(crate::material::SIZE, 0), mask(crate::material::SIZE));
    let erased = image::RgbaImage::from_fn(colours.width(), colours.height(), |x, y| {
        let [r, g, b] = colours.get_pixel(x, y).0;
        image::Rgba([r, g, b, 255 - hole.get_pixel(x, y)[0]])
    });
    erased.save(target.join("target.png")).unwrap();
    fs::remove_file(target.join("mask.png")).unwrap();
    fill(folder.path(), "out", &["--iterations", "0", "--mask-from-alpha"]).assert().success();
    assert_eq!(changed(&colours, &pixels(&folder.path().join("out/completed.png"))).0, 0);
}

#[test]
fn json_is_one_event_a_line_that_ends_with_the_result() {
    let folder = scene();
    let assert = fill(folder.path(), "out", &["--iterations", "1", "--json"]).assert().success();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stages: Vec<&str> = events.iter().filter_map(|event| event["stage"].as_str()).collect();
    assert_eq!(stages, ["tune", "sample", "composite"]);
    assert_eq!(events.last().map(|event| event["event"].clone()), Some("done".into()));
    assert!(events.iter().any(|event| event["event"] == "progress" && event["loss"].is_number()));
}

#[test]
fn the_worse_half_of_the_candidates_may_be_dropped_halfway() {
    let folder = scene();
    let dropping = ["--iterations", "0", "--drop-halfway", "on", "--json"];
    fill(folder.path(), "out", &dropping).assert().success().stdout(contains("dropped halfway"));
    let out = folder.path().join("out");
    assert_eq!(fs::read_dir(out.join("candidates")).unwrap().count(), 1);
    let report: serde_json::Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["config"]["sampler"]["drop_halfway"], true);
    assert_eq!(report["candidates"].as_array().map(Vec::len), Some(1));
}

#[test]
fn nothing_to_go_on_from_is_told() {
    let folder = scene();
    let told = fill(folder.path(), "out", &["--iterations", "0", "--resume"]).assert().success();
    told.stderr(contains("out has no checkpoint to go on from; the work begins anew"));
}

#[test]
fn quiet_says_nothing() {
    let folder = scene();
    fill(folder.path(), "out", &["--iterations", "0", "--quiet"]).assert().success().stdout("").stderr("");
}

#[test]
#[cfg(target_os = "linux")]
fn folders_whose_names_are_no_text_are_written_to_and_told() {
    use std::os::unix::ffi::OsStrExt;
    let folder = scene();
    let output = folder.path().join(std::ffi::OsStr::from_bytes(b"out-\xFF"));
    for (command, more) in [("fill", &["--steps", "2", "--candidates", "2"][..]), ("tune", &[][..])] {
        let mut run = realfill();
        run.arg(command).arg(folder.path().join("scene")).arg("--output").arg(&output).arg("--model").arg(weights());
        run.args(["--view-px", "64", "--batch", "1", "--guide", "off", "--iterations", "1", "--json"]).args(more);
        run.assert().success().stdout(contains("\"event\":\"done\"").and(contains("out-\u{FFFD}")));
    }
    assert!(output.join("completed.png").is_file() && output.join("adapter/embedded.safetensors").is_file());
}

#[test]
fn files_that_nobody_made_here_stay_among_the_candidates() {
    let folder = scene();
    let candidates = folder.path().join("out/candidates");
    fs::create_dir_all(&candidates).unwrap();
    for name in ["house.png", "001-77.png"] {
        fs::write(candidates.join(name), "a picture").unwrap();
    }
    fill(folder.path(), "out", &["--iterations", "0"]).assert().success();
    assert!(candidates.join("house.png").is_file() && !candidates.join("001-77.png").exists());
    assert_eq!(fs::read_dir(&candidates).unwrap().count(), 3);
}

#[test]
fn an_older_runs_results_are_not_left_among_the_new_ones() {
    let folder = scene();
    let out = folder.path().join("out");
    fill(folder.path(), "out", &["--iterations", "0", "--complete-all"]).assert().success();
    assert!(out.join("completed.png").is_file() && out.join("completions").is_dir());
    fs::write(out.join("fidelity.json"), "{}").unwrap();
    fs::write(out.join("house.jpg"), "a picture").unwrap();
    fill(folder.path(), "out", &["--iterations", "0", "--format", "webp"]).assert().success();
    let is_there = |name: &&str| out.join(name).exists();
    assert!(["completed.webp", "house.jpg"].iter().all(is_there));
    assert!(!["completed.png", "completions", "fidelity.json"].iter().any(is_there), "something is left");
}

#[test]
fn what_was_finished_stays_when_a_file_cannot_be_written() {
    let folder = scene();
    fs::create_dir_all(folder.path().join("out/report.json/in-the-way")).unwrap();
    fill(folder.path(), "out", &["--iterations", "0"]).assert().code(1).stderr(contains("report.json"));
    assert!(folder.path().join("out/completed.png").is_file());
}

#[test]
fn a_stable_diffusion_checkpoint_is_tuned_and_sampled() {
    let folder = scene();
    let model = folder.path().join("model");
    write_random_checkpoint(Preset::Tiny, &model, 1).unwrap();
    realfill()
        .arg("fill")
        .arg(folder.path().join("scene"))
        .arg("--output")
        .arg(folder.path().join("out"))
        .arg("--model")
        .arg(&model)
        .args(SHORT)
        .args(["--iterations", "1", "--precision", "f32"])
        .assert()
        .success();
    let out = folder.path().join("out");
    for file in ["completed.png", "adapter/unet/adapter_config.json", "adapter/unet/adapter_model.safetensors"] {
        assert!(out.join(file).is_file(), "{file} is missing");
    }
    let report: serde_json::Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!((&report["device"], &report["precision"]), (&"cpu".into(), &"f32".into()));
    let before = pixels(&folder.path().join("scene/target/target.png"));
    assert_eq!(changed(&before, &pixels(&out.join("completed.png"))).0, 0);
}

#[test]
fn a_prompt_is_sampled_to() {
    let folder = scene();
    let model = folder.path().join("model");
    write_random_checkpoint(Preset::Tiny, &model, 1).unwrap();
    let sample = |output: &str, options: &[&str]| {
        let mut command = realfill();
        command.arg("sample").arg(folder.path().join("scene")).arg("--output").arg(folder.path().join(output));
        command.arg("--model").arg(&model);
        let short = ["--view-px", "64", "--steps", "2", "--candidates", "1", "--guide", "off"];
        command.args(short).args(options).assert().success();
        let report = fs::read(folder.path().join(output).join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        (report["config"]["tune"]["prompt"].clone(), pixels(&folder.path().join(output).join("completed.png")))
    };
    let (usual, first) = sample("out", &[]);
    let (given, second) = sample("again", &["--prompt", "a house, seen from the street"]);
    assert_ne!(usual, given);
    assert_eq!(given, "a house, seen from the street");
    assert_ne!(first, second);
}

#[test]
fn an_adapter_of_another_base_is_refused() {
    let folder = scene();
    let adapter = folder.path().join("adapter");
    fs::create_dir(&adapter).unwrap();
    let card = serde_json::json!({
        "version": "0", "base": "other", "base_fingerprint": "1", "scene": "s", "scene_fingerprint": "2", "tune": {},
    });
    fs::write(adapter.join("realfill.json"), card.to_string()).unwrap();
    realfill()
        .arg("sample")
        .arg(folder.path().join("scene"))
        .arg("--adapter")
        .arg(&adapter)
        .arg("--model")
        .arg(weights())
        .assert()
        .code(2)
        .stderr(contains("was tuned on the model other"));
}

#[test]
fn an_adapter_of_another_photo_or_hole_is_used_and_told_of_as_an_event() {
    let folder = scene();
    fill(folder.path(), "out", &["--iterations", "1"]).assert().success();
    let sample = |options: &[&str]| {
        let mut command = realfill();
        command.arg("sample").arg(folder.path().join("scene")).arg("--adapter").arg(folder.path().join("out/adapter"));
        command.arg("--output").arg(folder.path().join("again")).arg("--model").arg(weights());
        command.args(["--view-px", "64", "--steps", "1", "--candidates", "1", "--guide", "off", "--json"]);
        command.args(options).assert().success().stderr("")
    };
    let note = r#"{"event":"note","text":"note: the adapter was tuned with other photos or another hole"#;
    sample(&[]).stdout(contains("the adapter was tuned").not());
    sample(&["--grow-mask", "3"]).stdout(contains(note));
    photo(crate::material::SIZE, 1).save(folder.path().join("scene/ref/0.png")).unwrap();
    sample(&[]).stdout(contains(note));
}

#[test]
fn widening_alone_equals_the_run_with_a_mask() {
    let folder = scene();
    let target = folder.path().join("scene/target");
    let (wide, at) = (pixels(&target.join("target.png")), 20);
    let known = image::imageops::crop_imm(&wide, at, 0, wide.width() - at, wide.height()).to_image();
    let mask =
        image::GrayImage::from_fn(wide.width(), wide.height(), |x, _| image::Luma([if x < at { 255 } else { 0 }]));
    mask.save(target.join("mask.png")).unwrap();
    fill(folder.path(), "masked", &["--iterations", "0"]).assert().success();
    known.save(target.join("target.png")).unwrap();
    fs::remove_file(target.join("mask.png")).unwrap();
    for (output, frame) in [("sides", ["--expand", "left=20px"]), ("canvas", ["--canvas", "80x64+20+0"])] {
        fill(folder.path(), output, &["--iterations", "0"]).args(frame).assert().success();
        let completed = |output: &str| pixels(&folder.path().join(output).join("completed.png"));
        assert_eq!(completed(output), completed("masked"), "{output}");
    }
}

#[test]
fn a_grown_mask_fills_what_lies_around_it_and_nothing_else() {
    let folder = scene();
    let target = folder.path().join("scene/target");
    let (before, marked) = (pixels(&target.join("target.png")), pixels(&target.join("mask.png")));
    fill(folder.path(), "out", &["--iterations", "0", "--grow-mask", "3"]).assert().success();
    let completed = pixels(&folder.path().join("out/completed.png"));
    let holes: Vec<_> = marked.enumerate_pixels().filter(|(_, _, p)| p[0] > 127).map(|(x, y, _)| (x, y)).collect();
    let nearest = |x: u32, y: u32| holes.iter().map(|&(i, j)| i.abs_diff(x).pow(2) + j.abs_diff(y).pow(2)).min();
    let changed = |least: u32, most: u32| {
        let ring =
            before.enumerate_pixels().filter(|(x, y, _)| nearest(*x, *y).is_some_and(|d| (least..=most).contains(&d)));
        ring.filter(|(x, y, p)| completed.get_pixel(*x, *y) != *p).count()
    };
    assert!(changed(1, 9) > 0, "the rim is as it was");
    assert_eq!(changed(10, u32::MAX), 0, "pixels beyond the rim have changed");
}

#[test]
fn a_canvas_that_cuts_the_photo_gives_results_of_its_size() {
    let folder = scene();
    realfill()
        .arg("fill")
        .arg(folder.path().join("scene"))
        .arg("--output")
        .arg(folder.path().join("out"))
        .arg("--model")
        .arg(weights())
        .args(["--iterations", "0", "--view-px", "64", "--steps", "1", "--candidates", "1", "--canvas", "70x80-20+8"])
        .assert()
        .success();
    for file in ["completed.png", "fidelity.png", "candidates/001-0.png"] {
        assert_eq!(pixels(&folder.path().join("out").join(file)).dimensions(), (70, 80), "{file}");
    }
    let completed = pixels(&folder.path().join("out/completed.png"));
    let before = pixels(&folder.path().join("scene/target/target.png"));
    assert_eq!(completed.get_pixel(59, 8), before.get_pixel(79, 0));
}

#[test]
fn candidates_and_the_sheet_have_the_photos_profile() {
    let folder = scene();
    let path = folder.path().join("scene/target/target.png");
    let whole = fs::read(&path).unwrap();
    let code = [&b"cICP"[..], &[12, 13, 0, 1]].concat(); // Display P3 (ITU-T H.273)
    let chunk = [&4u32.to_be_bytes()[..], &code, &crate::material::crc32(&code).to_be_bytes()].concat();
    fs::write(&path, [&whole[..33], &chunk, &whole[33..]].concat()).unwrap();
    let profile = Photo::open(&path).unwrap().icc;
    assert!(profile.is_some());
    fill(folder.path(), "out", &["--iterations", "0"]).assert().success();
    let out = folder.path().join("out");
    let candidates = fs::read_dir(out.join("candidates")).unwrap().map(|entry| entry.unwrap().path());
    for picture in candidates.chain([out.join("sheet.png")]) {
        assert!(Photo::open(&picture).unwrap().icc == profile, "{}", picture.display());
    }
}

#[test]
fn a_broken_profile_is_warned_of_and_the_photo_marked_as_a_composite() {
    let folder = scene();
    let path = folder.path().join("scene/target/target.png");
    let whole = fs::read(&path).unwrap();
    // An iCCP chunk (PNG, 11.3.2.3) whose stored-only zlib stream holds 132 bytes that are no profile but say RGB.
    let profile = [&[0; 16][..], b"RGB ", &[7; 112]].concat();
    let stored = [&[0x78, 1, 1, 132, 0, 0x7B, 0xFF][..], &profile, &adler32(&profile).to_be_bytes()].concat();
    let chunk = [b"iCCP".as_slice(), b"p\0\0", &stored].concat();
    let head =
        [&(chunk.len() as u32 - 4).to_be_bytes()[..], &chunk, &crate::material::crc32(&chunk).to_be_bytes()].concat();
    fs::write(&path, [&whole[..33], &head, &whole[33..]].concat()).unwrap();
    fill(folder.path(), "out", &["--iterations", "0", "--strip-metadata"])
        .assert()
        .success()
        .stderr(contains("warning: ").and(contains("target.png: its colour profile is broken")));
    let completed = fs::read(folder.path().join("out/completed.png")).unwrap();
    let mark = b"compositeWithTrainedAlgorithmicMedia";
    assert!(completed.windows(mark.len()).any(|window| window == mark));
}

/// zlib's checksum (RFC 1950).
fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes
        .iter()
        .fold((1u32, 0u32), |(a, b), &byte| ((a + u32::from(byte)) % 65_521, (a + u32::from(byte) + b) % 65_521));
    b << 16 | a
}
