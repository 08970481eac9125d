//! Signing photos and reading their credentials.

use crate::material::{edit, photo};
use realfill_credentials::{CredentialsError, Edit, Identity, State, can_carry, sign, verify};
use realfill_vision::Photo;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const NAMES: [&str; 5] = ["completed.jpg", "completed.png", "completed.webp", "completed.tif", "completed.avif"];

fn signed(folder: &TempDir, name: &str) -> std::path::PathBuf {
    let (target, completed) = (photo(folder.path(), "target.png", 0), photo(folder.path(), name, 1));
    let identity = Identity::in_folder(folder.path()).unwrap();
    sign(&completed, &edit(folder.path(), &target), &identity).unwrap();
    completed
}

fn said(photo: &Photo) -> [Option<Vec<u8>>; 4] {
    [&photo.icc, &photo.exif, &photo.xmp, &photo.iptc].map(Clone::clone)
}

#[test]
fn what_is_signed_is_read_back_in_every_format() {
    for name in NAMES {
        let folder = TempDir::new().unwrap();
        let verdict = verify(&signed(&folder, name), None).unwrap();
        assert_eq!((verdict.state, verdict.trusted), (State::Intact, false), "{name}: {verdict}");
        assert!(verdict.problems.is_empty(), "{name}: {verdict}");
        assert!(verdict.signer.as_deref().is_some_and(|name| name.starts_with("RealFill user")), "{verdict}");
        assert_eq!(verdict.program.as_deref(), Some("RealFill 1.2.3"));
        assert_eq!(verdict.model.as_deref(), Some("embedded (abc123)"));
        let sources: Vec<_> = verdict.sources.iter().map(|s| (s.title.as_str(), s.relationship.as_str())).collect();
        assert_eq!(sources, [("target.png", "parentOf"), ("first.png", "inputTo"), ("second.jpg", "inputTo")]);
        let actions: Vec<_> = verdict.changes.iter().map(|change| change.action.as_str()).collect();
        assert_eq!(actions, ["c2pa.opened", "c2pa.edited"]);
        let change = &verdict.changes[1];
        assert_eq!(change.source_type.as_deref(), Some("compositeWithTrainedAlgorithmicMedia"));
        assert_eq!(change.regions, ["30×15 pixels at 10, 20", "8×9 pixels at 60, 5"]);
        assert!(change.when.as_deref().is_some_and(|when| when.starts_with("20") && when.ends_with('Z')), "{change:?}");
    }
}

#[test]
fn pixels_and_metadata_stay_as_they_were() {
    for name in NAMES {
        let folder = TempDir::new().unwrap();
        let before = photo(folder.path(), name, 1);
        let (before_photo, before_bytes) = (Photo::open(&before).unwrap(), fs::read(&before).unwrap());
        let after = signed(&folder, name);
        let after_photo = Photo::open(&after).unwrap();
        assert_eq!(after_photo.pixels, before_photo.pixels, "{name}");
        assert_eq!(said(&after_photo), said(&before_photo), "{name}");
        assert!(after_photo.xmp.is_some() && after_photo.exif.is_some() && after_photo.icc.is_some(), "{name}");
        if name.ends_with("jpg") {
            assert_eq!(scan(&fs::read(&after).unwrap()), scan(&before_bytes), "the coefficients' bytes differ");
        }
    }
}

/// From the first table to the end of the file: everything that coefficients are coded in. Segments are stepped over by
/// their lengths, since a signature may hold any bytes.
fn scan(jpeg: &[u8]) -> &[u8] {
    let mut at = 2;
    while jpeg[at..at + 2] != [0xFF, 0xDB] {
        assert_eq!(jpeg[at], 0xFF, "no segment begins at byte {at}");
        at += 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
    }
    &jpeg[at..]
}

