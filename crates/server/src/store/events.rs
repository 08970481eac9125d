//! The table of events, where servers and workers are several processes: what a worker tells is appended together with its
//! sign of life, and servers look for what is new.

use super::StoreError;
use super::db::{Db, cells};
use super::unix_now;
use crate::id::Id;
use serde_json::{Value, json};

/// The lines of jobs.
pub struct Events;

impl Events {
    /// Adds lines to a job's, inside a change that has the job's row.
    pub fn append(db: &mut Db, job: &Id, lines: &[String]) -> Result<(), StoreError> {
        if lines.is_empty() {
            return Ok(());
        }
        let next = db.number("SELECT coalesce(max(number) + 1, 0) AS n FROM events WHERE job = ?1", cells![job])?;
        for (number, line) in (next as i64..).zip(lines) {
            let query = "INSERT INTO events (job, number, line) VALUES (?1, ?2, ?3)";
            db.execute(query, cells![job, number, line])?;
        }
        Ok(())
    }

    /// Adds the line of a new state, where lines are kept here.
    pub fn note_state(db: &mut Db, job: &Id, state: &str, error: Option<&str>) -> Result<(), StoreError> {
        match db.keeps_events {
            true => Self::append(db, job, &[timed(of_state(state, error))]),
            false => Ok(()),
        }
    }

    /// The lines from number `from` on; `None` where there is no such job any more.
    pub fn after(db: &mut Db, job: &Id, from: usize) -> Result<Option<Vec<String>>, StoreError> {
        let query = "SELECT line FROM events WHERE job = ?1 AND number >= ?2 ORDER BY number";
        let rows = db.rows(query, cells![job, from as i64])?;
        let lines = rows.iter().map(|row| row.text("line")).collect::<Result<Vec<_>, _>>()?;
        let is_there =
            !lines.is_empty() || db.number("SELECT count(*) AS n FROM jobs WHERE id = ?1", cells![job])? == 1;
        Ok(is_there.then_some(lines))
    }
}

/// The event of a new state.
pub fn of_state(state: &str, error: Option<&str>) -> Value {
    let mut event = json!({ "event": "state", "state": state });
    if let Some(error) = error {
        event["error"] = json!(error);
    }
    event
}

/// An event's line, with the time.
pub fn timed(mut event: Value) -> String {
    event["at"] = json!(unix_now());
    event.to_string()
}
