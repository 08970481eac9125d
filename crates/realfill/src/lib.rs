//! Completes a photograph with what its reference photos show was there.

pub mod training;
pub mod denoiser;
pub mod noise;
pub mod samplers;
pub mod schedule;
