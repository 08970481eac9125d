//! What a job tells, kept as lines of a file and handed to everyone who listens, from wherever they left off. Where servers
//! and workers are several processes, the lines are kept in the database: a worker's feed is only what it has yet to send,
//! and a server's looks for new lines as long as somebody listens.

use crate::id::Id;
use crate::problem::Answer;
use crate::store::{Events, Store, of_state, timed};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;
use utoipa::ToSchema;

/// The file of a job's lines, in its folder.
const FILE: &str = "events.jsonl";

/// Between two looks for new lines in the database.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Where a running job stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Standing {
    /// The stage's name: `guide`, `guide the references`, `tune`, `measure`, `sample` or `composite`.
    #[schema(example = "tune")]
    pub stage: String,
    /// Steps done.
    pub step: u64,
    /// Steps of the stage.
    pub steps: u64,
    /// Seconds that are left of the stage, as far as can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_secs: Option<f64>,
    /// The training loss, while tuning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
}

/// The lines of one job.
#[derive(Debug, Default)]
pub struct Feed {
    /// The file, where it is kept in one.
    path: Option<PathBuf>,
    lines: Mutex<Vec<Arc<str>>>,
    count: watch::Sender<usize>,
    clock: Mutex<Clock>,
}

/// Where the job stands, and since when and from which step on this stage is timed.
#[derive(Debug, Default)]
struct Clock {
    standing: Standing,
    since: Option<(Instant, u64)>,
}

impl Feed {
    fn open(folder: &Path) -> Self {
        let path = folder.join(FILE);
        let bytes = std::fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes); // a line may be cut in the middle of a character
        if !text.is_empty() && !text.ends_with('\n') {
            let _ = OpenOptions::new().append(true).open(&path).and_then(|mut file| file.write_all(b"\n"));
        }
        let whole = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok());
        let lines: Vec<Arc<str>> = whole.map(Arc::from).collect();
        let count = watch::Sender::new(lines.len());
        Self { path: Some(path), lines: Mutex::new(lines), count, clock: Mutex::default() }
    }

    /// Adds an event of the program that runs the job, with the time that is left of its stage.
    pub fn hear(&self, mut event: Value) {
        let mut clock = locked(&self.clock);
        match event["event"].as_str() {
            Some("stage") => clock.begin(&event),
            Some("progress") => {
                clock.advance(&event);
                event["remaining_secs"] = json!(clock.standing.remaining_secs);
            }
            _ => {}
        }
        drop(clock);
        self.tell(event);
    }

    /// Adds an event. One that cannot be written is told all the same.
    pub fn tell(&self, event: Value) {
        let line = timed(event);
        let mut lines = locked(&self.lines);
        if let Some(path) = &self.path {
            let file = OpenOptions::new().create(true).append(true).open(path);
            if let Err(error) = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())) {
                tracing::warn!("cannot write {}: {error}", path.display());
            }
        }
        lines.push(line.into());
        self.count.send_replace(lines.len());
    }

    /// Adds lines that were kept elsewhere.
    fn take(&self, more: Vec<String>) {
        let mut lines = locked(&self.lines);
        lines.extend(more.into_iter().map(Arc::from));
        self.count.send_replace(lines.len());
    }

    /// Tells that the job's state has changed.
    pub fn tell_state(&self, state: &str, error: Option<&str>) {
        *locked(&self.clock) = Clock::default();
        self.tell(of_state(state, error));
    }

    /// Where the job stands; `None` before its first stage.
    pub fn standing(&self) -> Option<Standing> {
        Some(locked(&self.clock).standing.clone()).filter(|standing| !standing.stage.is_empty())
    }

    /// The lines from number `from` on.
    pub fn lines(&self, from: usize) -> Vec<Arc<str>> {
        locked(&self.lines).get(from..).unwrap_or_default().to_vec()
    }

    /// Hears of the number of lines.
    pub fn listen(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }
}

impl Clock {
    fn begin(&mut self, event: &Value) {
        let stage = event["stage"].as_str().unwrap_or_default().to_owned();
        let steps = event["steps"].as_u64().unwrap_or(0);
        *self = Self { standing: Standing { stage, steps, ..Standing::default() }, since: None };
    }

