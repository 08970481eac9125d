//! Weights that never change, in the precision that they were stored in: half of the memory of `f32` for most checkpoints.

use super::pack::{Numbers, View};
use crate::sd::Stored;
use std::sync::Arc;

/// A frozen matrix `[rows, columns]`, shared by all that hold it.
#[derive(Debug, Clone)]
pub(crate) struct Frozen {
    stored: Arc<Stored>,
    pub rows: usize,
    pub columns: usize,
}

impl Frozen {
    /// # Panics
    /// When there are more or fewer values.
    pub fn new(stored: Stored, rows: usize, columns: usize) -> Self {
        assert_eq!(stored.len(), rows * columns);
        Self { stored: Arc::new(stored), rows, columns }
    }

    /// The matrix from this row and column on.
    pub(super) fn from(&self, row: usize, column: usize) -> View<'_> {
        let numbers = match &*self.stored {
            Stored::F32(values) => Numbers::F32(values),
            Stored::F16(bits) => Numbers::F16(bits),
            Stored::Bf16(bits) => Numbers::Bf16(bits),
        };
        View { numbers, start: row * self.columns + column, stride: self.columns }
    }
}
