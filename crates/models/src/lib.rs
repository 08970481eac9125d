//! The networks: Stable Diffusion inpainting, the embedded model, LoRA, checkpoints.

mod attention;
pub mod embedded;
mod error;
mod kernels;
pub mod lora;
pub mod sd;

pub use error::{ModelError, TensorProblems};
