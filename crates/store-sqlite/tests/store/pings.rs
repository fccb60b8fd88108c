//! Pings, their sums per minute, hour and day, and the documented views.

use std::path::Path;

use tallybook_core::{
    Condition, Counts, DAY, HOUR, Outcome, Ping, PingBucket, Query, Record as _, Records, Store as _, StoreExt as _,
    Timestamp,
};
use tallybook_store_sqlite::SqliteStore;

use crate::support::{Sender, open, plain_rows};

const SECOND: i64 = 1_000_000_000;

/// A ping that was answered after so many milliseconds, or lost.
fn ping(target: &str, second: i64, milliseconds: Option<u64>) -> Ping {
    Ping {
        target: target.into(),
        time: Timestamp(second * SECOND),
        latency: milliseconds.map(|milliseconds| milliseconds * 1_000_000),
        success: milliseconds.is_some(),
        ttl: milliseconds.map(|_| 57),
        packet_size: Some(56),
        sequence: Some(second.cast_unsigned()),
        jitter: milliseconds.map(|milliseconds| milliseconds * 100_000),
        error: milliseconds.is_none().then(|| "no answer within 1 s".into()),
    }
}

async fn commit(store: &SqliteStore, pings: Vec<Ping>) -> Counts {
    Sender::new().commit_records(store, Records { pings, ..Records::default() }).await.1.pings
}

/// Each with its resolution, start, pings, lost ones, and the smallest and greatest latency.
fn buckets(folder: &Path) -> Vec<String> {
    plain_rows(folder, "SELECT resolution, ts, count, lost, min_ms, max_ms FROM ping_rollups ORDER BY 1, 2")
}

/// The median of a day, in whole milliseconds, and how many pings it is of.
async fn median(store: &SqliteStore) -> (u64, u64) {
    let day = Query { sketches: true, ..Query::new(1) }.filter(Condition::Equals("resolution", "day".into()));
    let day = store.list::<PingBucket>(&day).await.unwrap().items.remove(0);
    ((day.latencies.quantile(0.5).unwrap() + 500_000) / 1_000_000, day.latencies.count())
}

#[tokio::test]
async fn a_late_ping_corrects_its_minute_hour_and_day() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let in_time =
        vec![ping("a", 60, Some(10)), ping("a", 61, Some(20)), ping("a", 120, None), ping("a", 3_600, Some(5))];
    assert_eq!(commit(&store, in_time).await, Counts { stored: 4, ..Counts::default() });
    assert_eq!(commit(&store, vec![ping("a", 90, Some(1_000))]).await, Counts { stored: 1, ..Counts::default() });
    let expected = [
        "day | 0 | 5 | 1 | 5.0 | 1000.0",
        "hour | 0 | 4 | 1 | 10.0 | 1000.0",
        "hour | 3600 | 1 | 0 | 5.0 | 5.0",
        "minute | 60 | 3 | 0 | 10.0 | 1000.0",
        "minute | 120 | 1 | 1 | null | null",
        "minute | 3600 | 1 | 0 | 5.0 | 5.0",
    ];
    assert_eq!(buckets(folder.path()), expected);
    assert_eq!(median(&store).await.1, 4);
}

#[tokio::test]
async fn a_replaced_ping_has_its_buckets_summed_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    commit(&store, vec![ping("a", 60, Some(10)), ping("a", 61, Some(900)), ping("b", 61, Some(7))]).await;
    let again = vec![ping("a", 60, Some(10)), ping("a", 61, Some(10))];
    assert_eq!(commit(&store, again).await, Counts { stored: 0, merged: 1, duplicate: 1 });
    let expected =
        ["day | 0 | 2 | 0 | 10.0 | 10.0", "hour | 0 | 2 | 0 | 10.0 | 10.0", "minute | 60 | 2 | 0 | 10.0 | 10.0"];
    let found = buckets(folder.path());
    assert!(expected.iter().all(|bucket| found.iter().any(|found| found == bucket)), "{found:?}");
    assert_eq!(found.len(), 6, "those of the other target stay: {found:?}");
    assert_eq!(median(&store).await, (10, 2));
    let pings = "SELECT target, ts, latency_ms FROM pings ORDER BY target, ts";
    assert_eq!(plain_rows(folder.path(), pings), ["a | 60.0 | 10.0", "a | 61.0 | 10.0", "b | 61.0 | 7.0"]);
}

