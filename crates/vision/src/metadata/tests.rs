use super::test_blocks::{VALUE_AT, with_resolution, with_value};
use super::*;
use crate::Mask;
use crate::save::{Saved, Wanted};
use crate::test_folder::TestFolder;
use image::math::Rect;
use image::{ImageFormat, Rgb, RgbImage};
use std::path::Path;
use std::process::Command;

/// A camera's JPEG as exiftool made it: EXIF (big-endian, with GPS and a thumbnail), XMP, IPTC; turned by 90°.
const CAMERA: &[u8] = include_bytes!("../../tests/data/camera.jpg");

fn camera() -> Photo {
    Photo::from_bytes(CAMERA, "camera.jpg").unwrap()
}

/// The photo with all of it painted red, so that a thumbnail of the old picture would show.
fn red(photo: &Photo) -> (Photo, Mask) {
    let pixels = RgbImage::from_pixel(photo.width(), photo.height(), Rgb([230, 20, 30]));
    let mask = Mask::from_fn(photo.width(), photo.height(), |x, _| x > 0);
    (Photo { pixels: pixels.into(), ..photo.clone() }, mask)
}

fn saved(photo: &Photo, folder: &TestFolder, wanted: Wanted) -> Saved {
    let (photo, mask) = red(photo);
    photo.save_completed(&mask, &folder.join("completed"), wanted).unwrap()
}

fn wanted(format: ImageFormat, strip: Strip) -> Wanted {
    Wanted { format: Some(format), strip }
}

fn thumbnail(exif: &[u8]) -> image::RgbImage {
    let start = exif.windows(3).rposition(|bytes| bytes == [0xFF, 0xD8, 0xFF]).expect("a thumbnail");
    image::load_from_memory(&exif[start..]).unwrap().to_rgb8()
}

#[test]
fn what_the_camera_wrote_is_read() {
    let photo = camera();
    assert!(photo.exif.is_some() && photo.xmp.is_some() && photo.iptc.is_some());
    assert!(photo.doubts.is_empty(), "{:?}", photo.doubts);
}

#[test]
fn the_thumbnail_shows_the_new_picture_and_the_size_is_the_new_one() {
    let folder = TestFolder::new();
    let read = Photo::open(saved(&camera(), &folder, Wanted::default()).path).unwrap();
    let (exif, before) = (read.exif.unwrap(), camera().exif.unwrap());
    let near = thumbnail(&exif).pixels().all(|p| p[0] > 180 && p[1] < 80 && p[2] < 80);
    assert!(near, "the thumbnail is not red");
    assert!(!thumbnail(&before).pixels().all(|p| p[0] > 180 && p[1] < 80 && p[2] < 80));
    assert!(doubts(&exif, (read.pixels.width(), read.pixels.height())).is_empty());
    assert_eq!(
        exif.windows(6).filter(|w| *w == b"\xFF\xD8\xFF\xE0\0\x10").count(),
        1,
        "the old thumbnail is still there"
    );
}

#[test]
fn the_place_goes_and_the_rest_stays() {
    let folder = TestFolder::new();
    let all = Photo::open(saved(&camera(), &folder, Wanted::default()).path).unwrap();
    let no_gps = wanted(ImageFormat::Jpeg, Strip::Gps);
    let stripped = Photo::open(saved(&camera(), &folder, no_gps).path).unwrap();
    let has = |block: &Option<Vec<u8>>, text: &str| {
        block.as_ref().unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    };
    assert!(has(&all.exif, "WGS-84") && !has(&stripped.exif, "WGS-84"));
    assert!(has(&all.xmp, "GPSLatitude") && !has(&stripped.xmp, "GPSLatitude"));
    for photo in [&all, &stripped] {
        assert!(has(&photo.exif, "Testomat 3000") && has(&photo.iptc, "A tower"));
        assert!(has(&photo.xmp, "A photographer") && has(&photo.xmp, "compositeWithTrainedAlgorithmicMedia"));
        assert!(!has(&photo.xmp, "tiff:Orientation"));
    }
}

