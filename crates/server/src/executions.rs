//! Executions that are followed: events go through the state machine of each, one request at a time, and are committed before
//! they are answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tallybook_core::{
    CancelRequest, Condition, EventError, Execution, ExecutionEvent, ExecutionRecords, ExecutionStatus, Outcome, Query,
    Store, StoreExt, Timestamp, Tracker,
};
use tallybook_writer::{Refused, Writer};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Executions that are remembered between requests; one that is not is read from the store.
const MAX_TRACKERS: usize = 10_000;
/// Rows that are removed in one call.
const REMOVED_AT_ONCE: usize = 1_000;

type Slot = Arc<AsyncMutex<Option<Tracker>>>;

/// The executions whose events come over HTTP. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Executions {
    store: Arc<dyn Store>,
    writer: Writer,
    slots: Arc<Mutex<HashMap<String, Slot>>>,
}

/// What became of events.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Those that are new, and committed.
    pub(crate) accepted: u64,
    /// Those that were here before.
    pub(crate) duplicate: u64,
    /// The execution behind them.
    pub(crate) execution: Execution,
    /// The number of the next event.
    pub(crate) next: u64,
    /// Why the first of the others was not taken, where there are others.
    pub(crate) refused: Option<EventError>,
}

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// There is no such execution.
    Unknown,
    /// It cannot happen now.
    Event(EventError),
    /// The id is none.
    Id(&'static str),
    /// It runs, and is not removed.
    Runs,
    /// The store refused rows.
    Rejected,
    Store(tallybook_core::Error),
    Writer(Refused),
}

impl From<EventError> for NotTaken {
    fn from(error: EventError) -> Self {
        Self::Event(error)
    }
}

impl From<tallybook_core::Error> for NotTaken {
    fn from(error: tallybook_core::Error) -> Self {
        Self::Store(error)
    }
}

impl From<Refused> for NotTaken {
    fn from(refused: Refused) -> Self {
        Self::Writer(refused)
    }
}

impl Executions {
    pub(crate) fn new(store: Arc<dyn Store>, writer: Writer) -> Self {
        Self { store, writer, slots: Arc::default() }
    }

    /// Takes events in their order up to the first that cannot happen, and commits them.
    ///
    /// # Errors
    /// When nothing of them is known to be stored.
    pub(crate) async fn take(&self, id: &str, events: Vec<ExecutionEvent>) -> Result<Taken, NotTaken> {
        if let Some(defect) = Execution::id_defect(id) {
            return Err(NotTaken::Id(defect));
        }
        let mut slot = self.slot(id).await;
        let was_remembered = slot.is_some();
        let mut tracker = match slot.take() {
            Some(tracker) => Some(tracker),
            None => Tracker::load(&*self.store, id).await?,
        };
        // Another server may have taken events since.
        let expected = tracker.as_ref().map_or(1, |tracker| tracker.last_event() + 1);
        if was_remembered && events.first().is_some_and(|event| event.number > expected) {
            tracker = Tracker::load(&*self.store, id).await?;
        }
        let (mut accepted, mut duplicate, mut refused) = (0, 0, None);
        for event in events {
            let applied = match &mut tracker {
                Some(tracker) => tracker.apply(event),
                None => Tracker::create(id, event).map(|new| {
                    tracker = Some(new);
                    Outcome::Applied
                }),
            };
            match applied {
                Ok(Outcome::Applied) => accepted += 1,
                Ok(Outcome::Duplicate) => duplicate += 1,
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let Some(mut tracker) = tracker else { return Err(refused.map_or(NotTaken::Unknown, NotTaken::Event)) };
        if !self.commit(tracker.take()).await? {
            // Some rows, of this request or of others in its commit, were older than what the store had.
            let stored = Tracker::load(&*self.store, id).await?.ok_or(NotTaken::Unknown)?;
            let state = |of: &Tracker| (of.last_event(), of.execution().status);
            if state(&stored) != state(&tracker) {
                (accepted, duplicate) = (0, accepted + duplicate);
            }
            tracker = stored;
        }
        let execution = tracker.execution().clone();
        let next = tracker.last_event() + 1;
        if !execution.status.is_final() {
            *slot = Some(tracker);
        }
        Ok(Taken { accepted, duplicate, execution, next, refused })
    }

    /// Asks whoever runs an execution to end it. One that nobody has begun, or that is ended by `force` because its runner is
    /// gone, is cancelled here and now.
    pub(crate) async fn cancel(&self, id: &str, reason: Option<Arc<str>>, force: bool) -> Result<Execution, NotTaken> {
        let mut slot = self.slot(id).await;
        let mut tracker = self.load(&mut slot, id).await?;
        let now = Timestamp::now();
        let status = tracker.execution().status;
        if status.is_final() || status == ExecutionStatus::Pending || force {
            tracker.end(ExecutionStatus::Cancelled, reason.as_deref().unwrap_or("it was cancelled"), now)?;
            self.commit(tracker.take()).await?;
            return Ok(tracker.execution().clone());
        }
        let request = CancelRequest { execution: id.into(), requested_at: now, reason };
        self.commit(ExecutionRecords { cancel_requests: vec![request], ..ExecutionRecords::default() }).await?;
        let execution = tracker.execution().clone();
        *slot = Some(tracker);
        Ok(execution)
    }

    /// Removes an execution that has ended, and all that belongs to it.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), NotTaken> {
        let mut slot = self.slot(id).await;
        let tracker = self.load(&mut slot, id).await?;
        if !tracker.execution().status.is_final() {
            *slot = Some(tracker);
            return Err(NotTaken::Runs);
        }
        self.store.remove_execution(id, REMOVED_AT_ONCE).await?;
        Ok(())
    }

    /// Whether somebody wants an execution to end.
    pub(crate) async fn is_to_end(&self, id: &str) -> tallybook_core::Result<bool> {
        let query = Query::new(1).filter(Condition::Equals("execution", id.into()));
        Ok(!self.store.list::<CancelRequest>(&query).await?.items.is_empty())
    }

    async fn load(&self, slot: &mut Option<Tracker>, id: &str) -> Result<Tracker, NotTaken> {
        match slot.take() {
            Some(tracker) => Ok(tracker),
            None => Tracker::load(&*self.store, id).await?.ok_or(NotTaken::Unknown),
        }
    }

    /// Commits rows; says whether all of them are newer than what the store had.
    async fn commit(&self, rows: ExecutionRecords) -> Result<bool, NotTaken> {
        if rows.is_empty() {
            return Ok(true);
        }
        let accepted = self.writer.executions(rows).await?;
        if accepted.rejected > 0 {
            return Err(NotTaken::Rejected);
        }
        Ok(accepted.counts.duplicate == 0 && accepted.shared_repeats == 0)
    }

    /// The place of an execution, held until its guard is dropped. What was taken out and not put back is read again.
    async fn slot(&self, id: &str) -> OwnedMutexGuard<Option<Tracker>> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            if slots.len() >= MAX_TRACKERS && !slots.contains_key(id) {
                // Those nobody holds can be read from the store again.
                slots.retain(|_, slot| Arc::strong_count(slot) > 1);
            }
            slots.entry(id.to_owned()).or_default().clone()
        };
        slot.lock_owned().await
    }
}
