//! Promises 1, 6 and 10 where calls run side by side or are dropped midway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tallybook_core::{
    AttributeKey, CatalogueDelta, Cursor, Log, Outcome, Query, Record as _, Records, Service, Severity, Store, TABLES,
    Timestamp,
};
use tokio::task::JoinSet;

use super::store_cases;
use crate::Fixtures;
use crate::support::{Sender, all, commit, rows, send};

store_cases! {
    p01_the_tables_of_a_batch_appear_together,
    p01_a_dropped_commit_is_applied_whole_or_not_at_all,
    p01_a_batch_of_twenty_thousand_rows,
    p02_of_equal_batches_sent_at_once_one_is_applied,
    p06_one_list_sees_one_moment,
    p10_writers_and_readers_run_side_by_side,
    p10_dropped_reads_leave_nothing_behind,
}

/// One more record of the services `s0` to `s99` and of one severity each.
fn one_more_of_each() -> Records {
    let services = (0..100).map(|at| Service {
        name: format!("s{at}").into(),
        metric_points: 0,
        spans: 0,
        log_records: 1,
        first_seen: Timestamp(1),
        last_seen: Timestamp(2),
    });
    let log = Log { severity: Severity::Info, sample_count: 1, ..Fixtures::plain(70, 1).record() };
    let services: Vec<Service> = services.collect();
    let logs = services.iter().map(|service| Log { service: service.name.clone(), ..log.clone() }).collect();
    Records { catalogue: CatalogueDelta { services, logs, ..CatalogueDelta::default() }, ..Records::default() }
}

/// Starts a task that commits [`one_more_of_each`] that many times.
fn start_writer(store: &Arc<dyn Store>, batches: usize) -> (tokio::task::JoinHandle<()>, Arc<AtomicBool>) {
    let over = Arc::new(AtomicBool::new(false));
    let (store, tell) = (store.clone(), over.clone());
    let writer = tokio::spawn(async move {
        let mut sender = Sender::new();
        for _ in 0..batches {
            send(&*store, &sender.batch(one_more_of_each())).await;
            tokio::task::yield_now().await;
        }
        tell.store(true, Ordering::Release);
    });
    (writer, over)
}

async fn p01_the_tables_of_a_batch_appear_together(store: &Arc<dyn Store>) {
    let (writer, over) = start_writer(store, 40);
    let services = async || all::<Service>(&**store).await.first().map_or(0, |row| row.log_records);
    let logs = async || all::<Log>(&**store).await.first().map_or(0, |row| row.sample_count);
    while !over.load(Ordering::Acquire) {
        // What is in one table is in the other when it is asked for next.
        let (before, after) = (services().await, logs().await);
        assert!(after >= before, "{before} in services, then {after} in logs");
        let (before, after) = (logs().await, services().await);
        assert!(after >= before, "{before} in logs, then {after} in services");
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer does not panic");
    assert_eq!((services().await, logs().await), (40, 40));
}

async fn p06_one_list_sees_one_moment(store: &Arc<dyn Store>) {
    let (writer, over) = start_writer(store, 40);
    while !over.load(Ordering::Acquire) {
        let query = Query { total: true, ..Query::new(1000) };
        let page = store.select(Service::TABLE, &query).await.expect("the store lists services");
        let counts = page.rows.iter().map(|row| &row[3]);
        assert!(counts.is_sorted_by(|a, b| a == b), "half of a batch is seen");
        assert_eq!(page.total, Some(page.rows.len() as u64));
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer does not panic");
}

async fn p01_a_dropped_commit_is_applied_whole_or_not_at_all(store: &Arc<dyn Store>) {
    let mut sender = Sender::new();
    for round in 1..=40_u64 {
        let batch = sender.batch(one_more_of_each());
        let mut attempt = store.commit(batch.clone());
        for _ in 0..round % 8 {
            if futures_util::poll!(&mut attempt).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(attempt);
        let seen: Vec<u64> = all::<Service>(&**store).await.iter().map(|row| row.log_records).collect();
        assert!(seen.is_empty() || seen.len() == 100 && seen.is_sorted_by(|a, b| a == b), "{seen:?}");
        store.commit(batch).await.expect("the batch is taken when it is sent again");
        let counts = all::<Service>(&**store).await.into_iter().map(|row| row.log_records);
        assert_eq!(counts.collect::<Vec<_>>(), [round; 100], "applied once");
    }
}

async fn p01_a_batch_of_twenty_thousand_rows(store: &Arc<dyn Store>) {
    let key: AttributeKey = Fixtures::plain(71, 10).record();
    let attribute_keys: Vec<_> =
        (0..20_000).map(|at| AttributeKey { key: format!("key {at:05}").into(), ..key.clone() }).collect();
    for _ in 0..2 {
        let catalogue = CatalogueDelta { attribute_keys: attribute_keys.clone(), ..CatalogueDelta::default() };
        commit(&**store, Records { catalogue, ..Records::default() }).await;
    }
    let found = all::<AttributeKey>(&**store).await;
    assert_eq!(found.len(), attribute_keys.len());
    assert!(
        found.iter().zip(&attribute_keys).all(|(found, sent)| found.key == sent.key && found.count == 2 * sent.count)
    );
}

async fn p02_of_equal_batches_sent_at_once_one_is_applied(store: &Arc<dyn Store>) {
    let mut sender = Sender::new();
    for round in 1..=10 {
        let batch = sender.batch(one_more_of_each());
        let mut attempts = JoinSet::new();
        for _ in 0..8 {
            let (store, batch) = (store.clone(), batch.clone());
            attempts.spawn(async move { send(&*store, &batch).await });
        }
        let outcomes = attempts.join_all().await;
        assert_eq!(outcomes.iter().filter(|&&outcome| outcome == Outcome::Applied).count(), 1);
        assert_eq!(all::<Service>(&**store).await[0].log_records, round);
    }
}

async fn p10_writers_and_readers_run_side_by_side(store: &Arc<dyn Store>) {
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut sender = Sender::new();
            for _ in 0..25 {
                assert_eq!(send(&*store, &sender.batch(one_more_of_each())).await, Outcome::Applied);
            }
        });
    }
    for reader in 0..4 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut cursor = Cursor::START;
            for round in 0..40 {
                let table = TABLES[(reader + round) % TABLES.len()];
                store.select(table, &Query::new(50)).await.expect("a reader is answered");
                cursor = store.changes(&cursor, 50).await.expect("a follower is answered").next;
                store.prune(table, Timestamp(i64::MIN), &[], 10).await.expect("pruning is answered");
            }
        });
    }
    tasks.join_all().await;
    let services = all::<Service>(&**store).await;
    assert!(services.len() == 100 && services.iter().all(|service| service.log_records == 100));
}

async fn p10_dropped_reads_leave_nothing_behind(store: &Arc<dyn Store>) {
    commit(&**store, Fixtures::odd(72).records(500)).await;
    // More than any pool of connections holds.
    for polls in 0..300 {
        let query = Query::new(100);
        let mut list = store.select(TABLES[polls % TABLES.len()], &query);
        let mut changes = store.changes(&Cursor::START, 100);
        for _ in 0..=polls % 3 {
            if futures_util::poll!(&mut list).is_ready() || futures_util::poll!(&mut changes).is_ready() {
                break;
            }
        }
    }
    assert!(!rows(&**store, Service::TABLE).await.is_empty());
}
