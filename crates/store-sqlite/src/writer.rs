//! The writer thread and the bounded queue in front of it.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tallybook_core::{Batch, Committed, Error, ErrorKind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::engine::Engine;
use crate::error::closed;
use crate::segments::Days;
use crate::wal::{WalLimits, WalStats};

/// Calls that may wait for the writer; further ones wait for a place.
const QUEUE_CALLS: usize = 64;
/// Without a call for this long, the writer uses the pause.
const IDLE_AFTER: Duration = Duration::from_secs(1);

enum Command {
    Commit {
        batch: Arc<Batch>,
        reply: oneshot::Sender<Result<Committed>>,
    },
    /// Anything else; it answers by itself.
    Work(Box<dyn FnOnce(&mut Engine) + Send>),
    Close {
        reply: oneshot::Sender<Result<()>>,
    },
}

/// A command holds its place in the queue until it is done, even if nobody waits for the reply any more.
type Queued = (Command, Option<OwnedSemaphorePermit>);

#[derive(Debug)]
pub(crate) struct Writer {
    places: Arc<Semaphore>,
    /// `None` only while it is dropped.
    commands: Option<Sender<Queued>>,
    thread: Option<JoinHandle<()>>,
    wal: Arc<Mutex<WalStats>>,
    days: Arc<Days>,
}

impl Writer {
    pub(crate) fn start(path: &Path, lock_note: &str, limits: WalLimits) -> Result<Self> {
        let engine = Engine::open(path, lock_note, limits)?;
        let (wal, days) = (engine.wal.stats(), engine.segments.days().clone());
        let (commands, queue) = channel();
        let thread = std::thread::Builder::new().name("sqlite-writer".into()).spawn(move || run(engine, &queue));
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "opening the store", "the writer thread cannot start").with_source(error)
        })?;
        Ok(Self {
            places: Arc::new(Semaphore::new(QUEUE_CALLS)),
            commands: Some(commands),
            thread: Some(thread),
            wal,
            days,
        })
    }

    pub(crate) async fn commit(&self, batch: Arc<Batch>) -> Result<Committed> {
        let operation = "committing a batch";
        let lost = |error: Error| error.applied_unknown();
        self.call(operation, |reply| Command::Commit { batch, reply })
            .await?
            .await
            .map_err(|_| lost(self.unanswered(operation)))?
    }

    /// Runs `work` on the writer thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Engine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let command = |reply: oneshot::Sender<Result<T>>| {
            Command::Work(Box::new(move |engine| {
                // A caller that left does not need the answer.
                let _ = reply.send(work(engine));
            }))
        };
        self.call(operation, command).await?.await.map_err(|_| self.unanswered(operation))?
    }

    /// The same, from a thread that may block.
    pub(crate) fn run_blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Engine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        tokio::runtime::Handle::current().block_on(self.run(operation, work))
    }

    /// The days of ticks.
    pub(crate) fn days(&self) -> &Arc<Days> {
        &self.days
    }

    /// Refuses new calls, lets those in the queue finish, then closes the database.
    pub(crate) async fn close(&self) -> Result<()> {
        self.places.close();
        let (reply, answer) = oneshot::channel();
        // Nobody there to answer: an earlier close, whose caller left, has ended the thread.
        if self.send("closing the store", (Command::Close { reply }, None)).is_err() {
            return Ok(());
        }
        answer.await.unwrap_or(Ok(()))
    }

    pub(crate) fn wal_stats(&self) -> WalStats {
        *self.wal.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<oneshot::Receiver<Result<T>>> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| closed(operation))?;
        let (reply, answer) = oneshot::channel();
        self.send(operation, (command(reply), Some(place)))?;
        Ok(answer)
    }

    /// The reply was dropped: with the queue, by a close that came between, or because the thread is no more.
    fn unanswered(&self, operation: &'static str) -> Error {
        if self.places.is_closed() {
            return closed(operation);
        }
        Error::new(ErrorKind::Internal, operation, "the writer thread ended without an answer; restart the process")
    }

    fn send(&self, operation: &'static str, command: Queued) -> Result<()> {
        let sent = self.commands.as_ref().map(|commands| commands.send(command));
        if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err(closed(operation)) }
    }
}

impl Drop for Writer {
    /// Waits for what is in the queue: whoever opens the folder next must find the lock free.
    fn drop(&mut self) {
        self.days.close_idle(true);
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was answered to the caller.
            let _ = thread.join();
        }
    }
}

fn run(mut engine: Engine, queue: &Receiver<Queued>) {
    let mut at_rest = false;
    loop {
        let next = if at_rest {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            queue.recv_timeout(IDLE_AFTER)
        };
        match next {
            Ok((Command::Commit { batch, reply }, _place)) => {
                // A caller that left does not need the answer.
                let _ = reply.send(engine.commit(&batch));
                engine.after_write();
                at_rest = false;
            }
            Ok((Command::Work(work), _place)) => {
                work(&mut engine);
                engine.after_write();
                at_rest = false;
            }
            Ok((Command::Close { reply }, _)) => {
                let _ = reply.send(engine.close());
                return;
            }
            Err(RecvTimeoutError::Timeout) => at_rest = engine.rest(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
