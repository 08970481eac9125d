//! The embedded model: a small patch U-Net that ships with the program, so that the first command needs no download.
//!
//! It works in pixel space on 4×4 patches, projected linearly (no VAE: known pixels stay exact), and predicts the
//! clean picture x0 relative to the guide: per pixel how far to follow the guide, per patch by how much the guide is
//! displaced and how its light differs, and pixels of its own for the rest.

mod blocks;
mod config;
mod patches;
mod prediction;
mod unet;
mod weights;

pub use config::EmbeddedConfig;
pub use patches::{PATCH, patches_from_picture, picture_from_patches};
pub use prediction::Prediction;
pub use unet::{Conditioning, PatchUNet};
