//! The table of jobs, which is the queue. One worker takes a job at a time and holds it by a lease that it renews; a job
//! whose lease ran out belongs to nobody and is taken again.

use super::scenes::{id_in, ids};
use super::unix_now;
use crate::id::Id;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// In the queue.
    Waiting,
    /// A worker has it.
    Running,
    /// Stopped by its owner; it can go on from its checkpoint.
    Stopped,
    /// Its results are there.
    Done,
    /// It ended without results; `error` says why.
    Failed,
}

impl JobState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing happens with it any more, unless somebody asks for it.
    pub fn rests(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

impl ToSql for JobState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for JobState {
    fn column_result(value: ValueRef) -> FromSqlResult<Self> {
        let states = [Self::Waiting, Self::Running, Self::Stopped, Self::Done, Self::Failed];
        let name = value.as_str()?;
        states.into_iter().find(|state| state.name() == name).ok_or(FromSqlError::InvalidType)
    }
}

/// A job to be.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its name.
    pub id: Id,
    /// Whose.
    pub owner: String,
    /// Of which scene.
    pub scene: Id,
    /// What was asked for, as JSON.
    pub request: String,
    /// Higher comes first.
    pub priority: i64,
}

/// A job's row.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name in paths.
    pub id: Id,
    /// Whose.
    pub owner: String,
    /// Of which scene.
    pub scene: Id,
    /// What was asked for, as JSON.
    pub request: String,
    /// Where it stands.
    pub state: JobState,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When its state changed.
    pub changed: i64,
    /// Whether its owner has asked to stop it.
    pub to_stop: bool,
    /// Why it failed.
    pub error: Option<String>,
}

/// How a worker gives a job back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its results.
    Done,
    /// Without, for a reason that would come again.
    Failed(String),
    /// Stopped by its owner.
    Stopped,
    /// To be gone on with: the server ends.
    Parked,
    /// It ended without a word (a crash, no memory). Taken again, unless that happened too often.
    Crashed(String),
}

/// Crashes after which a job is not taken again.
const MOST_CRASHES: i64 = 3;

impl Job {
    /// Puts a job into the queue.
    pub fn insert(db: &Connection, new: &NewJob) -> rusqlite::Result<()> {
        let now = unix_now();
        db.execute(
            "INSERT INTO jobs (id, owner, scene, request, state, priority, created, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![new.id.as_str(), new.owner, new.scene.as_str(), new.request, JobState::Waiting, new.priority, now, now],
        )
        .map(|_| ())
    }

    /// The job of this name, if it is this owner's.
    pub fn find(db: &Connection, owner: &str, id: &Id) -> rusqlite::Result<Option<Self>> {
        db.query_row("SELECT * FROM jobs WHERE id = ? AND owner = ?", params![id.as_str(), owner], read).optional()
    }

    /// An owner's jobs, of one scene or of all, the newest first.
    pub fn list(db: &Connection, owner: &str, scene: Option<&Id>) -> rusqlite::Result<Vec<Self>> {
        let query = "SELECT * FROM jobs WHERE owner = ?1 AND (?2 IS NULL OR scene = ?2) ORDER BY turn DESC LIMIT 1000";
        db.prepare_cached(query)?.query_map(params![owner, scene.map(Id::as_str)], read)?.collect()
    }

    /// How many of an owner's jobs wait or run.
    pub fn count_busy(db: &Connection, owner: &str) -> rusqlite::Result<u64> {
        let query = "SELECT count(*) FROM jobs WHERE owner = ? AND state IN ('waiting', 'running')";
        db.query_row(query, [owner], |row| row.get(0))
    }