#[test]
fn one_changed_byte_of_the_picture_is_found() {
    for name in NAMES {
        let folder = TempDir::new().unwrap();
        let path = signed(&folder, name);
        let whole = fs::read(&path).unwrap();
        for at in picture_bytes(name, &whole) {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            let verdict = verify(&path, None).unwrap();
            assert_eq!(verdict.state, State::Altered, "{name}, byte {at} of {}: {verdict}", whole.len());
            assert!(!verdict.problems.is_empty() && verdict.to_string().contains("ALTERED"), "{verdict}");
        }
    }
}

/// Some places in the part that holds the pixels.
fn picture_bytes(name: &str, bytes: &[u8]) -> [usize; 3] {
    let find = |mark: &[u8]| bytes.windows(mark.len()).rposition(|window| window == mark).unwrap();
    match name {
        "completed.jpg" => [100, 300, bytes.len() - find(&[0xFF, 0xDA]) - 10].map(|by| find(&[0xFF, 0xDA]) + by),
        "completed.png" => [100, 300, 500].map(|by| find(b"IDAT") + by),
        "completed.avif" => [100, 300, 500].map(|by| find(b"mdat") + by),
        "completed.webp" => [100, 300, 500].map(|by| find(b"VP8L") + by),
        _ => [100, 300, 500], // the strips come first
    }
}

/// Names a Python that has `c2pa-python`, which `.ci/run` installs.
const OTHER_READER: &str = "REALFILL_C2PA_PYTHON";

#[test]
fn an_independent_reader_agrees() {
    let Some(python) = std::env::var_os(OTHER_READER) else {
        eprintln!("passed over: no {OTHER_READER}, so no other program reads the credentials");
        return;
    };
    let state = |path: &Path| {
        let script = "import c2pa, json, sys; print(json.loads(c2pa.Reader(sys.argv[1]).json())['validation_state'])";
        let told = std::process::Command::new(&python).args(["-c", script]).arg(path).output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).unwrap().trim().to_owned()
    };
    for name in NAMES {
        let folder = TempDir::new().unwrap();
        let path = signed(&folder, name);
        assert_eq!(state(&path), "Valid", "{name}");
        let mut changed = fs::read(&path).unwrap();
        let at = picture_bytes(name, &changed)[1];
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        assert_eq!(state(&path), "Invalid", "{name}");
    }
}

#[test]
fn a_photo_without_credentials_says_so_and_one_that_is_no_picture_is_refused() {
    let folder = TempDir::new().unwrap();
    let verdict = verify(&photo(folder.path(), "plain.png", 0), None).unwrap();
    assert_eq!(verdict.state, State::None);
    assert!(verdict.to_string().contains("no content credentials"));
    let words = folder.path().join("words.txt");
    fs::write(&words, "words").unwrap();
    assert!(matches!(verify(&words, None), Err(CredentialsError::Unreadable { .. })));
    assert!(matches!(verify(Path::new("nowhere.jpg"), None), Err(CredentialsError::Read { .. })));
}

#[test]
fn a_damaged_file_counts_as_altered_only_where_it_was_signed() {
    let folder = TempDir::new().unwrap();
    for name in ["completed.png", "completed.jpg"] {
        let (plain, path) = (photo(folder.path(), name, 1), folder.path().join(name));
        let damaged = |whole: Vec<u8>| match name {
            "completed.png" => whole[..whole.len() - 20].to_vec(),
            _ => [&whole[..4], &[0, 0], &whole[6..]].concat(), // a segment shorter than its own length
        };
        fs::write(&path, damaged(fs::read(&plain).unwrap())).unwrap();
        let message = verify(&path, None).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains("is damaged"), "{message}");
        let whole = fs::read(signed(&folder, name)).unwrap();
        fs::write(&path, damaged(whole)).unwrap();
        assert_eq!(verify(&path, None).unwrap().state, State::Altered, "{name}");
    }
}

