//! Stores that watch what is asked of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tallybook_core::{
    Batch, Changes, Committed, Condition, Cursor, Error, ErrorKind, Info, Query, Result, RowPage, Segment, Store,
    SymbolSummary, Table, Tick, TickQuery, TickStore, TimeRange, Timestamp,
};
use tallybook_store_memory::MemoryStore;

/// Counts the reads, and fails them on demand.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    inner: MemoryStore,
    reads: AtomicUsize,
    failing: std::sync::Mutex<Option<ErrorKind>>,
}

impl Watched {
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn fail_with(&self, kind: Option<ErrorKind>) {
        *self.failing.lock().unwrap() = kind;
    }
}

#[async_trait]
impl TickStore for Watched {
    async fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        self.inner.ticks(query).await
    }

    async fn symbols(&self, range: TimeRange) -> Result<Vec<SymbolSummary>> {
        self.inner.symbols(range).await
    }

    async fn segments(&self) -> Result<Vec<Segment>> {
        self.inner.segments().await
    }

    async fn seal(&self, day: Timestamp) -> Result<Segment> {
        self.inner.seal(day).await
    }

    async fn unseal(&self, day: Timestamp) -> Result<Segment> {
        self.inner.unseal(day).await
    }

    async fn drop_segment(&self, day: Timestamp) -> Result<u64> {
        self.inner.drop_segment(day).await
    }
}

#[async_trait]
impl Store for Watched {
    fn info(&self) -> Info {
        self.inner.info()
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Committed> {
        self.inner.commit(batch).await
    }

    async fn select(&self, table: &'static Table, query: &Query) -> Result<RowPage> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let failing = *self.failing.lock().unwrap();
        match failing {
            Some(kind) => Err(Error::new(kind, "reading a list", "as the test wants it")),
            None => self.inner.select(table, query).await,
        }
    }

    async fn behind(&self, cursor: &Cursor) -> Result<u64> {
        self.inner.behind(cursor).await
    }

    async fn changes(&self, cursor: &Cursor, limit: usize) -> Result<Changes> {
        self.inner.changes(cursor, limit).await
    }

    async fn prune(
        &self,
        table: &'static Table,
        before: Timestamp,
        conditions: &[Condition],
        limit: usize,
    ) -> Result<u64> {
        self.inner.prune(table, before, conditions, limit).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
