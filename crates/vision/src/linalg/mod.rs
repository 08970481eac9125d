//! Numeric helpers that the geometry is built on.

mod lm;
mod poly;
mod simd;
mod small;

pub use lm::{LmOptions, LmReport, levenberg_marquardt, numeric_jacobian};
pub use poly::cubic_roots;
pub(crate) use simd::vectorised;
pub use small::{null_space_7x9, smallest_eigenvector, solve_symmetric};
