use super::folder::natural_order;
use super::*;
use crate::test_folder::TestFolder;
use image::{GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use std::fs;

/// A scene in a folder of its own.
struct Scratch(TestFolder);

impl Scratch {
    /// A whole scene: a target of 8×6, its mask, and references with the given names.
    fn scene(references: &[&str]) -> Self {
        let folder = TestFolder::new();
        fs::create_dir_all(folder.join("ref")).unwrap();
        fs::create_dir_all(folder.join("target")).unwrap();
        let scratch = Self(folder);
        scratch.save("target/target.png", RgbImage::new(8, 6));
        scratch.save("target/mask.png", GrayImage::from_fn(8, 6, |x, _| Luma([if x < 3 { 255 } else { 0 }])));
        for (i, name) in references.iter().enumerate() {
            scratch.save(&format!("ref/{name}"), RgbImage::from_pixel(5, 4 + i as u32, Rgb([i as u8; 3])));
        }
        scratch
    }

    fn save(&self, name: &str, pixels: impl Into<image::DynamicImage>) {
        pixels.into().save(self.0.join(name)).unwrap();
    }

    fn refusal(&self) -> String {
        Scene::open(self.0.path()).unwrap_err().to_string()
    }
}

#[test]
fn a_folder_opens_with_its_references_in_natural_order() {
    let scratch = Scratch::scene(&["10.png", "2.png", "1.jpg"]);
    scratch.save("target/gt.png", RgbImage::new(8, 6));
    fs::write(scratch.0.join("ref/.DS_Store"), "litter").unwrap();
    fs::write(scratch.0.join("ref/Thumbs.db"), "litter").unwrap();
    let scene = Scene::open(scratch.0.path()).unwrap();
    let names: Vec<_> = scene.references.iter().map(Photo::name).collect();
    assert_eq!(names, ["1.jpg", "2.png", "10.png"]);
    assert_eq!(scene.mask.hole_share(), 3.0 / 8.0);
    assert_eq!(scene.name, scratch.0.path().file_name().unwrap().to_string_lossy());
    assert!(scene.truth.is_some());
}

#[test]
fn natural_order_compares_numbers_by_value() {
    let mut names = ["b2", "a10", "a9", "a09", "a", "a1b", "a1"];
    names.sort_by(|a, b| natural_order(a, b));
    assert_eq!(names, ["a", "a1", "a1b", "a09", "a9", "a10", "b2"]);
}

#[test]
fn without_a_mask_file_the_targets_transparency_tells_the_hole() {
    let scratch = Scratch::scene(&["0.png"]);
    fs::remove_file(scratch.0.join("target/mask.png")).unwrap();
    assert!(scratch.refusal().contains("no mask.*"));
    scratch.save("target/target.png", RgbaImage::from_fn(8, 6, |x, _| Rgba([1, 1, 1, if x < 2 { 0 } else { 255 }])));
    assert_eq!(Scene::open(scratch.0.path()).unwrap().mask.hole_share(), 0.25);
}

#[test]
fn no_references_and_too_many_are_errors_that_say_how_many_are_needed() {
    let none = Scratch::scene(&[]);
    assert!(none.refusal().contains("one to five photos of the same place are needed"), "{}", none.refusal());
    fs::remove_dir(none.0.join("ref")).unwrap();
    assert!(none.refusal().contains("one to five photos of the same place are needed"), "{}", none.refusal());
    let many = Scratch::scene(&["0.png", "1.png", "2.png", "3.png", "4.png", "5.png"]);
    assert!(many.refusal().contains("has 6 reference photos"), "{}", many.refusal());
}

#[test]
fn a_reference_that_is_no_picture_is_an_error_that_names_it() {
    let scratch = Scratch::scene(&["0.png"]);
    fs::write(scratch.0.join("ref/1.heic"), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap();
    assert!(scratch.refusal().contains("1.heic is a HEIC picture, whose"), "{}", scratch.refusal());
}

#[test]
fn missing_and_doubled_files_are_errors() {
    let scratch = Scratch::scene(&["0.png"]);
    scratch.save("target/mask.bmp", RgbImage::new(8, 6));
    assert!(scratch.refusal().contains("has both mask.bmp and mask.png"), "{}", scratch.refusal());
    fs::remove_file(scratch.0.join("target/target.png")).unwrap();
    assert!(scratch.refusal().contains("no target.* picture"), "{}", scratch.refusal());
    let missing = Scene::open(scratch.0.join("nowhere")).unwrap_err().to_string();
    assert!(missing.contains("nowhere"), "{missing}");
}

#[test]
fn a_mask_or_truth_of_another_size_is_an_error_with_both_sizes() {
    let scratch = Scratch::scene(&["0.png"]);
    scratch.save("target/gt.png", RgbImage::new(4, 4));
    assert!(scratch.refusal().contains("gt.png is 4×4 but target.png is 8×6"), "{}", scratch.refusal());
    scratch.save("target/mask.png", RgbImage::new(6, 8));
    assert!(scratch.refusal().contains("mask.png is 6×8 but target.png is 8×6"), "{}", scratch.refusal());
}

#[test]
fn explicit_paths_open_the_same_scene() {
    let scratch = Scratch::scene(&["0.png", "1.png"]);
    let path = |name: &str| scratch.0.join(name);
    let mask = MaskSource::File(path("target/mask.png"));
    let references = [path("ref/1.png"), path("ref/0.png")];
    let scene = Scene::from_paths(path("target/target.png"), &mask, &references).unwrap();
    assert_eq!((scene.name.as_str(), scene.references.len()), ("target", 2));
    assert_eq!(scene.references[0].height(), 5);
    let none = Scene::from_paths(path("target/target.png"), &mask, &[] as &[PathBuf]).unwrap_err();
    assert!(matches!(none, SceneError::NoReferences { .. }), "{none}");
    let alpha = Scene::from_paths(path("target/target.png"), &MaskSource::Alpha, &references).unwrap_err();
    assert!(alpha.to_string().contains("no transparent part"), "{alpha}");
}

#[test]
fn a_scene_made_in_memory_is_checked_too() {
    let photo = || Photo::from_pixels(RgbImage::new(4, 4));
    let mask = |size| Mask::from_fn(size, size, |x, _| x == 0);
    assert!(Scene::new("mine", photo(), mask(4), vec![photo()]).is_ok());
    assert!(Scene::new("mine", photo(), mask(3), vec![photo()]).is_err());
    assert!(Scene::new("mine", photo(), mask(4), vec![]).is_err());
    for (hole, words) in [(false, "the mask marks nothing to fill"), (true, "the mask marks the whole photo")] {
        let error = Scene::new("mine", photo(), Mask::from_fn(4, 4, |_, _| hole), vec![photo()]).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_canvas_needs_no_mask_and_goes_together_with_one() {
    let scratch = Scratch::scene(&["0.png"]);
    let canvas = CanvasRequest::expand("right=50%").unwrap();
    let both = Scene::open_on_canvas(scratch.0.path(), None, Some(&canvas)).unwrap();
    assert_eq!((both.target.width(), both.mask.width(), both.mask.hole_share()), (12, 12, 7.0 / 12.0));
    fs::remove_file(scratch.0.join("target/mask.png")).unwrap();
    let alone = Scene::open_on_canvas(scratch.0.path(), None, Some(&canvas)).unwrap();
    assert_eq!(alone.mask.hole_share(), 4.0 / 12.0);
    let reference = [scratch.0.join("ref/0.png")];
    let target = scratch.0.join("target/target.png");
    let same = Scene::from_paths_on_canvas(target, None, &reference, Some(&canvas)).unwrap();
    assert_eq!((same.mask, same.target.pixels), (alone.mask, alone.target.pixels));
}

#[test]
fn a_canvas_does_not_make_up_for_a_target_that_is_transparent_everywhere() {
    let scratch = Scratch::scene(&["0.png"]);
    fs::remove_file(scratch.0.join("target/mask.png")).unwrap();
    scratch.save("target/target.png", RgbaImage::new(8, 6));
    let canvas = CanvasRequest::expand("right=50%").unwrap();
    let message = Scene::open_on_canvas(scratch.0.path(), None, Some(&canvas)).unwrap_err().to_string();
    assert!(message.contains("target.png is transparent everywhere"), "{message}");
}

#[test]
fn a_result_is_cut_to_the_frame_that_was_asked_for() {
    let scratch = Scratch::scene(&["0.png"]);
    let framed = |canvas: &str| {
        let canvas = CanvasRequest::canvas(canvas).unwrap();
        let scene = Scene::open_on_canvas(scratch.0.path(), None, Some(&canvas)).unwrap();
        let (photo, mask) = scene.framed(&scene.target);
        assert_eq!((photo.width(), photo.height()), (mask.width(), mask.height()));
        (photo.width(), photo.height(), scene.target.width(), mask.hole_share())
    };
    assert_eq!(framed("6x9-2+0"), (6, 9, 8, 24.0 / 54.0), "1 of 3 columns of the hole, and 3 new rows");
    assert_eq!(framed("12x6+4+0"), (12, 6, 12, 7.0 / 12.0), "nothing is cut");
}

#[test]
fn a_grown_mask_covers_what_lies_around_it() {
    let photo = || Photo::from_pixels(RgbImage::new(9, 9));
    let scene = || Scene::new("mine", photo(), Mask::from_fn(9, 9, |x, y| (x, y) == (4, 4)), vec![photo()]).unwrap();
    let grown = scene().with_grown_mask(2).unwrap().mask;
    assert!(grown.is_hole(2, 4) && grown.is_hole(5, 5) && !grown.is_hole(1, 4) && !grown.is_hole(6, 6));
    let message = scene().with_grown_mask(6).unwrap_err().to_string();
    assert!(message.contains("grown by 6 px covers the whole photo"), "{message}");
}
