//! Scenes, photos and weights made for the tests, all tiny.

use assert_cmd::Command;
use image::{Rgb, RgbImage};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Width and height of the target.
pub const SIZE: (u32, u32) = (80, 64);

/// Settings that make a job as short as it can be.
pub const SHORT: [&str; 10] =
    ["--view-px", "64", "--batch", "1", "--steps", "2", "--candidates", "2", "--guide", "off"];

/// The program, with no model cache and no network but what a test gives.
pub fn realfill() -> Command {
    let mut command = Command::cargo_bin("realfill").expect("the program is built");
    command.env("HF_HOME", "/nowhere").env("HF_ENDPOINT", "http://127.0.0.1:9").env("REALFILL_DATA", data());
    command
}

/// The folder of the identity that the tests sign with, made once for all of them.
pub fn data() -> &'static Path {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    MADE.get_or_init(|| TempDir::new().unwrap()).path()
}

/// A folder with `scene/` in the usual layout: a target with a hole and two references.
pub fn scene() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let root = folder.path().join("scene");
    for part in ["ref", "target"] {
        std::fs::create_dir_all(root.join(part)).unwrap();
    }
    photo(SIZE, 0).save(root.join("target/target.png")).unwrap();
    mask(SIZE).save(root.join("target/mask.png")).unwrap();
    photo(SIZE, 5).save(root.join("ref/0.png")).unwrap();
    photo((96, 72), 9).save(root.join("ref/1.png")).unwrap();
    folder
}

/// A part of an endless pattern, so that photos overlap.
pub fn photo((width, height): (u32, u32), shift: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = ((x + shift) as f32, y as f32);
        let wave = |a: f32, b: f32| (127.0 + 120.0 * ((u / a).sin() * (v / b).cos())) as u8;
        Rgb([wave(5.0, 7.0), wave(11.0, 3.0), wave(4.0, 13.0)])
    })
}

/// White in the middle.
pub fn mask((width, height): (u32, u32)) -> RgbImage {
    let is_hole = |x: u32, y: u32| (width / 3..width / 2).contains(&x) && (height / 3..height / 2).contains(&y);
    RgbImage::from_fn(width, height, |x, y| Rgb([if is_hole(x, y) { 255 } else { 0 }; 3]))
}

/// A file of weights that `pretrain` made in one step; made once for all tests.
pub fn weights() -> &'static Path {
    static MADE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = MADE.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let photos = folder.path().join("photos");
        std::fs::create_dir(&photos).unwrap();
        (0..32).for_each(|i| photo((40, 40), i).save(photos.join(format!("{i}.png"))).unwrap());
        let output = folder.path().join("training");
        let numbers = ["--steps", "1", "--batch", "1", "--crop-px", "32", "--quiet"];
        realfill()
            .arg("pretrain")
            .arg("--photos")
            .arg(&photos)
            .arg("--output")
            .arg(&output)
            .args(numbers)
            .assert()
            .success();
        (folder, output.join("embedded.safetensors"))
    });
    path
}

/// PNG's checksum (ISO 3309), bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}
