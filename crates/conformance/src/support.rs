//! What the cases share.

use std::collections::BTreeMap;
use std::sync::Arc;

use tallybook_core::{
    Ack, Batch, BatchId, Committed, Outcome, Query, Record, Records, Row, SourceId, Store, SymbolSummary, TABLES,
    Table, Tick, TickQuery, TimeRange, Timestamp,
};

use crate::Place;

/// One stream of batches.
#[derive(Debug)]
pub(crate) struct Sender {
    source: SourceId,
    seq: u64,
}

impl Sender {
    pub(crate) fn new() -> Self {
        Self { source: SourceId::mint(), seq: 0 }
    }

    /// The next batch of the stream.
    pub(crate) fn batch(&mut self, records: Records) -> Arc<Batch> {
        self.seq += 1;
        self.batch_at(self.seq, records)
    }

    /// A batch of this stream with any number.
    pub(crate) fn batch_at(&self, seq: u64, records: Records) -> Arc<Batch> {
        Arc::new(Batch { id: BatchId { source: self.source, seq }, ack: Ack::Written, records })
    }
}

pub(crate) async fn open(place: &dyn Place) -> Arc<dyn Store> {
    place.open().await.expect("the store opens")
}

/// Commits and says whether the batch was new.
pub(crate) async fn send(store: &dyn Store, batch: &Arc<Batch>) -> Outcome {
    answer(store, batch).await.outcome
}

/// Commits and gives back what the store answered.
pub(crate) async fn answer(store: &dyn Store, batch: &Arc<Batch>) -> Committed {
    store.commit(batch.clone()).await.expect("the store takes the batch")
}

/// Commits records in a batch of their own.
pub(crate) async fn commit(store: &dyn Store, records: Records) {
    assert_eq!(send(store, &Sender::new().batch(records)).await, Outcome::Applied);
}

/// All rows of a table, sketches included, in the order of the key.
pub(crate) async fn rows(store: &dyn Store, table: &'static Table) -> Vec<Row> {
    let page = store.select(table, &Query::new(usize::MAX).with_sketches()).await.expect("the store lists a table");
    assert_eq!(page.next, None, "a page without end has no next page");
    page.rows
}

/// All there is in a store.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Contents {
    /// By table, in the order of [`TABLES`], then by key.
    pub(crate) rows: Vec<Vec<Row>>,
    /// By symbol, then by key.
    pub(crate) ticks: Vec<Tick>,
}

impl Contents {
    pub(crate) fn row_count(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.row_count() == 0 && self.ticks.is_empty()
    }
}

/// All there is, while nobody writes.
pub(crate) async fn contents(store: &dyn Store) -> Contents {
    let mut all = Vec::new();
    for table in TABLES {
        all.push(rows(store, table).await);
    }
    Contents { rows: all, ticks: ticks(store).await }
}

/// All of time.
pub(crate) const ALWAYS: TimeRange = TimeRange { from: Timestamp(i64::MIN), to: Timestamp(i64::MAX) };

/// All ticks of a symbol, the earliest first.
pub(crate) fn ticks_of(symbol: &str) -> TickQuery {
    TickQuery { symbol: symbol.into(), range: ALWAYS, after: None, newest_first: false, limit: usize::MAX }
}

/// All ticks, while nobody writes; what the lists of symbols and days say of them must be true.
pub(crate) async fn ticks(store: &dyn Store) -> Vec<Tick> {
    let mut all = Vec::new();
    let symbols = store.symbols(ALWAYS).await.expect("the store lists symbols");
    for known in &symbols {
        let ticks = store.ticks(&ticks_of(&known.symbol)).await.expect("the store lists ticks");
        assert_eq!(Some(known), summary(&ticks).as_ref(), "what is said of the symbol's ticks");
        all.extend(ticks);
    }
    assert!(symbols.is_sorted_by(|a, b| a.symbol < b.symbol), "symbols are listed by name");
    assert_eq!(day_counts(store).await, count_days(&all), "ticks of each day");
    all
}

/// What the ticks of one symbol come to, the earliest first.
pub(crate) fn summary(ticks: &[Tick]) -> Option<SymbolSummary> {
    let (first, last) = (ticks.first()?, ticks.last()?);
    let count = ticks.len() as u64;
    Some(SymbolSummary { symbol: first.symbol.clone(), count, first: first.time, last: last.time })
}

/// The days that the store lists, and the ticks of each.
pub(crate) async fn day_counts(store: &dyn Store) -> Vec<(Timestamp, u64)> {
    let segments = store.segments().await.expect("the store lists days");
    segments.into_iter().map(|segment| (segment.day, segment.count)).collect()
}

fn count_days(ticks: &[Tick]) -> Vec<(Timestamp, u64)> {
    let mut days = BTreeMap::new();
    for tick in ticks {
        *days.entry(tick.time.day()).or_insert(0) += 1;
    }
    days.into_iter().collect()
}

/// All records of one type.
pub(crate) async fn all<R: Record>(store: &dyn Store) -> Vec<R> {
    rows(store, R::TABLE).await.into_iter().map(|row| R::from_row(row).expect("a row is a record")).collect()
}

/// Compares all there is in two stores and names the first row or tick that differs.
pub(crate) fn assert_same(found: &Contents, expected: &Contents) {
    for (table, (found, expected)) in TABLES.iter().zip(found.rows.iter().zip(&expected.rows)) {
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found, expected, "a row of `{}`", table.name);
        }
        assert_eq!(found.len(), expected.len(), "rows of `{}`", table.name);
    }
    for (found, expected) in found.ticks.iter().zip(&expected.ticks) {
        assert_eq!(found, expected, "a tick");
    }
    assert_eq!(found.ticks.len(), expected.ticks.len(), "ticks");
}
