//! Promise 3 of [`tallybook_core::TickStore`]: sealing a day changes no answer. For stores that can.

use std::sync::Arc;

use tallybook_core::{DAY, ErrorKind, Outcome, Records, Segment, Store, Tick, TickFlags, Timestamp};

use super::ticks::{commit_ticks, counts, read, tick};
use super::{restart_cases, store_cases};
use crate::follower::Follower;
use crate::support::{Contents, Sender, assert_same, contents, open, send, ticks};
use crate::{Fixtures, Place};

store_cases! {
    t03_a_sealed_day_answers_every_call_as_before,
    t03_late_ticks_join_a_sealed_day,
    t03_a_day_that_is_sealed_twice_holds_what_came_between,
    t03_an_unsealed_day_is_what_it_was,
    t03_a_day_that_is_not_there_cannot_be_sealed,
    t03_followers_know_the_ticks_of_sealed_days,
    t03_a_sealed_day_can_be_dropped,
    t03_what_was_committed_before_a_seal_is_known_after_it,
    t03_ticks_that_come_while_a_day_is_sealed_are_there,
}

restart_cases! {
    restart_keeps_sealed_days,
}

async fn seal(store: &Arc<dyn Store>, day: i64) -> Segment {
    let segment = store.seal(Timestamp(day * DAY)).await.expect("the store seals a day");
    assert!(segment.sealed);
    assert_eq!(listed(store, day).await.as_ref(), Some(&segment), "as it is listed");
    segment
}

async fn unseal(store: &Arc<dyn Store>, day: i64) -> Segment {
    let segment = store.unseal(Timestamp(day * DAY)).await.expect("the store unseals a sealed day");
    assert!(!segment.sealed);
    assert_eq!(listed(store, day).await.map(|one| (one.count, one.sealed)), Some((segment.count, false)));
    segment
}

async fn listed(store: &Arc<dyn Store>, day: i64) -> Option<Segment> {
    let segments = store.segments().await.expect("the store lists days");
    segments.into_iter().find(|segment| segment.day == Timestamp(day * DAY))
}

/// Odd ticks on few days, the first three of which are `0`, `1` and `59`.
async fn fill(store: &Arc<dyn Store>, seed: u64) -> Contents {
    let mut fixtures = Fixtures::odd(seed);
    commit_ticks(store, &(0..400).map(|_| fixtures.tick()).collect::<Vec<_>>()).await;
    contents(&**store).await
}

/// The same tick with another price.
fn repriced(tick: &Tick) -> Tick {
    Tick { bid: None, ask: "7.7".parse().ok(), flags: TickFlags::ONE_SIDED, ..tick.clone() }
}

async fn t03_a_sealed_day_answers_every_call_as_before(store: &Arc<dyn Store>) {
    let before = fill(store, 130).await;
    let mut fixtures = Fixtures::odd(131);
    let queries: Vec<_> = (0..80).map(|_| fixtures.tick_query(&before.ticks)).collect();
    let mut expected = Vec::new();
    for query in &queries {
        expected.push((read(store, query).await, store.symbols(query.range).await.expect("the store lists symbols")));
    }
    for day in [1, 0] {
        let count = listed(store, day).await.map(|segment| segment.count);
        assert_eq!(Some(seal(store, day).await.count), count);
        assert_same(&contents(&**store).await, &before);
        for (query, (ticks, symbols)) in queries.iter().zip(&expected) {
            assert_eq!(&read(store, query).await, ticks, "{query:?}");
            assert_eq!(&store.symbols(query.range).await.expect("the store lists symbols"), symbols, "{query:?}");
        }
    }
    let sealed = store.segments().await.expect("the store lists days").into_iter().filter(|segment| segment.sealed);
    assert_eq!(sealed.map(|segment| segment.day.0).collect::<Vec<_>>(), [0, DAY]);
}

async fn t03_late_ticks_join_a_sealed_day(store: &Arc<dyn Store>) {
    let [first, second] = [tick(10, 0), tick(30, 0)];
    commit_ticks(store, &[first.clone(), second.clone()]).await;
    seal(store, 0).await;
    let late = [tick(5, 0), tick(10, 1), tick(20, 0), Tick { symbol: "XAU".into(), ..tick(40, 0) }];
    let batch = [&late[..], &[repriced(&first), second.clone()]].concat();
    assert_eq!(commit_ticks(store, &batch).await, counts(4, 2));
    assert_eq!(commit_ticks(store, &batch).await, counts(0, 6));
    let [before, between, after, gold] = late;
    let expected = [before, first, between, after, second, gold];
    assert_eq!(ticks(&**store).await, expected);
    assert_eq!(listed(store, 0).await.map(|one| (one.count, one.sealed, one.late)), Some((6, true, 4)));
}

async fn t03_a_day_that_is_sealed_twice_holds_what_came_between(store: &Arc<dyn Store>) {
    commit_ticks(store, &[tick(10, 0), tick(DAY, 0)]).await;
    let once = seal(store, 0).await;
    assert_eq!(seal(store, 0).await, once, "nothing was added, so it stays as it is");
    commit_ticks(store, &[tick(5, 0), repriced(&tick(10, 0)), tick(11, 0)]).await;
    let before = contents(&**store).await;
    assert_eq!(seal(store, 0).await.count, 3);
    assert_same(&contents(&**store).await, &before);
    assert_eq!(commit_ticks(store, &[repriced(&tick(5, 0)), repriced(&tick(10, 0))]).await, counts(0, 2));
    assert_same(&contents(&**store).await, &before);
}

