//! Short hashes that tell whether two runs had the same inputs: beside adapters and checkpoints, in reports. Not for
//! keeping anybody out.

use realfill_vision::{Photo, Scene};

/// FNV-1a's offset basis and prime for 64 bits (Fowler, Noll, Vo).
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x100_0000_01b3;

/// The fingerprint of bytes, 16 hexadecimal digits.
pub fn of_bytes(bytes: &[u8]) -> String {
    hexadecimal(hashed(BASIS, bytes))
}

/// The fingerprint of a scene's pixels: target, hole and references in their order.
pub fn of_scene(scene: &Scene) -> String {
    let with_target = hashed_photo(BASIS, &scene.target);
    let holes = scene.mask.holes().iter().fold(with_target, |hash, &hole| hashed(hash, &[u8::from(hole)]));
    hexadecimal(scene.references.iter().fold(holes, hashed_photo))
}

fn hashed_photo(hash: u64, photo: &Photo) -> u64 {
    let size = [photo.width().to_le_bytes(), photo.height().to_le_bytes()].concat();
    hashed(hashed(hash, &size), photo.pixels.as_bytes())
}

fn hashed(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

fn hexadecimal(hash: u64) -> String {
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, Rgb32FImage};
    use realfill_vision::Mask;

    #[test]
    fn known_values_are_those_of_fnv_1a() {
        assert_eq!([of_bytes(b""), of_bytes(b"a")], ["cbf29ce484222325", "af63dc4c8601ec8c"]);
    }

    #[test]
    fn any_changed_photo_or_mask_changes_a_scenes_fingerprint() {
        let photo = |value: f32| Photo::from_pixels(Rgb32FImage::from_pixel(4, 4, Rgb([value; 3])));
        let scene = |target, hole, reference| {
            let mask = Mask::from_fn(4, 4, |x, _| x < hole);
            of_scene(&Scene::new("s", photo(target), mask, vec![photo(reference)]).expect("a valid scene"))
        };
        let first = scene(0.1, 2, 0.3);
        assert_eq!(first, scene(0.1, 2, 0.3));
        for other in [scene(0.2, 2, 0.3), scene(0.1, 1, 0.3), scene(0.1, 2, 0.4), scene(0.3, 2, 0.1)] {
            assert_ne!(first, other);
        }
    }
}
