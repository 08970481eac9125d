//! What is left of a request that was answered early. Closing a connection with unread bytes resets it, and the client would
//! see that instead of the answer; so the rest is read and dropped first, for a while.

use crate::feed::locked;
use axum::body::{Body, Bytes};
use hyper::body::{Body as _, Frame, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// Longest time that is spent on it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes that are read for it.
const MOST_BYTES: usize = 512 << 20;

/// A body that can be read on after the handler has dropped it.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Body>>);

impl Shared {
    /// Shares a body.
    pub fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    /// Reads what is left.
    pub async fn drain(mut self) {
        let reading = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut self).poll_frame(context)).await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > MOST_BYTES {
                    break;
                }
            }
        };
        let _ = timeout(PATIENCE, reading).await;
    }
}

impl hyper::body::Body for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *locked(&self.0)).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        locked(&self.0).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        locked(&self.0).size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_handler_left_is_read_to_its_end() {
        let shared = Shared::new(Body::from("what nobody read"));
        drop(Body::new(shared.clone()));
        shared.clone().drain().await;
        assert!(shared.is_end_stream());
    }
}
