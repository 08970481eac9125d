//! Which database this is, so that files can tell whose they are and nobody clears away those of another, or of one that was lost.

use super::StoreError;
use super::db::{Db, cells};
use crate::id::Id;

/// A database's name for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The name.
    pub id: Id,
    /// Whether it was given just now: the database is new, or of before there were such names.
    pub is_new: bool,
}

impl Installation {
    /// The database's, which is given to it where it has none.
    pub fn of(db: &mut Db) -> Result<Self, StoreError> {
        let new = "INSERT INTO installation (number, id) VALUES (0, ?1) ON CONFLICT DO NOTHING";
        let is_new = db.execute(new, cells![&Id::random()])? == 1;
        let row = db.row("SELECT id FROM installation WHERE number = 0", &[])?;
        let id = row.ok_or_else(|| StoreError::Content("the database has no id".into()))?.id("id")?;
        Ok(Self { id, is_new })
    }
}
