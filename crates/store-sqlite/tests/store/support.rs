//! What the tests share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::Value;
use tallybook_conformance::Fixtures;
use tallybook_core::{
    Ack, AttributeKey, Batch, BatchId, CatalogueDelta, Committed, Outcome, Query, Records, Result, Service, SourceId,
    Store, StoreExt as _, Timestamp,
};
use tallybook_store_sqlite::{SqliteOptions, SqliteStore};

pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("tallybook.db")
}

pub(crate) fn open(folder: &Path) -> Result<SqliteStore> {
    SqliteStore::open(&database(folder), SqliteOptions::default())
}

/// The database as any other program sees it: none of our functions.
pub(crate) fn plain(folder: &Path) -> Connection {
    Connection::open(database(folder)).unwrap()
}

/// All rows of a query as any other program sees them, each with its values as one text.
pub(crate) fn plain_rows(folder: &Path, sql: &str) -> Vec<String> {
    let connection = plain(folder);
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let values = (0..columns).map(|at| {
            row.get(at).map(|value: Value| match value {
                Value::Null => "null".to_owned(),
                Value::Integer(int) => int.to_string(),
                Value::Real(real) => format!("{real:.1}"),
                Value::Text(text) => text,
                Value::Blob(bytes) => format!("{} bytes", bytes.len()),
            })
        });
        Ok(values.collect::<rusqlite::Result<Vec<String>>>()?.join(" | "))
    };
    statement.query_map([], row).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

/// One stream of batches.
pub(crate) struct Sender {
    source: SourceId,
    seq: u64,
}

impl Sender {
    pub(crate) fn new() -> Self {
        Self { source: SourceId::mint(), seq: 0 }
    }

    pub(crate) fn batch(&mut self, records: Records) -> Arc<Batch> {
        self.seq += 1;
        Arc::new(Batch { id: BatchId { source: self.source, seq: self.seq }, ack: Ack::Written, records })
    }

    pub(crate) async fn commit(&mut self, store: &SqliteStore, catalogue: CatalogueDelta) {
        self.commit_records(store, Records { catalogue, ..Records::default() }).await;
    }

    /// Gives back the batch, so that it can be sent again.
    pub(crate) async fn commit_records(&mut self, store: &SqliteStore, records: Records) -> (Arc<Batch>, Committed) {
        let batch = self.batch(records);
        let committed = store.commit(batch.clone()).await.unwrap();
        assert_eq!(committed.outcome, Outcome::Applied);
        (batch, committed)
    }
}

pub(crate) fn service(name: &str) -> Service {
    Service {
        name: name.into(),
        metric_points: 1,
        spans: 2,
        log_records: 3,
        first_seen: Timestamp(10),
        last_seen: Timestamp(20),
    }
}

/// That many keys with random names and sketches.
pub(crate) fn attribute_keys(seed: u64, rows: usize) -> CatalogueDelta {
    let mut random = Fixtures::plain(seed, 50);
    CatalogueDelta { attribute_keys: (0..rows).map(|_| random.record()).collect(), ..CatalogueDelta::default() }
}

pub(crate) async fn number_of_keys(store: &SqliteStore) -> usize {
    store.list_all::<AttributeKey>(Query::new(1_000)).await.unwrap().len()
}
