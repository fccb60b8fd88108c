//! What leaves a database, and what stays while others write to it.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Database, batch, connect, everything, open};
use tallybook_conformance::Fixtures;
use tallybook_core::{
    Condition, Cursor, DAY, MetricBucket, Record as _, Records, SourceId, Store as _, Tick, TickFlags, Timestamp,
    Window,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_does_not_leave_with_what_another_server_commits() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let store = Arc::new(open(&url).await);
    let mut records = Records::default();
    let bucket = MetricBucket { window: Window::Hour, start: Timestamp(3 * DAY), ..Fixtures::odd(1).record() };
    records.catalogue.metric_buckets.push(bucket);
    store.commit(batch(SourceId::mint(), 1, records)).await.expect("committed");

    // Another server in the middle of a commit to the same day.
    let other = connect(&url).await.expect("a connection");
    other
        .batch_execute(
            "BEGIN;
             UPDATE revision SET rev = rev + 1;
             INSERT INTO metric_bucket SELECT 'day', \"start\", 'shop', 'late', 7, 0, '', 2 FROM metric_bucket",
        )
        .await
        .expect("in a transaction");
    let pruned = tokio::spawn({
        let store = store.clone();
        let hours = [Condition::Equals("window", "hour".into())];
        async move { store.prune(MetricBucket::TABLE, Timestamp(10 * DAY), &hours, 100).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    other.batch_execute("COMMIT").await.expect("committed");
    assert_eq!(pruned.await.expect("no panic").expect("pruned"), 1);
    let left = other.query("SELECT name FROM metric_bucket", &[]).await.expect("the buckets");
    assert_eq!(left.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), ["late"]);

    // With its last row the partition goes.
    let days = [Condition::Equals("window", "day".into())];
    assert_eq!(store.prune(MetricBucket::TABLE, Timestamp(10 * DAY), &days, 100).await.expect("pruned"), 1);
    let partition = other.query_one("SELECT to_regclass('metric_bucket_3') IS NULL", &[]).await.expect("an answer");
    assert!(partition.get::<_, bool>(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_ticks_stays_short_whatever_is_committed_between_and_followers_miss_none() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let store = open(&url).await;
    let source = SourceId::mint();
    let tick = |second: i64| Tick {
        symbol: "EURUSD".into(),
        time: Timestamp(second * 1_000_000_000),
        seq: 0,
        bid: Some("1.0851".parse().expect("a number")),
        ask: None,
        volume: None,
        source: "lp".into(),
        flags: TickFlags::ONE_SIDED,
        received: Timestamp(0),
    };
    let admin = connect(&url).await.expect("a connection");
    for second in 0..6 {
        let records = Records { ticks: vec![tick(second)], ..Records::default() };
        store.commit(batch(source, second.unsigned_abs(), records)).await.expect("committed");
        // The commits of others; no revision of ticks is a round number.
        let others = if second == 2 { 7_000 } else { 2 };
        admin.execute("UPDATE revision SET rev = rev + $1", &[&i64::from(others)]).await.expect("raised");
    }
    let entries = admin.query_one("SELECT count(*) FROM tick_touched", &[]).await.expect("the log");
    assert_eq!(entries.get::<_, i64>(0), 4, "three became one");
    let (mut cursor, mut found) = (Cursor::START, Vec::new());
    loop {
        let page = store.changes(&cursor, 2).await.expect("changes");
        found.extend(page.ticks);
        cursor = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(found, everything(&store).await.1);
}
