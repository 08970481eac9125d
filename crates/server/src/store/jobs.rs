//! The table of jobs, which is the queue. One worker takes a job at a time and holds it by a lease that it renews; a job
//! whose lease ran out belongs to nobody and is taken again.

use super::db::{Db, Row, cells};
use super::events::Events;
use super::scenes::ids;
use super::{StoreError, unix_now};
use crate::id::Id;
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

    fn of_name(name: &str) -> Result<Self, StoreError> {
        let states = [Self::Waiting, Self::Running, Self::Stopped, Self::Done, Self::Failed];
        let found = states.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| StoreError::Content(format!("there is no state {name}")))
    }

    /// Whether nothing happens with it any more, unless somebody asks for it.
    pub fn rests(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
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
    /// Its objects in a bucket, as JSON.
    pub files: Option<String>,
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
    /// How far it is, as JSON, where its worker tells it here.
    pub standing: Option<String>,
}

/// What a worker tells with a sign of life.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Lines for who listens.
    pub lines: Vec<String>,
    /// How far the job is, as JSON.
    pub standing: Option<String>,
    /// Its objects in a bucket by now, as JSON.
    pub files: Option<String>,
}

/// What became of a job that a lost process held.
#[derive(Debug)]
pub struct GivenBack {
    /// Which.
    pub id: Id,
    /// Where it stands now.
    pub state: JobState,
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

/// Times that a worker is lost with a job, after which the job is not taken again. More than crashes, since the worker may
/// be lost for reasons of its own (a power cut, a killed service): one that ends in good order parks its job, which does not
/// count.
const MOST_LOSSES: i64 = 5;

/// Why such a job fails.
pub(super) const LOST: &str =
    "the worker was lost with this job again and again, most often for lack of memory: try a smaller photo";

/// What of a job's request tells which other job it needs.
#[derive(Deserialize)]
struct Needs {
    adapter_of: Option<Id>,
}

/// What is read of a job.
const COLUMNS: &str = "id, owner, scene, request, state, created, changed, to_stop, error, standing";

impl Job {
    /// Puts a job into the queue.
    pub fn insert(db: &mut Db, new: &NewJob) -> Result<(), StoreError> {
        let (now, state) = (unix_now(), JobState::Waiting.name());
        db.execute(
            "INSERT INTO jobs (id, owner, scene, request, state, priority, created, changed, files) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            cells![&new.id, &new.owner, &new.scene, &new.request, state, new.priority, now, now, new.files.as_ref()],
        )
        .map(|_| ())
    }

    /// The job of this name, if it is this owner's.
    pub fn find(db: &mut Db, owner: &str, id: &Id) -> Result<Option<Self>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1 AND owner = ?2");
        db.row(&query, cells![id, owner])?.as_ref().map(read).transpose()
    }

    /// An owner's jobs, of one scene or of all, the newest first.
    pub fn list(db: &mut Db, owner: &str, scene: Option<&Id>) -> Result<Vec<Self>, StoreError> {
        let query = format!(
            "SELECT {COLUMNS} FROM jobs WHERE owner = ?1 AND (?2 = '' OR scene = ?2) ORDER BY turn DESC LIMIT 1000"
        );
        db.rows(&query, cells![owner, scene.map_or("", Id::as_str)])?.iter().map(read).collect()
    }

    /// Checks that fewer than `most` of an owner's jobs wait or run. Others may add some until one's own change, unless it is done
    /// [`Db::alone`].
    pub fn check_room(db: &mut Db, owner: &str, most: u64) -> Result<(), StoreError> {
        let query = "SELECT count(*) AS n FROM jobs WHERE owner = ?1 AND state IN ('waiting', 'running')";
        if db.number(query, cells![owner])? < most {
            return Ok(());
        }
        let detail = format!("{most} jobs wait or run already; wait for one to end, or delete some");
        Err(StoreError::Full(detail))
    }

