//! The handle that callers hold.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tallybook_core::{Family, Signal, Store, Timestamp};
use tallybook_telemetry::{Fold, Observed, otlp};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::commit::Committer;
use crate::lane_task::LaneTask;
use crate::send::Sender;
use crate::shared::{Fate, Shared, Taken, beside_the_runtime, later};
use crate::task::Task;
use crate::{
    Companion, Health, Refused, RetentionOptions, Stats, WhenFull, WriterOptions, numbers, refresh, retention,
};

/// A request longer than this is read beside the runtime: it is milliseconds of work.
const INLINE_MAX_BYTES: usize = 256 << 10;
/// The time limit of a writer that is dropped and not stopped.
const DROPPED_LIMIT: Duration = Duration::from_secs(10);

/// Takes requests and brings them to a store. Cheap to clone; when the last clone is dropped the writer stops by itself,
/// but nobody learns whether it could write everything: call [`Writer::stop`].
#[derive(Clone, Debug)]
pub struct Writer(pub(crate) Arc<Handle>);

pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    /// For what is committed beside the queues.
    pub(crate) sender: Sender,
    /// For input that is no record.
    pub(crate) letters: AsyncMutex<Committer>,
    /// Set once: when the tasks have to have ended.
    stop: watch::Sender<Option<Instant>>,
    /// Set when all of them have.
    pub(crate) stopped: watch::Receiver<Option<Stopped>>,
}

/// How a writer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Whether nothing is left.
    pub drained: bool,
    /// Records that were taken and are not known to be in the store.
    pub records_left: u64,
    /// What kept them.
    pub error: Option<Arc<str>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("stats", &self.shared.stats()).finish_non_exhaustive()
    }
}

impl Handle {
    /// Refuses what comes from now on and has the task end by `deadline`; the first deadline counts.
    fn stop(&self, deadline: Instant) {
        self.shared.close();
        set_deadline(&self.stop, deadline);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop(later(Instant::now(), DROPPED_LIMIT));
    }
}

fn set_deadline(stop: &watch::Sender<Option<Instant>>, deadline: Instant) {
    stop.send_if_modified(|stop| {
        let first = stop.is_none();
        stop.get_or_insert(deadline);
        first
    });
}

/// Waits until all tasks have ended. When one dies the others commit what they have, and end.
async fn supervise(
    mut tasks: JoinSet<Option<Arc<str>>>,
    shared: Arc<Shared>,
    stop: watch::Sender<Option<Instant>>,
    ended: watch::Sender<Option<Stopped>>,
) {
    let mut error = None;
    while let Some(task) = tasks.join_next().await {
        let kept_by = task.unwrap_or_else(|_| {
            shared.close();
            set_deadline(&stop, later(Instant::now(), DROPPED_LIMIT));
            shared.ledger().died();
            Some("the writer has died".into())
        });
        error = error.or(kept_by);
    }
    shared.ledger().ended();
    let records_left = shared.queued();
    ended.send_replace(Some(Stopped { drained: records_left == 0, records_left, error }));
}

/// A request's place among those that wait for room.
pub(crate) struct Waiting {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.ledger().leave(self.bytes);
    }
}

