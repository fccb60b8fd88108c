//! What the cases share.

use std::sync::Arc;

use tallybook_core::{Ack, Batch, BatchId, Outcome, Query, Record, Records, Row, SourceId, Store, TABLES, Table};

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

/// Commits and says what the store answered.
pub(crate) async fn send(store: &dyn Store, batch: &Arc<Batch>) -> Outcome {
    store.commit(batch.clone()).await.expect("the store takes the batch").outcome
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

/// All rows of all tables, in the order of [`TABLES`].
pub(crate) async fn contents(store: &dyn Store) -> Vec<Vec<Row>> {
    let mut all = Vec::new();
    for table in TABLES {
        all.push(rows(store, table).await);
    }
    all
}

/// All records of one type.
pub(crate) async fn all<R: Record>(store: &dyn Store) -> Vec<R> {
    rows(store, R::TABLE).await.into_iter().map(|row| R::from_row(row).expect("a row is a record")).collect()
}

/// Compares all rows of two stores and names the first table and row that differ.
pub(crate) fn assert_same(found: &[Vec<Row>], expected: &[Vec<Row>]) {
    for (table, (found, expected)) in TABLES.iter().zip(found.iter().zip(expected)) {
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found, expected, "a row of `{}`", table.name);
        }
        assert_eq!(found.len(), expected.len(), "rows of `{}`", table.name);
    }
}
