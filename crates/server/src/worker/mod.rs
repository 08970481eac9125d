//! The worker: takes one job at a time, has it run by a process of its own, and gives it back with its results, for another
//! try, or parked where the server ends.

mod child;

pub use child::{MASK, OUTPUT, SETTINGS};

use crate::Shared;
use crate::feed::{Feed, locked};
use crate::id::Id;
use crate::problem::Problem;
use crate::store::{Ending, Job, StoredScene};
use child::{Child, Heard};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

/// For how long a worker holds a job without a sign of life.
const LEASE_SECS: i64 = 30;

/// Between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long a job that was asked to stop may take for its step; then it is ended, and goes on from its checkpoint later.
const GRACE: Duration = Duration::from_secs(7);

/// Time until the queue is looked at again where nobody said that there is something new (a lease that ran out).
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Takes jobs until the server ends.
pub async fn work(server: Shared, mut ends: watch::Receiver<bool>) {
    let worker = Id::random();
    while !*ends.borrow() {
        let name = worker.to_string();
        match server.store.run(move |db| Job::take(db, &name, LEASE_SECS)).await {
            Ok(Some(job)) => hold(&server, &worker, job, &mut ends).await,
            Ok(None) | Err(_) => tokio::select! {
                () = server.wake.notified() => {}
                () = sleep(LOOK_EVERY) => {}
                _ = ends.changed() => {}
            },
        }
    }
}

/// Runs a job and gives it back.
async fn hold(server: &Shared, worker: &Id, job: Job, ends: &mut watch::Receiver<bool>) {
    server.metrics.jobs_taken.fetch_add(1, Relaxed);
    tracing::info!("job {} begins", job.id);
    let feed = server.feeds.of(&job.id, &server.folder.job(&job.id));
    feed.tell_state("running", None);
    let stop = Arc::new(Notify::new());
    locked(&server.stops).insert(job.id.clone(), stop.clone());
    let run = Run { server, worker, job: &job, feed: &feed, stop: &stop };
    let ending = run.to_its_end(ends).await;
    locked(&server.stops).remove(&job.id);
    match ending {
        Some(ending) => give_back(server, worker, &job.id, &feed, ending).await,
        None => tracing::warn!("job {} belongs to another worker now", job.id),
    }
}

/// Notes the ending. While the database is away the job stays held, and comes back when its lease has run out.
async fn give_back(server: &Shared, worker: &Id, job: &Id, feed: &Feed, ending: Ending) {
    if matches!(ending, Ending::Crashed(_)) {
        server.metrics.jobs_crashed.fetch_add(1, Relaxed);
    }
    let (id, name, noted) = (job.clone(), worker.to_string(), ending.clone());
    let Ok(Some(state)) = server.store.run(move |db| Job::end(db, &id, &name, &noted)).await else { return };
    let error = match &ending {
        Ending::Failed(why) | Ending::Crashed(why) => Some(why.as_str()),
        _ => None,
    };
    tracing::info!("job {job} is {}{}", state.name(), error.map_or(String::new(), |why| format!(": {why}")));
    feed.tell_state(state.name(), error);
}

/// A job under way.
struct Run<'a> {
    server: &'a Shared,
    worker: &'a Id,
    job: &'a Job,
    feed: &'a Feed,
    stop: &'a Notify,
}

/// Who asked for a stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nobody,
    Owner,
    Server,
}

impl Run<'_> {
    /// `None` where another worker has the job by now.
    async fn to_its_end(&self, ends: &mut watch::Receiver<bool>) -> Option<Ending> {
        let started = match self.start().await {
            Ok(child) => child,
            Err(problem) => return Some(Ending::Failed(problem.detail)),
        };
        self.watch(started, ends).await
    }

    async fn start(&self) -> Result<Child, Problem> {
        let (owner, scene) = (self.job.owner.clone(), self.job.scene.clone());
        let scene = self.server.store.run(move |db| StoredScene::find(db, &owner, &scene)).await?;
        let scene = scene.ok_or_else(|| Problem::not_found("scene"))?;
        Child::start(self.server, self.job, &scene)
    }

    async fn watch(&self, mut child: Child, ends: &mut watch::Receiver<bool>) -> Option<Ending> {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut asked, mut deadline) = (Asked::Nobody, Instant::now());
        loop {
            let is_asked = asked != Asked::Nobody;
            let now_asked = tokio::select! {
                heard = child.hear() => match heard {
                    Heard::Event(event) => { self.feed.hear(event); continue }
                    Heard::End => break,
                },
                () = self.stop.notified(), if !is_asked => Asked::Owner,
                _ = ends.changed(), if !is_asked => Asked::Server,
                () = sleep_until(deadline), if is_asked => { child.kill(); continue }
                _ = heartbeat.tick() => match self.still_held().await {
                    Some(true) if !is_asked => Asked::Owner,
                    Some(_) => continue,
                    None => { child.kill(); return None }
                },
            };
            (asked, deadline) = (now_asked, Instant::now() + GRACE);
            child.ask_to_stop().await;
        }
        Some(child.ending(asked == Asked::Owner, asked == Asked::Server).await)
    }

    /// Renews the lease: whether a stop is asked for, `None` where another worker has the job. A database that is away
    /// is no reason to give up.
    async fn still_held(&self) -> Option<bool> {
        let (id, worker, owner) = (self.job.id.clone(), self.worker.to_string(), self.job.owner.clone());
        let renewed = self.server.store.run(move |db| {
            let held = Job::renew(db, &id, &worker, LEASE_SECS)?;
            let to_stop = Job::find(db, &owner, &id)?.is_some_and(|job| job.to_stop);
            Ok(held.then_some(to_stop))
        });
        renewed.await.unwrap_or(Some(false))
    }
}
