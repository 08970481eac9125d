//! Runs plain loops with the widest vector instructions the processor has.

/// Runs `work` compiled for the processor at hand (AVX2 or wider on x86, found at run time).
///
/// The loops stay plain Rust, nothing is fused or reordered, so results are the same on every processor.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
