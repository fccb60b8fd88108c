//! Promise 3 for pings: they are stored, and summed up, as [`tallybook_core::PingPlan`] says.

use std::sync::Arc;

use tallybook_core::{
    Condition, Counts, Histogram, Ping, PingBucket, Record as _, Records, Resolution, Row, Store, Timestamp,
};

use super::store_cases;
use crate::Fixtures;
use crate::support::{Sender, all, answer, rows};

store_cases! {
    p03_a_late_ping_corrects_its_minute_hour_and_day,
    p03_a_replaced_ping_rebuilds_its_buckets,
    p03_of_equal_pings_in_one_batch_the_last_stays,
    p03_an_identical_ping_is_a_duplicate,
    p03_buckets_are_the_sums_of_their_pings,
    p03_sums_of_pings_stop_at_the_greatest_there_is,
    p03_a_bucket_outlives_its_pings,
    p08_buckets_of_pings_go_by_resolution,
}

const SECOND: i64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;

/// A ping of the target `a`.
fn ping(second: i64, latency: Option<u64>) -> Ping {
    Ping {
        ttl: Some(64),
        jitter: latency.map(|latency| latency / 10),
        ..Ping::new("a", Timestamp(second * SECOND), latency)
    }
}

async fn commit_pings(store: &Arc<dyn Store>, pings: &[Ping]) -> Counts {
    let records = Records { pings: pings.to_vec(), ..Records::default() };
    answer(&**store, &Sender::new().batch(records)).await.pings
}

fn counts(stored: u64, merged: u64, duplicate: u64) -> Counts {
    Counts { stored, merged, duplicate }
}

/// What the pings come to, by the definition of one ping's bucket and of merging.
fn sums(pings: &[Ping]) -> Vec<Row> {
    let of = |ping| Resolution::ALL.iter().map(move |&resolution| PingBucket::of(resolution, ping).to_row());
    PingBucket::TABLE.normalise(pings.iter().flat_map(of).collect())
}

/// All pings, of which all buckets must be the sums.
async fn summed_pings(store: &Arc<dyn Store>) -> Vec<Ping> {
    let pings = all::<Ping>(&**store).await;
    assert_eq!(rows(&**store, PingBucket::TABLE).await, sums(&pings));
    pings
}

async fn p03_a_late_ping_corrects_its_minute_hour_and_day(store: &Arc<dyn Store>) {
    let day_later = 86_400;
    let on_time =
        [ping(10, Some(MILLISECOND)), ping(70, None), ping(4_000, Some(3 * MILLISECOND)), ping(day_later, None)];
    for one in &on_time {
        assert_eq!(commit_pings(store, std::slice::from_ref(one)).await, counts(1, 0, 0));
    }
    let before = all::<PingBucket>(&**store).await;
    assert_eq!(commit_pings(store, &[ping(20, Some(9 * MILLISECOND))]).await, counts(1, 0, 0));
    let after = all::<PingBucket>(&**store).await;
    assert_eq!(after.len(), before.len());
    let changed: Vec<&PingBucket> =
        after.iter().zip(&before).filter(|(after, before)| after != before).map(|(after, _)| after).collect();
    let found = changed.iter().map(|bucket| (bucket.resolution, bucket.count, bucket.lost, bucket.sum / MILLISECOND));
    let expected = [(Resolution::Day, 4, 1, 13), (Resolution::Hour, 3, 1, 10), (Resolution::Minute, 2, 0, 10)];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    assert!(changed.iter().all(|bucket| bucket.start == Timestamp(0) && bucket.max == Some(9 * MILLISECOND)));
    summed_pings(store).await;
}

async fn p03_a_replaced_ping_rebuilds_its_buckets(store: &Arc<dyn Store>) {
    commit_pings(store, &[ping(1, Some(900 * MILLISECOND)), ping(2, Some(2 * MILLISECOND)), ping(3, None)]).await;
    // The greatest one shrinks, a lost one was answered after all, and one is new.
    let corrected = [ping(1, Some(MILLISECOND)), ping(3, Some(4 * MILLISECOND)), ping(4, Some(8 * MILLISECOND))];
    assert_eq!(commit_pings(store, &corrected).await, counts(1, 2, 0));
    let mut latencies = Histogram::default();
    for latency in [1, 2, 4, 8] {
        latencies.insert(latency * MILLISECOND);
    }
    for bucket in all::<PingBucket>(&**store).await {
        assert_eq!((bucket.count, bucket.lost, bucket.sum), (4, 0, 15 * MILLISECOND), "{}", bucket.resolution);
        assert_eq!((bucket.min, bucket.max), (Some(MILLISECOND), Some(8 * MILLISECOND)), "{}", bucket.resolution);
        assert_eq!(*bucket.latencies, latencies, "{}", bucket.resolution);
    }
    assert_eq!(commit_pings(store, &[ping(2, None)]).await, counts(0, 1, 0));
    assert_eq!(summed_pings(store).await.len(), 4);
}

