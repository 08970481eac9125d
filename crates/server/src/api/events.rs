//! What a job tells while it works, as server-sent events, and the pictures that can be seen meanwhile.

use super::FileResponse;
use super::jobs::find;
use super::read::{At, send_file};
use crate::Shared;
use crate::access::Owner;
use crate::feed::Feed;
use crate::id::Id;
use crate::problem::{Answer, Problem};
use crate::storage::Place;
use crate::store::JobState;
use crate::worker::OUTPUT;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use serde_json::Value;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::watch;

/// Between two signs of life of a quiet stream; proxies cut one that says nothing for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Events of a job from the first on, or after `Last-Event-ID`
///
/// The events are `state`, `stage`, `progress` (with `loss` while tuning, and `remaining_secs` of the stage), `note` and
/// `preview` (see the previews of the job); each one's data is a JSON object, and its id a number that goes up by one.
/// The stream ends when the job is done, failed or stopped.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/events", tag = "jobs",
    params(("id" = Id, Path), ("Last-Event-ID" = Option<u64>, Header, description = "The last event that was heard")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String),
        (status = 401, body = Problem), (status = 404, body = Problem),
    ),
)]
pub async fn events(
    State(server): State<Shared>,
    owner: Owner,
    at: At,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let job = find(&server, &owner, &at.id).await?;
    let feed = server.feed(&job.id).await?;
    let last =
        headers.get(HeaderName::from_static("last-event-id")).and_then(|id| id.to_str().ok()?.parse::<usize>().ok());
    server.metrics.listeners.fetch_add(1, Relaxed);
    let count = feed.listen();
    let known = (!server.store.keeps_events()).then(|| *count.borrow());
    let next = from(last, known);
    let listener = Listener {
        count,
        ends: server.ends.clone(),
        next,
        pending: VecDeque::new(),
        is_over: false,
        rests: job.state.rests(),
        feed,
        server,
    };
    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.event().await?;
        Some((Ok(event), listener))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The first line to tell after `last`. Of a file's `known` lines some may have been lost in a power cut; then what comes next
/// is told. How many the database has is not known here: another server may have told more of them.
fn from(last: Option<usize>, known: Option<usize>) -> usize {
    let next = last.map_or(0, |last| last.saturating_add(1));
    known.map_or(next, |known| next.min(known))
}

/// Somebody who listens.
struct Listener {
    server: Shared,
    feed: Arc<Feed>,
    count: watch::Receiver<usize>,
    ends: watch::Receiver<bool>,
    /// The next line to tell.
    next: usize,
    pending: VecDeque<Arc<str>>,
    is_over: bool,
    /// Whether the job had ended when the stream was asked for: then what is kept is all there will be.
    rests: bool,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.server.metrics.listeners.fetch_sub(1, Relaxed);
    }
}

impl Listener {
    /// The next event; `None` when there will be none any more.
    async fn event(&mut self) -> Option<Event> {
        while self.pending.is_empty() {
            if self.is_over {
                return None;
            }
            self.count.mark_unchanged();
            self.pending.extend(self.feed.lines(self.next));
            if self.pending.is_empty() {
                if self.rests {
                    return None;
                }
                tokio::select! {
                    changed = self.count.changed() => changed.ok()?,
                    _ = self.ends.changed() => return None,
                }
            }
        }
        let line = self.pending.pop_front()?;
        let value: Value = serde_json::from_str(&line).unwrap_or_default();
        self.is_over = self.pending.is_empty() && is_last(&value);
        let event =
            Event::default().id(self.next.to_string()).event(value["event"].as_str().unwrap_or("note")).data(&*line);
        self.next += 1;
        Some(event)
    }
}

/// Whether nothing comes after this event, unless the job is resumed.
fn is_last(event: &Value) -> bool {
    let rests = [JobState::Done, JobState::Failed, JobState::Stopped].map(JobState::name);
    event["event"] == "state" && event["state"].as_str().is_some_and(|state| rests.contains(&state))
}

/// A picture that can be seen before the job is done
#[utoipa::path(
    get, path = "/v1/jobs/{id}/previews/{name}", tag = "jobs",
    params(("id" = Id, Path), ("name" = String, Path, description = "`guide`, or a candidate's seed")),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub async fn preview(State(server): State<Shared>, owner: Owner, at: At, request: Request) -> Answer<FileResponse> {
    let job = find(&server, &owner, &at.id).await?;
    let is_seed = at.last.parse::<u64>().is_ok_and(|seed| seed.to_string() == at.last);
    if at.last != "guide" && !is_seed {
        return Err(Problem::not_found("preview"));
    }
    let name = format!("{}.jpg", at.last);
    send_file(&server, &Place::Job(job.id), &format!("{OUTPUT}/previews/{name}"), &name, request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_heard_more_than_there_is_hears_what_comes_next() {
        for (last, expected) in [(None, 0), (Some(0), 1), (Some(4), 5), (Some(5), 5), (Some(usize::MAX), 5)] {
            assert_eq!(from(last, Some(5)), expected, "{last:?}");
        }
    }

    #[test]
    fn who_has_heard_more_from_another_server_hears_nothing_twice() {
        for (last, expected) in [(None, 0), (Some(4), 5), (Some(7), 8), (Some(usize::MAX), usize::MAX)] {
            assert_eq!(from(last, None), expected, "{last:?}");
        }
    }
}
