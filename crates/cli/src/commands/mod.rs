//! One module a command: its arguments, and a `run` that does it.

pub mod completions;
pub mod devices;
pub mod fill;
pub mod models;
pub mod pretrain;
pub mod sample;
pub mod serve;
pub mod tune;
pub mod verify;
pub mod worker;