async fn p03_of_equal_pings_in_one_batch_the_last_stays(store: &Arc<dyn Store>) {
    let [first, last] = [ping(1, Some(5)), Ping { error: Some("timed out".into()), ..ping(1, None) }];
    let other = Ping { target: "A".into(), ..first.clone() };
    let batch = [first.clone(), first, last.clone(), other.clone()];
    assert_eq!(commit_pings(store, &batch).await, counts(2, 1, 1));
    assert_eq!(summed_pings(store).await, [other, last]);
}

async fn p03_an_identical_ping_is_a_duplicate(store: &Arc<dyn Store>) {
    let batch = [ping(1, Some(5)), ping(2, None)];
    assert_eq!(commit_pings(store, &batch).await, counts(2, 0, 0));
    assert_eq!(commit_pings(store, &batch).await, counts(0, 0, 2));
    // Differs in what most pings do not have.
    let numbered = Ping { sequence: Some(0), ..ping(1, Some(5)) };
    assert_eq!(commit_pings(store, &[numbered.clone(), ping(2, None)]).await, counts(0, 1, 1));
    assert_eq!(summed_pings(store).await, [numbered, ping(2, None)]);
}

async fn p03_buckets_are_the_sums_of_their_pings(store: &Arc<dyn Store>) {
    for (mut fixtures, rounds) in [(Fixtures::few(110), 12), (Fixtures::odd(111), 6)] {
        for _ in 0..rounds {
            let pings: Vec<Ping> = (0..40).map(|_| fixtures.ping()).collect();
            let counts = commit_pings(store, &pings).await;
            assert_eq!(counts.stored + counts.merged + counts.duplicate, 40);
        }
    }
    let pings = all::<Ping>(&**store).await;
    assert!(pings.len() > 100);
    // What was last seen of a ttl depends on the order of arrival, which the pings do not tell.
    let without_ttl = |rows: Vec<Row>| -> Vec<PingBucket> {
        let bucket = |row| PingBucket { ttl: None, ..PingBucket::from_row(row).expect("a row is a bucket") };
        rows.into_iter().map(bucket).collect()
    };
    assert_eq!(without_ttl(rows(&**store, PingBucket::TABLE).await), without_ttl(sums(&pings)));
}

async fn p03_sums_of_pings_stop_at_the_greatest_there_is(store: &Arc<dyn Store>) {
    let longest = |second| Ping { jitter: Some(i64::MAX as u64), ..ping(second, Some(Ping::MAX_LATENCY)) };
    commit_pings(store, &[longest(1), longest(2)]).await;
    commit_pings(store, &[longest(3)]).await;
    for bucket in all::<PingBucket>(&**store).await {
        let most = i64::MAX as u64;
        assert_eq!((bucket.sum, bucket.sum_squares, bucket.jitter_sum), (3 * Ping::MAX_LATENCY, most, most));
    }
    // Summed up again, it is the same.
    assert_eq!(commit_pings(store, &[Ping { ttl: None, ..longest(2) }]).await, counts(0, 1, 0));
    summed_pings(store).await;
}

async fn p03_a_bucket_outlives_its_pings(store: &Arc<dyn Store>) {
    commit_pings(store, &[ping(1, Some(5)), ping(2, Some(7)), ping(100, Some(9))]).await;
    let gone = store.prune(Ping::TABLE, Timestamp(2 * SECOND), &[], 10).await.expect("the store prunes");
    assert_eq!(gone, 1);
    // What the ping that is gone added can no longer be told apart, so the sums stay.
    assert_eq!(commit_pings(store, &[ping(2, None), ping(100, None)]).await, counts(0, 2, 0));
    let found = all::<PingBucket>(&**store).await;
    let found: Vec<_> = found.iter().map(|one| (one.resolution, one.count, one.lost, one.sum)).collect();
    let minutes = [(Resolution::Minute, 2, 0, 12), (Resolution::Minute, 1, 1, 0)];
    assert_eq!(found, [[(Resolution::Day, 3, 0, 21), (Resolution::Hour, 3, 0, 21)], minutes].concat());
    // New ones still add to them.
    assert_eq!(commit_pings(store, &[ping(3, Some(100))]).await, counts(1, 0, 0));
    assert_eq!(all::<PingBucket>(&**store).await[0].sum, 121);
}

async fn p08_buckets_of_pings_go_by_resolution(store: &Arc<dyn Store>) {
    commit_pings(store, &[ping(1, Some(5)), ping(86_400, Some(7))]).await;
    let minutes = [Condition::Equals("resolution", "minute".into())];
    let gone = store.prune(PingBucket::TABLE, Timestamp(i64::MAX), &minutes, 10).await.expect("the store prunes");
    assert_eq!(gone, 2);
    let left = all::<PingBucket>(&**store).await;
    let left: Vec<Resolution> = left.iter().map(|bucket| bucket.resolution).collect();
    assert_eq!(left, [Resolution::Day, Resolution::Day, Resolution::Hour, Resolution::Hour]);
    // A minute that is gone begins anew.
    assert_eq!(commit_pings(store, &[ping(2, Some(11))]).await, counts(1, 0, 0));
    let sums: Vec<_> = all::<PingBucket>(&**store).await.iter().map(|bucket| bucket.sum).collect();
    assert_eq!(sums, [16, 7, 16, 7, 11]);
}
