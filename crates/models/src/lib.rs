//! The networks: Stable Diffusion inpainting, the embedded model, LoRA, checkpoints.

pub mod embedded;
