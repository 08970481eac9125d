//! What of a JPEG's file goes into no result, because it may show the old picture.

use super::segments::{MORE_XMP_NAME, PICTURES_NAME};
use crate::jpeg;
use crate::metadata::Strip;

/// Tells in `notes` what of a photo's JPEG file is left out whatever the format of the result.
pub(super) fn tell_left_behind(file: &[u8], strip: Strip, notes: &mut Vec<String>) {
    let segments = jpeg::segments(file);
    let has = |name: &[u8]| segments.iter().any(|segment| segment.data.starts_with(name));
    if has(PICTURES_NAME) || jpeg::behind(file).is_some_and(is_more_than_padding) {
        notes.push(
            "what the photo's file holds behind the picture, such as an HDR gain map or a video, is left out, since it may show \
             the old picture"
                .into(),
        );
    }
    if strip != Strip::All && has(MORE_XMP_NAME) {
        notes.push("XMP that does not fit into one segment is left out, since it may hold the old picture".into());
    }
}

fn is_more_than_padding(tail: &[u8]) -> bool {
    tail.iter().any(|byte| ![0, 0xFF].contains(byte))
}

#[cfg(test)]
mod tests {
    use crate::save::{Saved, Wanted};
    use crate::test_folder::TestFolder;
    use crate::{Mask, Photo};
    use image::ImageFormat;

    /// A camera's JPEG, without anything behind its picture.
    const CAMERA: &[u8] = include_bytes!("../../tests/data/camera.jpg");

    fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
        [&[0xFF, marker][..], &(data.len() as u16 + 2).to_be_bytes(), data].concat()
    }

    /// The camera's file with more segments and more behind the picture, completed.
    fn saved(folder: &TestFolder, segments: &[u8], behind: &[u8], format: ImageFormat) -> Saved {
        let file = [&CAMERA[..2], segments, &CAMERA[2..], behind].concat();
        let photo = Photo::from_bytes(&file, "camera.jpg").unwrap();
        let nothing = Mask::from_fn(photo.width(), photo.height(), |_, _| false);
        let wanted = Wanted { format: Some(format), ..Wanted::default() };
        photo.save_completed(&nothing, &folder.join("completed"), wanted).unwrap()
    }

    #[test]
    fn a_gain_map_goes_with_what_speaks_of_it_and_is_told() {
        let folder = TestFolder::new();
        let gain_map = segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0");
        let pictures = segment(0xE2, b"MPF\0MM\0*\0\0\0\x08");
        let told = |saved: &Saved| saved.notes.iter().any(|note| note.contains("gain map"));
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let saved = saved(&folder, &[gain_map.clone(), pictures.clone()].concat(), CAMERA, format);
            assert!(told(&saved), "{format:?}: {:?}", saved.notes);
            let file = std::fs::read(&saved.path).unwrap();
            for name in [&b"urn:iso:std"[..], b"MPF\0"] {
                assert!(!file.windows(name.len()).any(|window| window == name), "{format:?}");
            }
        }
        assert!(told(&saved(&folder, &[], b"\0\0\0\x18ftypmp42", ImageFormat::Jpeg)), "a video");
        assert!(!told(&saved(&folder, &[], &[0; 40], ImageFormat::Jpeg)), "padding");
    }
}
