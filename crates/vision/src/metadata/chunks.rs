//! Chunks of a PNG that say how its values are to be shown, how large the picture is in print, and what else is known of it (PNG,
//! third edition, 11.3).

use std::borrow::Cow;

/// Those that are kept, and how long their data are. All stand before the pixels and, but for the size in print, before the
/// palette, in any order.
const KEPT: [(&[u8; 4], usize); 7] =
    [(b"cICP", 4), (b"mDCV", 24), (b"cLLI", 8), (b"sRGB", 1), (b"gAMA", 4), (b"cHRM", 32), (b"pHYs", 9)];

/// Those that say less well what a profile does, and may not stand beside it or do not count there.
pub(crate) const INSTEAD_OF_PROFILE: [&[u8; 4]; 3] = [b"sRGB", b"gAMA", b"cHRM"];

/// The one that says how large the picture is in print.
pub(super) const IN_PRINT: [&[u8; 4]; 1] = [b"pHYs"];

/// Those that hold EXIF, XMP and IPTC. They may stand behind the pixels too.
const TEXTS: [&[u8; 4]; 4] = [b"eXIf", b"iTXt", b"tEXt", b"zTXt"];

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1A\n";

/// Length, name and checksum, beside the data.
const FRAME: usize = 12;

/// The first of each kind before the pixels, whole, one after the other; `None` where there are none, as in what is no PNG.
pub(crate) fn shown_by(png: &[u8]) -> Option<Vec<u8>> {
    let (mut kept, mut has_palette): (Vec<&[u8]>, bool) = (Vec::new(), false);
    for chunk in chunks(png.strip_prefix(SIGNATURE)?).take_while(|chunk| name(chunk) != b"IDAT") {
        has_palette |= name(chunk) == b"PLTE";
        let is_in_place = !has_palette || name(chunk) == b"pHYs";
        let is_new = !kept.iter().any(|other| name(other) == name(chunk));
        if is_in_place && is_new && is_kept(chunk) {
            kept.push(chunk);
        }
    }
    (!kept.is_empty()).then(|| kept.concat())
}

/// Whether a PNG says before its picture that there are more to be shown (PNG, third edition, 11.3.7.1).
pub(crate) fn is_animated(png: &[u8]) -> bool {
    let Some(bytes) = png.strip_prefix(SIGNATURE) else { return false };
    let mut before = chunks(bytes).take_while(|chunk| name(chunk) != b"IDAT");
    let frames = |chunk: &[u8]| chunk.get(8..12)?.try_into().ok().map(u32::from_be_bytes);
    before.any(|chunk| name(chunk) == b"acTL" && frames(chunk).is_some_and(|frames| frames > 1))
}

/// The primaries and the transfer characteristics (ITU-T H.273) that a `cICP` among these chunks names.
pub(crate) fn colour_code(kept: &[u8]) -> Option<(u16, u16)> {
    let named = chunks(kept).find(|chunk| name(chunk) == b"cICP")?;
    Some((named[8].into(), named[9].into()))
}

/// A PNG whose texts stand before its pixels, where `image` 0.25 looks for them; of several EXIF blocks the first. Nothing is copied
/// where none stand behind.
pub(crate) fn texts_first(png: &[u8]) -> Cow<'_, [u8]> {
    let Some(bytes) = png.strip_prefix(SIGNATURE) else { return Cow::Borrowed(png) };
    let length: usize = chunks(bytes).take_while(|chunk| name(chunk) != b"IDAT").map(<[u8]>::len).sum();
    let (before, behind) = bytes.split_at(length);
    let (mut texts, others): (Vec<&[u8]>, Vec<&[u8]>) =
        chunks(behind).partition(|chunk| TEXTS.iter().any(|text| name(chunk) == *text));
    if texts.is_empty() {
        return Cow::Borrowed(png);
    }
    let whole: usize = texts.iter().chain(&others).map(|chunk| chunk.len()).sum();
    let mut has_exif = chunks(before).any(|chunk| name(chunk) == b"eXIf");
    texts.retain(|chunk| name(chunk) != b"eXIf" || !std::mem::replace(&mut has_exif, true));
    Cow::Owned([SIGNATURE, before, &texts.concat(), &others.concat(), &behind[whole..]].concat())
}

/// The chunks but for those of these names.
pub(crate) fn without(bytes: &[u8], names: &[&[u8; 4]]) -> Vec<u8> {
    let kept = chunks(bytes).filter(|chunk| !names.iter().any(|other| name(chunk) == *other));
    kept.collect::<Vec<_>>().concat()
}

/// Chunks up to one that is cut short, whole.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let (chunk, behind) = rest.split_at_checked(length.checked_add(FRAME)?)?;
        rest = behind;
        Some(chunk)
    })
}

fn name(chunk: &[u8]) -> &[u8] {
    &chunk[4..8]
}

