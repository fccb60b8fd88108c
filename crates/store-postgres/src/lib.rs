//! The PostgreSQL store: many servers, one database, every total exact.
//!
//! Every commit first raises the one row of `revision`, so that row is the lock that puts commits in order: sketches are
//! united without a race, no two commits can deadlock, and no revision becomes visible before a lower one. All
//! servers share the rows that sum up all services, so commits side by side would wait for those: with four writers they won
//! nothing (docs/performance.md).

mod changes;
mod commit;
mod connect;
mod error;
mod follow;
mod moves;
mod partitions;
mod pings;
mod prune;
mod rows;
mod select;
mod sql;
mod state;
mod ticks;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use async_trait::async_trait;
use deadpool_postgres::{Object, Pool};
use tallybook_core::{
    Batch, Changes, Committed, Condition, Cursor, EndedSources, Info, Query, Result, RowPage, Segment, Store, StoreId,
    SymbolSummary, Table, Tick, TickQuery, TickStore, TimeRange, Timestamp,
};

use crate::partitions::Partitions;
use crate::ticks::Names;

pub use state::{DeadRows, PostgresState, Replica, Slot, Transaction};

/// Limits of a [`PostgresStore`].
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Connections at the most; one commits, the others read.
    pub max_connections: usize,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { max_connections: 8 }
    }
}

/// A PostgreSQL database as primary store.
pub struct PostgresStore {
    pool: Pool,
    version: String,
    partitions: Partitions,
    names: Names,
    ended_sources: EndedSources,
    /// The revision at which this process last summed up the log of ticks.
    coalesced: AtomicI64,
    id: StoreId,
    /// The server's address and the database, for people.
    place: String,
}

impl PostgresStore {
    /// Connects to the database of `url` (`postgres://user:password@host:port/database?sslmode=…`), brings its schema up to
    /// date under an advisory lock and opens a pool.
    ///
    /// # Errors
    /// One sentence that names the server, user or database, never the password: `Invalid` for a URL that is none,
    /// `Unavailable` where nobody answers, `Unsupported` for a server that is too old or not UTF-8.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self> {
        connect::open(url, &options).await
    }

    async fn client(&self, operation: &'static str) -> Result<Object> {
        self.pool.get().await.map_err(|error| error::no_connection(operation, error))
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pool's configuration holds the password.
        f.debug_struct("PostgresStore").field("version", &self.version).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn info(&self) -> Info {
        let (id, version) = (self.id, self.version.clone());
        Info { id, name: "postgres", version, persistent: true, shared: true, seals: false }
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Committed> {
        commit::commit(self, &batch).await
    }

    async fn select(&self, table: &'static Table, query: &Query) -> Result<RowPage> {
        select::select(&self.client(select::OPERATION).await?, table, query).await
    }

    async fn changes(&self, cursor: &Cursor, limit: usize) -> Result<Changes> {
        changes::changes(self, cursor, limit).await
    }

    async fn behind(&self, cursor: &Cursor) -> Result<u64> {
        changes::count_behind(self, cursor).await
    }

    async fn prune(
        &self,
        table: &'static Table,
        before: Timestamp,
        conditions: &[Condition],
        limit: usize,
    ) -> Result<u64> {
        prune::prune(self, table, before, conditions, limit).await
    }

    async fn close(&self) -> Result<()> {
        self.pool.close();
        Ok(())
    }
}

#[async_trait]
impl TickStore for PostgresStore {
    async fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        ticks::ticks(self, query).await
    }

    async fn symbols(&self, range: TimeRange) -> Result<Vec<SymbolSummary>> {
        ticks::symbols(self, range).await
    }

    async fn segments(&self) -> Result<Vec<Segment>> {
        ticks::segments(self).await
    }

    async fn seal(&self, _day: Timestamp) -> Result<Segment> {
        Err(ticks::no_seal(self))
    }

    async fn unseal(&self, _day: Timestamp) -> Result<Segment> {
        Err(ticks::no_seal(self))
    }

    async fn drop_segment(&self, day: Timestamp) -> Result<u64> {
        ticks::drop_segment(self, day).await
    }
}
