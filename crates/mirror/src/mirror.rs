//! The handle of a mirror that follows beside a running server.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tallybook_core::{Error, ErrorKind, Follower, Result, Store, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::status::{LastError, State, Status};
use crate::task::Task;
use crate::{Progress, follow};

/// Opens the follower; again after it was lost.
pub type Opener = Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Follower>>> + Send + Sync>;

/// How a [`Mirror`] paces itself.
#[derive(Clone, Copy, Debug)]
pub struct MirrorOptions {
    /// The shortest time from page to page while it keeps up: a database for analytics takes few large inserts better than
    /// many small ones.
    pub min_interval: Duration,
    /// Looks for changes this often even when no commit wakes it: other servers may write to the same store.
    pub poll_interval: Duration,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self { min_interval: Duration::from_millis(400), poll_interval: Duration::from_secs(1) }
    }
}

/// What the mirror is told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    pub(crate) paused: bool,
    /// How often it was told to rebuild.
    pub(crate) rebuilds: u64,
    /// When it has to be over.
    pub(crate) stop_by: Option<Instant>,
}

/// What the handle and the task share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) orders: watch::Sender<Orders>,
    status: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    status: Status,
    /// Everything that was there at this moment is kept.
    caught_up_at: Option<Instant>,
}

/// Follows a primary into a mirror until it is stopped. Cheap to clone.
#[derive(Clone)]
pub struct Mirror {
    shared: Arc<Shared>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Mirror {
    /// Starts to follow `primary`. `target` says what follows until it is open; `wakes` changes with each commit.
    ///
    /// # Errors
    /// What `open` answers, unless the follower is only away for now: then the mirror starts and tries again.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(
        primary: Arc<dyn Store>,
        target: &str,
        open: Opener,
        wakes: watch::Receiver<u64>,
        options: MirrorOptions,
    ) -> Result<Self> {
        let shared = Arc::new(Shared::new(target));
        let follower = match follow::in_time(open()).await {
            Ok(follower) => Some(follower),
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                tracing::warn!(%error, target, "the mirror is away; it is followed as soon as it answers");
                shared.failed(&error);
                None
            }
            Err(error) => return Err(error),
        };
        let task = Task::new(primary, follower, open, wakes, shared.clone(), options);
        let task = tokio::spawn(task.run());
        Ok(Self { shared, task: Arc::new(Mutex::new(Some(task))) })
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Rests until [`Mirror::resume`], and lets go of what follows; the page that is on its way is still kept.
    pub fn pause(&self) {
        self.shared.orders.send_modify(|orders| orders.paused = true);
    }

    /// Goes on.
    pub fn resume(&self) {
        self.shared.orders.send_modify(|orders| orders.paused = false);
    }

    /// Empties the mirror and fills it anew. Also ends a pause.
    pub fn rebuild(&self) {
        self.shared.orders.send_modify(|orders| {
            orders.rebuilds += 1;
            orders.paused = false;
        });
    }

    /// Follows to the end of what is there, within `limit`, and lets go of the mirror. What is left waits for the next
    /// start. Says whether it came to the end.
    pub async fn stop(&self, limit: Duration) -> bool {
        let stop_by = Instant::now() + limit;
        self.shared.orders.send_modify(|orders| orders.stop_by = Some(stop_by));
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && tokio::time::timeout_at(stop_by, &mut task).await.is_err()
        {
            // The page that was on its way is read again after the next start.
            task.abort();
        }
        self.shared.known().status.lag_records == Some(0)
    }
}

impl Shared {
    fn new(target: &str) -> Self {
        let status = Status {
            target: target.into(),
            state: State::Starting,
            lag_records: None,
            lag: None,
            progress: Progress::default(),
            errors: 0,
            failing_since: None,
            last_error: None,
        };
        Self { orders: watch::Sender::new(Orders::default()), status: Mutex::new(Known { status, caught_up_at: None }) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> Status {
        let known = self.known();
        // While it keeps up nothing waits, however long ago the last commit was.
        let lag = match known.status.state {
            State::Following => known.caught_up_at.map(|_| Duration::ZERO),
            _ => known.caught_up_at.map(|at| at.elapsed()),
        };
        Status { lag, ..known.status.clone() }
    }

    pub(crate) fn opened(&self, target: &str) {
        self.known().status.target = target.into();
    }

    pub(crate) fn set_state(&self, state: State) {
        self.known().status.state = state;
    }

    pub(crate) fn kept(&self, progress: Progress, more: bool) {
        let mut known = self.known();
        known.status.progress = progress;
        known.status.failing_since = None;
        if more {
            known.status.state = State::CatchingUp;
        }
    }

    pub(crate) fn lags(&self, records: u64) {
        self.known().status.lag_records = Some(records);
    }

    /// Something waits since then.
    pub(crate) fn behind_since(&self, at: Instant) {
        let mut known = self.known();
        if known.caught_up_at.is_some() {
            known.caught_up_at = Some(at);
        }
    }

    pub(crate) fn caught_up(&self, at: Instant) {
        let mut known = self.known();
        known.caught_up_at = Some(at);
        known.status.lag_records = Some(0);
        known.status.failing_since = None;
        known.status.state = State::Following;
    }

    /// Notes a failure and says whether it is the first after something worked.
    pub(crate) fn failed(&self, error: &Error) -> bool {
        let mut known = self.known();
        let now = Timestamp::now();
        let first = known.status.failing_since.is_none();
        known.status.failing_since.get_or_insert(now);
        known.status.errors += 1;
        known.status.last_error = Some(LastError { error: error.to_string().into(), at: now });
        known.status.state = if error.is_retryable() { State::Failing } else { State::Refused };
        first
    }

    pub(crate) fn began_anew(&self) {
        let mut known = self.known();
        known.caught_up_at = None;
        known.status.lag_records = None;
        known.status.failing_since = None;
        known.status.state = State::Starting;
    }
}
