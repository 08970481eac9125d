//! Receiving a scene: a multipart form, streamed to files with limits of size, number and time, then checked.

use crate::Shared;
use crate::access::hexadecimal;
use crate::form::{Form, of_multipart};
use crate::pictures::{Checked, check, check_mask, plain_name, write_preview};
use crate::problem::{Answer, Problem};
use crate::store::ScenePhoto;
use axum::body::Bytes;
use axum::extract::multipart::Field;
use axum::http::StatusCode;
use futures_util::{Stream, StreamExt};
use realfill_vision::scene::MAX_REFERENCES;
use realfill_vision::{Mask, SceneError};
use sha2::{Digest, Sha256};
use std::path::Path;
use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// Most bytes of a field that is text.
const TEXT_BYTES: u64 = 1000;

/// A scene as it came.
pub struct Received {
    /// Its files, each named by its role.
    pub folder: TempDir,
    /// What people call it, where that was said.
    pub name: Option<String>,
    /// Role and name of each file.
    pub files: Vec<(String, String)>,
    /// A hash of all that came.
    pub content: String,
    /// Bytes that came.
    bytes: u64,
    hash: Sha256,
}

impl Received {
    /// Nothing yet.
    ///
    /// # Errors
    /// The disk.
    pub fn begin(server: &Shared) -> Answer<Self> {
        let (folder, hash) = (server.storage.folder.passing()?, Sha256::new());
        Ok(Self { folder, name: None, files: Vec::new(), content: String::new(), bytes: 0, hash })
    }

    /// Takes a file of this role from memory.
    ///
    /// # Errors
    /// The disk.
    pub fn put(&mut self, role: &str, name: &str, content: &[u8]) -> Answer<()> {
        std::fs::write(self.folder.path().join(role), content)?;
        self.files.push((role.into(), name.into()));
        Ok(())
    }

    async fn take(&mut self, mut field: Field<'_>, server: &Shared) -> Answer<()> {
        let kind = field.name().unwrap_or_default().to_owned();
        if kind == "name" {
            let text = read_text(&mut field, server).await?;
            self.hash.update(&text);
            self.name = Some(plain_name(&text, "")).filter(|name| !name.is_empty());
            return Ok(());
        }
        let role = self.role(&kind)?;
        let name = plain_name(field.file_name().unwrap_or_default(), &role);
        self.hash.update(&role);
        let limits = &server.config.limits;
        let left = limits.upload_bytes.saturating_sub(self.bytes);
        let (most, refusal) = match left < limits.file_bytes {
            true => (left, too_large_together(limits.upload_bytes)),
            false => (limits.file_bytes, too_large(&name, limits.file_bytes)),
        };
        let pieces = field.map(|piece| piece.map_err(|error| of_multipart(&error)));
        let path = self.folder.path().join(&role);
        self.bytes += receive(pieces, &path, most, refusal, &mut self.hash, server).await?;
        self.files.push((role, name));
        Ok(())
    }

    /// The role that a field's name asks for.
    fn role(&self, kind: &str) -> Answer<String> {
        let count = self.files.iter().filter(|(role, _)| role.starts_with("ref-")).count();
        let has = |role: &str| self.files.iter().any(|(known, _)| known == role);
        match kind {
            "target" | "mask" if has(kind) => {
                Err(Problem::unusable(format!("there are two fields `{kind}`; send one")))
            }
            "target" | "mask" => Ok(kind.into()),
            "reference" if count == MAX_REFERENCES => {
                let error = SceneError::TooManyReferences { scene: "the scene".into(), found: count + 1 };
                Err(Problem::unusable(error.to_string()))
            }
            "reference" => Ok(format!("ref-{}", count + 1)),
            _ => Err(Problem::unusable(format!(
                "`{kind}` is no field of a scene; send `target`, one to five `reference`, and if need be `mask` and `name`"
            ))),
        }
    }
}

/// Receives a scene's form.
///
/// # Errors
/// 408 for one that is too slow, 413 for one that is too large, 400 or 422 for one that is no such form.
pub async fn receive_scene(form: Form, server: &Shared) -> Answer<Received> {
    let all = receive_fields(form, server);
    timeout(server.config.limits.upload, all).await.unwrap_or_else(|_| Err(too_slow()))
}

async fn receive_fields(mut form: Form, server: &Shared) -> Answer<Received> {
    let mut received = Received::begin(server)?;
    while let Some(field) = timeout(server.config.limits.idle, form.next_field()).await.map_err(|_| too_slow())?? {
        received.take(field, server).await?;
    }
    received.content = hexadecimal(&received.hash.clone().finalize());
    Ok(received)
}

