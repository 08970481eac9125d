//! Completes a photograph with what its reference photos show was there.

pub mod training;
