//! The thread that asks SQLite, which serves one after another anyway. Those who wait stand in line and not each on a thread
//! of its own, and the next is served without another thread being woken first: where a job has the processor, that takes longer
//! than most answers.

use crate::priority;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// The line. The thread ends with it.
pub struct Line(Sender<Work>);

impl Line {
    /// Starts the thread, which gives way to the one that calls this.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn begin() -> io::Result<Self> {
        let (sender, works) = channel::<Work>();
        let give_way = priority::giving_way();
        std::thread::Builder::new().name("sqlite".into()).spawn(move || {
            give_way();
            for work in works {
                let _ = catch_unwind(AssertUnwindSafe(work)); // whoever waits for it hears that no answer comes
            }
        })?;
        Ok(Self(sender))
    }

    /// Does this in its turn; `None` where it panicked.
    pub async fn ask<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let work = move || {
            let _ = reply.send(work()); // nobody may wait for it any more
        };
        self.0.send(Box::new(work)).ok()?;
        answer.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_after_another_is_served_and_a_panic_ends_nothing_but_itself() {
        let line = Line::begin().unwrap();
        assert_eq!(line.ask(|| panic!("as a test")).await.map(|()| 1), None);
        let [first, second] = [1, 2].map(|number| line.ask(move || (number, std::thread::current().id())));
        let (first, second) = tokio::join!(first, second);
        let (Some((1, one)), Some((2, other))) = (first, second) else { panic!("no answer") };
        assert_eq!(one, other);
    }
}
