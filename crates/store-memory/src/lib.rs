//! The memory store: the reference for every other backend, because it does nothing but call the functions of
//! `tallybook-core` that define merging and reading. Nothing outlives the process.

mod follow;
mod moves;
mod pings;
mod state;
mod ticks;

use std::borrow::Cow;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use tallybook_core::{
    Batch, Changes, Committed, Condition, Cursor, Error, ErrorKind, Info, Query, Result, RowPage, Segment, Store,
    StoreId, SymbolSummary, Table, Tick, TickQuery, TickStore, TimeRange, Timestamp,
};

use crate::state::{Page, State};

const FOLLOWING: &str = "following changes";

/// All rows in memory, behind one lock that a commit holds only while it merges.
#[derive(Debug)]
pub struct MemoryStore {
    /// `None` once closed.
    state: RwLock<Option<State>>,
    id: StoreId,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { state: RwLock::new(Some(State::default())), id: StoreId::mint() }
    }

    fn read<T>(&self, operation: &'static str, work: impl FnOnce(&State) -> Result<T>) -> Result<T> {
        let state = self.state.read().map_err(|_| poisoned(operation))?;
        work(state.as_ref().ok_or_else(|| closed(operation))?)
    }

    fn write<T>(&self, operation: &'static str, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.state.write().map_err(|_| poisoned(operation))?;
        work(state.as_mut().ok_or_else(|| closed(operation))?)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the store is closed")
}

fn poisoned(operation: &'static str) -> Error {
    Error::new(ErrorKind::Internal, operation, "an earlier write panicked; restart the process")
}

/// The place in the list of changes that a cursor names.
fn place(cursor: &Cursor) -> Result<u64> {
    match cursor.0.as_ref() {
        "" => Ok(0),
        text => text.parse().map_err(|_| foreign_cursor()),
    }
}

fn foreign_cursor() -> Error {
    Error::invalid(FOLLOWING, "the cursor belongs to another store; start again without it")
}

fn no_seals(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, operation, "what lies in memory has no compressed form")
}

#[async_trait]
impl Store for MemoryStore {
    fn info(&self) -> Info {
        Info {
            id: self.id,
            name: "memory",
            version: env!("CARGO_PKG_VERSION").to_owned(),
            persistent: false,
            shared: false,
            seals: false,
        }
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Committed> {
        let operation = "committing a batch";
        batch.records.check(operation)?;
        // Sorted and merged among themselves before the lock is taken.
        let mut tables = Vec::new();
        batch.records.for_each_table(|table, rows| {
            tables.push((table.place(operation)?, rows));
            Ok::<_, Error>(())
        })?;
        self.write(operation, |state| state.apply(batch.id, tables, &batch.records))
    }

    async fn select(&self, table: &'static Table, query: &Query) -> Result<RowPage> {
        let operation = "reading a list";
        let at = table.place(operation)?;
        self.read(operation, |state| query.apply(table, state.rows(at)))
    }

    async fn changes(&self, cursor: &Cursor, limit: usize) -> Result<Changes> {
        let place = place(cursor)?;
        let Page { changes, ticks, next, more } =
            self.read(FOLLOWING, |state| state.changes(place, limit).ok_or_else(foreign_cursor))?;
        Ok(Changes { changes, ticks, next: Cursor(Cow::Owned(next.to_string())), more })
    }

    async fn behind(&self, cursor: &Cursor) -> Result<u64> {
        let place = place(cursor)?;
        self.read(FOLLOWING, |state| state.behind(place).ok_or_else(foreign_cursor))
    }

    async fn prune(
        &self,
        table: &'static Table,
        before: Timestamp,
        conditions: &[Condition],
        limit: usize,
    ) -> Result<u64> {
        let operation = "pruning a table";
        let at = table.place(operation)?;
        let mut query = Query { conditions: conditions.to_vec(), ..Query::new(limit) };
        query.check(table)?;
        // Found under the read lock: the scan is long, the removal is not.
        let old = self.read(operation, |state| {
            let (Some(column), Some(newest)) = (table.retention, before.0.checked_sub(1)) else {
                return Ok(Vec::new());
            };
            query.conditions.push(Condition::AtMost(column, newest.into()));
            Ok(query.apply(table, state.rows(at))?.rows)
        })?;
        self.write(operation, |state| Ok(state.remove(at, &old)))
    }

    async fn close(&self) -> Result<()> {
        *self.state.write().map_err(|_| poisoned("closing"))? = None;
        Ok(())
    }
}

#[async_trait]
impl TickStore for MemoryStore {
    async fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        self.read("reading ticks", |state| Ok(state.ticks.page(query)))
    }

    async fn symbols(&self, range: TimeRange) -> Result<Vec<SymbolSummary>> {
        self.read("listing symbols", |state| Ok(state.ticks.symbols(range)))
    }

    async fn segments(&self) -> Result<Vec<Segment>> {
        self.read("listing days of ticks", |state| Ok(state.ticks.segments()))
    }

    async fn seal(&self, _day: Timestamp) -> Result<Segment> {
        let operation = "sealing a day of ticks";
        self.read(operation, |_| Err(no_seals(operation)))
    }

    async fn unseal(&self, _day: Timestamp) -> Result<Segment> {
        let operation = "unsealing a day of ticks";
        self.read(operation, |_| Err(no_seals(operation)))
    }

    async fn drop_segment(&self, day: Timestamp) -> Result<u64> {
        self.write("dropping a day of ticks", |state| Ok(state.drop_day(day)))
    }
}