    /// How many jobs there are in each state, whoever's.
    pub fn counts(db: &mut Db) -> Result<Vec<(JobState, u64)>, StoreError> {
        let rows = db.rows("SELECT state, count(*) AS n FROM jobs GROUP BY state ORDER BY state", &[])?;
        rows.iter().map(|row| Ok((JobState::of_name(&row.text("state")?)?, row.int("n")?.unsigned_abs()))).collect()
    }

    /// How many waiting jobs come before this one.
    pub fn ahead(db: &mut Db, id: &Id) -> Result<u64, StoreError> {
        let query = "SELECT count(*) AS n FROM jobs AS other, jobs AS this WHERE this.id = ?1 \
                     AND other.state IN ('waiting', 'running') \
                     AND (other.state = 'running' OR other.priority > this.priority \
                          OR (other.priority = this.priority AND other.turn < this.turn))";
        db.number(query, cells![id])
    }

    /// Takes the next job for a worker: the waiting one of the highest priority that came first, or one whose worker let
    /// its lease run out, which is lost with it. Workers that ask at the same time get different ones.
    pub fn take(db: &mut Db, worker: &str, lease_secs: i64) -> Result<Option<Self>, StoreError> {
        let query = format!(
            "UPDATE jobs SET state = 'running', worker = ?1, lease_until = now() + ?2, changed = now(), error = NULL, \
             standing = NULL, losses = losses + CASE state WHEN 'running' THEN 1 ELSE 0 END \
             WHERE id = (SELECT id FROM jobs WHERE to_stop = 0 AND \
                (state = 'waiting' OR (state = 'running' AND lease_until < now())) \
                ORDER BY priority DESC, turn LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING {COLUMNS}"
        );
        db.together(|db| {
            Self::settle_stopped(db)?;
            Self::settle_lost(db)?;
            let taken = db.row(&query, cells![worker, lease_secs])?.as_ref().map(read).transpose()?;
            if let Some(job) = &taken {
                Events::note_state(db, &job.id, JobState::Running.name(), None)?;
            }
            Ok(taken)
        })
    }

    /// Stops the jobs that were asked to stop and whose worker died before it could.
    fn settle_stopped(db: &mut Db) -> Result<(), StoreError> {
        let query = "UPDATE jobs SET state = 'stopped', worker = NULL, lease_until = 0, to_stop = 0, changed = now() \
                     WHERE id IN (SELECT id FROM jobs WHERE to_stop = 1 AND state = 'running' AND lease_until < now() \
                        FOR UPDATE SKIP LOCKED) RETURNING id";
        for row in db.rows(query, &[])? {
            Events::note_state(db, &row.id("id")?, JobState::Stopped.name(), None)?;
        }
        Ok(())
    }

    /// Fails the jobs whose worker was lost too often.
    fn settle_lost(db: &mut Db) -> Result<(), StoreError> {
        let query = "UPDATE jobs SET state = 'failed', error = ?1, losses = losses + 1, worker = NULL, lease_until = 0, \
                     standing = NULL, changed = now() \
                     WHERE id IN (SELECT id FROM jobs WHERE to_stop = 0 AND state = 'running' AND lease_until < now() \
                        AND losses + 1 >= ?2 FOR UPDATE SKIP LOCKED) RETURNING id";
        for row in db.rows(query, cells![LOST, MOST_LOSSES])? {
            Events::note_state(db, &row.id("id")?, JobState::Failed.name(), Some(LOST))?;
        }
        Ok(())
    }

