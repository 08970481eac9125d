//! Working memory that a thread keeps from one kernel to the next, since fresh pages cost as much as many a kernel's arithmetic.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Buffers that a thread keeps; what is beyond is freed.
const KEPT: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// A result that its kernel writes in full: clearing it first would cost as much as many a kernel's arithmetic.
#[allow(clippy::uninit_vec, reason = "kernels write results through pointers and never read them before")]
pub(super) fn unwritten(len: usize) -> Vec<f32> {
    if cfg!(test) {
        return vec![f32::NAN; len];
    }
    let mut values = Vec::with_capacity(len);
    // SAFETY: there is room for as many. Until the kernel has written them they are only pointed to, never read.
    unsafe { values.set_len(len) };
    values
}

/// Numbers that a line of the cache holds.
const LINE: usize = 16;

/// Numbers of any value, kept for the next user when dropped. They begin with a line of the cache.
pub(super) struct Scratch {
    values: Vec<f32>,
    start: usize,
    len: usize,
}

impl Scratch {
    /// `len` numbers, whatever they were before.
    pub fn new(len: usize) -> Self {
        let enough = len + LINE;
        let mut values = FREE.with_borrow_mut(|free| {
            let fitting = (0..free.len()).filter(|&i| free[i].len() >= enough).min_by_key(|&i| free[i].len());
            fitting.map(|i| free.swap_remove(i)).or_else(|| free.pop()).unwrap_or_default()
        });
        if values.len() < enough {
            values = vec![0.0; enough];
        }
        if cfg!(test) {
            values.fill(f32::NAN);
        }
        let start = values.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { values, start, len }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        FREE.with_borrow_mut(|free| {
            if free.len() < KEPT {
                free.push(values);
            }
        });
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.start..self.start + self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..self.start + self.len]
    }
}
