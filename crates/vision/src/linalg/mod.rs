//! Numeric helpers that the geometry is built on.

mod simd;

pub(crate) use simd::vectorised;
