//! Promises 1, 2, 5 and 9: a batch is applied whole, once, and seen by who comes after; or nothing of it is.

use std::sync::Arc;

use tallybook_core::{Applied, Counts, ErrorKind, Outcome, Ping, Records, Service, Store, Tick, Timestamp};

use super::store_cases;
use crate::Fixtures;
use crate::support::{Sender, all, answer, assert_same, commit, contents, send};

store_cases! {
    p01_an_empty_batch_is_applied_and_remembered,
    p02_a_repeated_batch_changes_nothing,
    p02_a_lower_number_is_a_duplicate_and_a_gap_is_fine,
    p02_numbers_go_up_to_the_greatest_there_is,
    p02_sources_do_not_affect_each_other,
    p02_the_last_batch_sent_again_is_answered_with_its_counts,
    p05_what_was_answered_is_seen,
    p09_a_batch_with_a_defect_is_invalid_and_nothing_of_it_is_stored,
}

async fn p01_an_empty_batch_is_applied_and_remembered(store: &Arc<dyn Store>) {
    let batch = Sender::new().batch(Records::default());
    assert_eq!(send(&**store, &batch).await, Outcome::Applied);
    assert_eq!(send(&**store, &batch).await, Outcome::Duplicate);
    assert!(contents(&**store).await.is_empty());
}

async fn p02_a_repeated_batch_changes_nothing(store: &Arc<dyn Store>) {
    let batch = Sender::new().batch(Fixtures::odd(1).records(300));
    assert_eq!(send(&**store, &batch).await, Outcome::Applied);
    let before = contents(&**store).await;
    assert!(before.rows.iter().all(|rows| !rows.is_empty()) && !before.ticks.is_empty(), "every table has rows");
    for _ in 0..3 {
        assert_eq!(send(&**store, &batch).await, Outcome::Duplicate);
    }
    assert_same(&contents(&**store).await, &before);
}

async fn p02_a_lower_number_is_a_duplicate_and_a_gap_is_fine(store: &Arc<dyn Store>) {
    let sender = Sender::new();
    let mut fixtures = Fixtures::odd(2);
    let mut outcomes = Vec::new();
    for seq in [5, 5, 4, 0, 90, 6, 91] {
        outcomes.push(send(&**store, &sender.batch_at(seq, fixtures.records(5))).await);
    }
    let [applied, duplicate] = [Outcome::Applied, Outcome::Duplicate];
    assert_eq!(outcomes, [applied, duplicate, duplicate, duplicate, applied, duplicate, applied]);
}

async fn p02_numbers_go_up_to_the_greatest_there_is(store: &Arc<dyn Store>) {
    let sender = Sender::new();
    for seq in [0, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        let batch = sender.batch_at(seq, Records::default());
        assert_eq!(send(&**store, &batch).await, Outcome::Applied, "{seq}");
        assert_eq!(send(&**store, &batch).await, Outcome::Duplicate, "{seq}");
    }
}

async fn p02_sources_do_not_affect_each_other(store: &Arc<dyn Store>) {
    let records = Records::default();
    let (one, other) = (Sender::new(), Sender::new());
    assert_eq!(send(&**store, &one.batch_at(7, records.clone())).await, Outcome::Applied);
    assert_eq!(send(&**store, &other.batch_at(7, records.clone())).await, Outcome::Applied);
    assert_eq!(send(&**store, &other.batch_at(6, records.clone())).await, Outcome::Duplicate);
    assert_eq!(send(&**store, &one.batch_at(8, records)).await, Outcome::Applied);
}

async fn p02_the_last_batch_sent_again_is_answered_with_its_counts(store: &Arc<dyn Store>) {
    let mut fixtures = Fixtures::few(4);
    let (mut sender, other) = (Sender::new(), Sender::new());
    for _ in 0..6 {
        let batch = sender.batch(fixtures.records(8 * Fixtures::KINDS));
        let first = answer(&**store, &batch).await;
        for counts in [first.pings, first.ticks] {
            assert_eq!(counts.stored + counts.merged + counts.duplicate, 8);
        }
        // What others do meanwhile does not count.
        send(&**store, &Sender::new().batch(fixtures.records(120))).await;
        send(&**store, &other.batch_at(1, Records::default())).await;
        let again = answer(&**store, &batch).await;
        assert_eq!((again.outcome, again.pings, again.ticks), (Outcome::Duplicate, first.pings, first.ticks));
    }
    let without = answer(&**store, &other.batch_at(2, Records::default())).await;
    assert_eq!((without.pings, without.ticks), (Counts::default(), Counts::default()));
}

async fn p05_what_was_answered_is_seen(store: &Arc<dyn Store>) {
    let mut service: Service = Fixtures::odd(3).record();
    service.log_records = 1;
    for round in 1..=50 {
        let mut records = Records::default();
        records.catalogue.services.push(service.clone());
        commit(&**store, records).await;
        assert_eq!(all::<Service>(&**store).await[0].log_records, round);
    }
}

async fn p09_a_batch_with_a_defect_is_invalid_and_nothing_of_it_is_stored(store: &Arc<dyn Store>) {
    let mut fixtures = Fixtures::odd(5);
    let (ping, tick) = (fixtures.ping(), fixtures.tick());
    let too_long: Arc<str> = "a".repeat(Ping::MAX_TARGET_BYTES + 1).into();
    let lost = |latency| Ping { latency, success: latency.is_none(), ..ping.clone() };
    let pings = [
        Ping { target: "".into(), ..ping.clone() },
        Ping { target: too_long.clone(), ..ping.clone() },
        Ping { target: "a\0b".into(), ..ping.clone() },
        Ping { success: true, ..lost(Some(0)) },
        Ping { success: true, ..lost(Some(Ping::MAX_LATENCY + 1)) },
        lost(Some(1)),
        Ping { success: true, ..lost(None) },
    ];
    let ticks = [
        Tick { symbol: "".into(), ..tick.clone() },
        Tick { symbol: too_long.clone(), ..tick.clone() },
        Tick { source: too_long, ..tick.clone() },
        Tick { symbol: "a\0b".into(), ..tick.clone() },
        Tick { source: "\0".into(), ..tick.clone() },
        Tick { bid: None, ask: None, ..tick.clone() },
        Tick { seq: Tick::MAX_SEQ + 1, ..tick.clone() },
        Tick { time: Timestamp(-1), ..tick.clone() },
        Tick { time: Timestamp(i64::MAX), ..tick.clone() },
    ];
    let pings = pings.map(|ping| (ping.defect(), Records { pings: vec![ping], ..Records::default() }));
    let ticks = ticks.map(|tick| (tick.defect(), Records { ticks: vec![tick], ..Records::default() }));
    let mut sender = Sender::new();
    for (defect, bad) in pings.into_iter().chain(ticks) {
        let defect = defect.expect("each has a defect");
        let mut records = fixtures.records(60);
        records.pings.extend(bad.pings);
        records.ticks.extend(bad.ticks);
        let error = store.commit(sender.batch(records)).await.expect_err(defect);
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Invalid, Applied::No), "{defect}");
        assert!(error.to_string().contains(defect), "`{error}` does not say that {defect}");
        assert!(contents(&**store).await.is_empty(), "{defect}");
    }
    // The number of a refused batch is not used up.
    let refused = sender.batch_at(1, fixtures.records(60));
    assert_eq!(send(&**store, &refused).await, Outcome::Applied);
}
