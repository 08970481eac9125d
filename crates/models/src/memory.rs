//! Memory of large tensors, used again.
//!
//! Every operation of a network writes a fresh tensor. The system clears each page of it before it hands it out, which takes up
//! to a fifth of the time of decoding a picture, and takes it back as soon as the tensor is dropped. So what is large is kept
//! when it is freed, up to a limit, for the next request of its size; the sizes of a network's tensors recur. Where none has the size,
//! a larger one is cut down, since its first pages are as good as any.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The system's allocator, keeping large blocks for the next request. For a program's `#[global_allocator]`.
#[derive(Debug)]
pub struct Recycling {
    kept: Mutex<Kept>,
    /// Whether anything is kept.
    is_on: AtomicBool,
}

/// From this size on a block is kept.
const LARGE: usize = 4 << 20;

/// What is kept at most.
const MOST_BYTES: usize = 768 << 20;

/// A block is cut down for a request of this share of it at least: one part in so many.
const MOST_CUT: usize = 4;

/// Blocks that are kept at most.
const MOST_BLOCKS: usize = 32;

/// Freed blocks, oldest first.
#[derive(Debug)]
struct Kept {
    blocks: [Block; MOST_BLOCKS],
    count: usize,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    /// Where it is, as a number: nobody owns what is there.
    place: usize,
    layout: Layout,
}

impl Recycling {
    /// Without any memory yet.
    pub const fn new() -> Self {
        Self { is_on: AtomicBool::new(true), ..Self::paused() }
    }

    /// One that keeps nothing until [`Recycling::start`]: a program that only waits, such as a server, is better off so.
    pub const fn paused() -> Self {
        let none = Block { place: 0, layout: Layout::new::<()>() };
        let kept = Mutex::new(Kept { blocks: [none; MOST_BLOCKS], count: 0, bytes: 0 });
        Self { kept, is_on: AtomicBool::new(false) }
    }

    /// Keeps what is freed from now on.
    pub fn start(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// A kept block of this layout, or else the smallest one that is not too much larger, cut down to it.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let sizes = layout.size()..=MOST_CUT.saturating_mul(layout.size());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = (0..kept.count).rev();
        let fitting = newest.filter(|&i| {
            let kept = kept.blocks[i].layout;
            kept.align() == layout.align() && sizes.contains(&kept.size())
        });
        let smallest = fitting.min_by_key(|&i| kept.blocks[i].layout.size())?;
        let block = kept.remove(smallest);
        drop(kept);
        if block.layout == layout {
            return Some(block.place as *mut u8);
        }
        // SAFETY: what is kept is nobody's; its alignment is the same, and the size that of a layout.
        let cut = unsafe { System.realloc(block.place as *mut u8, block.layout, layout.size()) };
        if cut.is_null() {
            // SAFETY: a block that could not be cut is as it was, and nobody's.
            unsafe { block.free() };
            return None;
        }
        Some(cut)
    }

    /// What the system gives; where it has nothing left, all that is kept goes back first.
    fn or_after_clearing(&self, ask: impl Fn() -> *mut u8) -> *mut u8 {
        let place = ask();
        if !place.is_null() {
            return place;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.count > 0 {
            // SAFETY: what is kept is nobody's.
            unsafe { kept.remove(0).free() };
        }
        drop(kept);
        ask()
    }

    /// Keeps a block; what has to make room for it goes back to the system.
    ///
    /// # Safety
    /// It is the system allocator's, of this layout, and nobody uses it any more.
    unsafe fn keep(&self, place: *mut u8, layout: Layout) {
        let block = Block { place: place as usize, layout };
        if layout.size() > MOST_BYTES || !self.is_on.load(Ordering::Relaxed) {
            // SAFETY: the caller's promise.
            return unsafe { block.free() };
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.count == MOST_BLOCKS || kept.bytes + layout.size() > MOST_BYTES {
            // SAFETY: what is kept is nobody's.
            unsafe { kept.remove(0).free() };
        }
        let end = kept.count;
        kept.blocks[end] = block;
        kept.count += 1;
        kept.bytes += layout.size();
    }
}

impl Default for Recycling {
    fn default() -> Self {
        Self::new()
    }
}

impl Kept {
    fn remove(&mut self, index: usize) -> Block {
        let block = self.blocks[index];
        self.blocks.copy_within(index + 1..self.count, index);
        self.count -= 1;
        self.bytes -= block.layout.size();
        block
    }
}

impl Block {
    /// # Safety
    /// It is the system allocator's, and nobody uses it any more.
    unsafe fn free(self) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(self.place as *mut u8, self.layout) };
    }
}

