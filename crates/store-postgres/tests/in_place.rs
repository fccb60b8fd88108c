//! Rows that almost every commit changes: an old database takes them along, they stay on their pages, and followers find
//! them by blocks of revisions.

mod support;

use support::{Database, batch, connect, open};
use tallybook_conformance::Fixtures;
use tallybook_core::{
    AttributeKey, AttributeKeyBucket, Cursor, Query, Record as _, Records, SourceId, Store as _, StoreExt as _,
};
use tallybook_store_postgres::PostgresStore;

mod migrations {
    refinery::embed_migrations!("../../migrations/postgres");
}

/// The tables, as `migrations/postgres/V3` names them.
const IN_PLACE: [&str; 4] = ["attribute_key", "metric_bucket", "attribute_key_bucket", "template_bucket"];

async fn commit(store: &PostgresStore, source: SourceId, seq: u64, records: Records) {
    store.commit(batch(source, seq, records)).await.expect("committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_second_version_keeps_its_rows() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let mut admin = connect(&url).await.expect("a connection");
    migrations::migrations::runner()
        .set_target(refinery::Target::Version(2))
        .run_async(&mut admin)
        .await
        .expect("the old schema");
    admin
        .batch_execute(
            "UPDATE revision SET rev = 40;
             INSERT INTO attribute_key SELECT 'span', '', 'GET', 'attribute', 'key.' || n, n, 0, 1, 2, '', n
                 FROM generate_series(1, 40) AS n;
             CREATE TABLE attribute_key_bucket_0 PARTITION OF attribute_key_bucket FOR VALUES FROM (0) TO (86400000000000);
             INSERT INTO attribute_key_bucket SELECT 'hour', 0, 'span', '', 'GET', 'attribute', 'key.' || n, n, 0, '', n
                 FROM generate_series(1, 40) AS n",
        )
        .await
        .expect("old rows");

    let store = open(&url).await;
    let keys = store.list::<AttributeKey>(&Query::new(100).sort("count", false)).await.expect("the keys").items;
    assert_eq!(keys.iter().map(|key| key.count).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    let buckets = store.list::<AttributeKeyBucket>(&Query::new(100)).await.expect("the buckets").items;
    assert_eq!(buckets.len(), 40);
    let changes = store.changes(&Cursor::START, 1_000).await.expect("changes").changes;
    let revisions: Vec<u64> = changes.iter().map(|change| change.revision).collect();
    assert_eq!(revisions, (1..=40).flat_map(|revision| [revision, revision]).collect::<Vec<_>>());
    let view = admin.query_one("SELECT count(*) FROM key_metadata", &[]).await.expect("the view works");
    assert_eq!(view.get::<_, i64>(0), 0, "rows of all services are left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_of_small_pages_finds_every_row_of_many_revisions() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let store = open(&url).await;
    let source = SourceId::mint();
    let mut fixtures = Fixtures::odd(11);
    for seq in 1..=40 {
        let mut records = Records::default();
        records.catalogue.attribute_keys.extend((0..3).map(|_| fixtures.record::<AttributeKey>()));
        commit(&store, source, seq, records).await;
    }
    let (mut cursor, mut found, mut last) = (Cursor::START, Vec::new(), 0);
    loop {
        let page = store.changes(&cursor, 2).await.expect("changes");
        for change in page.changes {
            assert!(change.revision >= last, "{} after {last}", change.revision);
            last = change.revision;
            found.push(change.row);
        }
        cursor = page.next;
        if !page.more {
            break;
        }
    }
    let all = store.select(AttributeKey::TABLE, &Query::new(1_000).with_sketches()).await.expect("the table");
    found.sort_unstable();
    assert_eq!(found, all.rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_have_room_on_their_pages_and_no_index_of_what_every_commit_changes() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let store = open(&url).await;
    let mut records = Records::default();
    records.catalogue.attribute_key_buckets.push(Fixtures::odd(5).record());
    commit(&store, SourceId::mint(), 1, records).await;
    let admin = connect(&url).await.expect("a connection");
    for table in IN_PLACE {
        let indexed = admin
            .query(
                "SELECT a.attname::text FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid
                 WHERE i.indrelid = $1::text::regclass AND a.attnum = ANY (i.indkey)
                     AND a.attname IN ('rev', 'count', 'sample_count', 'last_seen')",
                &[&table],
            )
            .await
            .expect("its indexes");
        assert!(indexed.is_empty(), "{table}: {}", indexed[0].get::<_, &str>(0));
    }
    let crowded = admin
        .query(
            "SELECT c.relname::text FROM pg_class AS c LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
             WHERE c.relkind = 'r' AND coalesce(i.inhparent, c.oid) IN (SELECT unnest($1::text[])::regclass)
                 AND NOT coalesce(c.reloptions @> '{fillfactor=50}', false)",
            &[&IN_PLACE.as_slice()],
        )
        .await
        .expect("its partitions");
    assert!(crowded.is_empty(), "{}", crowded[0].get::<_, &str>(0));
}