impl Writer {
    /// Starts the tasks that flush, that remove old rows, and that learn templates of other writers where the store is shared.
    /// `fold` may know what `store` holds, see [`crate::restore`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(store: Arc<dyn Store>, fold: Fold, options: WriterOptions) -> Self {
        Self::start_beside(store, fold, options, None)
    }

    /// The same, with something beside the store that is told of every commit.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start_beside(
        store: Arc<dyn Store>,
        fold: Fold,
        options: WriterOptions,
        companion: Option<Arc<dyn Companion>>,
    ) -> Self {
        let is_shared = store.info().shared;
        let shared = Arc::new(Shared::new(fold, &options, companion));
        let stop = watch::Sender::new(None);
        let (ended, stopped) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(Task::new(store.clone(), shared.clone(), stop.subscribe()).run());
        for lane in shared.lanes() {
            tasks.spawn(LaneTask::new(store.clone(), shared.clone(), lane.clone(), stop.subscribe()).run());
        }
        tokio::spawn(supervise(tasks, shared.clone(), stop.clone(), ended));
        if is_shared {
            tokio::spawn(refresh::run(store.clone(), shared.clone(), stop.subscribe()));
        } else {
            tokio::spawn(numbers::learn(store.clone(), shared.clone(), stop.subscribe()));
        }
        tokio::spawn(retention::run(store.clone(), shared.clone(), stop.subscribe()));
        let sender = Sender::new(store, shared.clone(), stop.subscribe(), Family::Tick);
        let letters = AsyncMutex::new(Committer::new(sender.clone()));
        Self(Arc::new(Handle { shared, sender, letters, stop, stopped }))
    }

    /// Takes an OTLP export request (protobuf) that came at `received`, and answers as its family's [`crate::AckLevel`] says. May
    /// be dropped at any await: the request is then taken whole or not at all.
    ///
    /// # Errors
    /// Except after [`Refused::Unacknowledged`], nothing of the request was taken.
    pub async fn telemetry(&self, signal: Signal, request: Bytes, received: Timestamp) -> Result<Observed, Refused> {
        self.counted(self.take_and_wait(signal, request, received).await)
    }

    async fn take_and_wait(&self, signal: Signal, request: Bytes, received: Timestamp) -> Result<Observed, Refused> {
        // The bytes are gone before the wait.
        let Taken { observed, records, fate } = self.take(signal, request, received).await?;
        match fate {
            Some(fate) => self.acknowledged(observed, records, fate).await,
            None => Ok(observed),
        }
    }

    async fn take(&self, signal: Signal, request: Bytes, received: Timestamp) -> Result<Taken, Refused> {
        let shared = &self.0.shared;
        let queue = &shared.options.telemetry;
        let long = request.len() > INLINE_MAX_BYTES;
        let _waiting = self.wait_in_line(Family::Telemetry, request.len())?;
        // Before the lock: the greater part of the work needs none.
        let request = beside_the_runtime(long, || otlp::validate(signal, &request))?;
        let mut pending = match queue.when_full {
            WhenFull::Block { limit } => match timeout(limit, shared.room()).await {
                Ok(pending) => pending?,
                Err(_) => return Err(shared.ledger().no_room(Family::Telemetry)),
            },
            WhenFull::Shed => match shared.try_room().await? {
                Some(pending) => pending,
                None => return Ok(Taken { observed: self.shed(request.counts().records), records: 0, fate: None }),
            },
        };
        Ok(beside_the_runtime(long, || shared.fold(&mut pending, &request, received)))
    }

    /// Drops a request for which there is no room.
    fn shed(&self, records: u64) -> Observed {
        self.0.shared.ledger().shed(Family::Telemetry, records);
        let message = format!("the queue is full: {records} records were dropped");
        Observed { records: 0, rejected: records, message: Some(message) }
    }

    pub(crate) fn wait_in_line(&self, family: Family, bytes: usize) -> Result<Waiting, Refused> {
        let shared = &self.0.shared;
        let mut ledger = shared.ledger();
        if ledger.enter(bytes, shared.options.queue(family).max_waiting_bytes) {
            return Ok(Waiting { shared: shared.clone(), bytes });
        }
        Err(ledger.no_room(family))
    }

    /// Waits for the flush that brings what was taken to the store.
    async fn acknowledged(
        &self,
        observed: Observed,
        records: u64,
        mut fate: watch::Receiver<Option<Fate>>,
    ) -> Result<Observed, Refused> {
        let mut stopped = self.0.stopped.clone();
        let fate = tokio::select! {
            biased;
            fate = fate.wait_for(Option::is_some) => fate.ok().and_then(|fate| fate.clone()),
            // It answers everybody before it ends, unless it died.
            _ = stopped.wait_for(Option::is_some) => None,
        };
        match fate {
            Some(Fate::Committed) => Ok(observed),
            Some(Fate::Refused { all, message }) => {
                let refused = if all { records } else { 0 };
                let message = match observed.message {
                    Some(earlier) => format!("{earlier}; {message}"),
                    None => message.to_string(),
                };
                Ok(Observed {
                    records: observed.records.saturating_sub(refused),
                    rejected: observed.rejected + refused,
                    message: Some(message),
                })
            }
            Some(Fate::Abandoned { error }) => Err(Refused::Unacknowledged { error }),
            None => Err(Refused::Unacknowledged { error: "the writer has died".into() }),
        }
    }

    /// How long old rows are kept.
    pub fn retention(&self) -> &RetentionOptions {
        &self.0.shared.options.retention
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        self.0.shared.stats()
    }

    /// Whether what is taken reaches the store.
    pub fn health(&self) -> Health {
        self.0.shared.ledger().health()
    }

    /// Changes with each commit: wakes those who follow the store.
    pub fn commits(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.shared.commits.subscribe()
    }

    /// Refuses new requests, commits what is pending, and ends; gives up when `limit` has passed. A repeat waits for the
    /// same end.
    pub async fn stop(&self, limit: Duration) -> Stopped {
        self.0.stop(later(Instant::now(), limit));
        let mut stopped = self.0.stopped.clone();
        let answer = stopped.wait_for(Option::is_some).await.ok().and_then(|stopped| stopped.clone());
        answer.unwrap_or_else(|| {
            let records_left = self.0.shared.queued();
            Stopped { drained: false, records_left, error: Some("the writer has died".into()) }
        })
    }
}
