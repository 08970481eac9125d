//! How many files the process may have open: connections, uploads, pipes to a job. Systems begin with 1024, which as many
//! connections use up.

use std::io;

/// What is asked for, where the system allows it: several times what the connections of [`crate::Limits`] need.
#[cfg(target_os = "linux")]
const OPEN_FILES: u64 = 65_536;

/// Raises the limit as far as is allowed without a privilege (Linux). Where it cannot be, the server goes on with fewer.
pub fn allow_many() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
        if current.is_some_and(|current| current < wanted) {
            let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        }
    }
}

/// Whether the process or the system has no room for another open file: `EMFILE` and `ENFILE`, which have these numbers on
/// Linux, the BSDs and macOS.
pub fn are_too_many(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::{Resource, getrlimit};

    #[test]
    fn as_many_files_may_be_open_as_are_asked_for_or_allowed() {
        allow_many();
        let limit = getrlimit(Resource::Nofile);
        let least = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
        assert!(limit.current.is_none_or(|current| current >= least), "{limit:?}");
    }

    #[test]
    fn a_full_table_of_files_is_known_by_its_number() {
        for (number, is_so) in [(libc::EMFILE, true), (libc::ENFILE, true), (libc::ENOENT, false)] {
            assert_eq!(are_too_many(&io::Error::from_raw_os_error(number)), is_so);
        }
    }
}
