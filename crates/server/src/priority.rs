//! Who has the processor first: the job. Threads that answer, decode and store are served after it, as far as the system lets a
//! thread have a place of its own (Linux). The thread that starts the server stays as it is, and so does the job's process,
//! which it starts: the place is handed down, and a niceness cannot be lowered again.

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
        use rustix::thread::{sched_getaffinity, sched_setaffinity};
        let place = (getpriority_process(None).unwrap_or(0) + NICENESS).min(LAST);
        let processors = sched_getaffinity(None).ok().map(|all| later_half(&all));
        move || {
            let _ = setpriority_process(None, place); // `None` is the calling thread here
            if let Some(processors) = &processors {
                let _ = sched_setaffinity(None, processors);
            }
            interrupt_nobody();
        }
    }
    #[cfg(not(target_os = "linux"))]
    || {}
}

/// The later half of some processors, one at least: the job's threads, which wait for one another, are disturbed on these alone.
#[cfg(target_os = "linux")]
fn later_half(all: &rustix::thread::CpuSet) -> rustix::thread::CpuSet {
    let one_by_one = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu));
    let mut half = rustix::thread::CpuSet::new();
    one_by_one.skip(all.count() as usize / 2).for_each(|cpu| half.set(cpu));
    half
}

/// The calling thread waits for the end of a turn when it wakes, in place of ending another thread's (`SCHED_BATCH`).
#[cfg(target_os = "linux")]
fn interrupt_nobody() {
    // SAFETY: a `sched_param` is numbers alone, for which zero is a value.
    let param: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: 0 is the calling thread, and `param` outlives the call, which reads it.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const param) };
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;
    use rustix::thread::{CpuSet, sched_getaffinity};

    #[test]
    fn a_thread_that_gives_way_comes_after_the_one_it_gives_way_to() {
        let (own, give_way) = (getpriority_process(None).expect("a niceness"), giving_way());
        let all = sched_getaffinity(None).expect("processors").count();
        let other = std::thread::spawn(move || {
            give_way();
            // SAFETY: 0 is the calling thread; nothing else is handed over.
            let policy = unsafe { libc::sched_getscheduler(0) };
            (
                getpriority_process(None).expect("a niceness"),
                sched_getaffinity(None).expect("processors").count(),
                policy,
            )
        });
        let (niceness, processors, policy) = other.join().expect("the thread ends");
        assert_eq!(niceness, (own + NICENESS).min(LAST));
        assert_eq!(processors, all - all / 2);
        assert_eq!(policy, libc::SCHED_BATCH);
        assert_eq!(getpriority_process(None).expect("a niceness"), own, "this thread stays as it is");
    }

    #[test]
    fn one_processor_is_kept_and_of_more_the_later_half() {
        let set = |cpus: &[usize]| {
            let mut set = CpuSet::new();
            cpus.iter().for_each(|cpu| set.set(*cpu));
            set
        };
        assert_eq!(later_half(&set(&[3])), set(&[3]));
        assert_eq!(later_half(&set(&[0, 1])), set(&[1]));
        assert_eq!(later_half(&set(&[1, 4, 6])), set(&[4, 6]));
    }
}