async fn t03_an_unsealed_day_is_what_it_was(store: &Arc<dyn Store>) {
    let before = fill(store, 132).await;
    let sealed = seal(store, 1).await;
    assert_eq!(unseal(store, 1).await.count, sealed.count);
    assert_same(&contents(&**store).await, &before);
    // With late ticks beside it, and once more.
    seal(store, 1).await;
    let known = before.ticks.iter().find(|tick| tick.time.day() == Timestamp(DAY)).expect("a tick of that day");
    let late = Tick { symbol: "late".into(), ..tick(DAY + 77, 0) };
    assert_eq!(commit_ticks(store, &[late, repriced(known)]).await, counts(1, 1));
    let before = contents(&**store).await;
    assert_eq!(unseal(store, 1).await.count, sealed.count + 1);
    assert_same(&contents(&**store).await, &before);
    assert_eq!(commit_ticks(store, &[repriced(known), tick(DAY + 78, 0)]).await, counts(1, 1));
    assert_eq!(seal(store, 1).await.count, sealed.count + 2);
}

async fn t03_a_day_that_is_not_there_cannot_be_sealed(store: &Arc<dyn Store>) {
    commit_ticks(store, &[tick(DAY, 0)]).await;
    for day in [0, 2, 20_000] {
        let day = Timestamp(day * DAY);
        for answer in [store.seal(day).await, store.unseal(day).await] {
            assert_eq!(answer.map_err(|error| error.kind()), Err(ErrorKind::Invalid), "{day}");
        }
    }
    assert_eq!(store.segments().await.expect("the store lists days").len(), 1);
    assert_eq!(unseal(store, 1).await.count, 1, "one that is not sealed stays as it is");
}

async fn t03_followers_know_the_ticks_of_sealed_days(store: &Arc<dyn Store>) {
    let mut early = Follower::new();
    fill(store, 133).await;
    early.page(&**store, 50).await;
    seal(store, 0).await;
    early.page(&**store, 50).await;
    commit_ticks(store, &[tick(3, 0), tick(DAY, 0)]).await;
    seal(store, 1).await;
    let stored = contents(&**store).await;
    early.catch_up(&**store, 50).await;
    assert_same(&early.contents(), &stored);
    let mut late = Follower::new();
    late.catch_up(&**store, 7).await;
    assert_same(&late.contents(), &stored);
    // Also what comes after the seal, and a seal of that.
    commit_ticks(store, &[tick(4, 0)]).await;
    seal(store, 0).await;
    commit_ticks(store, &[tick(5, 0)]).await;
    unseal(store, 0).await;
    for follower in [&mut early, &mut late] {
        follower.catch_up(&**store, 20).await;
        assert_same(&follower.contents(), &contents(&**store).await);
    }
}

async fn t03_a_sealed_day_can_be_dropped(store: &Arc<dyn Store>) {
    commit_ticks(store, &[tick(1, 0), tick(2, 0), tick(DAY, 0)]).await;
    seal(store, 0).await;
    commit_ticks(store, &[tick(3, 0)]).await;
    assert_eq!(store.drop_segment(Timestamp(0)).await.expect("the store drops a sealed day"), 3);
    assert_eq!(ticks(&**store).await, [tick(DAY, 0)]);
    assert_eq!(commit_ticks(store, &[tick(2, 0)]).await, counts(1, 0));
    assert_eq!(listed(store, 0).await.map(|one| (one.count, one.sealed)), Some((1, false)));
}

async fn t03_what_was_committed_before_a_seal_is_known_after_it(store: &Arc<dyn Store>) {
    let mut sender = Sender::new();
    let batch = sender.batch(Records { ticks: vec![tick(1, 0), tick(DAY, 0), tick(DAY, 0)], ..Records::default() });
    let first = store.commit(batch.clone()).await.expect("the store takes the batch");
    assert_eq!((first.outcome, first.ticks), (Outcome::Applied, counts(2, 1)));
    for day in [0, 1] {
        seal(store, day).await;
        let again = store.commit(batch.clone()).await.expect("the store knows the batch");
        assert_eq!((again.outcome, again.ticks), (Outcome::Duplicate, counts(2, 1)));
    }
    assert_eq!(send(&**store, &sender.batch(Records::default())).await, Outcome::Applied);
    assert_eq!(ticks(&**store).await.len(), 2);
}

async fn t03_ticks_that_come_while_a_day_is_sealed_are_there(store: &Arc<dyn Store>) {
    commit_ticks(store, &(0..2_000).map(|at| tick(at, 0)).collect::<Vec<_>>()).await;
    let committing = store.clone();
    let writer = tokio::spawn(async move {
        for round in 0..40 {
            let batch = [tick(round, 1), tick(round, 0), tick(DAY + round, 0)];
            assert_eq!(commit_ticks(&committing, &batch).await, counts(2, 1), "{round}");
            tokio::task::yield_now().await;
        }
    });
    while !writer.is_finished() {
        // It may be refused for what was added meanwhile, but then it can be tried again.
        if let Err(error) = store.seal(Timestamp(0)).await {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer does not panic");
    assert_eq!(seal(store, 0).await.count, 2_040);
    assert_eq!(ticks(&**store).await.len(), 2_080);
}

async fn restart_keeps_sealed_days(place: &dyn Place) -> Arc<dyn Store> {
    let mut store = open(place).await;
    fill(&store, 134).await;
    let sealed = seal(&store, 0).await;
    seal(&store, 1).await;
    commit_ticks(&store, &[tick(DAY + 3, 0)]).await;
    let before = contents(&*store).await;
    for _ in 0..2 {
        store.close().await.expect("the store closes");
        drop(store);
        store = open(place).await;
        assert_same(&contents(&*store).await, &before);
        assert_eq!(listed(&store, 0).await, Some(sealed.clone()));
        assert_eq!(listed(&store, 1).await.map(|segment| segment.sealed), Some(true));
    }
    store
}
