//! Scenes, jobs and who may see them, in one SQLite file. A job and its place in the queue are one row, so that creating,
//! taking, stopping and ending a job are one transaction each.

mod jobs;
mod keys;
mod scenes;
#[cfg(test)]
mod tests;

pub use jobs::{Ending, Job, JobState, NewJob};
pub use keys::Seen;
pub use scenes::{ScenePhoto, StoredScene};

use crate::problem::Problem;
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tables; `jobs.turn` numbers the jobs in the order that they came in.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS scenes (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL, used INTEGER NOT NULL,
    has_hole INTEGER NOT NULL, photos TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS jobs (
    turn INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
    scene TEXT NOT NULL REFERENCES scenes (id) ON DELETE CASCADE,
    request TEXT NOT NULL, state TEXT NOT NULL, priority INTEGER NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL,
    to_stop INTEGER NOT NULL DEFAULT 0, worker TEXT, lease_until INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0, error TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_turn ON jobs (state, priority DESC, turn);
CREATE INDEX IF NOT EXISTS jobs_by_scene ON jobs (scene);
CREATE TABLE IF NOT EXISTS keys (
    owner TEXT NOT NULL, key TEXT NOT NULL, content TEXT NOT NULL, id TEXT NOT NULL, created INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT;
";

/// The database. Clones share it.
#[derive(Clone, Debug)]
pub struct Store(Arc<Mutex<Connection>>);

impl Store {
    /// Opens the file, and makes it if need be. Every commit is on the disk before it returns.
    ///
    /// # Errors
    /// The file cannot be had or is no database.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Does something with the database, off the threads that answer requests.
    ///
    /// # Errors
    /// What `work` returns.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.clone();
        let done = tokio::task::spawn_blocking(move || store.now(work)).await;
        done.map_err(Problem::ours)?.map_err(Problem::from)
    }

    /// The same at once, for callers that may wait.
    ///
    /// # Errors
    /// What `work` returns.
    pub fn now<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Seconds since 1970.
pub fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64)
}
