//! Daily files of ticks beside a store, for a consumer that still reads those: every tick that the store takes is in the file of
//! its UTC day.
//!
//! Ticks are appended while all goes well. Wherever it is unclear whether a file is whole (it could not be written, the process
//! died, it is not known whether a commit happened), its day is behind: the file is written anew from the store, which holds
//! the truth. The store never waits for a file.

mod append;
mod remembered;
mod worker;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tallybook_core::{Batch, BatchId, Outcome, Store, Tick, Timestamp};
use tallybook_writer::{Companion, CompanionStats, End};

use self::worker::Worker;
use crate::{Compression, FileError, FileKind, Shape};

/// Where the files are and what they look like.
#[derive(Clone, Debug)]
pub struct DailyOptions {
    /// Their folder.
    pub folder: PathBuf,
    /// One object a line, instead of one array.
    pub lines: bool,
    /// What they say as `broker_id`.
    pub broker_id: String,
    /// Ticks that wait to be written; where there are more, their days fall behind.
    pub max_queued: u64,
}

impl DailyOptions {
    fn kind(&self) -> FileKind {
        FileKind { shape: Shape::Feed { lines: self.lines }, compression: Compression::None }
    }

    fn path(&self, day: Timestamp) -> PathBuf {
        self.kind().day_file(&self.folder, "ticks", day)
    }
}

/// Keeps the files. Its work is done by a thread of its own.
#[derive(Debug)]
pub struct DailyFiles {
    shared: Arc<Shared>,
    max_queued: u64,
    /// `None` once it is closed.
    worker: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    messages: Sender<Message>,
    thread: JoinHandle<Result<(), FileError>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    written: AtomicU64,
    queued: AtomicU64,
    missed: AtomicU64,
    rewritten: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Counts what begins and ends, so that one can be said to come before the other.
    clock: u64,
    /// Batches on their way to the store, with when that began.
    sending: HashMap<BatchId, u64>,
    /// Days whose files are not whole.
    behind: BTreeSet<Timestamp>,
    last_error: Option<Arc<str>>,
}

/// Ticks that are in the store.
#[derive(Debug)]
struct Message {
    batch: Arc<Batch>,
    /// When their commit began and ended.
    began: u64,
    ended: u64,
    /// Whether some of them were there before.
    some_known: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the files of these ticks' days are to be written anew.
    fn miss(&self, ticks: &[Tick]) {
        self.state().behind.extend(days(ticks));
        self.missed.fetch_add(ticks.len() as u64, Ordering::Relaxed);
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

/// The days of ticks; most often, it is one.
fn days(ticks: &[Tick]) -> BTreeSet<Timestamp> {
    let mut days = BTreeSet::new();
    let mut last = None;
    for tick in ticks {
        let day = tick.time.day();
        if last != Some(day) {
            days.insert(day);
            last = Some(day);
        }
    }
    days
}

impl DailyFiles {
    /// Begins to keep files beside `store`. What a run that died left open is written anew first: nobody may write to the store
    /// before this is done.
    ///
    /// # Errors
    /// The folder cannot be written to.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(store: Arc<dyn Store>, options: DailyOptions) -> Result<Arc<Self>, FileError> {
        let (shared, max_queued) = (Arc::new(Shared::default()), options.max_queued);
        let worker = Worker::new(store, options, shared.clone(), tokio::runtime::Handle::current());
        let worker = tokio::task::spawn_blocking(move || worker.begin());
        let worker = worker.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let (messages, received) = mpsc::channel();
        let thread = std::thread::spawn(move || worker.run(&received));
        Ok(Arc::new(Self { shared, max_queued, worker: Mutex::new(Some(Running { messages, thread })) }))
    }

    /// Writes what waits and ends; nothing may be sent to the store any more.
    ///
    /// # Errors
    /// A file is not whole. It is written anew with the next start.
    pub async fn close(&self) -> Result<(), FileError> {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { messages, thread }) = worker else { return Ok(()) };
        drop(messages);
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        ended
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Companion for DailyFiles {
    fn begins(&self, batch: &Batch) {
        if !batch.records.ticks.is_empty() {
            let mut state = self.shared.state();
            let now = state.tick();
            state.sending.insert(batch.id, now);
        }
    }

    fn ended(&self, batch: &Arc<Batch>, end: End) {
        let ticks = &batch.records.ticks;
        if ticks.is_empty() {
            return;
        }
        let (began, ended) = {
            let mut state = self.shared.state();
            let now = state.tick();
            (state.sending.remove(&batch.id).unwrap_or(0), now)
        };
        match end {
            // What was there before was written then, or its days fell behind.
            End::Committed(committed) if committed.outcome == Outcome::Duplicate || committed.ticks.stored == 0 => {}
            End::Committed(committed) => {
                let some_known = committed.ticks.duplicate > 0;
                self.queue(Message { batch: batch.clone(), began, ended, some_known });
            }
            End::NotApplied => {}
            End::Unclear => self.shared.state().behind.extend(days(ticks)),
        }
    }

    fn stats(&self) -> CompanionStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let state = self.shared.state();
        CompanionStats {
            written: count(&self.shared.written),
            queued: count(&self.shared.queued),
            missed: count(&self.shared.missed),
            days_behind: state.behind.len() as u64,
            days_rewritten: count(&self.shared.rewritten),
            last_error: state.last_error.clone(),
        }
    }
}

impl DailyFiles {
    fn queue(&self, message: Message) {
        let ticks = message.batch.records.ticks.len() as u64;
        let room = |queued: u64| (queued < self.max_queued).then_some(queued + ticks);
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = self.shared.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok();
        let refused = match worker.as_ref() {
            Some(running) if has_room => running.messages.send(message).err().map(|refused| refused.0),
            _ => Some(message),
        };
        if let Some(message) = refused {
            self.shared.miss(&message.batch.records.ticks);
            if has_room {
                self.shared.queued.fetch_sub(ticks, Ordering::Relaxed);
            }
        }
    }
}
