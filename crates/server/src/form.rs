//! A multipart form on its way to its parser, which keeps what comes before a field, and the field's header, until all of it is
//! there, however much that is. So only little is let through meanwhile, and in all no more than an upload may have.

use crate::problem::{Answer, Problem};
use axum::BoxError;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::StatusCode;
use futures_util::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

/// Most bytes of a form beside its files' content.
pub const MORE_BYTES: u64 = 1 << 20;

/// Most bytes before a field and in its header. Browsers send a few hundred.
const BETWEEN_BYTES: usize = 64 << 10;

/// Bytes that are let through at a time there.
const PIECE_BYTES: usize = 4 << 10;

/// Why a form is not read on.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum TooMuch {
    #[error(
        "the form cannot be read: more than {} KB came before a field or in its header; send multipart/form-data as browsers do",
        BETWEEN_BYTES >> 10
    )]
    Between,
    #[error("the upload is too large; this server takes {0} MB")]
    InAll(u64),
}

/// A form.
pub struct Form {
    parts: Multipart,
    is_in_field: Arc<AtomicBool>,
}

impl Form {
    /// The form of a request, whose files may have `most` bytes together.
    ///
    /// # Errors
    /// It is no form.
    pub async fn of(request: Request, most: u64) -> Result<Self, MultipartRejection> {
        let is_in_field = Arc::new(AtomicBool::new(false));
        let request = request.map(|body| {
            Body::from_stream(Guarded {
                body: body.into_data_stream(),
                is_in_field: is_in_field.clone(),
                rest: Bytes::new(),
                between: 0,
                pauses: false,
                most,
                left: most.saturating_add(MORE_BYTES),
            })
        });
        Ok(Self { parts: Multipart::from_request(request, &()).await?, is_in_field })
    }

    /// The next field.
    ///
    /// # Errors
    /// 400 for what is no form, 413 for one that is too long.
    pub async fn next_field(&mut self) -> Answer<Option<Field<'_>>> {
        self.is_in_field.store(false, Relaxed);
        let field = self.parts.next_field().await.map_err(|error| of_multipart(&error))?;
        self.is_in_field.store(field.is_some(), Relaxed);
        Ok(field)
    }
}

/// What is wrong with a form.
pub fn of_multipart(error: &MultipartError) -> Problem {
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    match causes.find_map(|cause| cause.downcast_ref::<TooMuch>()) {
        Some(TooMuch::Between) => Problem::new(StatusCode::BAD_REQUEST, TooMuch::Between.to_string()),
        Some(much) => Problem::too_large(much.to_string()),
        None => {
            let detail = format!("the form cannot be read: {}; send multipart/form-data", error.body_text());
            Problem::new(error.status(), detail)
        }
    }
}

/// The body of a form.
struct Guarded {
    body: BodyDataStream,
    is_in_field: Arc<AtomicBool>,
    /// What came and was not let through yet.
    rest: Bytes,
    /// Bytes that were let through since the last field.
    between: usize,
    /// Whether the parser has to look at a piece first; it takes all that it gets before it does.
    pauses: bool,
    most: u64,
    left: u64,
}

impl Stream for Guarded {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.pauses) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_next(context)) {
                Some(Ok(piece)) => this.rest = piece,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            }
        }
        this.pauses = true;
        Poll::Ready(Some(this.piece().map_err(Into::into)))
    }
}

impl Guarded {
    /// The next piece of the rest.
    fn piece(&mut self) -> Result<Bytes, TooMuch> {
        let is_in_field = self.is_in_field.load(Relaxed);
        let most = if is_in_field { self.rest.len() } else { PIECE_BYTES };
        let piece = self.rest.split_to(most.min(self.rest.len()));
        self.left = self.left.checked_sub(piece.len() as u64).ok_or(TooMuch::InAll(self.most >> 20))?;
        self.between = if is_in_field { 0 } else { self.between + piece.len() };
        if self.between > BETWEEN_BYTES { Err(TooMuch::Between) } else { Ok(piece) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{Request, header};
    use futures_util::{StreamExt, stream};
    use std::convert::Infallible;

    const BEGIN: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"target\"; filename=\"a.png\"\r\n\r\n";
    const END: &[u8] = b"\r\n--b--\r\n";

    /// A form that comes in these pieces, of which the last comes for ever where it should.
    async fn form(pieces: &[&[u8]], for_ever: bool, most: u64) -> Form {
        let last = Bytes::copy_from_slice(pieces[pieces.len() - 1]);
        let pieces: Vec<Bytes> = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
        let more = stream::repeat(last).take(if for_ever { usize::MAX } else { 0 });
        let body = Body::from_stream(stream::iter(pieces).chain(more).map(Ok::<_, Infallible>));
        let request = Request::post("/").header(header::CONTENT_TYPE, "multipart/form-data; boundary=b");
        Form::of(request.body(body).unwrap(), most).await.unwrap_or_else(|_| panic!("no form"))
    }

    /// Names and sizes of its fields, or why it is refused.
    async fn fields(mut form: Form) -> Answer<Vec<(String, usize)>> {
        let mut fields = Vec::new();
        while let Some(mut field) = form.next_field().await? {
            let (name, mut bytes) = (field.name().unwrap_or_default().to_owned(), 0);
            while let Some(piece) = field.chunk().await.map_err(|error| of_multipart(&error))? {
                bytes += piece.len();
            }
            fields.push((name, bytes));
        }
        Ok(fields)
    }

    #[tokio::test]
    async fn fields_of_any_size_in_pieces_of_any_size_are_read() {
        let large = vec![7_u8; 300_000];
        let whole = [BEGIN, &large[..], &b"\r\n"[..], BEGIN, &b"small\r\n"[..], BEGIN, &large[..], END].concat();
        let expected = [300_000, 5, 300_000].map(|bytes| ("target".to_owned(), bytes));
        for length in [whole.len(), 70_000, 4096, 97] {
            let pieces: Vec<&[u8]> = whole.chunks(length).collect();
            assert_eq!(fields(form(&pieces, false, 1 << 20).await).await.unwrap(), expected, "{length}");
        }
    }

    #[tokio::test]
    async fn what_is_no_field_and_comes_without_end_is_refused() {
        let (x, header): (&[u8], &[u8]) = (&[b'x'; 999], b"--b\r\nContent-Disposition: form-data; name=\"");
        let next: &[u8] = b"1\r\n--b\r\n";
        for pieces in [vec![x], vec![header, x], vec![BEGIN, next, x]] {
            let problem = fields(form(&pieces, true, u64::MAX).await).await.unwrap_err();
            assert!(problem.status == 400 && problem.detail.contains("64 KB"), "{problem:?}");
        }
    }

    #[tokio::test]
    async fn a_form_may_be_as_long_as_an_upload_and_its_headers() {
        let problem = fields(form(&[BEGIN, &[7; 9999]], true, 1 << 20).await).await.unwrap_err();
        assert!(problem.status == 413 && problem.detail.contains("takes 1 MB"), "{problem:?}");
    }
}
