//! The engine: one writer, many readers, and what one may ask of them.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Row};
use tallybook_core::Ack;

use crate::anchor::Anchor;
use crate::connection::open_writer;
use crate::control::Controlled;
use crate::lock::FolderLock;
use crate::options::{CallOptions, Cancel, Options};
use crate::params::Params;
use crate::queue::{self, Call, Queue};
use crate::readers::Readers;
use crate::rows::Rows;
use crate::statement::{Executed, Runner, Scripted};
use crate::stats::{Counters, Stats};
use crate::transaction::{Answer, Step, Transaction, whole};
use crate::wal::{Wal, WalStats};
use crate::writer::{OneCall, Pause, Writer, caught};
use crate::{Error, ErrorKind, Result};

/// Without a write for this long, the background thread uses the pause.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// A SQLite database with one writer and many readers, safe to use from any number of threads.
///
/// Clones are handles of the same engine; each has its own [`Engine::with_ack`], [`Engine::with_time_limit`] and
/// [`Engine::with_cancel`]. Calls block the thread they are made on: from async code, make them on one that may block.
///
/// ```
/// use tallybook_sqlite::{Engine, Options};
///
/// # fn main() -> tallybook_sqlite::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// let engine = Engine::open(&folder.path().join("app.db"), Options::default())?;
/// engine.script("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")?;
/// engine.execute("INSERT INTO note (text) VALUES (?)", ("buy milk",))?;
/// let moved = engine.transaction(|tx| {
///     tx.execute("UPDATE note SET text = upper(text)", ())?;
///     tx.query("SELECT text FROM note", ())
/// })?;
/// assert_eq!(moved.rows, [["BUY MILK".to_owned().into()]]);
/// engine.shutdown()
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    handle: Arc<Handle>,
    call: CallOptions,
}

/// The last one to drop it shuts the engine down.
#[derive(Debug)]
struct Handle {
    core: Arc<Core>,
    background: Mutex<Option<JoinHandle<()>>>,
    closed: Mutex<Option<Result<()>>>,
}

#[derive(Debug)]
struct Core {
    path: PathBuf,
    queue: Queue,
    readers: Readers,
    counters: Arc<Counters>,
    wal: Arc<Mutex<WalStats>>,
    max_rows: usize,
    max_bytes: usize,
    shutdown_grace: Duration,
}

/// An engine that is being opened: its writer is there and its file locked, nobody else sees it yet. The place for
/// migrations.
pub struct Opening {
    path: PathBuf,
    options: Options,
    // Before the lock: closed first.
    connection: Connection,
    lock: Option<FolderLock>,
    pause: Option<Pause>,
}

impl Opening {
    /// The connection that will be the writer.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Has `pause` run when nothing was written for a second, with nobody writing meanwhile; it says whether it has nothing
    /// left to do until the next write. It is dropped before the lock is let go of.
    pub fn on_pause(&mut self, pause: impl FnMut() -> bool + Send + 'static) {
        self.pause = Some(Box::new(pause));
    }

    /// Lets everybody in.
    pub fn start(self) -> Result<Engine> {
        let Self { path, options, connection, lock, pause } = self;
        let counters: Arc<Counters> = Arc::default();
        let anchor = Arc::new(Anchor::new(&path, counters.clone()));
        let wal = Wal::new(&connection, options.wal)?.pausing(anchor.clone());
        let wal_stats = wal.stats();
        let controlled = Controlled::new(connection, options.access, Arc::new(AtomicBool::new(false)))?;
        let writer = Writer::new(controlled, wal, pause, lock);
        let readers = Readers::new(&path, options.clone(), anchor.clone());
        let core = Arc::new(Core {
            path,
            queue: Queue::new(writer, options.max_waiting),
            readers,
            counters,
            wal: wal_stats,
            max_rows: options.max_rows,
            max_bytes: options.max_bytes,
            shutdown_grace: options.shutdown_grace,
        });
        let attended = core.clone();
        let background = std::thread::Builder::new().name("sqlite-writer".into()).spawn(move || {
            attended.queue.attend(IDLE_AFTER, &anchor, &attended.counters);
        });
        let background = background.map_err(|error| Error::of_io("the writer thread cannot start", &error))?;
        let handle = Handle { core, background: Mutex::new(Some(background)), closed: Mutex::default() };
        let call = CallOptions { ack: Ack::Durable, time_limit: None, cancel: None };
        Ok(Engine { handle: Arc::new(handle), call })
    }
}

