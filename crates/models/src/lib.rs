//! The networks: Stable Diffusion inpainting, the embedded model, LoRA, checkpoints.

pub mod embedded;
mod attention;
mod error;
pub mod lora;
pub mod sd;

pub use error::{ModelError, TensorProblems};
