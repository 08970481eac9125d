//! The one way in which threads write into one slice.

/// A pointer that threads may share, because each writes elsewhere.
#[derive(Clone, Copy)]
pub(super) struct Shared(*mut f32);

// SAFETY: whoever makes one gives each thread a part of its own (see the uses).
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr())
    }

    /// The place at `index`.
    ///
    /// # Safety
    /// It is inside of the slice.
    pub unsafe fn at(self, index: usize) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(index) }
    }

    /// `len` values at `index`.
    ///
    /// # Safety
    /// They are inside of the slice, which lives on, and nobody else uses them meanwhile.
    pub unsafe fn slice<'a>(self, index: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(index), len) }
    }
}