impl Engine {
    /// Opens the database at `path` (its folder is there); makes it if it is not there.
    ///
    /// # Errors
    /// `Busy` when another process has it, `ReadOnly` or `Full` when it cannot be written to, `Corrupt` when it is no
    /// database.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        Self::opening(path, options)?.start()
    }

    /// The same in two steps, so that its schema can be made before anybody uses it.
    pub fn opening(path: &Path, options: Options) -> Result<Opening> {
        let lock = options.lock_note.as_deref().map(|note| FolderLock::take(path, note)).transpose()?;
        let opened = open_writer(path, options.page_bytes, options.writer_cache_kib).and_then(|connection| {
            (options.on_open)(&connection)?;
            Ok(connection)
        });
        let connection = opened.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                let path = path.display();
                Error::new(ErrorKind::Corrupt, format!("{path} is not a database; move it away, or choose another one"))
            }
            _ => error.into(),
        })?;
        Ok(Opening { path: path.to_owned(), options, connection, lock, pause: None })
    }

    /// A handle whose writes answer once committed ([`Ack::Written`]), or on disk ([`Ack::Durable`], the default).
    pub fn with_ack(&self, ack: Ack) -> Self {
        Self { call: CallOptions { ack, ..self.call.clone() }, ..self.clone() }
    }

    /// A handle whose calls end with `TimeLimit` once they took that long, with the time they waited.
    pub fn with_time_limit(&self, limit: Duration) -> Self {
        Self { call: CallOptions { time_limit: Some(limit), ..self.call.clone() }, ..self.clone() }
    }

    /// A handle whose calls end with `Cancelled` once `cancel` says so.
    pub fn with_cancel(&self, cancel: &Cancel) -> Self {
        Self { call: CallOptions { cancel: Some(cancel.clone()), ..self.call.clone() }, ..self.clone() }
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.handle.core.path
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// Nothing of it is stored then, unless [`Error::maybe_applied`]. So for all calls that write.
    pub fn execute(&self, sql: impl Into<String>, params: impl Into<Params>) -> Result<Executed> {
        let (sql, params) = (sql.into(), [params.into()]);
        self.share(true, move |tx| tx.runner.execute(&sql, &params))
    }

    /// Runs one statement for each set of parameters, all or none.
    pub fn execute_many<P: Into<Params>>(
        &self,
        sql: impl Into<String>,
        sets: impl IntoIterator<Item = P>,
    ) -> Result<Executed> {
        let sql = sql.into();
        let sets: Vec<Params> = sets.into_iter().map(Into::into).collect();
        self.share(false, move |tx| tx.runner.execute(&sql, &sets))
    }

    /// Queues one statement and returns at once. If it fails, that is logged and counted: nobody waits for it.
    pub fn enqueue(&self, sql: impl Into<String>, params: impl Into<Params>) -> Result<()> {
        let (sql, params) = (sql.into(), [params.into()]);
        let call = self.shared_call(true, queue::Answer::new(false), move |tx| tx.runner.execute(&sql, &params));
        self.counted(self.handle.core.queue.enqueue(Call::Shared(call), self.call.ack))
    }

    /// All rows of a query, on a reader. A statement that writes and answers (`RETURNING`) belongs into a transaction.
    ///
    /// # Errors
    /// `TooLarge` past [`Options::max_rows`], `ReadOnly` for a statement that writes.
    pub fn query(&self, sql: &str, params: impl Into<Params>) -> Result<Rows> {
        let max_rows = self.handle.core.max_rows;
        let params = params.into();
        self.reading(|runner| whole(runner.query(sql, &params, max_rows)?, max_rows))
    }

    /// The first `limit` rows of a query; [`Rows::more`] says whether there are further ones.
    pub fn query_first(&self, sql: &str, params: impl Into<Params>, limit: usize) -> Result<Rows> {
        let params = params.into();
        self.reading(|runner| runner.query(sql, &params, limit))
    }

    /// All rows of a query as what `map` makes of them.
    pub fn query_as<T>(
        &self,
        sql: &str,
        params: impl Into<Params>,
        mut map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let max_rows = self.handle.core.max_rows;
        let mut all = Vec::new();
        let mut more = false;
        self.for_each(sql, params, |row| {
            more = all.len() == max_rows;
            if more {
                return Ok(ControlFlow::Break(()));
            }
            all.push(map(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        whole(Rows { more, ..Rows::default() }, max_rows)?;
        Ok(all)
    }

    /// All rows of a query, each a JSON object.
    pub fn query_json(
        &self,
        sql: &str,
        params: impl Into<Params>,
    ) -> Result<Vec<serde_json::Map<String, serde_json::Value>>> {
        Ok(self.query(sql, params)?.to_json())
    }

    /// Runs a query row by row, until `each` breaks off: for answers of any size.
    pub fn for_each(
        &self,
        sql: &str,
        params: impl Into<Params>,
        each: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let params = params.into();
        self.reading(|runner| runner.for_each(sql, &params, each).map(|_| ()))
    }

    /// Runs `work` in a transaction, which is committed if it returns `Ok`. It may be run a second time, where another call
    /// that shared its commit undid both.
    pub fn transaction<T: Send + 'static>(
        &self,
        work: impl FnMut(Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.share(false, work)
    }

    /// Runs a list of statements and queries as one transaction.
    pub fn batch(&self, steps: Vec<Step>) -> Result<Vec<Answer>> {
        self.share(false, move |tx| {
            let step = |(at, step)| {
                let in_step = |error: Error| error.in_front(&format!("step {}", at + 1));
                tx.step(step).map_err(in_step)
            };
            steps.iter().enumerate().map(step).collect()
        })
    }

    /// Runs a script of many statements as one transaction.
    pub fn script(&self, sql: impl Into<String>) -> Result<Scripted> {
        let sql = sql.into();
        self.share(false, move |tx| tx.script(&sql))
    }

    /// Uses a connection that reads.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> T) -> Result<T> {
        self.reading(|runner| Ok(work(runner.connection)))
    }

    /// Uses the connection that writes, alone and outside of any transaction. One that `work` leaves open is rolled back.
    pub fn write<T: Send + 'static>(&self, work: impl FnOnce(&mut Connection) -> T + Send + 'static) -> Result<T> {
        let ends = self.call.starting_now();
        self.alone(move |writer| writer.controlled.within(&ends, |connection| Ok(work(connection))))
    }

    /// Moves the whole write-ahead log into the database; says whether no reader kept it from that.
    pub fn checkpoint(&self) -> Result<bool> {
        self.alone(Writer::checkpoint)
    }

    /// What was done since the engine was opened.
    pub fn stats(&self) -> Stats {
        let core = &self.handle.core;
        core.counters.read(core.readers.counters(), core.queue.len(), self.wal_stats())
    }

    /// The write-ahead log, as the writer last saw it.
    pub fn wal_stats(&self) -> WalStats {
        *self.handle.core.wal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses new calls, lets those that wait finish, puts everything on disk and closes the file. Reads that take longer
    /// than [`Options::shutdown_grace`] are interrupted. A second call answers like the first.
    pub fn shutdown(&self) -> Result<()> {
        self.handle.shutdown()
    }

    /// Whether it was shut down.
    pub fn is_closed(&self) -> bool {
        self.handle.core.queue.is_closed()
    }

    pub(crate) fn note_backup(&self) {
        self.handle.core.counters.backups.fetch_add(1, Ordering::Relaxed);
    }

    fn reading<T>(&self, work: impl FnOnce(Runner<'_>) -> Result<T>) -> Result<T> {
        let core = &self.handle.core;
        let ends = self.call.starting_now();
        let asked = Instant::now();
        let read = core.readers.lend(&ends).and_then(|mut lent| {
            let started = Instant::now();
            let counters = lent.counters;
            counters.wait.add(started - asked);
            let (statements, max_bytes) = (&counters.statements, core.max_bytes);
            let done = lent.get().guest(&ends, |connection| work(Runner { connection, statements, max_bytes }));
            counters.run.add(started.elapsed());
            done
        });
        self.counted(read)
    }

    fn share<T: Send + 'static>(
        &self,
        one_statement: bool,
        work: impl FnMut(Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let answer = queue::Answer::new(true);
        let call = self.shared_call(one_statement, answer.clone(), work);
        let core = &self.handle.core;
        let run = core.queue.run(Call::Shared(call), self.call.ack, &core.counters);
        self.counted(run.and_then(|()| answer.wait()))
    }

    fn shared_call<T: Send + 'static>(
        &self,
        one_statement: bool,
        answer: Arc<queue::Answer<T>>,
        mut work: impl FnMut(Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Box<dyn queue::SharedCall> {
        let counters = self.handle.core.counters.clone();
        let (max_rows, max_bytes) = (self.handle.core.max_rows, self.handle.core.max_bytes);
        let work = move |connection: &Connection| {
            let runner = Runner { connection, statements: &counters.statements, max_bytes };
            work(Transaction { runner, max_rows })
        };
        Box::new(OneCall { ends: self.call.starting_now(), one_statement, work, outcome: None, answer })
    }

    fn alone<T: Send + 'static>(&self, work: impl FnOnce(&mut Writer) -> Result<T> + Send + 'static) -> Result<T> {
        let answer = queue::Answer::new(true);
        let to = answer.clone();
        let call: queue::Alone = Box::new(move |writer| {
            let done = writer.and_then(|writer| caught(|| work(writer)));
            to.give(done);
        });
        let core = &self.handle.core;
        let run = core.queue.run(Call::Alone(call), self.call.ack, &core.counters);
        self.counted(run.and_then(|()| answer.wait()))
    }

    fn counted<T>(&self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.handle.core.counters.failed(error.kind()))
    }
}

impl Handle {
    fn shutdown(&self) -> Result<()> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = &*closed {
            return outcome.clone();
        }
        let writer = self.core.queue.close(&self.core.counters);
        self.core.readers.close(self.core.shutdown_grace);
        // The last connection that closes empties the log.
        let outcome = writer.map_or(Ok(()), Writer::close);
        let background = self.background.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(background) = background
            && background.join().is_err()
        {
            tracing::error!("the background thread of a database panicked");
        }
        *closed = Some(outcome.clone());
        outcome
    }
}

impl Drop for Handle {
    /// Whoever opens the file next must find the lock free.
    fn drop(&mut self) {
        if let Err(error) = self.shutdown() {
            tracing::error!(%error, path = %self.core.path.display(), "a database could not be closed well");
        }
    }
}
