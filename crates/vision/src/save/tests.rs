use super::encode::fitting;
use super::*;
use crate::Mask;
use crate::test_folder::TestFolder;
use image::{DynamicImage, ImageBuffer, Rgb, RgbImage, Rgba};
use std::borrow::Cow;

fn gradient() -> RgbImage {
    RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 6, y as u8 * 8, 100]))
}

fn floats(pixels: &DynamicImage) -> bool {
    matches!(pixels, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_round_trip_keeps_pixels_profile_and_exif() {
    let folder = TestFolder::new();
    let icc = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0".to_vec();
    let photo = Photo { icc: Some(icc), exif: Some(exif), ..Photo::from_pixels(gradient()) };
    for name in ["a.png", "a.webp", "a.tiff", "a.bmp", "a.jpg"] {
        photo.save(folder.join(name)).unwrap();
        let read = Photo::open(folder.join(name)).unwrap();
        let near = read.pixels.to_rgb8().iter().zip(gradient().iter()).all(|(a, b)| a.abs_diff(*b) <= 4);
        assert!(near && (name == "a.jpg" || read.pixels.to_rgb8() == gradient()), "{name}");
        assert!(name == "a.bmp" || read.icc == photo.icc, "{name}");
        assert!(name == "a.bmp" || name == "a.tiff" || read.exif == photo.exif, "{name}");
    }
}

#[test]
fn every_colour_type_can_be_written_in_every_format() {
    let folder = TestFolder::new();
    let deep: ImageBuffer<Rgba<u16>, Vec<u16>> =
        ImageBuffer::from_fn(8, 8, |x, y| Rgba([x as u16 * 8000, y as u16 * 8000, 77, 65_535 - x as u16]));
    let deep = DynamicImage::from(deep);
    let types: [DynamicImage; 10] = [
        deep.to_luma8().into(),
        deep.to_luma_alpha8().into(),
        deep.to_rgb8().into(),
        deep.to_rgba8().into(),
        deep.to_luma16().into(),
        deep.to_luma_alpha16().into(),
        deep.to_rgb16().into(),
        deep.clone(),
        deep.to_rgb32f().into(),
        deep.to_rgba32f().into(),
    ];
    for pixels in types {
        for name in ["a.png", "a.webp", "a.tif", "a.bmp", "a.jpeg"] {
            Photo::from_pixels(pixels.clone()).save(folder.join(name)).unwrap();
            let read = Photo::open(folder.join(name)).unwrap();
            let kept = read.pixels.color() == pixels.color();
            assert!(kept || name != "a.png" || floats(&pixels), "{name}: {:?}", pixels.color());
            if kept && name != "a.jpeg" {
                assert_eq!(read.pixels.as_bytes(), pixels.as_bytes(), "{name}: {:?}", pixels.color());
            }
        }
    }
}

#[test]
fn a_tiff_says_that_its_alpha_is_not_in_its_colours_and_one_that_says_so_is_divided() {
    let pixels = image::RgbaImage::from_pixel(8, 8, Rgba([50, 25, 10, 100]));
    let pictures: [DynamicImage; 3] =
        [pixels.clone().into(), DynamicImage::from(pixels).to_rgba16().into(), gradient().into()];
    for pixels in pictures {
        let has_alpha = pixels.color().has_alpha();
        let mut file = Photo::from_pixels(pixels.clone()).encoded("a.tif").unwrap();
        // Tag 338, one SHORT, which is 2.
        let said: Vec<usize> = file
            .windows(12)
            .enumerate()
            .filter(|(_, bytes)| *bytes == [0x52, 1, 3, 0, 1, 0, 0, 0, 2, 0, 0, 0])
            .map(|(at, _)| at)
            .collect();
        assert_eq!(said.len(), usize::from(has_alpha), "{:?}", pixels.color());
        assert_eq!(Photo::from_bytes(&file, "a.tif").unwrap().pixels, pixels);
        if let Some(at) = said.first() {
            file[at + 8] = 1;
            let read = Photo::from_bytes(&file, "a.tif").unwrap().pixels;
            assert_eq!(read.color(), pixels.color());
            assert!(
                read.to_rgba8().pixels().all(|p| p.0 == [128, 64, 26, 100]),
                "{:?}",
                read.to_rgba8().get_pixel(0, 0)
            );
        }
    }
}

#[test]
fn the_format_follows_the_photo_unless_an_extension_names_another() {
    let folder = TestFolder::new();
    let photo = Photo { format: Some(ImageFormat::Bmp), ..Photo::from_pixels(gradient()) };
    photo.save(folder.join("completed")).unwrap();
    assert_eq!(Photo::open(folder.join("completed")).unwrap().format, Some(ImageFormat::Bmp));
    photo.save(folder.join("completed.PNG")).unwrap();
    assert_eq!(Photo::open(folder.join("completed.PNG")).unwrap().format, Some(ImageFormat::Png));
    assert_eq!((photo.extension(), Photo::from_pixels(gradient()).extension()), ("bmp", "png"));
    let message = photo.save(folder.join("completed.gif")).unwrap_err().to_string();
    assert!(message.contains("completed.gif") && message.contains(FORMATS), "{message}");
}

#[test]
fn a_failed_write_leaves_the_older_file_and_nothing_else() {
    let folder = TestFolder::new();
    let path = folder.join("report.json");
    write_whole(&path, |file| file.write_all(b"old")).unwrap();
    let failed = write_whole(&path, |file| {
        file.write_all(b"half of the new")?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    });
    assert!(failed.unwrap_err().to_string().contains("report.json"));
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["report.json"]);
}

#[test]
fn a_picture_its_format_cannot_hold_is_an_error_and_leaves_no_file() {
    let folder = TestFolder::new();
    let wide = Photo::from_pixels(RgbImage::new(70_000, 1));
    let message = wide.save(folder.join("wide.jpg")).unwrap_err().to_string();
    assert!(message.contains("wide.jpg") && message.contains("another extension"), "{message}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_completed_photo_with_sides_too_long_for_its_format_becomes_a_png() {
    let folder = TestFolder::new();
    for (format, side) in [(ImageFormat::WebP, 16_385), (ImageFormat::Jpeg, 65_536), (ImageFormat::Avif, 65_536)] {
        let photo = Photo { format: Some(format), ..Photo::from_pixels(RgbImage::new(side, 1)) };
        let mask = Mask::from_fn(side, 1, |x, _| x > 9);
        let saved = photo.save_completed(&mask, &folder.join("completed"), Wanted::default()).unwrap();
        assert_eq!((saved.path, saved.notes.len()), (folder.join("completed.png"), 1), "{format:?}");
        assert!(saved.notes[0].contains(&format!("it is {side}×1, and a {format:?} has at most")), "{:?}", saved.notes);
        let wanted = Wanted { format: Some(format), ..Wanted::default() };
        let refused = photo.save_completed(&mask, &folder.join("named"), wanted).unwrap_err().to_string();
        assert!(refused.contains(&format!("it is {side}×1")) && names(folder.path()) == ["completed.png"], "{refused}");
    }
    let mask = Mask::from_fn(16_384, 1, |x, _| x > 9);
    let longest = Photo { format: Some(ImageFormat::WebP), ..Photo::from_pixels(RgbImage::new(16_384, 1)) };
    let saved = longest.save_completed(&mask, &folder.join("longest"), Wanted::default()).unwrap();
    assert_eq!(saved, Saved { path: folder.join("longest.webp"), notes: Vec::new() });
}

#[test]
fn the_output_folder_is_made_and_probed_before_work_starts() {
    let folder = TestFolder::new();
    let deep = folder.join("some/where");
    check_output_folder(&deep, 1000).unwrap();
    assert!(deep.is_dir() && names(&deep).is_empty());
    fs::write(folder.join("file"), "").unwrap();
    for bad in ["file", "file/inside"] {
        let message = check_output_folder(folder.join(bad), 0).unwrap_err().to_string();
        assert!(message.contains("cannot write into the folder") && message.contains(bad), "{message}");
    }
}

#[test]
fn a_disk_without_room_is_an_error_that_says_how_much_is_needed() {
    let folder = TestFolder::new();
    let message = check_output_folder(folder.path(), u64::MAX).unwrap_err().to_string();
    assert!(message.contains("MB free") && message.contains("needed"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TestFolder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    // The superuser may write anyway; then there is nothing to refuse.
    let may_write = fs::write(folder.join("try"), "").is_ok();
    assert_eq!(check_output_folder(folder.path(), 0).is_ok(), may_write);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

/// A photo read from a JPEG of 61×45 pixels with MCUs of 16×16, and a hole in its middle.
fn jpeg_photo(name: &str) -> (Photo, Mask) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jpeg").join(name);
    let photo = Photo::open(path).unwrap();
    let mask = Mask::from_fn(photo.width(), photo.height(), |x, y| (20..30).contains(&x) && (18..30).contains(&y));
    (photo, mask)
}

fn filled(photo: &Photo, mask: &Mask) -> Photo {
    let colour = Rgb([0.2, 0.6, 0.4]);
    crate::composite::composite(
        photo,
        mask,
        &image::Rgb32FImage::from_pixel(photo.width(), photo.height(), colour),
        2.0,
    )
}

#[test]
fn a_completed_jpeg_keeps_the_blocks_outside_the_hole() {
    let folder = TestFolder::new();
    for name in ["ragged-420.jpg", "ragged-420-progressive.jpg", "ragged-422.jpg", "ragged-grey.jpg"] {
        let (photo, mask) = jpeg_photo(name);
        let icc =
            Some(moxcms::ColorProfile::new_display_p3().encode().unwrap()).filter(|_| photo.pixels.color().has_color());
        let photo = Photo { icc, ..photo };
        let saved = filled(&photo, &mask).save_completed(&mask, &folder.join("completed"), Wanted::default()).unwrap();
        assert_eq!(saved, Saved { path: folder.join("completed.jpg"), notes: Vec::new() });
        let read = Photo::open(&saved.path).unwrap();
        assert_eq!(read.icc, photo.icc, "{name}");
        let (before, after) = (photo.pixels.to_rgb8(), read.pixels.to_rgb8());
        let far = before.enumerate_pixels().filter(|(x, y, _)| *x < 14 || *x > 34 || *y < 14 || *y > 34);
        assert!(far.into_iter().all(|(x, y, pixel)| after.get_pixel(x, y) == pixel), "{name}");
        assert_ne!(before.get_pixel(25, 24), after.get_pixel(25, 24), "{name}");
    }
}

#[test]
fn a_jpeg_whose_blocks_do_not_fit_becomes_a_png_unless_a_jpeg_is_asked_for() {
    let folder = TestFolder::new();
    let (photo, _) = jpeg_photo("ragged-420.jpg");
    let known = photo.pixels.to_rgb8();
    let grown = crate::canvas::CanvasRequest::expand("left=5px").unwrap().grow(photo, None).unwrap();
    let result = filled(&grown.photo, &grown.mask);
    let saved = result.save_completed(&grown.mask, &folder.join("completed"), Wanted::default()).unwrap();
    assert_eq!(saved.path, folder.join("completed.png"));
    assert!(saved.notes[0].contains("16×16") && saved.notes[0].contains("a PNG"), "{:?}", saved.notes);
    let read = Photo::open(&saved.path).unwrap().pixels.to_rgb8();
    assert!(known.enumerate_pixels().all(|(x, y, pixel)| read.get_pixel(x + 5, y) == pixel));

    let wanted = Wanted { format: Some(ImageFormat::Jpeg), ..Wanted::default() };
    let saved = result.save_completed(&grown.mask, &folder.join("completed"), wanted).unwrap();
    assert!(saved.notes[0].contains("encoded anew"), "{:?}", saved.notes);
    let read = Photo::open(&saved.path).unwrap().pixels.to_rgb8();
    let error: u64 = known
        .enumerate_pixels()
        .flat_map(|(x, y, pixel)| pixel.0.into_iter().zip(read.get_pixel(x + 5, y).0))
        .map(|(a, b)| u64::from(a.abs_diff(b)))
        .sum();
    assert!((error as f64) < 12.0 * known.len() as f64, "mean error {}", error as f64 / known.len() as f64);
}

#[test]
fn a_turned_jpeg_is_written_upright_with_its_blocks() {
    let folder = TestFolder::new();
    let (photo, _) = jpeg_photo("even.jpg");
    let bytes = fs::read(&photo.path).unwrap();
    let exif = b"\xFF\xE1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let turned = [&bytes[..2], exif, &bytes[2..]].concat();
    let photo = Photo::from_bytes(&turned, "turned.jpg").unwrap();
    assert_eq!((photo.width(), photo.height()), (48, 64));
    let nothing = Mask::from_fn(48, 64, |_, _| false);
    let saved = photo.save_completed(&nothing, &folder.join("completed"), Wanted::default()).unwrap();
    assert_eq!((saved.path.extension().unwrap(), saved.notes.len()), ("jpg".as_ref(), 0));
    let read = Photo::open(&saved.path).unwrap();
    assert_eq!((read.width(), read.height()), (48, 64), "the orientation is applied twice");
    let near = read.pixels.to_rgb8().iter().zip(photo.pixels.to_rgb8().iter()).all(|(a, b)| a.abs_diff(*b) < 8);
    assert!(near, "another picture");
}

#[test]
fn lossless_formats_keep_known_pixels_with_16_bits_and_alpha() {
    let folder = TestFolder::new();
    let deep: ImageBuffer<Rgba<u16>, Vec<u16>> =
        ImageBuffer::from_fn(40, 30, |x, y| Rgba([x as u16 * 1601, y as u16 * 2003, 77, 65_535 - 900 * x as u16]));
    let deep = DynamicImage::from(deep);
    let mask = Mask::from_fn(40, 30, |x, y| (10..20).contains(&x) && (10..20).contains(&y));
    let depths = [
        ("png", deep.clone()),
        ("tif", deep.clone()),
        ("png", deep.to_rgb16().into()),
        ("tif", deep.to_rgb16().into()),
        ("webp", deep.to_rgba8().into()),
        ("png", deep.to_luma_alpha16().into()),
        ("tif", deep.to_luma16().into()),
    ];
    for (extension, pixels) in depths {
        let source = folder.join(format!("source.{extension}"));
        let icc = Some(moxcms::ColorProfile::new_display_p3().encode().unwrap()).filter(|_| pixels.color().has_color());
        Photo { icc: icc.clone(), ..Photo::from_pixels(pixels.clone()) }.save(&source).unwrap();
        let photo = Photo::open(&source).unwrap();
        let saved = filled(&photo, &mask).save_completed(&mask, &folder.join("completed"), Wanted::default()).unwrap();
        assert_eq!(saved.path, folder.join(format!("completed.{extension}")));
        let Photo { pixels: read, icc: kept, .. } = Photo::open(&saved.path).unwrap();
        assert_eq!((read.color(), kept), (pixels.color(), icc), "{extension}");
        let step = usize::from(pixels.color().bytes_per_pixel());
        let both = pixels.as_bytes().chunks_exact(step).zip(read.as_bytes().chunks_exact(step)).zip(mask.holes());
        assert!(both.into_iter().all(|((a, b), hole)| *hole || a == b), "{extension}: {:?}", pixels.color());
    }
}

#[test]
fn a_profile_too_long_for_a_jpeg_is_left_out_and_told() {
    let profile = |length: usize| [&[0; 16][..], b"RGB ", &vec![7; length]].concat();
    for (length, parts) in [(70_000, 2), (17 << 20, 0)] {
        let photo = Photo { icc: Some(profile(length)), ..Photo::from_pixels(gradient()) };
        let mut notes = Vec::new();
        let written = encode::encode(&photo.pixels, &About::of(&photo), ImageFormat::Jpeg, &mut notes).unwrap();
        let found = crate::jpeg::segments(&written).iter().filter(|s| s.data.starts_with(b"ICC_PROFILE")).count();
        assert_eq!((found, notes.len()), (parts, usize::from(parts == 0)), "{notes:?}");
    }
}

#[test]
fn a_packet_too_long_for_a_jpeg_leaves_the_mark_of_generated_parts() {
    let folder = TestFolder::new();
    let mask = Mask::from_fn(40, 30, |x, _| x > 9);
    let packet = |said: &str, blanks: usize| {
        let head = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\
            <rdf:Description xmlns:dc='http://purl.org/dc/elements/1.1/'><dc:title>";
        let foot = "</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>";
        let padding = " \n".repeat(blanks / 2);
        format!("<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>{head}{said}{foot}{padding}<?xpacket end='w'?>")
    };
    let (jpeg, _) = jpeg_photo("ragged-420.jpg");
    let blocks = Mask::from_fn(jpeg.width(), jpeg.height(), |x, _| x > 30);
    for (packet, is_kept) in [(packet("A tower", 70_000), true), (packet(&"A tower ".repeat(9000), 0), false)] {
        let xmp = Some(packet.into_bytes());
        let anew = (Photo { xmp: xmp.clone(), ..Photo::from_pixels(gradient()) }, &mask);
        let spliced = (Photo { xmp, ..jpeg.clone() }, &blocks);
        for (photo, mask) in [anew, spliced] {
            let wanted = Wanted { format: Some(ImageFormat::Jpeg), ..Wanted::default() };
            let saved = photo.save_completed(mask, &folder.join("completed"), wanted).unwrap();
            let file = String::from_utf8_lossy(&fs::read(&saved.path).unwrap()).into_owned();
            assert_eq!(file.matches("compositeWithTrainedAlgorithmicMedia").count(), 1);
            assert_eq!((file.contains("A tower"), file.contains("<?xpacket end")), (is_kept, true));
            let told = saved.notes.iter().filter(|note| note.contains("XMP")).count();
            assert_eq!(told, usize::from(!is_kept), "{:?}", saved.notes);
        }
    }
}

#[test]
fn pixels_that_fit_are_not_copied() {
    let pixels = DynamicImage::from(gradient());
    assert!(matches!(fitting(&pixels, ImageFormat::Jpeg), Cow::Borrowed(_)));
    assert!(matches!(fitting(&pixels.to_rgb16().into(), ImageFormat::Jpeg), Cow::Owned(_)));
}