    /// Renews a worker's lease and notes what it tells: whether a stop is asked for; `None` where the job is not its any
    /// more.
    pub fn renew(db: &mut Db, id: &Id, worker: &str, lease_secs: i64, told: &Told) -> Result<Option<bool>, StoreError> {
        let query = "UPDATE jobs SET lease_until = now() + ?1, standing = coalesce(?4, standing), \
                     files = coalesce(?5, files) WHERE id = ?2 AND worker = ?3 AND state = 'running' RETURNING to_stop";
        db.together(|db| {
            let values = cells![lease_secs, id, worker, told.standing.as_ref(), told.files.as_ref()];
            let Some(row) = db.row(query, values)? else { return Ok(None) };
            Events::append(db, id, &told.lines)?;
            Ok(Some(row.int("to_stop")? != 0))
        })
    }

    /// Ends a worker's hold on a job; returns the state it is in then, `None` where it is not this worker's any more.
    pub fn end(
        db: &mut Db,
        id: &Id,
        worker: &str,
        ending: &Ending,
        told: &Told,
    ) -> Result<Option<JobState>, StoreError> {
        db.together(|db| {
            let held =
                "SELECT crashes, to_stop FROM jobs WHERE id = ?1 AND worker = ?2 AND state = 'running' FOR UPDATE";
            let Some(row) = db.row(held, cells![id, worker])? else { return Ok(None) };
            let crashes = row.int("crashes")? + i64::from(matches!(ending, Ending::Crashed(_)));
            let to_stop = row.int("to_stop")? != 0;
            let (state, error) = match ending {
                Ending::Done => (JobState::Done, None),
                Ending::Failed(why) => (JobState::Failed, Some(why)),
                Ending::Crashed(why) if crashes >= MOST_CRASHES => (JobState::Failed, Some(why)),
                Ending::Stopped => (JobState::Stopped, None),
                Ending::Parked | Ending::Crashed(_) if to_stop => (JobState::Stopped, None),
                Ending::Parked | Ending::Crashed(_) => (JobState::Waiting, None),
            };
            let change = "UPDATE jobs SET state = ?1, error = ?2, crashes = ?3, changed = now(), worker = NULL, \
                          lease_until = 0, to_stop = 0, standing = NULL, files = coalesce(?5, files) WHERE id = ?4";
            db.execute(change, cells![state.name(), error, crashes, id, told.files.as_ref()])?;
            if db.keeps_events {
                Events::append(db, id, &told.lines)?;
                Events::note_state(db, id, state.name(), ending.error())?;
            }
            Ok(Some(state))
        })
    }

    /// Asks for a stop: a waiting job stops at once, a running one when its worker hears of it. Returns the state now.
    pub fn stop(db: &mut Db, id: &Id) -> Result<JobState, StoreError> {
        db.together(|db| {
            let row = db.row("SELECT state FROM jobs WHERE id = ?1 FOR UPDATE", cells![id])?;
            let state = row.ok_or_else(|| StoreError::Content("the job is gone".into()))?.text("state")?;
            let state = JobState::of_name(&state)?;
            match state {
                JobState::Running => {
                    db.execute("UPDATE jobs SET to_stop = 1 WHERE id = ?1", cells![id])?;
                    Ok(state)
                }
                JobState::Waiting => {
                    db.execute("UPDATE jobs SET state = 'stopped', changed = now() WHERE id = ?1", cells![id])?;
                    Events::note_state(db, id, JobState::Stopped.name(), None)?;
                    Ok(JobState::Stopped)
                }
                _ => Ok(state),
            }
        })
    }

    /// Puts a stopped or failed job back into the queue, unless `most` of its owner's wait or run; `false` where it is neither.
    pub fn resume(db: &mut Db, id: &Id, most: u64) -> Result<bool, StoreError> {
        let query =
            "UPDATE jobs SET state = 'waiting', error = NULL, crashes = 0, losses = 0, changed = now() WHERE id = ?1";
        db.together(|db| {
            db.alone()?;
            let rests = "SELECT owner FROM jobs WHERE id = ?1 AND state IN ('stopped', 'failed') FOR UPDATE";
            let Some(row) = db.row(rests, cells![id])? else { return Ok(false) };
            Self::check_room(db, &row.text("owner")?, most)?;
            db.execute(query, cells![id])?;
            Events::note_state(db, id, JobState::Waiting.name(), None)?;
            Ok(true)
        })
    }