/// Streams pieces to a file; returns how many bytes there were. More than `most` are refused so.
///
/// # Errors
/// As [`receive_scene`].
pub async fn receive(
    pieces: impl Stream<Item = Answer<Bytes>>,
    path: &Path,
    most: u64,
    refusal: Problem,
    hash: &mut Sha256,
    server: &Shared,
) -> Answer<u64> {
    let mut pieces = std::pin::pin!(pieces);
    let mut file = File::create(path).await?;
    let mut bytes = 0;
    while let Some(piece) = timeout(server.config.limits.idle, pieces.next()).await.map_err(|_| too_slow())? {
        let piece = piece?;
        bytes += piece.len() as u64;
        if bytes > most {
            return Err(refusal);
        }
        hash.update(&piece);
        file.write_all(&piece).await?;
    }
    hash.update(bytes.to_le_bytes());
    file.flush().await?;
    Ok(bytes)
}

async fn read_text(field: &mut Field<'_>, server: &Shared) -> Answer<String> {
    let mut text = Vec::new();
    let read = async {
        while let Some(piece) = field.chunk().await.map_err(|error| of_multipart(&error))? {
            text.extend_from_slice(&piece);
            if text.len() as u64 > TEXT_BYTES {
                return Err(Problem::too_large(format!("the field `name` is longer than {TEXT_BYTES} bytes")));
            }
        }
        Ok(())
    };
    timeout(server.config.limits.idle, read).await.map_err(|_| too_slow())??;
    String::from_utf8(text).map_err(|_| Problem::unusable("the field `name` is not UTF-8"))
}

/// 413 for a file that alone is more than is taken.
pub fn too_large(name: &str, most: u64) -> Problem {
    Problem::too_large(format!("{name} is too large; this server takes {} MB here", most >> 20))
}

/// 413 for files that are too much together.
fn too_large_together(most: u64) -> Problem {
    Problem::too_large(format!("the photos are too large together; this server takes {} MB in one upload", most >> 20))
}

/// 408 for an upload that stands still.
pub fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "the upload was too slow; send it again over a faster connection")
}

/// 408 for an upload whose end did not come.
pub fn broken_off() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "the upload broke off; send it again")
}

/// Checks everything that came and writes the previews; returns the pictures, and whether the target's transparency marks
/// a hole.
///
/// # Errors
/// 413 and 422, in the words of the command line.
pub fn check_scene(received: &Received, server: &Shared) -> Answer<(Vec<ScenePhoto>, bool)> {
    let has = |start: &str| received.files.iter().any(|(role, _)| role.starts_with(start));
    if !has("target") {
        return Err(Problem::unusable("the scene has no target; send the photo to complete as the field `target`"));
    }
    if !has("ref-") {
        return Err(Problem::unusable(SceneError::NoReferences { scene: "the scene".into() }.to_string()));
    }
    let folder = received.folder.path();
    let read = |(role, name): &(String, String)| -> Answer<Checked> {
        let checked = check(&folder.join(role), role, name, &server.config.limits)?;
        if role != "mask" {
            write_preview(&checked, folder)?;
        }
        Ok(checked)
    };
    let mut sorted: Vec<_> = received.files.iter().collect();
    sorted.sort_by_key(|(role, _)| (role != "target", role.clone()));
    let mut photos: Vec<ScenePhoto> = Vec::new();
    let mut has_hole = false;
    for file in sorted {
        let checked = read(file)?;
        match (file.0.as_str(), photos.first()) {
            ("target", _) => has_hole = Mask::from_alpha(&checked.photo).is_ok(),
            ("mask", Some(target)) => check_mask(&checked.photo, target)?,
            _ => {}
        }
        photos.push(checked.about);
    }
    Ok((photos, has_hole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::server;
    use futures_util::stream::{iter, pending};

    async fn refusal(pieces: impl Stream<Item = Answer<Bytes>>) -> Problem {
        let root = tempfile::tempdir().unwrap();
        let (server, file) = (server(root.path()).await, root.path().join("file"));
        receive(pieces, &file, 4, too_large("a.png", 4), &mut Sha256::new(), &server).await.unwrap_err()
    }

    #[tokio::test]
    async fn an_upload_that_stands_still_is_ended() {
        let problem = refusal(iter([Ok(Bytes::from_static(b"abc"))]).chain(pending())).await;
        assert_eq!(problem.status, 408);
    }

    #[tokio::test]
    async fn an_upload_without_end_is_ended_at_its_limit() {
        let problem = refusal(futures_util::stream::repeat_with(|| Ok(Bytes::from_static(b"abc")))).await;
        assert!(problem.status == 413 && problem.detail.contains("a.png is too large"), "{problem:?}");
    }
}