/// Whether it is one of those that are kept, as long as it has to be, and undamaged.
fn is_kept(chunk: &[u8]) -> bool {
    let (named, checksum) = chunk[4..].split_at(chunk.len() - 8);
    let is_known = KEPT.iter().any(|(name, length)| named.starts_with(*name) && named.len() == 4 + length);
    is_known && crc32fast::hash(named).to_be_bytes() == checksum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Strip;
    use crate::metadata::text::chunk;
    use crate::save::Wanted;
    use crate::test_folder::TestFolder;
    use crate::{Mask, Photo};
    use image::{ImageFormat, Rgb, RgbImage};
    use std::io::Cursor;

    /// A PNG's bytes with these chunks between header and pixels.
    fn png(chunks: &[u8]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_pixel(6, 5, Rgb([9, 80, 7])).write_to(&mut bytes, ImageFormat::Png).unwrap();
        let bytes = bytes.into_inner();
        [&bytes[..33], chunks, &bytes[33..]].concat()
    }

    /// Chunks of these names and lengths, which decoders take.
    fn of(chunks: &[(&[u8; 4], usize)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, length) in chunks {
            let data: Vec<u8> = (0..*length).map(|i| u8::from(i % 4 != 2)).collect();
            chunk(&mut bytes, name, &data);
        }
        bytes
    }

    /// The names of a completed photo's chunks up to the pixels.
    fn completed(photo: &Photo, strip: Strip) -> Vec<String> {
        let folder = TestFolder::new();
        let nothing = Mask::from_fn(6, 5, |_, _| false);
        let saved = photo.save_completed(&nothing, &folder.join("completed"), Wanted { format: None, strip }).unwrap();
        let file = std::fs::read(saved.path).unwrap();
        let names = chunks(&file[8..]).map(|chunk| String::from_utf8_lossy(name(chunk)).into_owned());
        names.take_while(|name| name != "IDAT").collect()
    }

    #[test]
    fn a_pngs_colours_and_size_in_print_are_kept() {
        let all = of(&[(b"gAMA", 4), (b"cHRM", 32), (b"cICP", 4), (b"pHYs", 9)]);
        let photo = Photo::from_bytes(&png(&all), "a.png").unwrap();
        assert_eq!(photo.png_chunks.as_deref(), Some(&all[..]));
        assert_eq!(completed(&photo, Strip::Nothing), ["IHDR", "gAMA", "cHRM", "cICP", "pHYs", "iTXt"]);
        assert_eq!(completed(&photo, Strip::All), ["IHDR", "gAMA", "cHRM", "cICP", "iTXt"]);
        let icc = Some(moxcms::ColorProfile::new_display_p3().encode().unwrap());
        let names = completed(&Photo { icc, ..photo }, Strip::Nothing);
        assert_eq!(names, ["IHDR", "cICP", "pHYs", "iTXt", "iCCP"]);
    }

    #[test]
    fn colours_that_a_code_names_have_its_profile() {
        let coded = |code: [u8; 2], icc: Option<Vec<u8>>| {
            let mut said = Vec::new();
            chunk(&mut said, b"cICP", &[code[0], code[1], 0, 1]);
            let plain = Photo { icc, ..Photo::from_pixels(RgbImage::from_pixel(6, 5, Rgb([9, 80, 7]))) };
            let file = plain.encoded("a.png").unwrap();
            Photo::from_bytes(&[&file[..33], &said, &file[33..]].concat(), "a.png").unwrap()
        };
        let p3 = moxcms::ColorProfile::new_display_p3();
        let photo = coded([12, 13], None);
        assert!(photo.doubts.is_empty(), "{:?}", photo.doubts);
        let read = moxcms::ColorProfile::new_from_slice(photo.icc.as_deref().expect("Display P3")).unwrap();
        assert!((read.red_colorant.x - p3.red_colorant.x).abs() < 1e-3);
        assert_eq!(completed(&photo, Strip::Nothing), ["IHDR", "cICP", "iTXt", "iCCP"]);
        let p3 = p3.encode().ok();
        assert_eq!(coded([1, 13], p3.clone()).icc, None, "the code counts before the profile");
        assert_eq!(coded([2, 2], p3.clone()).icc, p3, "the code says nothing");
    }

    #[test]
    fn of_an_animated_png_the_first_picture_is_used_and_the_others_are_told_of() {
        let doubts = |chunks: &[u8]| Photo::from_bytes(&png(chunks), "a.png").unwrap().doubts;
        assert!(doubts(&[]).is_empty());
        assert_eq!(doubts(&of(&[(b"acTL", 8)])), ["a.png: it is an animation; only its first picture is used"]);
        let mut still = Vec::new();
        chunk(&mut still, b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]);
        assert!(doubts(&still).is_empty());
    }

    #[test]
    fn texts_behind_the_pixels_are_put_before_them() {
        let text = |name: &[u8; 4], data: &[u8]| {
            let mut bytes = Vec::new();
            chunk(&mut bytes, name, data);
            bytes
        };
        let plain = png(&text(b"eXIf", b"first"));
        let (head, end) = plain.split_at(plain.len() - 12);
        let (second, words) = (text(b"eXIf", b"second"), text(b"tEXt", b"a\0b"));
        let file = [head, &second, &words, end].concat();
        assert_eq!(texts_first(&plain), plain);
        let names = |file: &[u8]| chunks(&file[8..]).map(|chunk| name(chunk).to_vec()).collect::<Vec<_>>();
        assert_eq!(names(&texts_first(&file)), [b"IHDR", b"eXIf", b"tEXt", b"IDAT", b"IEND"]);
        for cut in 0..file.len() {
            let cut = &file[..cut];
            assert!(texts_first(cut).len() + second.len() >= cut.len(), "{} bytes", cut.len());
        }
    }

    #[test]
    fn damaged_and_further_chunks_are_not_kept() {
        let good = of(&[(b"gAMA", 4)]);
        let mut damaged = of(&[(b"pHYs", 9)]);
        damaged[10] ^= 1;
        let others = of(&[(b"gAMA", 4), (b"cHRM", 31), (b"tIME", 7), (b"PLTE", 3), (b"sRGB", 1)]);
        assert_eq!(shown_by(&png(&[good.clone(), damaged, others].concat())), Some(good));
        assert_eq!(shown_by(&png(&[])), None);
        assert_eq!(shown_by(b"\x89PNG\r\n\x1A\n\xFF\xFF\xFF\xFFgAMA"), None);
        assert_eq!(shown_by(b"II*\0"), None);
    }
}
