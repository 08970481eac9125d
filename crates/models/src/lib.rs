//! The networks: Stable Diffusion inpainting, the embedded model, LoRA, checkpoints.

mod attention;
pub mod embedded;
mod error;
pub mod json;
mod kernels;
pub mod lora;
pub mod memory;
mod save;
pub mod sd;

pub use error::{ModelError, TensorProblems};
pub use kernels::Precision;
#[doc(hidden)]
pub use kernels::cases as kernel_cases;
pub use kernels::check_kernels;
