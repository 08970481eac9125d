//! Learning: pretraining the embedded model on photos, tuning a model on a scene.

pub mod batch;
pub mod checkpoint;
pub(crate) mod clipping;
pub mod ema;
pub mod fields;
pub mod masks;
pub mod objective;
pub mod photos;
pub mod pretrain;
pub mod simulated_guide;
