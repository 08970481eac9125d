//! A worker's hold on a job: signs of life while it works, with what is told and which files there are by now. Whoever gives
//! no sign for the time of a lease has lost the job to another, and knows it.

use crate::Shared;
use crate::feed::{Feed, locked};
use crate::id::Id;
use crate::problem::{Answer, Problem};
use crate::storage::{Desk, as_json};
use crate::store::{Ending, Job, JobState, Told};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// For how long a worker holds a job without a sign of life.
pub const SECS: i64 = 30;

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(5);

/// The same where others wait for what is told.
const BEAT_SHARED: Duration = Duration::from_millis(500);

/// Between two looks for files to send.
const SEND_EVERY: Duration = Duration::from_secs(2);

/// What the signs of life bring back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// All is well.
    Held,
    /// The job's owner asks for a stop.
    Stop,
    /// Another worker has the job.
    Lost,
}

/// The hold. Dropped, it gives no more signs.
pub struct Lease {
    hold: Arc<Hold>,
    signs: watch::Receiver<Sign>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

struct Hold {
    server: Shared,
    job: Id,
    feed: Arc<Feed>,
    /// Lines that the database has.
    sent: AtomicUsize,
    desk: tokio::sync::Mutex<Option<Desk>>,
    /// One sign at a time, so that no line is sent twice.
    beating: tokio::sync::Mutex<()>,
    sign: watch::Sender<Sign>,
}

impl Lease {
    /// Begins to give signs of life for a job that was taken.
    pub fn begin(server: Shared, job: Id, feed: Arc<Feed>) -> Self {
        let (sign, signs) = watch::channel(Sign::Held);
        let (sent, desk, beating) = Default::default();
        let hold = Arc::new(Hold { server, job, feed, sent, desk, beating, sign });
        let tasks = Mutex::new(vec![tokio::spawn(hold.clone().beat())]);
        Self { hold, signs, tasks }
    }

    /// What the signs bring back.
    pub fn signs(&self) -> watch::Receiver<Sign> {
        self.signs.clone()
    }

    /// Begins to send the files of a desk.
    pub fn keep_files_of(&self, desk: Desk) {
        if let Ok(mut place) = self.hold.desk.try_lock() {
            *place = Some(desk);
        }
        locked(&self.tasks).push(tokio::spawn(self.hold.clone().send_now_and_then()));
    }

    /// Sends all files that are new, and notes them.
    ///
    /// # Errors
    /// 503 where the storage is away.
    pub async fn send_all(&self) -> Answer<()> {
        self.hold.send().await
    }

    /// Notes the ending; returns the job's state, `None` where it is another worker's. While the database is away it is tried
    /// again as long as the lease lasts; then the job comes back by itself.
    pub async fn end(self, ending: &Ending) -> Option<JobState> {
        let _alone = self.hold.beating.lock().await;
        let until = Instant::now() + Duration::from_secs(SECS as u64);
        loop {
            let told = self.hold.told(None);
            let (job, worker, ending) = (self.hold.job.clone(), self.hold.server.worker.to_string(), ending.clone());
            let noted = self.hold.server.store.run(move |db| Job::end(db, &job, &worker, &ending, &told)).await;
            match noted {
                Ok(state) => return state,
                Err(_) if Instant::now() > until => return None,
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        locked(&self.tasks).iter().for_each(JoinHandle::abort);
    }
}

impl Hold {
    /// The first sign is given at once: a stop may have been asked for while nobody here knew of the job.
    async fn beat(self: Arc<Self>) {
        let is_shared = self.server.store.keeps_events();
        let mut last = Instant::now();
        loop {
            match self.renew(None).await {
                Ok(Some(to_stop)) => {
                    last = Instant::now();
                    self.sign.send_replace(if to_stop { Sign::Stop } else { Sign::Held });
                }
                Ok(None) => break,
                // alone with its queue, nobody else can have taken the job while the database was away
                Err(_) if self.server.is_alone() || last.elapsed() < Duration::from_secs(SECS as u64) => {}
                Err(_) => break,
            }
            sleep(if is_shared { BEAT_SHARED } else { BEAT }).await;
        }
        self.sign.send_replace(Sign::Lost);
    }

    async fn send_now_and_then(self: Arc<Self>) {
        loop {
            sleep(SEND_EVERY).await;
            if let Err(problem) = self.send().await {
                tracing::warn!("the files of job {} are not stored: {}", self.job, problem.detail);
            }
        }
    }

    async fn send(&self) -> Answer<()> {
        let mut desk = self.desk.lock().await;
        let Some(desk) = desk.as_mut() else { return Ok(()) };
        let Some(listing) = desk.send().await? else { return Ok(()) };
        match self.renew(Some(as_json(&listing)?)).await? {
            Some(_) => desk.noted().await,
            None => {
                self.sign.send_replace(Sign::Lost);
            }
        }
        Ok(())
    }

    /// Gives a sign of life; returns whether a stop is asked for, `None` where the job is another worker's.
    async fn renew(&self, files: Option<String>) -> Result<Option<bool>, Problem> {
        let _alone = self.beating.lock().await;
        let (told, job, worker) = (self.told(files), self.job.clone(), self.server.worker.to_string());
        let count = told.lines.len();
        let held = self.server.store.run(move |db| Job::renew(db, &job, &worker, SECS, &told)).await?;
        self.sent.fetch_add(count, Relaxed);
        Ok(held)
    }

    /// What the database does not have yet.
    fn told(&self, files: Option<String>) -> Told {
        if !self.server.store.keeps_events() {
            return Told { files, ..Told::default() };
        }
        let lines = self.feed.lines(self.sent.load(Relaxed)).iter().map(ToString::to_string).collect();
        let standing = self.feed.standing().and_then(|standing| serde_json::to_string(&standing).ok());
        Told { lines, standing, files }
    }
}

/// The next news. Where there will be none any more, it never comes: what was said last was heard.
pub async fn news(signs: &mut watch::Receiver<Sign>) -> Sign {
    match signs.changed().await {
        Ok(()) => *signs.borrow_and_update(),
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{put, server};
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_stop_that_comes_while_a_job_is_taken_is_heard_at_once() {
        let root = tempfile::tempdir().unwrap();
        let server = server(root.path()).await;
        let (_, job) = put(&server).await;
        let (id, worker) = (job.clone(), server.worker.to_string());
        let stopping = server.store.run(move |db| {
            Job::take(db, &worker, SECS)?;
            Job::stop(db, &id)
        });
        assert_eq!(stopping.await.unwrap(), JobState::Running);
        let lease = Lease::begin(server, job, Arc::new(Feed::default()));
        let heard = timeout(Duration::from_secs(1), news(&mut lease.signs())).await;
        assert_eq!(heard, Ok(Sign::Stop));
    }
}