#[test]
fn damaged_credentials_are_no_crash_and_never_intact() {
    let folder = TempDir::new().unwrap();
    let path = signed(&folder, "completed.png");
    let whole = fs::read(&path).unwrap();
    let store = whole.windows(4).position(|window| window == b"caBX").unwrap();
    for at in (store..store + 4000).step_by(211) {
        let mut changed = whole.clone();
        changed[at..at + 8].fill(0xA5);
        fs::write(&path, &changed).unwrap();
        assert_ne!(verify(&path, None).unwrap().state, State::Intact, "byte {at}");
    }
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_ne!(verify(&path, None).unwrap().state, State::Intact);
}

#[test]
fn the_credentials_of_the_photo_that_was_completed_are_kept_as_its_own() {
    let folder = TempDir::new().unwrap();
    let first = signed(&folder, "completed.jpg");
    let second = photo(folder.path(), "again.png", 2);
    sign(&second, &edit(folder.path(), &first), &Identity::in_folder(folder.path()).unwrap()).unwrap();
    let verdict = verify(&second, None).unwrap();
    assert_eq!(verdict.state, State::Intact, "{verdict}");
    let had: Vec<bool> = verdict.sources.iter().map(|source| source.had_credentials).collect();
    assert_eq!(had, [true, false, false], "{verdict}");
    assert!(verdict.to_string().contains("completed.jpg, which had credentials of its own"), "{verdict}");
}

#[test]
fn what_the_photos_credentials_say_stays_out_where_it_is_not_wanted() {
    let folder = TempDir::new().unwrap();
    let first = signed(&folder, "completed.jpg");
    let identity = Identity::in_folder(folder.path()).unwrap();
    let names_the_first_target = |keeps_credentials: bool| {
        let second = photo(folder.path(), "again.png", 2);
        let edit = Edit { keeps_credentials, ..edit(folder.path(), &first) };
        sign(&second, &edit, &identity).unwrap();
        let verdict = verify(&second, None).unwrap();
        assert_eq!(verdict.state, State::Intact, "{verdict}");
        let source = &verdict.sources[0];
        assert_eq!((source.title.as_str(), source.relationship.as_str()), ("completed.jpg", "parentOf"));
        assert_eq!((source.had_credentials, verdict.sources.len()), (keeps_credentials, 3));
        fs::read(&second).unwrap().windows(10).any(|window| window == b"target.png")
    };
    assert!(names_the_first_target(true) && !names_the_first_target(false));
}

#[test]
fn a_photo_that_cannot_carry_credentials_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let (target, bmp) = (photo(folder.path(), "target.bmp", 0), photo(folder.path(), "completed.bmp", 1));
    assert!(!can_carry(&bmp) && can_carry(&photo(folder.path(), "completed.png", 1)));
    let identity = Identity::in_folder(folder.path()).unwrap();
    let before = fs::read(&bmp).unwrap();
    let error = sign(&bmp, &edit(folder.path(), &target), &identity).unwrap_err().to_string();
    assert!(error.contains("completed.bmp is complete but has no content credentials"), "{error}");
    assert_eq!(fs::read(&bmp).unwrap(), before);
    let png = folder.path().join("completed.png");
    sign(&png, &edit(folder.path(), &target), &identity)
        .expect("a target without place for credentials is a source too");
    assert_eq!(verify(&png, None).unwrap().sources[0].title, "target.bmp");
}

#[test]
fn a_source_that_is_gone_leaves_the_photo_as_it_was() {
    let folder = TempDir::new().unwrap();
    let completed = photo(folder.path(), "completed.png", 1);
    let before = fs::read(&completed).unwrap();
    let edit = edit(folder.path(), &folder.path().join("gone.png"));
    let error = sign(&completed, &edit, &Identity::in_folder(folder.path()).unwrap()).unwrap_err().to_string();
    assert!(error.contains("gone.png"), "{error}");
    assert_eq!(fs::read(&completed).unwrap(), before);
}
