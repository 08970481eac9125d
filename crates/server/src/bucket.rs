//! A bucket of S3-compatible storage: objects that are written once under a name of their own and never changed, so that
//! whoever reads one reads it whole. Which objects make up a scene or job is told by its row in the database; whose they are,
//! by their names, since several databases may share a bucket.

use crate::id::Id;
use crate::problem::{Answer, Problem};
use axum::http::StatusCode;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig, WriteMultipart};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes of a piece of a large object; a smaller one is sent at once.
const PIECE: usize = 8 << 20;

/// Pieces that are under way at a time.
const PIECES: usize = 2;

/// Time in which a request is tried again; whoever waits for an answer is told 503 after it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time for one request.
const REQUEST: Duration = Duration::from_secs(120);

/// A bucket, or a part of one.
#[derive(Clone, Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
    /// The database's id.
    database: Id,
}

impl Bucket {
    /// The bucket of `s3://BUCKET[/PREFIX]`, for the database of this id; the rest is told by the usual variables (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL` and so on).
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn open(url: &str, database: Id) -> Result<Self, String> {
        let (bucket, prefix) = parts(url).ok_or("it is not s3://BUCKET or s3://BUCKET/PREFIX")?;
        crate::use_rustls();
        let is_plain = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"]
            .iter()
            .any(|name| std::env::var(name).is_ok_and(|endpoint| endpoint.starts_with("http://")));
        let client = ClientOptions::new()
            .with_allow_http(is_plain)
            .with_connect_timeout(Duration::from_secs(5))
            .with_timeout(REQUEST);
        let retry = RetryConfig { max_retries: 5, retry_timeout: PATIENCE, ..RetryConfig::default() };
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_client_options(client)
            .with_retry(retry)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { store: Arc::new(store), prefix: Key::from(prefix), database })
    }

    /// All of a store, for a database of its own, for tests.
    #[cfg(test)]
    pub fn of(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, prefix: Key::default(), database: Id::random() }
    }

    /// Whether it answers, and lets us read.
    ///
    /// # Errors
    /// What it says.
    pub async fn try_it(&self) -> Result<(), String> {
        let first = self.store.list(Some(&self.prefix)).next().await;
        first.transpose().map(|_| ()).map_err(|error| error.to_string())
    }

    /// A name below another for an object that is new.
    pub fn new_key(&self, below: &str) -> String {
        format!("{below}/{}-{}", self.database, Id::random())
    }

    /// Stores a file as an object that is new.
    ///
    /// # Errors
    /// 503 where the storage is away; a file that cannot be read.
    pub async fn put(&self, key: &str, file: &mut File) -> Answer<u64> {
        let key = self.key(key);
        let mut piece = read_piece(file).await?;
        let mut bytes = piece.len() as u64;
        if piece.len() < PIECE {
            self.store.put(&key, PutPayload::from(piece)).await.map_err(away)?;
            return Ok(bytes);
        }
        let mut writing =
            WriteMultipart::new_with_chunk_size(self.store.put_multipart(&key).await.map_err(away)?, PIECE);
        while !piece.is_empty() {
            writing.wait_for_capacity(PIECES).await.map_err(away)?;
            writing.put(piece.into());
            piece = read_piece(file).await?;
            bytes += piece.len() as u64;
        }
        writing.finish().await.map_err(away)?;
        Ok(bytes)
    }

    /// Reads an object into a file.
    ///
    /// # Errors
    /// 503 where the storage is away; 404 where it answers and does not have it.
    pub async fn get(&self, key: &str, into: &Path) -> Answer<()> {
        let found = self.store.get(&self.key(key)).await;
        let is_missing = matches!(found, Err(object_store::Error::NotFound { .. }));
        if is_missing && self.try_it().await.is_ok() {
            return Err(lost(key));
        }
        let mut pieces = found.map_err(away)?.into_stream();
        let mut file = File::create(into).await?;
        while let Some(piece) = pieces.try_next().await.map_err(away)? {
            file.write_all(&piece).await?;
        }
        Ok(file.flush().await?)
    }

    /// Removes objects; one that is gone already is no failure.
    ///
    /// # Errors
    /// 503 where the storage is away.
    pub async fn remove(&self, keys: &[String]) -> Answer<()> {
        for key in keys {
            match self.store.delete(&self.key(key)).await {
                Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => return Err(away(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes every object below a name.
    ///
    /// # Errors
    /// 503 where the storage is away.
    pub async fn remove_all(&self, below: &str) -> Answer<()> {
        let below = self.key(below);
        let found: Vec<_> =
            self.store.list(Some(&below)).map_ok(|about| about.location).try_collect().await.map_err(away)?;
        for key in found {
            self.store.delete(&key).await.map_err(away)?;
        }
        Ok(())
    }

    /// What is directly below a name and not `known`, and has no object younger than `age`, and none that another database may
    /// need. What is known is not looked into: that takes a request each.
    ///
    /// # Errors
    /// 503 where the storage is away.
    pub async fn older(&self, below: &str, known: &HashSet<Id>, age: Duration) -> Answer<Vec<Id>> {
        let parts = self.store.list_with_delimiter(Some(&self.key(below))).await.map_err(away)?.common_prefixes;
        let mut old = Vec::new();
        for part in parts {
            let Some(id) = part.filename().and_then(Id::parse).filter(|id| !known.contains(id)) else { continue };
            let objects: Vec<_> = self.store.list(Some(&part)).try_collect().await.map_err(away)?;
            let newest = objects.iter().map(|about| about.last_modified.timestamp()).max().unwrap_or(0);
            let is_old = newest + (age.as_secs() as i64) < crate::store::unix_now();
            if is_old && objects.iter().all(|about| self.is_ours(&about.location)) {
                old.push(id);
            }
        }
        Ok(old)
    }

    /// Whether an object has such a name as [`Bucket::new_key`] gives.
    fn is_ours(&self, key: &Key) -> bool {
        key.filename().is_some_and(|name| name.starts_with(self.database.as_str()))
    }

    fn key(&self, name: &str) -> Key {
        name.split('/').fold(self.prefix.clone(), |key, part| key.join(part))
    }
}

/// A piece of a file, shorter only at its end.
async fn read_piece(file: &mut File) -> Answer<Vec<u8>> {
    let mut piece = Vec::new();
    file.take(PIECE as u64).read_to_end(&mut piece).await?;
    Ok(piece)
}

fn away(error: object_store::Error) -> Problem {
    tracing::error!("the storage: {error}");
    Problem::unavailable("the server's storage cannot be used at the moment; try again later")
}

/// Waiting does not bring it back, so it is not 503.
fn lost(key: &str) -> Problem {
    tracing::error!("the storage has lost {key}");
    Problem::new(StatusCode::NOT_FOUND, "the server's storage has lost a file of this scene")
}

/// Bucket and prefix of a URL.
fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (!bucket.is_empty() && bucket.chars().all(is_plain)).then_some((bucket, prefix.trim_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    #[test]
    fn a_url_has_a_bucket_and_perhaps_a_prefix() {
        assert_eq!(parts("s3://photos"), Some(("photos", "")));
        assert_eq!(parts("s3://photos/a/b/"), Some(("photos", "a/b")));
        for wrong in ["s3://", "s3:///a", "photos", "http://photos", "s3://a b/c"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn an_object_that_is_lost_is_told_from_storage_that_is_away() {
        let (bucket, folder) = (Bucket::of(Arc::new(InMemory::new())), tempfile::tempdir().unwrap());
        let key = bucket.new_key("scenes/a");
        let problem = bucket.get(&key, &folder.path().join("file")).await.unwrap_err();
        assert!(problem.status == 404 && problem.detail.contains("has lost a file"), "{problem:?}");
        let mut file = File::from_std(tempfile::tempfile().unwrap());
        bucket.put(&key, &mut file).await.unwrap();
        bucket.get(&key, &folder.path().join("file")).await.unwrap();
    }

    #[tokio::test]
    async fn what_another_database_has_left_in_the_bucket_is_not_for_us_to_remove() {
        let store = Arc::new(InMemory::new());
        let [ours, theirs] = [0, 1].map(|_| Bucket::of(store.clone()));
        let [our, their, older] = [0, 1, 2].map(|_| Id::random());
        for (bucket, key) in [
            (&ours, ours.new_key(&format!("scenes/{our}"))),
            (&theirs, theirs.new_key(&format!("scenes/{their}"))),
            (&ours, format!("scenes/{older}/{}", Id::random())), // of before names told whose an object is
        ] {
            let mut file = File::from_std(tempfile::tempfile().unwrap());
            bucket.put(&key, &mut file).await.unwrap();
        }
        let none = HashSet::new();
        assert_eq!(ours.older("scenes", &none, Duration::from_secs(60)).await.unwrap(), []);
        tokio::time::sleep(Duration::from_millis(2100)).await; // times are of whole seconds
        assert_eq!(ours.older("scenes", &none, Duration::ZERO).await.unwrap(), std::slice::from_ref(&our));
        assert_eq!(theirs.older("scenes", &none, Duration::ZERO).await.unwrap(), [their]);
        assert_eq!(ours.older("scenes", &HashSet::from([our]), Duration::ZERO).await.unwrap(), []);
    }
}
