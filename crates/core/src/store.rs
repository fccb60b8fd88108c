//! The seam between Tallybook and its backends.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Batch, Changes, Committed, Condition, Cursor, DAY, Execution, ExecutionRecords, Page, Query, Record, Result,
    RowPage, StoreId, SymbolSummary, Table, TickStore, TimeRange, Timestamp,
};

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its own name, for those who follow it.
    pub id: StoreId,
    /// The name in `USE_DB`.
    pub name: &'static str,
    /// The version of the engine underneath.
    pub version: String,
    /// Whether what is committed outlives the process.
    pub persistent: bool,
    /// Whether other processes may write to the same store at the same time.
    pub shared: bool,
    /// Whether it can seal days of ticks.
    pub seals: bool,
}

/// A primary backend. Everything above it holds an `Arc<dyn Store>` and does not know which one.
///
/// The contract; the conformance suite has a case for each promise:
///
/// 1. `commit` applies a batch whole or not at all, in one transaction with the record of its [`crate::BatchId`]. Where days
///    of ticks are files of their own, each has its transaction and its record, and the batch is answered when all have it.
/// 2. A batch whose `seq` is not above the last one committed under its source changes nothing and is answered
///    [`crate::Outcome::Duplicate`]. Sources do not affect each other. One that sent nothing for 30 days may be forgotten.
/// 3. Rows are folded by their [`crate::Rules`] exactly as [`Table::merge`] does it, sketches bit for bit.
///    Pings are stored as [`crate::PingPlan`] says, ticks as [`TickStore`] does.
/// 4. [`crate::TemplateMove`]s are applied after the rows, in order; a move from a text that is not there, or has moved
///    already, changes nothing.
/// 5. A batch that is answered is seen by every call that starts after the answer.
/// 6. `select` answers exactly as [`Query::apply`] over all rows: bytewise order, keyset and offset pages, totals. One call
///    sees one moment.
/// 7. `changes` yields every row whose last change is behind the cursor, in its present state, oldest revision first, and
///    never skips one, whatever is written meanwhile. Following it from [`Cursor::START`] until `more` is false yields
///    every row and tick there is. A pruned row is not yielded. A tick may be yielded again when others of its symbol
///    and day arrive or the day is sealed.
/// 8. `prune` removes rows whose retention column lies before the moment given and that fit every condition, at most
///    `limit`, and says how many.
/// 9. An error says whether the write may have happened; without that mark, nothing of it is stored.
/// 10. Readers do not wait for the writer. Calls may come from any task at once, and may be dropped at any await.
/// 11. After `close` every call fails with `Unavailable`; a second `close` is fine.
#[async_trait]
pub trait Store: TickStore + fmt::Debug + Send + Sync + 'static {
    /// What it is and can.
    fn info(&self) -> Info;

    /// Applies a batch whole or not at all, and at most once.
    async fn commit(&self, batch: Arc<Batch>) -> Result<Committed>;

    /// A page of one table.
    async fn select(&self, table: &'static Table, query: &Query) -> Result<RowPage>;

    /// The present state of what changed since `cursor`, oldest first, `limit` rows at the most; some, where there are any.
    /// `Invalid` for a text that is no cursor of this store.
    async fn changes(&self, cursor: &Cursor, limit: usize) -> Result<Changes>;

    /// About how many rows and ticks lie behind `cursor`, for people who wait: 0 where nothing does. One that changes
    /// meanwhile, or a tick that was touched twice, may count twice. `Invalid` as for `changes`.
    async fn behind(&self, cursor: &Cursor) -> Result<u64>;

    /// Removes rows of `table` that its retention column places before `before` and that fit all `conditions`, at most
    /// `limit` of them, and says how many; 0 where the table keeps its rows for ever. The conditions let windows of
    /// different lengths, which share a table, be kept for different times.
    async fn prune(
        &self,
        table: &'static Table,
        before: Timestamp,
        conditions: &[Condition],
        limit: usize,
    ) -> Result<u64>;

    /// Puts everything on disk and lets go of it.
    async fn close(&self) -> Result<()>;
}

/// Conveniences over [`Store`], so that the trait itself stays small.
#[async_trait]
pub trait StoreExt: Store {
    /// A page of records.
    async fn list<R: Record>(&self, query: &Query) -> Result<Page<R>> {
        self.select(R::TABLE, query).await?.into_records()
    }

    /// All records that fit the query, page by page; its `limit` is the length of a page.
    async fn list_all<R: Record>(&self, mut query: Query) -> Result<Vec<R>> {
        let mut all = Vec::new();
        loop {
            let page = self.list(&query).await?;
            all.extend(page.items);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// What [`TickStore::symbols`](crate::TickStore::symbols) says of the days that can be used, where it cannot say it of
    /// all.
    async fn readable_symbols(&self, range: TimeRange) -> Result<Vec<SymbolSummary>> {
        match self.symbols(range).await {
            Err(error) if error.needs_mending() => {}
            answer => return answer,
        }
        let unusable = self.segments().await?.into_iter().filter(|segment| segment.error.is_some());
        let (mut from, mut all) = (range.from, BTreeMap::new());
        for day in unusable.map(|segment| segment.day).chain([range.to]) {
            let between = TimeRange { from, to: day.min(range.to) };
            SymbolSummary::add_up(&mut all, self.symbols(between).await?);
            from = from.max(Timestamp(day.0.saturating_add(DAY)));
        }
        Ok(all.into_values().collect())
    }

    /// Removes an execution, whatever its state, and all that belongs to it, `limit` rows at a time; says how many rows that
    /// were. The execution goes last, so that one whose removal was cut short is found again. The content of artifacts is not
    /// the store's affair.
    async fn remove_execution(&self, id: &str, limit: usize) -> Result<u64> {
        let always = Timestamp(i64::MAX);
        let mut removed = 0;
        for table in ExecutionRecords::tables_of_parts() {
            let of_execution = [Condition::Equals(table.key()[0].name, id.into())];
            loop {
                let rows = self.prune(table, always, &of_execution, limit).await?;
                removed += rows;
                if rows < limit as u64 {
                    break;
                }
            }
        }
        Ok(removed + self.prune(Execution::TABLE, always, &[Condition::Equals("id", id.into())], 1).await?)
    }
}

impl<S: Store + ?Sized> StoreExt for S {}
