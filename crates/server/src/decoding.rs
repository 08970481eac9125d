//! Decoding of pictures from outside: the one part of an answer that takes the processor for long. Few are decoded at a time, and
//! beside a job each place rests after its work.
//!
//! Giving way to the job (`priority`) bounds what one large picture takes. It does not bound what many small ones take: the
//! system lets a thread that has begun work for a millisecond or so before the job's comes back, and a job's threads wait for
//! one another.

use crate::Shared;
use crate::feed::locked;
use crate::problem::{Answer, Problem};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

/// Pictures that are decoded at a time: each takes memory by its megapixels.
pub const PLACES: usize = 2;

/// How many times as long as its work a place rests beside a job: uploads without end then take a twentieth of each.
const REST: u32 = 19;

/// The longest rest. Work that takes longer than a nineteenth of it is bounded by giving way, and those who wait for a place are not
/// to wait for nothing.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// Does work that decodes pictures, off the threads that answer, when there is a place for it.
///
/// # Errors
/// What `work` returns.
pub async fn decode<T: Send + 'static>(
    server: &Shared,
    work: impl FnOnce() -> Answer<T> + Send + 'static,
) -> Answer<T> {
    let place = server.decoding.clone().acquire_owned().await.map_err(Problem::ours)?;
    let begun = Instant::now();
    let (done, place) = spawn_blocking(move || (work(), place)).await.map_err(Problem::ours)?;
    if !locked(&server.stops).is_empty() {
        let rest = (REST * begun.elapsed()).min(LONGEST_REST);
        tokio::spawn(async move {
            sleep(rest).await;
            drop(place);
        });
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use crate::test_server::server;
    use std::sync::Arc;
    use tokio::sync::Notify;

    /// Decodes for a while; returns how many places are free right afterwards.
    async fn free_after(server: &Shared, work: Duration) -> usize {
        let sleeping = decode(server, move || {
            std::thread::sleep(work);
            Ok(())
        });
        sleeping.await.unwrap();
        server.decoding.available_permits()
    }

    #[tokio::test]
    async fn a_place_rests_nineteen_times_as_long_as_it_worked_beside_a_job_alone() {
        let (root, work) = (tempfile::tempdir().unwrap(), Duration::from_millis(2));
        let server = server(root.path()).await;
        assert_eq!(free_after(&server, work).await, PLACES);
        locked(&server.stops).insert(Id::random(), Arc::new(Notify::new()));
        assert_eq!(free_after(&server, work).await, PLACES - 1);
        let clock = Instant::now();
        while server.decoding.available_permits() < PLACES {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(clock.elapsed() >= REST * work, "{:?}", clock.elapsed());
    }

    #[tokio::test]
    async fn no_place_rests_longer_than_others_can_wait() {
        let root = tempfile::tempdir().unwrap();
        let server = server(root.path()).await;
        locked(&server.stops).insert(Id::random(), Arc::new(Notify::new()));
        assert_eq!(free_after(&server, 2 * LONGEST_REST).await, PLACES - 1);
        let resting = server.decoding.clone().acquire_many_owned(PLACES as u32);
        let waited = tokio::time::timeout(15 * LONGEST_REST, resting).await; // 19 times the work are 38 times the longest rest
        assert!(waited.is_ok(), "it rests on");
    }
}
