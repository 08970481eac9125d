//! The integration tests of this crate, in one binary: each binary links the tensor library anew.

#[cfg(feature = "wgpu")]
mod devices;
mod embedded;
mod far_holes;
mod no_numbers;
mod readme;
mod samplers;
mod stable_diffusion;
mod told;
mod untuned;