    /// How many jobs there are in each state, whoever's.
    pub fn counts(db: &Connection) -> rusqlite::Result<Vec<(JobState, u64)>> {
        let query = "SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state";
        db.prepare_cached(query)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    /// How many waiting jobs come before this one.
    pub fn ahead(db: &Connection, id: &Id) -> rusqlite::Result<u64> {
        let query = "SELECT count(*) FROM jobs AS other, jobs AS this WHERE this.id = ? AND other.state IN ('waiting', 'running') \
                     AND (other.state = 'running' OR other.priority > this.priority \
                          OR (other.priority = this.priority AND other.turn < this.turn))";
        db.query_row(query, [id.as_str()], |row| row.get(0))
    }

    /// Takes the next job for a worker: the waiting one of the highest priority that came first, or one whose worker let
    /// its lease run out.
    pub fn take(db: &Connection, worker: &str, lease_secs: i64) -> rusqlite::Result<Option<Self>> {
        let now = unix_now();
        let query = "UPDATE jobs SET state = 'running', worker = ?1, lease_until = ?2, changed = ?3, error = NULL \
                     WHERE id = (SELECT id FROM jobs WHERE to_stop = 0 AND \
                        (state = 'waiting' OR (state = 'running' AND lease_until < ?3)) ORDER BY priority DESC, turn LIMIT 1) \
                     RETURNING *";
        db.query_row(query, params![worker, now + lease_secs, now], read).optional()
    }

    /// Renews a worker's lease; `false` where the job is not its any more.
    pub fn renew(db: &Connection, id: &Id, worker: &str, lease_secs: i64) -> rusqlite::Result<bool> {
        let query = "UPDATE jobs SET lease_until = ? WHERE id = ? AND worker = ? AND state = 'running'";
        db.execute(query, params![unix_now() + lease_secs, id.as_str(), worker]).map(|rows| rows == 1)
    }

    /// Ends a worker's hold on a job; returns the state it is in then, `None` where it is not this worker's any more.
    pub fn end(db: &mut Connection, id: &Id, worker: &str, ending: &Ending) -> rusqlite::Result<Option<JobState>> {
        let change = db.transaction()?;
        let held = "SELECT crashes, to_stop FROM jobs WHERE id = ? AND worker = ? AND state = 'running'";
        let held =
            change.query_row(held, params![id.as_str(), worker], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((crashes, to_stop)): Option<(i64, bool)> = held else { return Ok(None) };
        let crashes = crashes + i64::from(matches!(ending, Ending::Crashed(_)));
        let (state, error) = match ending {
            Ending::Done => (JobState::Done, None),
            Ending::Failed(why) => (JobState::Failed, Some(why)),
            Ending::Crashed(why) if crashes >= MOST_CRASHES => (JobState::Failed, Some(why)),
            Ending::Stopped => (JobState::Stopped, None),
            Ending::Parked | Ending::Crashed(_) if to_stop => (JobState::Stopped, None),
            Ending::Parked | Ending::Crashed(_) => (JobState::Waiting, None),
        };
        change.execute(
            "UPDATE jobs SET state = ?, error = ?, crashes = ?, changed = ?, worker = NULL, lease_until = 0, to_stop = 0 WHERE id = ?",
            params![state, error, crashes, unix_now(), id.as_str()],
        )?;
        change.commit()?;
        Ok(Some(state))
    }

    /// Asks for a stop: a waiting job stops at once, a running one when its worker hears of it. Returns the state now.
    pub fn stop(db: &mut Connection, id: &Id) -> rusqlite::Result<JobState> {
        let change = db.transaction()?;
        let now = unix_now();
        change.execute("UPDATE jobs SET to_stop = 1 WHERE id = ? AND state = 'running'", [id.as_str()])?;
        let waiting = "UPDATE jobs SET state = 'stopped', changed = ? WHERE id = ? AND state = 'waiting'";
        change.execute(waiting, params![now, id.as_str()])?;
        let state = change.query_row("SELECT state FROM jobs WHERE id = ?", [id.as_str()], |row| row.get(0))?;
        change.commit()?;
        Ok(state)
    }

    /// Puts a stopped or failed job back into the queue; `false` where it is neither.
    pub fn resume(db: &Connection, id: &Id) -> rusqlite::Result<bool> {
        let query = "UPDATE jobs SET state = 'waiting', error = NULL, crashes = 0, changed = ? \
                     WHERE id = ? AND state IN ('stopped', 'failed')";
        db.execute(query, params![unix_now(), id.as_str()]).map(|rows| rows == 1)
    }

    /// Removes a job that does not run; `false` where it does.
    pub fn remove(db: &mut Connection, id: &Id) -> rusqlite::Result<bool> {
        let change = db.transaction()?;
        let rows = change.execute("DELETE FROM jobs WHERE id = ? AND state <> 'running'", [id.as_str()])?;
        if rows == 1 {
            change.execute("DELETE FROM keys WHERE id = ?", [id.as_str()])?;
        }
        change.commit()?;
        Ok(rows == 1)
    }

    /// Gives back what workers of an ended process still hold. Only for the one process that has the data folder.
    pub fn give_back_all(db: &Connection) -> rusqlite::Result<usize> {
        let query = "UPDATE jobs SET state = CASE to_stop WHEN 1 THEN 'stopped' ELSE 'waiting' END, worker = NULL, \
                     lease_until = 0, to_stop = 0, changed = ? WHERE state = 'running'";
        db.execute(query, [unix_now()])
    }

    /// Every job's id, whoever's.
    pub fn all(db: &Connection) -> rusqlite::Result<Vec<Id>> {
        ids(db, "SELECT id FROM jobs WHERE ?1", true)
    }
}

fn read(row: &Row) -> rusqlite::Result<Job> {
    let id = |name| id_in(row, row.as_ref().column_index(name)?);
    Ok(Job {
        id: id("id")?,
        owner: row.get("owner")?,
        scene: id("scene")?,
        request: row.get("request")?,
        state: row.get("state")?,
        created: row.get("created")?,
        changed: row.get("changed")?,
        to_stop: row.get("to_stop")?,
        error: row.get("error")?,
    })
}
