//! Scenes, jobs and who may see them, in one SQLite file or in a PostgreSQL database. A job and its place in the queue are
//! one row, so that creating, taking, stopping and ending a job are one transaction each.

mod db;
mod events;
mod installation;
mod jobs;
mod keys;
mod line;
mod postgres;
mod scenes;
mod sqlite;
#[cfg(test)]
mod tests;

pub use db::Db;
pub use events::{Events, of_state, timed};
pub use installation::Installation;
pub use jobs::{Ending, Job, JobState, NewJob, Told};
pub use keys::Seen;
pub use scenes::{ScenePhoto, StoredScene};

use crate::problem::Problem;
use line::Line;
use postgres::Postgres;
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The tables, one step a version; what was released once is not changed any more. `jobs.turn` numbers the jobs in the
/// order that they came in; `crashes` counts how often a job's process ended without a word, `losses` how often its worker
/// did. `files` names a scene's or job's objects in a bucket, `standing` says how far a job is; both, and `events`, are used
/// where several processes share the work. `installation` has one row: which database this is.
const SCHEMA: [&str; 4] = [
    "
CREATE TABLE IF NOT EXISTS scenes (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, created BIGINT NOT NULL, used BIGINT NOT NULL,
    has_hole BIGINT NOT NULL, photos TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS jobs (
    turn BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
    scene TEXT NOT NULL REFERENCES scenes (id) ON DELETE CASCADE,
    request TEXT NOT NULL, state TEXT NOT NULL, priority BIGINT NOT NULL, created BIGINT NOT NULL, changed BIGINT NOT NULL,
    to_stop BIGINT NOT NULL DEFAULT 0, worker TEXT, lease_until BIGINT NOT NULL DEFAULT 0,
    crashes BIGINT NOT NULL DEFAULT 0, error TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_turn ON jobs (state, priority DESC, turn);
CREATE INDEX IF NOT EXISTS jobs_by_scene ON jobs (scene);
CREATE TABLE IF NOT EXISTS keys (
    owner TEXT NOT NULL, key TEXT NOT NULL, content TEXT NOT NULL, id TEXT NOT NULL, created BIGINT NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT;
",
    "
ALTER TABLE scenes ADD COLUMN files TEXT;
ALTER TABLE jobs ADD COLUMN files TEXT;
ALTER TABLE jobs ADD COLUMN standing TEXT;
CREATE TABLE events (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, number BIGINT NOT NULL, line TEXT NOT NULL,
    PRIMARY KEY (job, number)
) STRICT;
",
    "
CREATE TABLE installation (number BIGINT PRIMARY KEY, id TEXT NOT NULL) STRICT;
",
    "
ALTER TABLE jobs ADD COLUMN losses BIGINT NOT NULL DEFAULT 0;
",
];

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL says so, or cannot be reached.
    #[error("{}", in_full(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// No answer came.
    #[error("it does not answer")]
    Silent,
    /// The URL or what belongs to it.
    #[error("{0}")]
    Url(String),
    /// A row is not as we write it.
    #[error("{0}")]
    Content(String),
    /// An owner has as many as there may be.
    #[error("{0}")]
    Full(String),
    /// The tables are a later program's.
    #[error("its tables are of version {found} and this program knows {known}; use the newer RealFill that made them")]
    Newer {
        /// The version that was found.
        found: usize,
        /// The newest version that is known.
        known: usize,
    },
}

impl StoreError {
    /// Whether what was asked for may have been done all the same: no answer came, not even to say that it was not.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Silent => true,
            Self::Postgres(error) => error.as_db_error().is_none(),
            _ => false,
        }
    }
}

/// An error with what caused it, in one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

/// The database. Clones share it.
#[derive(Clone)]
pub struct Store {
    kind: Arc<Kind>,
    keeps_events: bool,
}

enum Kind {
    Sqlite(Mutex<Connection>, Line),
    Postgres(Box<Postgres>),
}

impl Store {
    /// Opens a file for this process alone, and makes it if need be.
    ///
    /// # Errors
    /// The file cannot be had, is no database, or is a newer program's.
    pub fn open(path: &Path, keeps_events: bool) -> Result<Self, StoreError> {
        let line = Line::begin().map_err(|error| StoreError::Content(format!("no thread for it: {error}")))?;
        let kind = Arc::new(Kind::Sqlite(Mutex::new(sqlite::open(path)?), line));
        let store = Self { kind, keeps_events };
        store.now(|db| db.migrate(&SCHEMA))?;
        Ok(store)
    }

    /// Connects to the PostgreSQL database of a URL, and makes the tables if need be.
    ///
    /// # Errors
    /// It cannot be reached, or its tables are a newer program's.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let store = Self { kind: Arc::new(Kind::Postgres(Box::new(Postgres::new(url)?))), keeps_events: true };
        store.asked(|db| db.migrate(&SCHEMA)).await?;
        Ok(store)
    }

    /// Does something with the database, off the threads that answer requests.
    ///
    /// # Errors
    /// What `work` returns.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Db) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.asked(work).await.map_err(Problem::from)
    }

    /// The same with the database's own error.
    ///
    /// # Errors
    /// What `work` returns.
    pub async fn asked<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Db) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let asking = move || store.now(work);
        let answer = match &*self.kind {
            Kind::Sqlite(_, line) => line.ask(asking).await,
            Kind::Postgres(_) => tokio::task::spawn_blocking(asking).await.ok(),
        };
        answer.unwrap_or(Err(StoreError::Silent))
    }

    /// The same at once, for callers that may wait.
    ///
    /// # Errors
    /// What `work` returns.
    pub fn now<T>(&self, work: impl FnOnce(&mut Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.kind {
            Kind::Sqlite(connection, _) => {
                let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                work(&mut Db::new(&mut *connection, self.keeps_events))
            }
            Kind::Postgres(postgres) => postgres.with(|driver| work(&mut Db::new(driver, self.keeps_events))),
        }
    }

    /// Whether events are kept in a table, for servers and workers in other processes.
    pub fn keeps_events(&self) -> bool {
        self.keeps_events
    }
}

/// Seconds since 1970, by this machine's clock; leases go by the database's.
pub fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64)
}
