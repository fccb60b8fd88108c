//! Promise 11, and what a restart keeps where a store is persistent.

use std::sync::Arc;

use tallybook_core::{
    Ack, Applied, Batch, Committed, Cursor, Error, ErrorKind, Outcome, Query, Records, Service, Store, TABLES,
    Timestamp,
};
use tokio::task::JoinSet;

use super::{restart_cases, store_cases};
use crate::follower::Follower;
use crate::support::{ALWAYS, Sender, all, answer, assert_same, commit, contents, open, send, ticks_of};
use crate::{Fixtures, Place};

store_cases! {
    p11_after_close_every_call_is_unavailable,
    p11_calls_under_way_end_when_it_closes,
}

restart_cases! {
    restart_keeps_every_row,
    restart_remembers_what_was_committed,
    restart_goes_on_folding,
    restart_leaves_followers_where_they_are,
    restart_has_what_was_answered_before_it_closed_under_load,
}

async fn p11_after_close_every_call_is_unavailable(store: &Arc<dyn Store>) {
    let mut sender = Sender::new();
    send(&**store, &sender.batch(Fixtures::odd(80).records(50))).await;
    store.close().await.expect("the store closes");
    store.close().await.expect("a second close is fine");
    let refused = store.commit(sender.batch(Fixtures::odd(81).records(5))).await.map_err(|error| error.applied());
    assert_eq!(refused, Err(Applied::No));
    let answers: [Option<Error>; 4] = [
        store.commit(sender.batch(Records::default())).await.err(),
        store.select(TABLES[0], &Query::new(1)).await.err(),
        store.changes(&Cursor::START, 1).await.err(),
        store.prune(TABLES[9], Timestamp(0), &[], 1).await.err(),
    ];
    assert_eq!(answers.map(|error| error.map(|error| error.kind())), [Some(ErrorKind::Unavailable); 4]);
    let day = Timestamp(0);
    let answers: [Option<Error>; 6] = [
        store.ticks(&ticks_of("a")).await.err(),
        store.symbols(ALWAYS).await.err(),
        store.segments().await.err(),
        store.drop_segment(day).await.err(),
        store.seal(day).await.err(),
        store.unseal(day).await.err(),
    ];
    assert_eq!(answers.map(|error| error.map(|error| error.kind())), [Some(ErrorKind::Unavailable); 6]);
    assert!(!store.info().name.is_empty(), "it still says what it is");
}

/// Starts tasks that add to one service until the store is closed; each says how many commits were answered, and how
/// many may or may not have happened.
fn write_until_closed(store: &Arc<dyn Store>) -> JoinSet<(u64, u64)> {
    let service = Service { name: "under load".into(), log_records: 1, ..Fixtures::odd(82).record() };
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let (store, service) = (store.clone(), service.clone());
        tasks.spawn(async move {
            let mut sender = Sender::new();
            let mut answered = 0;
            loop {
                let mut records = Records::default();
                records.catalogue.services.push(service.clone());
                match store.commit(sender.batch(records)).await {
                    Ok(_) => answered += 1,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                        return (answered, u64::from(error.applied() == Applied::Unknown));
                    }
                }
                tokio::task::yield_now().await;
            }
        });
    }
    tasks
}

async fn close_under_load(store: &Arc<dyn Store>) -> (u64, u64) {
    let writers = write_until_closed(store);
    while all::<Service>(&**store).await.first().is_none_or(|service| service.log_records < 20) {
        tokio::task::yield_now().await;
    }
    store.close().await.expect("the store closes");
    writers.join_all().await.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

async fn p11_calls_under_way_end_when_it_closes(store: &Arc<dyn Store>) {
    let (answered, _) = close_under_load(store).await;
    assert!(answered >= 20);
}

/// Closes the store and opens what it left.
async fn restart(store: Arc<dyn Store>, place: &dyn Place) -> Arc<dyn Store> {
    store.close().await.expect("the store closes");
    drop(store);
    open(place).await
}

async fn restart_keeps_every_row(place: &dyn Place) -> Arc<dyn Store> {
    let store = open(place).await;
    let mut fixtures = Fixtures::odd(83);
    commit(&*store, fixtures.records(400)).await;
    commit(&*store, fixtures.records(400)).await;
    let before = contents(&*store).await;
    let store = restart(store, place).await;
    assert_same(&contents(&*store).await, &before);
    store
}

async fn restart_remembers_what_was_committed(place: &dyn Place) -> Arc<dyn Store> {
    let mut store = open(place).await;
    let mut sender = Sender::new();
    for ack in [Ack::Written, Ack::Durable] {
        let mut records = Fixtures::few(87).records(90);
        records.catalogue.services =
            vec![Service { name: "once".into(), log_records: 1, ..Fixtures::odd(84).record() }];
        let batch = Arc::new(Batch { ack, ..(*sender.batch(records)).clone() });
        let first = answer(&*store, &batch).await;
        assert_eq!(first.outcome, Outcome::Applied);
        store = restart(store, place).await;
        assert_eq!(answer(&*store, &batch).await, Committed { outcome: Outcome::Duplicate, ..first });
    }
    assert_eq!(all::<Service>(&*store).await[0].log_records, 2);
    assert_eq!(send(&*store, &sender.batch(Records::default())).await, Outcome::Applied);
    store
}

async fn restart_goes_on_folding(place: &dyn Place) -> Arc<dyn Store> {
    let batches = |fixtures: &mut Fixtures| [fixtures.records(200), fixtures.records(200), fixtures.records(200)];
    let mut store = open(place).await;
    for records in batches(&mut Fixtures::few(85)) {
        commit(&*store, records).await;
        store = restart(store, place).await;
    }
    let reference = tallybook_store_memory::MemoryStore::new();
    for records in batches(&mut Fixtures::few(85)) {
        commit(&reference, records).await;
    }
    assert_same(&contents(&*store).await, &contents(&reference).await);
    store
}

async fn restart_leaves_followers_where_they_are(place: &dyn Place) -> Arc<dyn Store> {
    let mut store = open(place).await;
    let mut fixtures = Fixtures::odd(86);
    let mut follower = Follower::new();
    for limit in [10, 100, 7] {
        commit(&*store, fixtures.records(50)).await;
        follower.page(&*store, limit).await;
        store = restart(store, place).await;
    }
    follower.catch_up(&*store, 20).await;
    assert_same(&follower.contents(), &contents(&*store).await);
    commit(&*store, fixtures.records(1)).await;
    assert_eq!(follower.catch_up(&*store, 20).await, 1, "only what is new");
    store
}

async fn restart_has_what_was_answered_before_it_closed_under_load(place: &dyn Place) -> Arc<dyn Store> {
    let store = open(place).await;
    let (answered, unknown) = close_under_load(&store).await;
    drop(store);
    let store = open(place).await;
    let found = all::<Service>(&*store).await[0].log_records;
    assert!((answered..=answered + unknown).contains(&found), "{answered} were answered, {found} are there");
    store
}
