//! The store as the rest of Tallybook sees it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tallybook_core::{
    Batch, Changes, Committed, Condition, Cursor, Info, Query, Result, RowPage, Store, Table, Timestamp,
};
use tokio::sync::OnceCell;

use crate::readers::Readers;
use crate::wal::{WalLimits, WalStats};
use crate::writer::{Prune, Writer};
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
    // The readers go first: the last connection that closes empties the log.
    readers: Readers,
    writer: Writer,
    closed: OnceCell<()>,
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
        let limits = WalLimits { passive_bytes: wal_passive_bytes, truncate_bytes: wal_truncate_bytes };
        let writer = Writer::start(path, &lock_note, limits)?;
        Ok(Self { readers: Readers::open(path, readers.max(1))?, writer, closed: OnceCell::new() })
    }

    /// The write-ahead log, as the writer last saw it.
    pub fn wal_stats(&self) -> WalStats {
        self.writer.wal_stats()
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn info(&self) -> Info {
        Info { name: "sqlite", version: rusqlite::version().to_owned(), persistent: true, shared: false }
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Committed> {
        let outcome = self.writer.commit(batch).await?;
        Ok(Committed { outcome })
    }

    async fn select(&self, table: &'static Table, query: &Query) -> Result<RowPage> {
        let query = query.clone();
        self.readers.run("reading a list", move |connection| select::select(connection, table, &query)).await
    }

    async fn changes(&self, cursor: &Cursor, limit: usize) -> Result<Changes> {
        let cursor = cursor.clone();
        self.readers.run("following changes", move |connection| changes::changes(connection, &cursor, limit)).await
    }

    async fn prune(
        &self,
        table: &'static Table,
        before: Timestamp,
        conditions: &[Condition],
        limit: usize,
    ) -> Result<u64> {
        self.writer.prune(Prune { table, before, conditions: conditions.to_vec(), limit }).await
    }

    async fn close(&self) -> Result<()> {
        self.closed
            .get_or_try_init(|| async {
                self.readers.close().await;
                self.writer.close().await
            })
            .await
            .copied()
    }
}