/// What a large request is given: its size rounded up by an eighth at most, so that sizes recur; `None` where it is small.
fn class(layout: Layout) -> Option<Layout> {
    let size = layout.size();
    if size < LARGE {
        return None;
    }
    let step = size.next_power_of_two() / 2 / 8;
    Layout::from_size_align(size.checked_next_multiple_of(step)?, layout.align()).ok()
}

// SAFETY: memory is the system allocator's. A large block has the layout of its request's class, into which it is cut before
// anybody has it, so it goes back with the layout that it came with, and nobody has it while it is kept.
unsafe impl GlobalAlloc for Recycling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        };
        // SAFETY: a class is as large as its layout at least.
        self.take(class).unwrap_or_else(|| self.or_after_clearing(|| unsafe { System.alloc(class) }))
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc_zeroed(layout) };
        };
        match self.take(class) {
            Some(place) => {
                // SAFETY: the block has this size.
                unsafe { place.write_bytes(0, layout.size()) };
                place
            }
            // SAFETY: as in `alloc`.
            None => self.or_after_clearing(|| unsafe { System.alloc_zeroed(class) }),
        }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        let Some(class) = class(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { System.dealloc(place, layout) };
        };
        // SAFETY: the caller's promise; a large block has its class's layout.
        unsafe { self.keep(place, class) };
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise: a size that fits the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(wanted)) {
            // SAFETY: the caller's promise.
            (None, None) => unsafe { System.realloc(place, layout, size) },
            (Some(old), Some(new)) if old == new => place,
            // SAFETY: what is copied is inside of both.
            (old, new) => unsafe {
                if let (Some(old), Some(new)) = (old, new) {
                    // Large ones mostly move by their pages, without a copy.
                    return self.or_after_clearing(|| System.realloc(place, old, new.size()));
                }
                let moved = self.alloc(wanted);
                if !moved.is_null() {
                    moved.copy_from_nonoverlapping(place, layout.size().min(size));
                    self.dealloc(place, layout);
                }
                moved
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 16).unwrap()
    }

    /// Writes and reads back `size` bytes that count from `from` on.
    unsafe fn write(place: *mut u8, size: usize, from: usize) {
        // SAFETY: the caller's promise.
        let values = unsafe { std::slice::from_raw_parts_mut(place, size) };
        values.iter_mut().enumerate().for_each(|(i, v)| *v = (i + from) as u8);
    }

    unsafe fn holds(place: *mut u8, size: usize, from: usize) -> bool {
        // SAFETY: the caller's promise.
        let values = unsafe { std::slice::from_raw_parts(place, size) };
        values.iter().enumerate().all(|(i, v)| *v == (i + from) as u8)
    }

    #[test]
    fn memory_is_its_owners_alone_and_keeps_what_is_written() {
        let memory = Recycling::new();
        let sizes = [100, LARGE - 1, LARGE, LARGE + 1, LARGE + 12_345, 2 * LARGE, 3 * LARGE];
        for _ in 0..3 {
            // SAFETY: every place is used within its size and freed once.
            unsafe {
                let places: Vec<_> = sizes.iter().map(|&size| memory.alloc_zeroed(layout(size))).collect();
                for (i, (&place, &size)) in places.iter().zip(&sizes).enumerate() {
                    assert!(std::slice::from_raw_parts(place, size).iter().all(|v| *v == 0));
                    write(place, size, i);
                }
                for (i, (&place, &size)) in places.iter().zip(&sizes).enumerate() {
                    assert!(holds(place, size, i));
                    memory.dealloc(place, layout(size));
                }
            }
        }
    }

    #[test]
    fn nothing_is_kept_before_it_is_started() {
        let memory = Recycling::paused();
        let freed = |size: usize| {
            // SAFETY: the place is freed once.
            unsafe { memory.dealloc(memory.alloc(layout(size)), layout(size)) };
            memory.kept.lock().unwrap().count
        };
        assert_eq!(freed(LARGE), 0);
        memory.start();
        assert_eq!(freed(LARGE), 1);
    }

    #[test]
    fn growing_and_shrinking_keep_what_is_there() {
        let memory = Recycling::new();
        let steps = [10, LARGE, LARGE + 1, 3 * LARGE, LARGE, 50, 2 * LARGE];
        // SAFETY: the place is used within its size and freed once.
        unsafe {
            let mut place = memory.alloc(layout(steps[0]));
            for pair in steps.windows(2) {
                write(place, pair[0], 7);
                place = memory.realloc(place, layout(pair[0]), pair[1]);
                assert!(holds(place, pair[0].min(pair[1]), 7), "{pair:?}");
            }
            memory.dealloc(place, layout(steps[steps.len() - 1]));
        }
    }

    #[test]
    fn a_larger_block_is_cut_down_unless_it_is_much_too_large() {
        let memory = Recycling::new();
        let kept = || memory.kept.lock().unwrap().bytes;
        // SAFETY: every place is used within its size and freed once.
        unsafe {
            let two = [MOST_CUT * LARGE, 2 * LARGE].map(layout);
            for (place, size) in two.map(|size| memory.alloc(size)).into_iter().zip(two) {
                memory.dealloc(place, size);
            }
            let cut = memory.alloc(layout(LARGE));
            assert_eq!(kept(), MOST_CUT * LARGE, "the smallest that is large enough");
            write(cut, LARGE, 3);
            assert!(holds(cut, LARGE, 3));
            memory.dealloc(cut, layout(LARGE));
            assert_eq!(kept(), (MOST_CUT + 1) * LARGE);
            let zeroed = memory.alloc_zeroed(layout(2 * LARGE));
            assert!(std::slice::from_raw_parts(zeroed, 2 * LARGE).iter().all(|v| *v == 0));
            assert_eq!(kept(), LARGE);
            memory.dealloc(zeroed, layout(2 * LARGE));
            let vast = layout((2 * MOST_CUT + 1) * LARGE);
            memory.dealloc(memory.alloc(vast), vast);
            let before = kept();
            let small = memory.alloc(layout(2 * LARGE - LARGE / 4));
            memory.dealloc(small, layout(2 * LARGE - LARGE / 4));
            assert_eq!(before - kept(), LARGE / 4, "the one of twice the size, and not the vast one");
        }
    }

    #[test]
    fn a_freed_block_is_used_again_and_no_more_is_kept_than_allowed() {
        let memory = Recycling::new();
        let kept = || memory.kept.lock().unwrap().bytes;
        // SAFETY: every place is freed once.
        unsafe {
            let first = memory.alloc(layout(2 * LARGE + 1));
            memory.dealloc(first, layout(2 * LARGE + 1));
            let second = memory.alloc(layout(2 * LARGE + 2));
            assert_eq!(first, second);
            assert_eq!(kept(), 0);
            memory.dealloc(second, layout(2 * LARGE + 2));
            let many: Vec<_> = (0..2 * MOST_BLOCKS).map(|_| memory.alloc(layout(LARGE))).collect();
            many.into_iter().for_each(|place| memory.dealloc(place, layout(LARGE)));
            assert_eq!(memory.kept.lock().unwrap().count, MOST_BLOCKS);
            let large = layout(MOST_BYTES / 2 + 1);
            let two = [memory.alloc(large), memory.alloc(large)];
            two.into_iter().for_each(|place| memory.dealloc(place, large));
            assert!(kept() <= MOST_BYTES, "{}", kept());
        }
    }
}