    fn advance(&mut self, event: &Value) {
        let step = event["step"].as_u64().unwrap_or(0);
        self.standing.step = step;
        self.standing.loss = event["loss"].as_f64();
        let (began, before) = *self.since.get_or_insert((Instant::now(), step));
        let rate = step.saturating_sub(before) as f64 / began.elapsed().as_secs_f64().max(1e-6);
        let left = self.standing.steps.saturating_sub(step) as f64;
        self.standing.remaining_secs = (rate > 0.0).then(|| (10.0 * left / rate).round() / 10.0);
    }
}

/// The feeds that somebody holds, so that all who ask for a job's have the same one.
#[derive(Debug, Default)]
pub struct Feeds(Mutex<HashMap<Id, Weak<Feed>>>);

impl Feeds {
    /// The feed of a job, read from `folder` where nobody has it.
    pub fn of(&self, job: &Id, folder: &Path) -> Arc<Feed> {
        self.held_or(job, || Feed::open(folder)).0
    }

    /// The feed of a job whose lines are in the database; it grows as long as somebody has it.
    ///
    /// # Errors
    /// The database.
    pub async fn following(&self, job: &Id, store: &Store) -> Answer<Arc<Feed>> {
        if let Some(feed) = self.held(job) {
            return Ok(feed);
        }
        let first = Feed::default();
        look(&first, job, store).await?;
        let (feed, is_new) = self.held_or(job, || first);
        if is_new {
            tokio::spawn(follow(Arc::downgrade(&feed), job.clone(), store.clone()));
        }
        Ok(feed)
    }

    fn held_or(&self, job: &Id, make: impl FnOnce() -> Feed) -> (Arc<Feed>, bool) {
        let mut feeds = locked(&self.0);
        if let Some(feed) = feeds.get(job).and_then(Weak::upgrade) {
            return (feed, false);
        }
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let feed = Arc::new(make());
        feeds.insert(job.clone(), Arc::downgrade(&feed));
        (feed, true)
    }

    /// The feed of a job if somebody holds it.
    pub fn held(&self, job: &Id) -> Option<Arc<Feed>> {
        locked(&self.0).get(job).and_then(Weak::upgrade)
    }
}

/// Looks for new lines as long as somebody has the feed and there is the job. A database that is away comes back.
async fn follow(feed: Weak<Feed>, job: Id, store: Store) {
    loop {
        sleep(LOOK_EVERY).await;
        let Some(feed) = feed.upgrade() else { return };
        if look(&feed, &job, &store).await == Ok(false) {
            return;
        }
    }
}

/// Takes the lines that are new; `false` where the job is gone, which is told.
async fn look(feed: &Feed, job: &Id, store: &Store) -> Answer<bool> {
    let (id, from) = (job.clone(), *feed.count.borrow());
    let more = store.run(move |db| Events::after(db, &id, from)).await?;
    let is_there = more.is_some();
    match more {
        Some(lines) if lines.is_empty() => {}
        Some(lines) => feed.take(lines),
        None => feed.tell_state("stopped", None), // whoever listens need not wait for more
    }
    Ok(is_there)
}

/// A lock that a panic elsewhere does not spoil: what it guards is whole after every statement.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_read_again_without_the_line_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let (feeds, job) = (Feeds::default(), Id::random());
        let feed = feeds.of(&job, folder.path());
        feed.hear(json!({ "event": "stage", "stage": "tune", "steps": 4 }));
        feed.hear(json!({ "event": "progress", "step": 1, "loss": 0.5 }));
        assert_eq!(feed.standing().map(|at| (at.stage, at.step, at.loss)), Some(("tune".into(), 1, Some(0.5))));
        assert!(Arc::ptr_eq(&feed, &feeds.of(&job, folder.path())));
        drop(feed);
        assert!(feeds.held(&job).is_none());
        let path = folder.path().join(FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"event\":\"prog")).unwrap();
        assert_eq!(feeds.of(&job, folder.path()).lines(1).len(), 1);
        std::fs::write(&path, [whole.as_bytes(), b"{\"event\":\"note\",\"text\":\"\xC3"].concat()).unwrap();
        assert_eq!(feeds.of(&job, folder.path()).lines(1).len(), 1, "cut in the middle of a character");
    }
}
