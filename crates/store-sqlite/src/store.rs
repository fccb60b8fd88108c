//! The store as the rest of Tallybook sees it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use tallybook_core::{
    Batch, Changes, Committed, Condition, Cursor, Info, Query, Result, RowPage, Segment, Store, SymbolSummary, Table,
    Tick, TickQuery, TickStore, TimeRange, Timestamp,
};
use tallybook_sqlite::wal::{WalLimits, WalStats};
use tokio::sync::{Mutex, OnceCell};

use crate::connection;
use crate::engine::Engine;
use crate::error::closed;
use crate::readers::{Readers, blocking};
use crate::segments::{self, Day, Days};
use crate::writer::Writer;
use crate::{changes, select};

/// How to open a [`SqliteStore`].
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// What the lock file says of this process beside its id, for example the address of its API.
    pub lock_note: String,
    /// Connections that read, and so reads at the same time; at least one.
    pub readers: usize,
    /// Bytes of write-ahead log that may wait to be copied into the database.
    pub wal_passive_bytes: u64,
    /// Bytes of write-ahead log past which it is started over, which waits a moment for reads to end.
    pub wal_truncate_bytes: u64,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            lock_note: String::new(),
            readers: std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)),
            wal_passive_bytes: 64 << 20,
            wal_truncate_bytes: 256 << 20,
        }
    }
}

/// A store in one SQLite file, locked against other processes that want to write to it.
#[derive(Debug)]
pub struct SqliteStore {
    readers: Readers,
    writer: Arc<Writer>,
    /// Held while the files of a day are moved.
    moving: Arc<Mutex<()>>,
    closed: OnceCell<()>,
    path: PathBuf,
}

impl SqliteStore {
    /// Opens the database at `path` (its folder is there), makes it if it is not there, and brings it to this binary's
    /// schema. Blocks meanwhile.
    ///
    /// # Errors
    /// One sentence: `Unavailable` when another process has the folder, the folder is read-only or the disk is full;
    /// `Corrupt` when the file is not a database; `Unsupported` when a newer Tallybook wrote it.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self> {
        let SqliteOptions { lock_note, readers, wal_passive_bytes, wal_truncate_bytes } = options;
        let readers = readers.max(1);
        let engine = tallybook_sqlite::Options {
            readers,
            wal: WalLimits { passive_bytes: wal_passive_bytes, truncate_bytes: wal_truncate_bytes },
            lock_note: Some(lock_note),
            ..connection::options()
        };
        let writer = Arc::new(Writer::start(path, engine)?);
        let path = path.to_owned();
        Ok(Self { readers: Readers::new(readers), writer, moving: Arc::default(), closed: OnceCell::new(), path })
    }

    async fn read_days<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Days) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let days = self.writer.days().clone();
        self.read(operation, move |_| work(&days)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.run(self.writer.sqlite(), operation, work).await
    }

    /// Copies the files of a day, one day at a time, even when the caller leaves early.
    async fn move_day(
        &self,
        operation: &'static str,
        day: Timestamp,
        work: fn(&Days, &Writer, Day) -> Result<Segment>,
    ) -> Result<Segment> {
        let alone = self.moving.clone().lock_owned().await;
        if self.writer.days().is_closing() {
            return Err(closed(operation));
        }
        let writer = self.writer.clone();
        blocking(operation, move || {
            let moved = work(writer.days(), &writer, Day::of(day));
            drop(alone);
            moved
        })
        .await
    }

    /// Where the database is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The writer.
    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Runs `work` with the writer, while no files of a day are moved.
    pub(crate) async fn alone_on_writer<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Engine<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _alone = self.moving.lock().await;
        self.writer.run(operation, work).await
    }

    /// The write-ahead log, as the writer last saw it.
    pub fn wal_stats(&self) -> WalStats {
        self.writer.wal_stats()
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn info(&self) -> Info {
        Info {
            id: self.writer.id(),
            name: "sqlite",
            version: rusqlite::version().to_owned(),
            persistent: true,
            shared: false,
            seals: true,
        }
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Committed> {
        self.writer.commit(batch).await
    }

    async fn select(&self, table: &'static Table, query: &Query) -> Result<RowPage> {
        let query = query.clone();
        self.read("reading a list", move |connection| select::select(connection, table, &query)).await
    }

    async fn changes(&self, cursor: &Cursor, limit: usize) -> Result<Changes> {
        let (cursor, days) = (cursor.clone(), self.writer.days().clone());
        let work = move |connection: &Connection| changes::changes(connection, &days, &cursor, limit);
        self.read("following changes", work).await
    }

    async fn behind(&self, cursor: &Cursor) -> Result<u64> {
        let (cursor, days) = (cursor.clone(), self.writer.days().clone());
        let work = move |connection: &Connection| changes::behind(connection, &days, &cursor);
        self.read("following changes", work).await
    }

    async fn prune(
        &self,
        table: &'static Table,
        before: Timestamp,
        conditions: &[Condition],
        limit: usize,
    ) -> Result<u64> {
        let conditions = conditions.to_vec();
        self.writer.run("pruning a table", move |engine| engine.prune(table, before, &conditions, limit)).await
    }

    async fn close(&self) -> Result<()> {
        self.closed
            .get_or_try_init(|| async {
                self.writer.days().begin_to_close();
                let _none_is_moved = self.moving.lock().await;
                self.readers.close().await;
                self.writer.close().await
            })
            .await
            .copied()
    }
}

#[async_trait]
impl TickStore for SqliteStore {
    async fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        let query = query.clone();
        self.read_days("reading ticks", move |days| days.ticks(&query)).await
    }

    async fn symbols(&self, range: TimeRange) -> Result<Vec<SymbolSummary>> {
        self.read_days("listing symbols", move |days| days.symbols(range)).await
    }

    async fn segments(&self) -> Result<Vec<Segment>> {
        self.read_days("listing segments", Days::segments).await
    }

    async fn seal(&self, day: Timestamp) -> Result<Segment> {
        self.move_day("sealing a segment", day, segments::seal).await
    }

    async fn unseal(&self, day: Timestamp) -> Result<Segment> {
        self.move_day("unsealing a segment", day, segments::unseal).await
    }

    async fn drop_segment(&self, day: Timestamp) -> Result<u64> {
        self.alone_on_writer("dropping a segment", move |engine| engine.drop_segment(Day::of(day))).await
    }
}
