//! The table of scenes.

use super::unix_now;
use crate::id::Id;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One picture of a scene.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScenePhoto {
    /// `target`, `mask`, or `ref-1` to `ref-5`.
    #[schema(example = "target")]
    pub role: String,
    /// The name it came with, for people.
    pub name: String,
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// The extension that its content has.
    #[schema(example = "jpg")]
    pub extension: String,
}

/// A scene's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredScene {
    /// Its name in paths and requests.
    pub id: Id,
    /// Whose it is.
    pub owner: String,
    /// What people call it.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// Whether the target's own transparency marks a hole.
    pub has_hole: bool,
    /// Its pictures.
    pub photos: Vec<ScenePhoto>,
}

impl StoredScene {
    /// The picture of this role.
    pub fn photo(&self, role: &str) -> Option<&ScenePhoto> {
        self.photos.iter().find(|photo| photo.role == role)
    }

    /// Adds it.
    pub fn insert(&self, db: &Connection) -> rusqlite::Result<()> {
        db.execute(
            "INSERT INTO scenes (id, owner, name, created, used, has_hole, photos) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                self.id.as_str(),
                self.owner,
                self.name,
                self.created,
                self.created,
                self.has_hole,
                as_json(&self.photos)?
            ],
        )
        .map(|_| ())
    }

    /// The scene of this name, if it is this owner's.
    pub fn find(db: &Connection, owner: &str, id: &Id) -> rusqlite::Result<Option<Self>> {
        db.query_row("SELECT * FROM scenes WHERE id = ? AND owner = ?", params![id.as_str(), owner], read).optional()
    }

    /// All of an owner's, the newest first.
    pub fn list(db: &Connection, owner: &str) -> rusqlite::Result<Vec<Self>> {
        let mut query = db.prepare_cached("SELECT * FROM scenes WHERE owner = ? ORDER BY created DESC, id")?;
        query.query_map([owner], read)?.collect()
    }

    /// How many an owner has.
    pub fn count(db: &Connection, owner: &str) -> rusqlite::Result<u64> {
        db.query_row("SELECT count(*) FROM scenes WHERE owner = ?", [owner], |row| row.get(0))
    }

    /// Notes other pictures.
    pub fn set_photos(db: &Connection, id: &Id, photos: &[ScenePhoto]) -> rusqlite::Result<()> {
        let photos = as_json(&photos)?;
        db.execute("UPDATE scenes SET photos = ?, used = ? WHERE id = ?", params![photos, unix_now(), id.as_str()])
            .map(|_| ())
    }

    /// Removes it and its jobs, unless one of these runs; returns the jobs that went, `None` where one runs.
    pub fn remove(db: &mut Connection, id: &Id) -> rusqlite::Result<Option<Vec<Id>>> {
        let change = db.transaction()?;
        let is_busy =
            change.prepare("SELECT 1 FROM jobs WHERE scene = ? AND state = 'running'")?.exists([id.as_str()])?;
        if is_busy {
            return Ok(None);
        }
        let jobs = ids(&change, "SELECT id FROM jobs WHERE scene = ?", id.as_str())?;
        let keys = "DELETE FROM keys WHERE id = ?1 OR id IN (SELECT id FROM jobs WHERE scene = ?1)";
        change.execute(keys, [id.as_str()])?;
        change.execute("DELETE FROM scenes WHERE id = ?", [id.as_str()])?;
        change.commit()?;
        Ok(Some(jobs))
    }

    /// Scenes that nothing was done with since `before`, and that no job waits or runs for.
    pub fn unused_since(db: &Connection, before: i64) -> rusqlite::Result<Vec<Id>> {
        let query = "SELECT id FROM scenes WHERE used < ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE scene = scenes.id \
                     AND (state IN ('waiting', 'running') OR changed >= ?1))";
        ids(db, query, before)
    }

    /// Every scene's id, whoever's.
    pub fn all(db: &Connection) -> rusqlite::Result<Vec<Id>> {
        ids(db, "SELECT id FROM scenes WHERE ?1", true)
    }
}

/// The ids that a query finds.
pub(super) fn ids(db: &Connection, query: &str, value: impl rusqlite::ToSql) -> rusqlite::Result<Vec<Id>> {
    db.prepare(query)?.query_map([value], |row| id_in(row, 0))?.collect()
}

/// An id in a column.
pub(super) fn id_in(row: &Row, column: usize) -> rusqlite::Result<Id> {
    let text: String = row.get(column)?;
    Id::try_from(text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

/// A value as the JSON of a column.
pub(super) fn as_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn read(row: &Row) -> rusqlite::Result<StoredScene> {
    let photos: String = row.get("photos")?;
    let column = row.as_ref().column_index("photos")?;
    let wrong = |error: serde_json::Error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into());
    Ok(StoredScene {
        id: id_in(row, row.as_ref().column_index("id")?)?,
        owner: row.get("owner")?,
        name: row.get("name")?,
        created: row.get("created")?,
        has_hole: row.get("has_hole")?,
        photos: serde_json::from_str(&photos).map_err(wrong)?,
    })
}
