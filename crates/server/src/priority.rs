//! Who has the processor first: the job. Threads that answer, decode and store are served after it, as far as the system lets a
//! thread have a niceness of its own (Linux). The thread that starts the server stays as it is, and so does the job's process,
//! which it starts: niceness is handed down, and cannot be lowered again.

/// How far threads give way: with 10, one gets a tenth of what a thread of the job gets where both want all. A higher one makes
/// answers slow where all cores are busy and saves the job little (`docs/notes/server.md`).
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// The last place there is.
#[cfg(target_os = "linux")]
const LAST: i32 = 19;

/// What a new thread is to do first; to be made on the thread that they give way to. Where the system refuses, nothing is lost but
/// some of the job's speed.
pub fn giving_way() -> impl Fn() + Send + Sync + 'static {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let place = (getpriority_process(None).unwrap_or(0) + NICENESS).min(LAST);
        move || {
            let _ = setpriority_process(None, place); // `None` is the calling thread here
        }
    }
    #[cfg(not(target_os = "linux"))]
    || {}
}
