//! Reading requests: ids in paths, JSON bodies and keys, each with its exact refusal.

use crate::Shared;
use crate::id::Id;
use crate::problem::{Answer, Problem};
use crate::storage::Place;
use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::Response;
use serde::de::DeserializeOwned;
use std::path::Path;
use tower_http::services::ServeFile;

/// Most bytes of a JSON body.
const JSON_BYTES: usize = 256 << 10;

/// Most characters of an `Idempotency-Key`.
const KEY_LENGTH: usize = 200;

/// The id and the other parts of a path.
pub struct At {
    /// `{id}`; what cannot be one is 404.
    pub id: Id,
    /// The last part, decoded.
    pub last: String,
}

impl FromRequestParts<Shared> for At {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Shared) -> Result<Self, Problem> {
        let given = RawPathParams::from_request_parts(parts, server).await;
        let given = given.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the path is not UTF-8"))?;
        let find = |name| given.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let id = find("id").and_then(Id::parse).ok_or_else(|| Problem::not_found("id"))?;
        let last = given.iter().last().map(|(_, value)| value.to_owned()).unwrap_or_default();
        Ok(Self { id, last })
    }
}

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, server: &Shared) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().unwrap_or_default().trim() != "application/json" {
            let detail = "the body must be JSON; send `Content-Type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let reading = tokio::time::timeout(server.config.limits.idle, to_bytes(request.into_body(), JSON_BYTES));
        let bytes = reading.await.map_err(|_| crate::upload::too_slow())?;
        let bytes =
            bytes.map_err(|_| Problem::too_large(format!("the body is longer than {} KB", JSON_BYTES / 1024)))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| match error.is_data() {
            true => Problem::unusable(format!("the body does not fit: {error}")),
            false => Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")),
        })
    }
}

/// The `Idempotency-Key`, where one was sent.
///
/// # Errors
/// 400 for one that is empty, too long or not ASCII.
pub fn key_in(headers: &HeaderMap) -> Answer<Option<String>> {
    let Some(value) = headers.get(HeaderName::from_static("idempotency-key")) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=KEY_LENGTH).contains(&key.len()));
    let wrong =
        || Problem::new(StatusCode::BAD_REQUEST, format!("Idempotency-Key must be 1 to {KEY_LENGTH} ASCII characters"));
    key.map(|key| Some(key.to_owned())).ok_or_else(wrong)
}

/// A file of ours, with ranges and dates; `save_as` is what it is saved as.
///
/// # Errors
/// 404 where it is not there.
pub async fn send_file(
    server: &Shared,
    place: &Place,
    name: &str,
    save_as: &str,
    request: Request,
) -> Answer<Response> {
    let Some(file) = server.storage.file(place, name).await? else { return Err(Problem::not_found("file")) };
    send_path(&file.path, save_as, request).await // open by then: a fetched file may go
}

/// The same of a file that is there.
///
/// # Errors
/// The disk.
pub async fn send_path(path: &Path, save_as: &str, request: Request) -> Answer<Response> {
    let answer = ServeFile::new(path).try_call(request).await?;
    let mut answer = answer.map(axum::body::Body::new);
    let kind = axum::http::HeaderValue::from_static(media_type(path));
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    let plain: String =
        save_as.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' }).collect();
    if let Ok(value) = format!("inline; filename=\"{plain}\"").parse() {
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(answer)
}

/// By the extension that we gave.
fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "jpg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "tif" => "image/tiff",
        "bmp" => "image/bmp",
        "avif" => "image/avif",
        "jxl" => "image/jxl",
        "json" => "application/json",
        "tar" => "application/x-tar",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_sent_as_what_they_are() {
        for (name, kind) in
            [("target.jxl", "image/jxl"), ("completed.avif", "image/avif"), ("x.bin", "application/octet-stream")]
        {
            assert_eq!(media_type(Path::new(name)), kind);
        }
    }
}
