//! Ctrl-C: the first one asks the work to stop at the next step, which leaves a checkpoint; the second one ends the
//! process at once.

use crate::terminal::complain;
use std::sync::atomic::{AtomicUsize, Ordering};

static PRESSED: AtomicUsize = AtomicUsize::new(0);

/// Exit code of a stopped run, as shells have it: 128 + SIGINT.
pub const EXIT_CODE: i32 = 130;

/// Listens from now on. Where the system refuses, Ctrl-C ends the process as it always does.
pub fn listen() {
    let _ = ctrlc::set_handler(|| {
        if PRESSED.fetch_add(1, Ordering::SeqCst) > 0 {
            std::process::exit(EXIT_CODE);
        }
        complain("stopping after this step; press Ctrl-C again to stop at once");
    });
}

/// Asks the work to stop at the next step, as the first Ctrl-C does.
pub fn stop() {
    PRESSED.fetch_add(1, Ordering::SeqCst);
}

/// Whether the work shall go on.
pub fn go_on() -> bool {
    PRESSED.load(Ordering::SeqCst) == 0
}
