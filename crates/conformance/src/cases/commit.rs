//! Promises 1, 2 and 5: a batch is applied whole, once, and seen by who comes after.

use std::sync::Arc;

use tallybook_core::{Outcome, Records, Service, Store};

use super::store_cases;
use crate::Fixtures;
use crate::support::{Sender, all, assert_same, commit, contents, send};

store_cases! {
    p01_an_empty_batch_is_applied_and_remembered,
    p02_a_repeated_batch_changes_nothing,
    p02_a_lower_number_is_a_duplicate_and_a_gap_is_fine,
    p02_numbers_go_up_to_the_greatest_there_is,
    p02_sources_do_not_affect_each_other,
    p05_what_was_answered_is_seen,
}

async fn p01_an_empty_batch_is_applied_and_remembered(store: &Arc<dyn Store>) {
    let batch = Sender::new().batch(Records::default());
    assert_eq!(send(&**store, &batch).await, Outcome::Applied);
    assert_eq!(send(&**store, &batch).await, Outcome::Duplicate);
    assert!(contents(&**store).await.iter().all(Vec::is_empty));
}

async fn p02_a_repeated_batch_changes_nothing(store: &Arc<dyn Store>) {
    let batch = Sender::new().batch(Fixtures::odd(1).records(300));
    assert_eq!(send(&**store, &batch).await, Outcome::Applied);
    let before = contents(&**store).await;
    assert!(before.iter().all(|rows| !rows.is_empty()), "every table has rows");
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