#[tokio::test]
async fn a_batch_that_comes_again_is_answered_with_the_counts_of_the_first_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    commit(&store, vec![ping("a", 1, Some(1)), ping("a", 2, Some(2))]).await;
    let mut sender = Sender::new();
    let pings = vec![ping("a", 1, Some(1)), ping("a", 2, Some(3)), ping("a", 3, None)];
    let (batch, first) = sender.commit_records(&store, Records { pings, ..Records::default() }).await;
    assert_eq!(first.pings, Counts { stored: 1, merged: 1, duplicate: 1 });
    let before = buckets(folder.path());
    drop(store);
    let store = open(folder.path()).unwrap();
    let again = store.commit(batch.clone()).await.unwrap();
    assert_eq!((again.outcome, again.pings), (Outcome::Duplicate, first.pings));
    assert_eq!(buckets(folder.path()), before);

    sender.commit_records(&store, Records::default()).await;
    let forgotten = store.commit(batch).await.unwrap();
    assert_eq!((forgotten.outcome, forgotten.pings), (Outcome::Duplicate, Counts::default()));
}

#[tokio::test]
async fn a_ping_that_cannot_be_is_refused_and_nothing_of_its_batch_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let pings = vec![ping("a", 1, Some(1)), ping("a", 2, Some(0))];
    let error = store.commit(Sender::new().batch(Records { pings, ..Records::default() })).await.unwrap_err();
    assert_eq!(error.kind(), tallybook_core::ErrorKind::Invalid);
    let expected = "committing a batch: the ping of `a` at 1970-01-01T00:00:02Z: \
                    a latency of 0 is none: leave it out where no answer came";
    assert_eq!(error.to_string(), expected);
    assert_eq!(buckets(folder.path()), [""; 0]);
}

#[tokio::test]
async fn pings_and_each_resolution_are_pruned_on_their_own_and_late_pings_keep_old_sums() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    commit(&store, (0..120).map(|second| ping("a", second, Some(10))).collect()).await;
    commit(&store, vec![ping("a", 2 * 86_400, Some(10))]).await;
    assert_eq!(store.prune(Ping::TABLE, Timestamp(DAY), &[], 100).await.unwrap(), 100);
    assert_eq!(store.prune(Ping::TABLE, Timestamp(DAY), &[], 100).await.unwrap(), 20);
    let minutes = [Condition::Equals("resolution", "minute".into())];
    assert_eq!(store.prune(PingBucket::TABLE, Timestamp(HOUR), &minutes, 100).await.unwrap(), 2);
    let sketches = "SELECT count(*) FROM ping_bucket_sketch";
    let expected = ["day | 0 | 120 | 0 | 10.0 | 10.0", "hour | 0 | 120 | 0 | 10.0 | 10.0"];
    assert_eq!(buckets(folder.path())[..1], expected[..1]);
    assert_eq!(buckets(folder.path())[2], expected[1]);
    assert_eq!(plain_rows(folder.path(), sketches), ["5"]);

    // What is left of that day is one ping; its sums are of 122 and must not shrink to it.
    commit(&store, vec![ping("a", 30, Some(10))]).await;
    commit(&store, vec![ping("a", 31, Some(10))]).await;
    commit(&store, vec![ping("a", 31, Some(20))]).await;
    assert_eq!(buckets(folder.path())[0], "day | 0 | 122 | 0 | 10.0 | 10.0");
}

#[tokio::test]
async fn other_programs_read_pings_by_plain_sql() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    commit(&store, vec![ping("a", 60, Some(10)), ping("a", 61, Some(20)), ping("a", 62, None), ping("b", 63, None)])
        .await;
    for (sql, expected) in [
        (
            "SELECT ts, target, latency_ms, success FROM pings ORDER BY ts",
            vec!["60.0 | a | 10.0 | 1", "61.0 | a | 20.0 | 1", "62.0 | a | null | 0", "63.0 | b | null | 0"],
        ),
        (
            "SELECT ts, target, ttl, packet_loss, jitter_ms FROM ping_metadata ORDER BY target",
            vec!["60 | a | 57 | 33.3 | 1.5", "60 | b | null | 100.0 | null"],
        ),
        (
            "SELECT resolution, ts, target, count, lost, min_ms, avg_ms, max_ms, variance_ms2, jitter_ms FROM ping_rollups \
             WHERE resolution = 'hour' ORDER BY target",
            vec![
                "hour | 0 | a | 3 | 1 | 10.0 | 15.0 | 20.0 | 25.0 | 1.5",
                "hour | 0 | b | 1 | 1 | null | null | null | null | null",
            ],
        ),
    ] {
        assert_eq!(plain_rows(folder.path(), sql), expected, "{sql}");
    }
}