/// A dataset of the second part of an IPTC record.
fn dataset(number: u8, text: &str) -> Vec<u8> {
    [&[0x1C, 2, number][..], &(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// One of Photoshop's resources.
fn resource(id: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = [b"8BIM", &id.to_be_bytes()[..], &[0, 0], &(data.len() as u32).to_be_bytes(), data].concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

/// The camera's photo with the place's name in its IPTC record, in its XMP packet, and in XMP that did not fit into a segment
/// (XMP, part 3, 1.1.3.1).
fn in_lund() -> Photo {
    let sizes = [4u32, 0].map(u32::to_be_bytes).concat();
    let head = [&b"http://ns.adobe.com/xmp/extension/\0"[..], &[b'A'; 32], &sizes].concat();
    let length = (2 + head.len() as u16 + 4).to_be_bytes();
    let file = [&CAMERA[..2], &[0xFF, 0xE1], &length, &head, b"Lund", &CAMERA[2..]].concat();
    let said = "<rdf:Description rdf:about='' xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/' photoshop:City='Lund' \
        xmlns:xmpNote='http://ns.adobe.com/xmp/note/' xmpNote:HasExtendedXMP='AAAA'/></rdf:RDF>";
    let photo = Photo::from_bytes(&file, "camera.jpg").unwrap();
    let xmp = String::from_utf8(photo.xmp.clone().unwrap()).unwrap().replace("</rdf:RDF>", said);
    let record = [dataset(105, "A tower"), dataset(90, "Lund")].concat();
    Photo { xmp: Some(xmp.into_bytes()), iptc: Some(resource(1028, &record)), ..photo }
}

#[test]
fn named_places_go_from_every_block() {
    let folder = TestFolder::new();
    let file = |strip| std::fs::read(saved(&in_lund(), &folder, wanted(ImageFormat::Jpeg, strip)).path).unwrap();
    let count = |file: &[u8], text: &str| file.windows(text.len()).filter(|window| *window == text.as_bytes()).count();
    let [all, no_place, none] = [Strip::Nothing, Strip::Gps, Strip::All].map(file);
    assert_eq!(count(&all, "Lund"), 2);
    for text in ["HasExtendedXMP", "http://ns.adobe.com/xmp/extension/"] {
        assert_eq!(count(&all, text), 0, "{text}");
    }
    let notes = saved(&in_lund(), &folder, wanted(ImageFormat::Jpeg, Strip::Nothing)).notes;
    assert!(notes.iter().any(|note| note.contains("may hold the old picture")), "{notes:?}");
    for text in ["Lund", "HasExtendedXMP", "http://ns.adobe.com/xmp/extension/"] {
        assert_eq!((count(&no_place, text), count(&none, text)), (0, 0), "{text}");
    }
    for text in ["A tower", "A photographer", "Testomat 3000"] {
        assert_eq!((count(&no_place, text), count(&none, text)), (1, 0), "{text}");
    }
}

#[test]
fn places_go_from_the_iptc_record_and_copies_from_beside_it() {
    let places = [26, 27, 90, 92, 95, 100, 101].map(|number| dataset(number, "Lund")).concat();
    let long = [0x1C, 2, 90, 0x80, 2, 0, 4, b'L', b'u', b'n', b'd'];
    let (first, last) = (dataset(105, "A tower"), dataset(120, "by night"));
    let record = [&first[..], &places, &long, &last].concat();
    let (other, copy) = (resource(1005, b"resolution"), resource(1060, b"<x:xmpmeta/>"));
    let block = [&resource(1028, &record)[..], &copy, &other].concat();
    assert_eq!(without_place(&block), [resource(1028, &[first, last].concat()), other].concat());
    for at in 0..block.len() {
        let mut damaged = block.clone();
        damaged[at] ^= 0xFF;
        let kept = without_place(&damaged);
        assert_eq!(without_place(&kept), kept, "byte {at}");
    }
}

#[test]
fn everything_goes_but_the_profile_and_how_it_was_made() {
    let folder = TestFolder::new();
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
        let read = Photo::open(saved(&camera(), &folder, wanted(format, Strip::All)).path).unwrap();
        assert_eq!((read.exif, read.iptc), (None, None), "{format:?}");
        let xmp = String::from_utf8(read.xmp.unwrap()).unwrap();
        assert!(xmp.contains("compositeWithTrainedAlgorithmicMedia") && !xmp.contains("photographer"), "{format:?}");
    }
}

#[test]
fn xmp_and_exif_move_to_every_format_that_has_a_place() {
    let folder = TestFolder::new();
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
        let saved = saved(&camera(), &folder, wanted(format, Strip::Nothing));
        let read = Photo::open(&saved.path).unwrap();
        let text = |block: Option<Vec<u8>>| String::from_utf8_lossy(&block.unwrap_or_default()).into_owned();
        assert!(text(read.exif).contains("Testomat 3000"), "{format:?}");
        assert!(text(read.xmp).contains("A photographer"), "{format:?}");
        assert!(format == ImageFormat::WebP || read.iptc == camera().iptc, "{format:?}");
        assert_eq!(saved.notes.len(), usize::from(format == ImageFormat::WebP), "{format:?}: {:?}", saved.notes);
    }
    let bmp = saved(&camera(), &folder, wanted(ImageFormat::Bmp, Strip::Nothing));
    assert!(bmp.notes[0].contains("EXIF, XMP, IPTC left out"), "{:?}", bmp.notes);
}

#[test]
fn damaged_metadata_is_left_out_with_a_note_and_never_a_panic() {
    let folder = TestFolder::new();
    let photo = Photo { exif: Some(b"no TIFF".to_vec()), xmp: Some(b"<x".to_vec()), ..camera() };
    let notes = saved(&photo, &folder, Wanted::default()).notes;
    assert!(notes.iter().any(|n| n.contains("EXIF")) && notes.iter().any(|n| n.contains("XMP")), "{notes:?}");
    let (exif, xmp, iptc) = (photo_exif(), camera().xmp.unwrap(), camera().iptc.unwrap());
    let thumbnail = camera().thumbnail();
    for at in 0..exif.len().min(1200) {
        for value in [0, 1, 0x7F, 0xFF] {
            let mut damaged = exif.clone();
            damaged[at] = value;
            doubts(&damaged, (1, 1));
            if let Some(mut exif) = Exif::read(damaged.clone()) {
                exif.set_upright(3, 4);
                exif.strip_gps();
                exif.wipe_previews();
                exif.replace_thumbnail(&thumbnail);
            }
            described_by(&damaged);
        }
    }
    let without = Without { place: true, regions: true };
    for at in 0..xmp.len() {
        let mut damaged = xmp.clone();
        damaged[at] = b'<';
        let _ = xmp::marked(Some(&damaged), without);
        let _ = xmp::marked(Some(&xmp[..at]), without);
    }
    (0..iptc.len()).for_each(|at| {
        let mut damaged = iptc.clone();
        damaged[at] ^= 0xFF;
        without_thumbnails(&damaged);
    });
}

fn photo_exif() -> Vec<u8> {
    camera().exif.unwrap()
}

/// A photo with this EXIF block and nothing else.
fn with_exif(block: Vec<u8>) -> Photo {
    Photo { exif: Some(block), ..Photo::from_pixels(RgbImage::from_pixel(64, 48, Rgb([90, 20, 200]))) }
}

#[test]
fn values_of_zeros_below_the_first_directory_stay_beside_a_new_thumbnail() {
    for pointer in [0x8769, 0x8825] {
        let photo = with_exif(with_value(pointer, 0x9286, &[0; 300]));
        let block = photo.described(Strip::Nothing, &mut Vec::new()).exif.unwrap();
        assert_eq!(block[VALUE_AT..][..300], [0; 300], "{pointer:x}");
        assert!(thumbnail(&block).pixels().all(|p| p[0] < 110 && p[2] > 180), "{pointer:x}");
    }
}

#[test]
fn an_exif_block_too_long_with_its_new_thumbnail_stays_without_it() {
    let folder = TestFolder::new();
    let note: Vec<u8> = (0..65_532 - 6 - VALUE_AT).map(|i| (i % 251) as u8 + 1).collect();
    let photo = with_exif(with_value(0x8769, 0x927C, &note));
    let saved = saved(&photo, &folder, wanted(ImageFormat::Jpeg, Strip::Nothing));
    assert!(saved.notes.iter().any(|note| note.contains("with its small picture")), "{:?}", saved.notes);
    let block = Photo::open(&saved.path).unwrap().exif.expect("the block is lost");
    assert_eq!(block[VALUE_AT..], note);
    assert!(!Exif::read(block.clone()).unwrap().has_thumbnail());
    assert!(!block.windows(20).any(|window| window == [0xAB; 20]), "the old thumbnail is still there");
}

#[test]
fn the_old_picture_goes_from_the_makers_note_which_keeps_its_layout() {
    let preview = camera().thumbnail();
    let start = [0xFF, 0xD8, 0xFF];
    let [twice, without_end] = [preview.repeat(2), preview[..preview.len() - 2].to_vec()];
    for pictures in [preview, twice, without_end] {
        let value = [&b"Nikon\0\x02\x10"[..], &pictures].concat();
        let block = with_value(0x8769, 0x927C, &value);
        let mut notes = Vec::new();
        let edited = with_exif(block.clone()).described(Strip::Nothing, &mut notes).exif.unwrap();
        assert_eq!(edited[VALUE_AT..][..8], value[..8]);
        assert!(edited[VALUE_AT + 8..][..pictures.len()].iter().all(|byte| *byte == 0));
        assert_eq!(edited[26..44], block[26..44], "the directory of the note has moved");
        assert_eq!(edited.windows(3).filter(|bytes| *bytes == start).count(), 1, "the new thumbnail alone");
        assert!(notes.len() == 1 && notes[0].contains("the maker's note"), "{notes:?}");
    }
}

#[test]
fn the_place_goes_with_the_makers_note() {
    let note = b"Panasonic\0\0\0\x01\0\x6D\0\x07\0\x05\0\0\0\0\0\0\0Lund\0";
    let block = with_value(0x8769, 0x927C, note);
    let described = |strip| {
        let mut notes = Vec::new();
        (with_exif(block.clone()).described(strip, &mut notes).exif.unwrap(), notes)
    };
    let has_place = |block: &[u8]| block.windows(4).any(|window| window == b"Lund");
    let (kept, notes) = described(Strip::Nothing);
    assert!(has_place(&kept) && notes.is_empty(), "{notes:?}");
    let (stripped, notes) = described(Strip::Gps);
    assert!(!has_place(&stripped) && !stripped.windows(9).any(|window| window == b"Panasonic"));
    assert!(notes.len() == 1 && notes[0].contains("may name the place"), "{notes:?}");
    assert_eq!(stripped[26..28], [0, 0], "the note's entry is still there");
    assert!(Exif::read(stripped).unwrap().has_thumbnail());
}

#[test]
fn a_tiffs_iptc_record_stands_by_itself_too_and_is_read_from_either_place() {
    let folder = TestFolder::new();
    let record = dataset(105, "A tower");
    let photo = Photo { iptc: Some(resource(1028, &record)), ..with_exif(photo_exif()) };
    let mut file = std::fs::read(saved(&photo, &folder, wanted(ImageFormat::Tiff, Strip::Nothing)).path).unwrap();
    assert_eq!(file.windows(record.len()).filter(|window| *window == record).count(), 2);
    assert_eq!(photoshop_in(&file), photo.iptc);
    // The tag of Photoshop's resources, type and all, becomes another one.
    let entry = file.windows(4).rposition(|bytes| bytes == [0x49, 0x86, 7, 0]).expect("Photoshop's resources");
    file[entry] += 1;
    assert_eq!(photoshop_in(&file), photo.iptc);
    let number = file.windows(4).rposition(|bytes| bytes == [0xBB, 0x83, 7, 0]).expect("the record");
    file[number] += 1;
    assert_eq!(photoshop_in(&file), None);
}

#[test]
fn the_resolution_of_a_tiff_is_kept_where_it_has_a_unit() {
    let folder = TestFolder::new();
    for unit in [1, 2, 3] {
        let file = with_exif(with_resolution(unit)).encoded("a.tif").unwrap();
        let photo = Photo::from_bytes(&file, "a.tif").unwrap();
        assert_eq!(photo.exif, (unit > 1).then(|| described_by(&with_resolution(unit)).unwrap()), "unit {unit}");
        let read = Photo::open(saved(&photo, &folder, Wanted::default()).path).unwrap();
        assert_eq!(read.exif, photo.exif, "unit {unit}");
    }
}

#[test]
fn regions_go_where_the_photo_has_another_frame() {
    let regions = "<rdf:Description rdf:about='' xmlns:r='http://www.metadataworkinggroup.com/schemas/regions/'>\
        <r:Regions>a face</r:Regions></rdf:Description></rdf:RDF>";
    let xmp = String::from_utf8(camera().xmp.unwrap()).unwrap().replace("</rdf:RDF>", regions);
    let has_face = |photo: &Photo| {
        let xmp = photo.described(Strip::Nothing, &mut Vec::new()).xmp.unwrap();
        String::from_utf8(xmp).unwrap().contains("a face")
    };
    let still = Photo { xmp: Some(xmp.into_bytes()), ..with_exif(photo_exif()) };
    let turned = Photo { is_reframed: camera().is_reframed, ..still.clone() };
    let cut = still.clone().cut_to(Rect { x: 8, y: 0, width: 32, height: 32 });
    assert!(has_face(&still) && !has_face(&turned) && !has_face(&cut));
}

#[test]
fn photoshops_small_pictures_go() {
    let (record, small) = (resource(1028, b"record"), resource(1036, b"small"));
    assert_eq!(without_thumbnails(&[&small[..], &record, &small].concat()), record);
}

#[test]
fn what_exif_cannot_mean_is_told() {
    let mut exif = photo_exif();
    assert!(doubts(&exif, (48, 64))[0].contains("says 64×48, but it is 48×64"));
    let entry = exif.windows(4).position(|bytes| bytes == [0x01, 0x12, 0, 3]).unwrap();
    exif[entry + 9] = 77;
    assert!(doubts(&exif, (64, 48))[0].contains("orientation is 77"));
    assert!(doubts(b"nothing", (1, 1))[0].contains("damaged"));
}

/// An independent reader's view of a file, one `tag: value` a line; `None` where it is not installed.
fn exiftool(path: &Path) -> Option<String> {
    let output = Command::new("exiftool").args(["-s", "-G1", "-n", "-a", "-validate", "-warning"]).arg(path).output();
    let detail = Command::new("exiftool").args(["-s", "-n", "-a"]).arg(path).output();
    let text = |output: std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text(output.ok()?) + &text(detail.ok()?))
}

#[test]
fn an_independent_reader_finds_everything() {
    let folder = TestFolder::new();
    let line = |tag: &str, value: &str, text: &str| {
        text.lines().any(|line| line.split_once(':').is_some_and(|(t, v)| t.trim() == tag && v.trim() == value))
    };
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
        let saved = saved(&camera(), &folder, wanted(format, Strip::Nothing));
        let Some(text) = exiftool(&saved.path) else { return };
        let mark = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia";
        let mut expected = vec![
            ("Model", "Testomat 3000"),
            ("DateTimeOriginal", "2026:05:01 12:00:00"),
            ("FNumber", "2.8"),
            ("GPSLatitude", "55.70466"),
            ("GPSMapDatum", "WGS-84"),
            ("Creator", "A photographer"),
            ("DigitalSourceType", mark),
        ];
        if format != ImageFormat::WebP {
            expected.push(("Headline", "A tower"));
        }
        if format == ImageFormat::Jpeg {
            expected.extend([("Orientation", "1"), ("ExifImageWidth", "48"), ("ExifImageHeight", "64")]);
        }
        for (tag, value) in expected {
            assert!(line(tag, value, &text), "{format:?}: no {tag} {value} in\n{text}");
        }
        assert!(!text.contains("Error"), "{format:?}: {text}");
    }
}
