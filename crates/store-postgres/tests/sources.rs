//! Sources that sent nothing for a month: whoever names each of his requests makes very many.

mod support;

use std::sync::Arc;

use support::{Database, connect};
use tallybook_core::{Ack, Batch, BatchId, Records, SourceId, Store as _};
use tallybook_store_postgres::{PostgresOptions, PostgresStore};

async fn commit(store: &PostgresStore, source: SourceId, seq: u64) {
    let batch = Batch { id: BatchId { source, seq }, ack: Ack::Written, records: Records::default() };
    store.commit(Arc::new(batch)).await.expect("committed");
}

#[tokio::test]
async fn a_source_that_ended_long_ago_is_forgotten() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let open = async || PostgresStore::open(&url, PostgresOptions::default()).await.expect("the store opens");
    let store = open().await;
    let [ended, alive] = [SourceId::mint(), SourceId::mint()];
    for source in [ended, alive] {
        commit(&store, source, 1).await;
    }
    let admin = connect(&url).await.expect("a connection");
    let age = "UPDATE batch_source SET at = at - interval '31 days' WHERE source = $1";
    admin.execute(age, &[&ended.0]).await.expect("aged");
    // With the first commit of a process, and then every hour.
    commit(&open().await, alive, 2).await;
    let left = admin.query("SELECT source FROM batch_source", &[]).await.expect("sources");
    assert_eq!(left.iter().map(|row| row.get(0)).collect::<Vec<uuid::Uuid>>(), [alive.0]);
}