    /// A job that waits or runs and takes what this one has learnt.
    pub fn needed_by(db: &mut Db, id: &Id) -> Result<Option<Id>, StoreError> {
        let query = "SELECT other.id AS id, other.request AS request FROM jobs AS other, jobs AS this \
                     WHERE this.id = ?1 AND other.scene = this.scene AND other.state IN ('waiting', 'running') \
                     ORDER BY other.turn";
        for row in db.rows(query, cells![id])? {
            let needs: Option<Needs> = serde_json::from_str(&row.text("request")?).ok();
            if needs.and_then(|needs| needs.adapter_of).as_ref() == Some(id) {
                return row.id("id").map(Some);
            }
        }
        Ok(None)
    }

    /// Removes a job that does not run; `false` where it does.
    pub fn remove(db: &mut Db, id: &Id) -> Result<bool, StoreError> {
        db.together(|db| {
            let is_removed = db.execute("DELETE FROM jobs WHERE id = ?1 AND state <> 'running'", cells![id])? == 1;
            if is_removed {
                db.execute("DELETE FROM keys WHERE id = ?1", cells![id])?;
            }
            Ok(is_removed)
        })
    }

    /// Gives back what a process that was lost still holds: the worker of this name, or any where there can be no other. A
    /// process that ends in good order holds nothing any more.
    pub fn give_back(db: &mut Db, worker: Option<&str>) -> Result<Vec<GivenBack>, StoreError> {
        let query = "UPDATE jobs SET state = CASE WHEN to_stop = 1 THEN 'stopped' WHEN losses + 1 >= ?2 THEN 'failed' \
                     ELSE 'waiting' END, error = CASE WHEN to_stop = 0 AND losses + 1 >= ?2 THEN ?3 END, \
                     losses = losses + 1, worker = NULL, lease_until = 0, to_stop = 0, standing = NULL, changed = now() \
                     WHERE state = 'running' AND (?1 = '' OR worker = ?1) RETURNING id, state, error";
        db.together(|db| {
            let rows = db.rows(query, cells![worker.unwrap_or_default(), MOST_LOSSES, LOST])?;
            let given_back = rows.iter().map(read_given_back).collect::<Result<Vec<_>, _>>()?;
            for job in &given_back {
                Events::note_state(db, &job.id, job.state.name(), job.error.as_deref())?;
            }
            Ok(given_back)
        })
    }

    /// The names of a job's objects in a bucket, as JSON.
    pub fn files(db: &mut Db, id: &Id) -> Result<Option<String>, StoreError> {
        db.row("SELECT files FROM jobs WHERE id = ?1", cells![id])?.map_or(Ok(None), |row| row.maybe("files"))
    }

    /// Every job's id, whoever's.
    pub fn all(db: &mut Db) -> Result<Vec<Id>, StoreError> {
        ids(db, "SELECT id FROM jobs", &[])
    }
}

impl Ending {
    /// Why, where it is for a reason.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(why) | Self::Crashed(why) => Some(why),
            _ => None,
        }
    }
}

fn read(row: &Row) -> Result<Job, StoreError> {
    Ok(Job {
        id: row.id("id")?,
        owner: row.text("owner")?,
        scene: row.id("scene")?,
        request: row.text("request")?,
        state: JobState::of_name(&row.text("state")?)?,
        created: row.int("created")?,
        changed: row.int("changed")?,
        to_stop: row.int("to_stop")? != 0,
        error: row.maybe("error")?,
        standing: row.maybe("standing")?,
    })
}

fn read_given_back(row: &Row) -> Result<GivenBack, StoreError> {
    Ok(GivenBack { id: row.id("id")?, state: JobState::of_name(&row.text("state")?)?, error: row.maybe("error")? })
}
