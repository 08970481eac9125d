//! `Idempotency-Key`: what a creation that is sent again has made already.

use super::StoreError;
use super::db::{Db, cells};
use crate::id::Id;

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
    pub fn with(db: &mut Db, owner: &str, key: &str, content: &str) -> Result<Self, StoreError> {
        db.execute("DELETE FROM keys WHERE created < now() - ?1", cells![REMEMBERED_SECS])?;
        Self::find(db, owner, key, content)
    }

    /// Remembers that a key makes `id`, where it was never seen; else another request with it was faster.
    pub fn claim(db: &mut Db, owner: &str, key: Option<&str>, content: &str, id: &Id) -> Result<Self, StoreError> {
        let Some(key) = key else { return Ok(Self::Never) };
        let query =
            "INSERT INTO keys (owner, key, content, id, created) VALUES (?1, ?2, ?3, ?4, now()) ON CONFLICT DO NOTHING";
        if db.execute(query, cells![owner, key, content, id])? == 1 {
            return Ok(Self::Never);
        }
        Self::find(db, owner, key, content)
    }

    fn find(db: &mut Db, owner: &str, key: &str, content: &str) -> Result<Self, StoreError> {
        let found = db.row("SELECT content, id FROM keys WHERE owner = ?1 AND key = ?2", cells![owner, key])?;
        Ok(match found {
            None => Self::Never,
            Some(row) if row.text("content")? == content => Self::Same(row.id("id")?),
            Some(_) => Self::Other,
        })
    }
}
