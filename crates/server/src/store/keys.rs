//! `Idempotency-Key`: what a creation that is sent again has made already.

use super::unix_now;
use crate::id::Id;
use crate::store::scenes::id_in;
use rusqlite::{Connection, OptionalExtension, params};

/// For how long a key is remembered.
const REMEMBERED_SECS: i64 = 24 * 3600;

/// What a key was seen with before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Never,
    /// The same content, which made this.
    Same(Id),
    /// Another content.
    Other,
}

impl Seen {
    /// Looks a key up; `content` is a hash of what is to be created.
    pub fn with(db: &Connection, owner: &str, key: &str, content: &str) -> rusqlite::Result<Self> {
        db.execute("DELETE FROM keys WHERE created < ?", [unix_now() - REMEMBERED_SECS])?;
        let query = "SELECT content, id FROM keys WHERE owner = ? AND key = ?";
        let found: Option<(String, Id)> =
            db.query_row(query, params![owner, key], |row| Ok((row.get(0)?, id_in(row, 1)?))).optional()?;
        Ok(match found {
            None => Self::Never,
            Some((known, id)) if known == content => Self::Same(id),
            Some(_) => Self::Other,
        })
    }

    /// Remembers that a key makes `id`; returns what it has made already, where another request with it was faster.
    pub fn claim(
        db: &Connection,
        owner: &str,
        key: Option<&str>,
        content: &str,
        id: &Id,
    ) -> rusqlite::Result<Option<Id>> {
        let Some(key) = key else { return Ok(None) };
        let query = "INSERT INTO keys (owner, key, content, id, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
        if db.execute(query, params![owner, key, content, id.as_str(), unix_now()])? == 1 {
            return Ok(None);
        }
        let made = "SELECT id FROM keys WHERE owner = ? AND key = ?";
        db.query_row(made, params![owner, key], |row| id_in(row, 0)).map(Some)
    }
}
