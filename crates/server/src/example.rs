//! The example scene, built in, so that the first try needs no photos of one's own.

use crate::problem::Answer;
use crate::upload::Received;

/// A file of the example scene.
macro_rules! file {
    ($path:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/scenes/still-life/", $path))
    };
}

/// Role, name and content of its files.
const FILES: [(&str, &str, &[u8]); 5] = [
    ("target", "still-life.png", file!("target/target.png")),
    ("mask", "mask.png", file!("target/mask.png")),
    ("ref-1", "0.jpg", file!("ref/0.jpg")),
    ("ref-2", "1.jpg", file!("ref/1.jpg")),
    ("ref-3", "2.jpg", file!("ref/2.jpg")),
];

/// What people call it.
pub const NAME: &str = "Still life (example)";

/// Puts the example in place of what would have been uploaded.
///
/// # Errors
/// The disk.
pub fn fill(received: &mut Received) -> Answer<()> {
    received.name = Some(NAME.into());
    FILES.iter().try_for_each(|(role, name, content)| received.put(role, name, content))
}
