//! Writes what fuzzing begins with into `fuzz/corpus/TARGET/`: the tests' small files, and what is said in them.

use realfill_vision::Photo;
use std::fs;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Larger files only slow fuzzing down.
const MOST_BYTES: u64 = 8 << 10;

fn main() -> Result<()> {
    let vision = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = vision.join("../../fuzz/corpus");
    let pictures = pictures(vision)?;
    for path in &pictures {
        let (name, bytes) = (path.file_name().unwrap_or_default(), fs::read(path)?);
        put(&corpus, "photo", name, &bytes)?;
        if is_named(path, &["avif"]) {
            put(&corpus, "avif", name, &bytes)?;
        }
        if is_named(path, &["jpg"]) {
            put(&corpus, "jpeg", name, &bytes)?;
            for (i, head) in SPLICES.iter().enumerate() {
                put(&corpus, "splice", format!("{i}-{}", name.display()), &[&head[..], &bytes].concat())?;
            }
        }
    }
    put_said(&corpus, &Photo::open(vision.join("tests/data/camera.jpg"))?)
}

/// The tests' pictures that are small.
fn pictures(vision: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in ["tests/data", "tests/data/jpeg", "src/photo/samples"] {
        for entry in fs::read_dir(vision.join(folder))? {
            let path = entry?.path();
            if is_named(&path, &["avif", "jpg", "jxl", "png", "tif"]) && fs::metadata(&path)?.len() <= MOST_BYTES {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn is_named(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
}

/// How far a canvas grows, and two rectangles of hole (left, top, width, height).
const SPLICES: [[u8; 12]; 3] = [
    [0, 0, 0, 0, 5, 5, 20, 9, 0, 0, 0, 0],
    [1, 0, 0, 7, 0, 0, 16, 100, 30, 20, 4, 3],
    [2, 1, 3, 0, 0, 0, 0, 0, 0, 0, 9, 9],
];

/// A camera's blocks by themselves, in files of every format, and as a transfer of all three to every format.
fn put_said(corpus: &Path, photo: &Photo) -> Result<()> {
    let part = |block: &Option<Vec<u8>>| block.clone().unwrap_or_default();
    let (exif, xmp, iptc) = (part(&photo.exif), part(&photo.xmp), part(&photo.iptc));
    for (name, block) in [("exif", &exif), ("xmp", &xmp), ("iptc", &iptc)] {
        put(corpus, "metadata", name, block)?;
    }
    for format in 0..4u8 {
        let mut head = vec![format];
        [&exif, &xmp].iter().for_each(|block| head.extend((block.len() as u16).to_be_bytes()));
        put(corpus, "transfer", format!("format-{format}"), &[&head[..], &exif, &xmp, &iptc].concat())?;
    }
    for extension in ["jpg", "png", "tif", "webp", "bmp"] {
        let path = corpus.join("photo").join(format!("camera.{extension}"));
        let pixels = photo.pixels.thumbnail(16, 16);
        Photo { pixels, origin: None, icc: Some(profile()?), ..photo.clone() }.save(&path)?;
        if extension == "tif" {
            put(corpus, "metadata", "camera.tif", &fs::read(&path)?)?;
        }
    }
    put(corpus, "profile", "display-p3", &profile()?)
}

fn profile() -> Result<Vec<u8>> {
    Ok(moxcms::ColorProfile::new_display_p3().encode()?)
}

fn put(corpus: &Path, target: &str, name: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(corpus.join(target))?;
    Ok(fs::write(corpus.join(target).join(name), bytes)?)
}
