//! Creations: first the files, then the row. With an `Idempotency-Key` there is one, however often and at whatever moments it
//! is sent.

use crate::Shared;
use crate::access::Owner;
use crate::id::Id;
use crate::problem::{Answer, Problem, to_its_end};
use crate::storage::Place;
use crate::store::{Db, Seen, StoreError};
use tempfile::TempDir;

/// What a creation is known by when it comes again.
pub struct Creation {
    owner: String,
    key: Option<String>,
    /// A hash of what is to be created.
    content: String,
}

impl Creation {
    /// Of this owner, with the key that it came with.
    pub fn new(owner: &Owner, key: Option<String>, content: String) -> Self {
        Self { owner: owner.0.clone(), key, content }
    }

    /// What it has made already.
    ///
    /// # Errors
    /// 422 where its key came with another content.
    pub async fn made(&self, server: &Shared) -> Answer<Option<Id>> {
        let Some(key) = self.key.clone() else { return Ok(None) };
        let (owner, content) = (self.owner.clone(), self.content.clone());
        made_by(server.store.run(move |db| Seen::with(db, &owner, &key, &content)).await?)
    }

    /// Keeps the files and adds the row, to which `insert` is told the names of the objects. Returns whose row there is then: that of
    /// the same creation where it came twice and the other was faster.
    ///
    /// # Errors
    /// As [`Creation::made`]; the disk, or 503. Nothing is kept then, but for files whose row may be there, since the database did not
    /// answer: a sweep removes them if it is not.
    pub async fn keep(
        self,
        server: &Shared,
        files: TempDir,
        place: Place,
        insert: impl FnOnce(&mut Db, Option<String>) -> Result<(), StoreError> + Send + 'static,
    ) -> Answer<Id> {
        let server = server.clone();
        let keeping = async move {
            let (objects, id) = (server.storage.keep(files, &place).await?, place.id().clone());
            let added = self.add(&server, id.clone(), move |db| insert(db, objects)).await;
            let may_have_row = match &added {
                Ok(seen) => *seen == Seen::Never,
                Err(error) => error.is_open(),
            };
            if !may_have_row {
                server.storage.remove(&place).await?;
            }
            Ok::<_, Problem>(made_by(added?)?.unwrap_or(id))
        };
        to_its_end(keeping).await
    }

    /// Adds the row, unless the same creation was faster.
    async fn add(
        self,
        server: &Shared,
        id: Id,
        insert: impl FnOnce(&mut Db) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Seen, StoreError> {
        let Self { owner, key, content } = self;
        let adding = server.store.asked(move |db| {
            db.together(|db| {
                let seen = Seen::claim(db, &owner, key.as_deref(), &content, &id)?;
                if seen == Seen::Never {
                    insert(db)?;
                }
                Ok(seen)
            })
        });
        adding.await
    }
}

fn made_by(seen: Seen) -> Answer<Option<Id>> {
    match seen {
        Seen::Never => Ok(None),
        Seen::Same(id) => Ok(Some(id)),
        Seen::Other => {
            Err(Problem::unusable("this Idempotency-Key was sent with another content before; choose a new one"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoredScene;
    use crate::test_server::server;

    /// Goes on with a creation whose key nobody had when it was looked up; the transaction ends with `end`.
    async fn kept_until(server: &Shared, content: &str, end: Result<(), StoreError>) -> Answer<Id> {
        let (owner, id) = (Owner("all".into()), Id::random());
        let creation = Creation::new(&owner, Some("key".into()), content.into());
        let (place, files) = (Place::Scene(id.clone()), server.storage.folder.passing()?);
        let name = content.to_owned();
        let scene = StoredScene { id, owner: owner.0, name, created: 5, has_hole: false, photos: Vec::new() };
        let insert = move |db: &mut Db, files: Option<String>| scene.insert(db, files.as_ref()).and(end);
        creation.keep(server, files, place, insert).await
    }

    async fn kept(server: &Shared, content: &str) -> Answer<Id> {
        kept_until(server, content, Ok(())).await
    }

    #[tokio::test]
    async fn files_go_where_their_row_is_not_there_and_stay_where_nobody_knows() {
        let root = tempfile::tempdir().unwrap();
        let server = server(root.path()).await;
        let count = || std::fs::read_dir(root.path().join("data/scenes")).unwrap().count();
        let wrong = StoreError::Content("as a test".into());
        assert!(kept_until(&server, "one", Err(wrong)).await.is_err() && count() == 0);
        assert!(kept_until(&server, "one", Err(StoreError::Silent)).await.is_err() && count() == 1);
    }

    #[tokio::test]
    async fn of_creations_with_one_key_at_one_moment_the_first_counts() {
        let root = tempfile::tempdir().unwrap();
        let server = server(root.path()).await;
        let first = kept(&server, "one").await.unwrap();
        assert_eq!(kept(&server, "one").await.unwrap(), first);
        let problem = kept(&server, "another").await.unwrap_err();
        assert!(problem.status == 422 && problem.detail.contains("another content"), "{problem:?}");
        let scenes = std::fs::read_dir(root.path().join("data/scenes")).unwrap();
        let names: Vec<_> = scenes.map(|scene| scene.unwrap().file_name()).collect();
        assert_eq!(names, [first.as_str()], "files of what was not created are left");
    }
}
