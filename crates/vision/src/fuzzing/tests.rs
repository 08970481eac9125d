use super::*;
use std::path::{Path, PathBuf};

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 7] = [
    ("avif", avif),
    ("jpeg", jpeg),
    ("metadata", metadata),
    ("photo", photo),
    ("profile", profile),
    ("splice", splice),
    ("transfer", transfer),
];

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    entries.into_iter().flatten().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

#[test]
fn inputs_that_once_failed_pass() {
    let mut count = 0;
    for (target, run) in TARGETS {
        for path in files(&format!("tests/regressions/{target}")) {
            println!("{}", path.display()); // which one it is, should it fail again
            run(&std::fs::read(&path).unwrap());
            count += 1;
        }
    }
    assert!(count > 0, "no inputs were found");
}

#[test]
fn every_target_has_a_binary() {
    for (target, _) in TARGETS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fuzz/fuzz_targets/{target}.rs"));
        assert!(path.is_file(), "{} is missing", path.display());
    }
    assert_eq!(files("../../fuzz/fuzz_targets").len(), TARGETS.len());
}

#[test]
fn undamaged_pictures_pass() {
    for path in files("tests/data/jpeg") {
        println!("{}", path.display());
        let bytes = std::fs::read(path).unwrap();
        photo(&bytes);
        jpeg(&bytes);
        splice(&[&[1, 0, 0, 7, 0, 0, 16, 100, 30, 20, 4, 3], bytes.as_slice()].concat());
    }
    avif(include_bytes!("../photo/samples/grid.avif"));
    profile(&moxcms::ColorProfile::new_display_p3().encode().unwrap());
    let camera = Photo::from_bytes(include_bytes!("../../tests/data/camera.jpg"), "camera").unwrap();
    let [exif, xmp, iptc] = [camera.exif, camera.xmp, camera.iptc].map(Option::unwrap);
    [&exif, &xmp, &iptc].into_iter().for_each(|block| metadata(block));
    for format in 0..4 {
        let lengths = [&exif, &xmp].map(|block| (block.len() as u16).to_be_bytes());
        transfer(&[&[format], lengths.as_flattened(), &exif, &xmp, &iptc].concat());
    }
}
