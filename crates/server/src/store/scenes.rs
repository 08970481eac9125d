//! The table of scenes.

use super::db::{Cell, Db, Row, cells};
use super::{StoreError, unix_now};
use crate::id::Id;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How often it is noted that a scene is used.
const NOTED_EVERY_SECS: i64 = 24 * 3600;

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

    /// Adds it; `files` names its objects in a bucket, as JSON.
    pub fn insert(&self, db: &mut Db, files: Option<&String>) -> Result<(), StoreError> {
        let photos = as_json(&self.photos)?;
        db.execute(
            "INSERT INTO scenes (id, owner, name, created, used, has_hole, photos, files) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            cells![&self.id, &self.owner, &self.name, self.created, self.created, self.has_hole, photos, files],
        )
        .map(|_| ())
    }

    /// The scene of this name, if it is this owner's.
    pub fn find(db: &mut Db, owner: &str, id: &Id) -> Result<Option<Self>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM scenes WHERE id = ?1 AND owner = ?2");
        db.row(&query, cells![id, owner])?.as_ref().map(read).transpose()
    }

    /// All of an owner's, the newest first.
    pub fn list(db: &mut Db, owner: &str) -> Result<Vec<Self>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM scenes WHERE owner = ?1 ORDER BY created DESC, id");
        db.rows(&query, cells![owner])?.iter().map(read).collect()
    }

    /// Checks that an owner has fewer than `most`. Others may add some until one's own change, unless it is done [`Db::alone`].
    pub fn check_room(db: &mut Db, owner: &str, most: u64) -> Result<(), StoreError> {
        match db.number("SELECT count(*) AS n FROM scenes WHERE owner = ?1", cells![owner])? < most {
            true => Ok(()),
            false => Err(StoreError::Full(format!("there are {most} scenes already; delete some first"))),
        }
    }

    /// Notes that it is used, where that was last noted a day ago.
    pub fn touch(db: &mut Db, id: &Id) -> Result<(), StoreError> {
        let row = db.row("SELECT used FROM scenes WHERE id = ?1", cells![id])?;
        match row.map(|row| row.int("used")).transpose()? {
            Some(used) if used < unix_now() - NOTED_EVERY_SECS => {
                db.execute("UPDATE scenes SET used = now() WHERE id = ?1", cells![id]).map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// Notes other pictures.
    pub fn set_photos(db: &mut Db, id: &Id, photos: &[ScenePhoto]) -> Result<(), StoreError> {
        let photos = as_json(&photos)?;
        db.execute("UPDATE scenes SET photos = ?1, used = now() WHERE id = ?2", cells![photos, id]).map(|_| ())
    }

    /// The names of its objects in a bucket, as JSON.
    pub fn files(db: &mut Db, id: &Id) -> Result<Option<String>, StoreError> {
        db.row("SELECT files FROM scenes WHERE id = ?1", cells![id])?.map_or(Ok(None), |row| row.maybe("files"))
    }

    /// Changes the names of its objects, while nobody else does.
    pub fn change_files<T>(
        db: &mut Db,
        id: &Id,
        change: impl FnOnce(Option<String>) -> Result<(T, String), StoreError>,
    ) -> Result<T, StoreError> {
        db.together(|db| {
            let row = db.row("SELECT files FROM scenes WHERE id = ?1 FOR UPDATE", cells![id])?;
            let before = row.ok_or_else(|| StoreError::Content("the scene is gone".into()))?.maybe("files")?;
            let (made, after) = change(before)?;
            db.execute("UPDATE scenes SET files = ?1 WHERE id = ?2", cells![after, id])?;
            Ok(made)
        })
    }

    /// Removes it and its jobs, unless one of these runs, or it was used since `unused_since`; returns the jobs that went, `None`
    /// where it stays. Whoever uses it or adds a job at this moment waits, or was first.
    pub fn remove(db: &mut Db, id: &Id, unused_since: Option<i64>) -> Result<Option<Vec<Id>>, StoreError> {
        let unused = format!("SELECT id FROM scenes WHERE {UNUSED} AND id = ?2");
        db.together(|db| {
            db.execute("SELECT id FROM scenes WHERE id = ?1 FOR UPDATE", cells![id])?;
            if let Some(before) = unused_since
                && db.row(&unused, cells![before, id])?.is_none()
            {
                return Ok(None);
            }
            let jobs = db.rows("SELECT id, state FROM jobs WHERE scene = ?1 FOR UPDATE", cells![id])?;
            for job in &jobs {
                if job.text("state")? == "running" {
                    return Ok(None);
                }
            }
            db.execute("DELETE FROM keys WHERE id = ?1 OR id IN (SELECT id FROM jobs WHERE scene = ?1)", cells![id])?;
            db.execute("DELETE FROM scenes WHERE id = ?1", cells![id])?;
            jobs.iter().map(|job| job.id("id")).collect::<Result<_, _>>().map(Some)
        })
    }

    /// Scenes that were not used since `before`, and that no job waits or runs for.
    pub fn unused_since(db: &mut Db, before: i64) -> Result<Vec<Id>, StoreError> {
        ids(db, &format!("SELECT id FROM scenes WHERE {UNUSED}"), cells![before])
    }

    /// Every scene's id, whoever's.
    pub fn all(db: &mut Db) -> Result<Vec<Id>, StoreError> {
        ids(db, "SELECT id FROM scenes", &[])
    }
}

/// Whether a scene was not used since `?1`, and no job waits or runs for it.
const UNUSED: &str = "used < ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE scene = scenes.id \
                      AND (state IN ('waiting', 'running') OR changed >= ?1))";

/// What is read of a scene.
const COLUMNS: &str = "id, owner, name, created, has_hole, photos";

/// The ids that a query finds.
pub(super) fn ids(db: &mut Db, query: &str, values: &[Cell]) -> Result<Vec<Id>, StoreError> {
    db.rows(query, values)?.iter().map(|row| row.id("id")).collect()
}

/// A value as the JSON of a column.
fn as_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Content(error.to_string()))
}

fn read(row: &Row) -> Result<StoredScene, StoreError> {
    let photos = serde_json::from_str(&row.text("photos")?);
    Ok(StoredScene {
        id: row.id("id")?,
        owner: row.text("owner")?,
        name: row.text("name")?,
        created: row.int("created")?,
        has_hole: row.int("has_hole")? != 0,
        photos: photos.map_err(|error| StoreError::Content(format!("photos: {error}")))?,
    })
}
