//! Errors as problem documents (RFC 9457): a status, a title and a sentence that helps.

use crate::files;
use crate::store::StoreError;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A problem document (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was found, what was expected and what to do.
    pub detail: String,
}

/// What a handler returns.
pub type Answer<T> = Result<T, Problem>;

impl Problem {
    /// A problem of this status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Problem").to_owned();
        Self { kind: "about:blank", title, status: status.as_u16(), detail: detail.into() }
    }

    /// 404: nothing of this person's has that name.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    /// 409: not in this state.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 422: understood, and not usable.
    pub fn unusable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 413: more than is taken.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 503: not now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// 500, the cause in the log and not in the answer.
    pub fn ours(cause: impl std::fmt::Display) -> Self {
        tracing::error!("{cause}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why")
    }
}

/// Does something to its end, even where the client goes away meanwhile: what waits for an answer is dropped then, in the middle
/// of what it does.
///
/// # Errors
/// What `work` returns.
pub async fn to_its_end<T: Send + 'static>(work: impl Future<Output = Answer<T>> + Send + 'static) -> Answer<T> {
    tokio::spawn(work).await.map_err(Problem::ours)?
}

/// A full disk passes, and so do too many open files, so they are 503; everything else is a fault of ours.
impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded => {
                tracing::error!("{error}");
                Self::unavailable("the server's disk is full; try again later")
            }
            _ if files::are_too_many(&error) => {
                tracing::error!("{error}");
                Self::unavailable("the server has too many files open at the moment; try again later")
            }
            _ => Self::ours(error),
        }
    }
}

/// A limit is the client's to keep; everything else passes.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if let StoreError::Full(detail) = error {
            return Self::new(StatusCode::TOO_MANY_REQUESTS, detail);
        }
        tracing::error!("the database: {error}");
        Self::unavailable("the server's database cannot be used at the moment; try again later")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        match status {
            StatusCode::UNAUTHORIZED => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("30"))
            }
            _ => None,
        };
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::io::{Error, ErrorKind};

    #[test]
    fn what_passes_is_503_and_tells_when_to_come_again() {
        let full = Problem::from(Error::from(ErrorKind::StorageFull));
        assert!(full.status == 503 && full.detail.contains("disk is full"));
        assert_eq!(full.into_response().headers()[header::RETRY_AFTER], "30");
        assert_eq!(Problem::from(StoreError::Silent).status, 503);
        assert_eq!(Problem::from(StoreError::Full("3 scenes".into())).status, 429);
        #[cfg(unix)]
        assert_eq!(Problem::from(Error::from_raw_os_error(24)).status, 503);
    }

    #[tokio::test]
    async fn what_has_begun_is_done_though_nobody_waits_for_it_any_more() {
        let (sender, done) = tokio::sync::oneshot::channel();
        let working = to_its_end(async move {
            tokio::task::yield_now().await;
            sender.send("done").map_err(Problem::ours)
        });
        assert_eq!(working.now_or_never(), None);
        assert_eq!(done.await, Ok("done"));
    }

    #[test]
    fn a_fault_of_ours_tells_nothing_of_the_inside() {
        let problem = Problem::from(Error::other("/data/secret"));
        assert!(problem.status == 500 && !problem.detail.contains("secret"), "{problem:?}");
    }
}
