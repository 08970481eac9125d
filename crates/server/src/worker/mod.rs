//! The worker: takes one job at a time, has it run by a process of its own, and gives it back with its results, for another
//! try, or parked where it ends itself.

mod child;
mod lease;

pub use child::{MASK, OUTPUT, SETTINGS};

use crate::Shared;
use crate::feed::{Feed, locked};
use crate::id::Id;
use crate::problem::Problem;
use crate::request::JobRequest;
use crate::store::{Ending, Job, StoredScene};
use child::{Child, Heard};
use lease::{Lease, Sign};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a job that was asked to stop may take for its step; then it is ended, and goes on from its checkpoint later.
const GRACE: Duration = Duration::from_secs(7);

/// Time until the queue is looked at again where nobody said that there is something new.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The same where those who add jobs are other processes.
const LOOK_EVERY_SHARED: Duration = Duration::from_secs(1);

/// Pause where the database or the storage is away.
const AWAY: Duration = Duration::from_secs(2);

/// Takes jobs until the server ends.
pub async fn work(server: Shared, mut ends: watch::Receiver<bool>) {
    let look_every = if server.store.keeps_events() { LOOK_EVERY_SHARED } else { LOOK_EVERY };
    while !*ends.borrow() {
        let name = server.worker.to_string();
        match server.store.run(move |db| Job::take(db, &name, lease::SECS)).await {
            Ok(Some(job)) => hold(&server, job, &mut ends).await,
            Ok(None) | Err(_) => tokio::select! {
                () = server.wake.notified() => {}
                () = sleep(look_every) => {}
                _ = ends.changed() => {}
            },
        }
    }
}

/// Runs a job and gives it back.
async fn hold(server: &Shared, job: Job, ends: &mut watch::Receiver<bool>) {
    server.metrics.jobs_taken.fetch_add(1, Relaxed);
    tracing::info!("job {} begins", job.id);
    let feed = match server.store.keeps_events() {
        true => Arc::new(Feed::default()), // its lines go with the signs of life
        false => server.feeds.of(&job.id, &server.storage.folder.job(&job.id)),
    };
    if !server.store.keeps_events() {
        feed.tell_state("running", None);
    }
    let stop = Arc::new(Notify::new());
    locked(&server.stops).insert(job.id.clone(), stop.clone());
    let lease = Lease::begin(server.clone(), job.id.clone(), feed.clone());
    let mut signs = lease.signs();
    let mut run = Run { server, job: &job, feed: &feed, stop: &stop, lease: &lease, signs: &mut signs };
    let ending = run.until_its_end(ends).await;
    locked(&server.stops).remove(&job.id);
    let state = match &ending {
        Some(ending) => lease.end(ending).await,
        None => None,
    };
    match (state, ending) {
        (Some(state), Some(ending)) => told(server, &job.id, &feed, state.name(), &ending),
        _ => tracing::warn!("job {} belongs to another worker now", job.id),
    }
}

/// Tells what became of a job.
fn told(server: &Shared, job: &Id, feed: &Feed, state: &str, ending: &Ending) {
    if matches!(ending, Ending::Crashed(_)) {
        server.metrics.jobs_crashed.fetch_add(1, Relaxed);
    }
    tracing::info!("job {job} is {state}{}", ending.error().map_or(String::new(), |why| format!(": {why}")));
    if !server.store.keeps_events() {
        feed.tell_state(state, ending.error());
    }
}

/// A job under way.
struct Run<'a> {
    server: &'a Shared,
    job: &'a Job,
    feed: &'a Feed,
    stop: &'a Notify,
    lease: &'a Lease,
    signs: &'a mut watch::Receiver<Sign>,
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
    async fn until_its_end(&mut self, ends: &mut watch::Receiver<bool>) -> Option<Ending> {
        let started = match self.start().await {
            Ok(child) => child,
            Err(problem) if problem.status == 503 => {
                sleep(AWAY).await; // the next try may be another worker's
                return Some(Ending::Parked);
            }
            Err(problem) => return Some(Ending::Failed(problem.detail)),
        };
        let ending = self.watch(started, ends).await?;
        self.kept(ending, ends).await
    }

    async fn start(&self) -> Result<Child, Problem> {
        let (owner, scene) = (self.job.owner.clone(), self.job.scene.clone());
        let scene = self.server.store.run(move |db| StoredScene::find(db, &owner, &scene)).await?;
        let scene = scene.ok_or_else(|| Problem::not_found("scene"))?;
        let request: JobRequest = serde_json::from_str(&self.job.request).map_err(Problem::ours)?;
        let desk = self.server.storage.desk(&scene.id, &self.job.id, request.adapter_of.as_ref()).await?;
        let child = Child::start(self.server, &desk, &scene, &request)?;
        self.lease.keep_files_of(desk);
        Ok(child)
    }

    async fn watch(&mut self, mut child: Child, ends: &mut watch::Receiver<bool>) -> Option<Ending> {
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
                sign = lease::news(self.signs) => match sign {
                    Sign::Stop if !is_asked => Asked::Owner,
                    Sign::Lost => { child.kill(); return None }
                    _ => continue,
                },
            };
            (asked, deadline) = (now_asked, Instant::now() + GRACE);
            child.ask_to_stop().await;
        }
        Some(child.ending(asked == Asked::Owner, asked == Asked::Server).await)
    }

    /// The ending once what the process has left is sent. Where the server ends before the storage is back, the job is parked
    /// instead: it goes on from what was sent before. `None` where another worker has it by now.
    async fn kept(&mut self, ending: Ending, ends: &mut watch::Receiver<bool>) -> Option<Ending> {
        while let Err(problem) = self.lease.send_all().await {
            tracing::warn!("the files of job {} are not stored yet: {}", self.job.id, problem.detail);
            if *self.signs.borrow() == Sign::Lost {
                return None;
            }
            if *ends.borrow() {
                return Some(Ending::Parked);
            }
            tokio::select! {
                () = sleep(AWAY) => {}
                _ = ends.changed() => {}
            }
        }
        let is_held = *self.signs.borrow() != Sign::Lost;
        is_held.then_some(ending)
    }
}
