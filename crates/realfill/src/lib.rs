//! Completes a photograph with what its reference photos show was there.
//!
//! Data flows one way: photos → scene → guide → adapter → candidates → ranking → completion. Each stage is a function
//! on the types before it; [`pipeline`] alone knows the order. [`pipeline::fill`] does the whole job; the project's README has a
//! program that calls it.

pub mod adapter;
pub mod denoiser;
mod drawing;
pub mod embedded;
pub mod fingerprint;
pub mod model;
pub mod noise;
pub mod pipeline;
pub mod samplers;
pub mod schedule;
pub mod self_test;
pub mod stable_diffusion;
pub mod training;
pub mod tuning;

pub use burn::tensor::Device;
pub use image;
pub use realfill_models as models;
pub use realfill_vision as vision;

/// The README's program is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
