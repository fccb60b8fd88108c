//! Promise 7: who follows `changes` knows every row and tick.

use std::collections::BTreeSet;
use std::sync::Arc;

use tallybook_core::{Cursor, DAY, ErrorKind, Records, Service, Store, Tick, Timestamp};
use tokio::task::JoinSet;

use super::store_cases;
use super::ticks::{commit_ticks, tick};
use crate::Fixtures;
use crate::follower::Follower;
use crate::support::{Sender, assert_same, commit, contents, send};

store_cases! {
    p07_following_from_the_start_yields_every_row_once,
    p07_only_what_changed_since_the_cursor_comes,
    p07_a_row_that_changes_before_it_is_read_comes_once_as_it_is_now,
    p07_a_commit_has_one_revision_and_later_ones_a_greater_one,
    p07_a_follower_misses_nothing_while_two_writers_commit,
    p07_a_cursor_from_elsewhere_is_invalid,
    p07_a_follower_knows_every_tick_that_is_committed_meanwhile,
    p07_a_dropped_day_is_not_yielded,
}

async fn p07_following_from_the_start_yields_every_row_once(store: &Arc<dyn Store>) {
    let mut follower = Follower::new();
    assert_eq!(follower.page(&**store, 10).await, (0, false), "an empty store has no changes");
    let mut fixtures = Fixtures::odd(50);
    for rows in [200, 1, 30, 150] {
        commit(&**store, fixtures.records(rows)).await;
    }
    let stored = contents(&**store).await;
    let rows = stored.row_count();
    for limit in [1, 2, 3, 7, 100, rows - 1, rows, rows + 1, usize::MAX] {
        let mut follower = Follower::new();
        assert_eq!(follower.catch_up(&**store, limit).await, rows, "in pages of {limit}");
        assert_same(&follower.contents(), &stored);
        assert_eq!(follower.page(&**store, 10).await, (0, false), "nothing more");
    }
    assert_eq!(Follower::new().page(&**store, 0).await, (0, true), "a page of nothing goes nowhere");
}

async fn p07_only_what_changed_since_the_cursor_comes(store: &Arc<dyn Store>) {
    let mut fixtures = Fixtures::odd(51);
    let mut follower = Follower::new();
    commit(&**store, fixtures.records(300)).await;
    follower.catch_up(&**store, 1000).await;
    for rows in [1, 26, 5] {
        let records = fixtures.records(rows);
        // A ping touches itself and its minute, hour and day.
        let mut touched = 4 * records.pings.len();
        let Ok(()) = records.for_each_table(|_, rows| {
            touched += rows.len();
            Ok::<_, std::convert::Infallible>(())
        });
        commit(&**store, records).await;
        // A repeat of a kept row is no change.
        assert!(follower.catch_up(&**store, 3).await <= touched);
        assert_same(&follower.contents(), &contents(&**store).await);
    }
}

fn service(name: &str) -> Records {
    let mut records = Records::default();
    records.catalogue.services.push(Service { name: name.into(), log_records: 1, ..Fixtures::odd(52).record() });
    records
}

async fn p07_a_row_that_changes_before_it_is_read_comes_once_as_it_is_now(store: &Arc<dyn Store>) {
    for name in ["a", "b", "c"] {
        commit(&**store, service(name)).await;
    }
    let mut follower = Follower::new();
    assert_eq!(follower.page(&**store, 1).await, (1, true));
    commit(&**store, service("b")).await;
    assert_eq!(follower.catch_up(&**store, 10).await, 2, "c, then b as it is now");
    commit(&**store, service("a")).await;
    assert_eq!(follower.page(&**store, 10).await, (1, false), "a once more");
    assert_same(&follower.contents(), &contents(&**store).await);
}

async fn p07_a_commit_has_one_revision_and_later_ones_a_greater_one(store: &Arc<dyn Store>) {
    let mut fixtures = Fixtures::odd(53);
    let mut cursor = Cursor::START;
    let mut last = 0;
    for _ in 0..10 {
        commit(&**store, fixtures.records(2 * Fixtures::KINDS)).await;
        let mut revisions = BTreeSet::new();
        loop {
            let page = store.changes(&cursor, usize::MAX).await.expect("the store lists changes");
            revisions.extend(page.changes.iter().map(|change| change.revision));
            cursor = page.next;
            if !page.more {
                break;
            }
        }
        assert_eq!(revisions.len(), 1, "{revisions:?}");
        assert!(revisions.first() > Some(&last), "{revisions:?} after {last}");
        last = revisions.first().copied().unwrap_or(last);
    }
}

async fn p07_a_follower_misses_nothing_while_two_writers_commit(store: &Arc<dyn Store>) {
    let mut writers = JoinSet::new();
    for seed in [54, 55] {
        let store = store.clone();
        writers.spawn(async move {
            let (mut fixtures, mut sender) = (Fixtures::odd(seed), Sender::new());
            for _ in 0..60 {
                send(&*store, &sender.batch(fixtures.records(20))).await;
                tokio::task::yield_now().await;
            }
        });
    }
    let mut follower = Follower::new();
    let mut limits = [1, 2, 5, 40].into_iter().cycle();
    while !writers.is_empty() {
        follower.page(&**store, limits.next().unwrap_or(1)).await;
        tokio::task::yield_now().await;
        while let Some(ended) = writers.try_join_next() {
            ended.expect("a writer does not panic");
        }
    }
    follower.catch_up(&**store, 100).await;
    assert_same(&follower.contents(), &contents(&**store).await);
}

async fn p07_a_cursor_from_elsewhere_is_invalid(store: &Arc<dyn Store>) {
    commit(&**store, Fixtures::odd(56).records(20)).await;
    for text in ["nonsense", "-1", "'", "\u{1F980}", "99999999999999999999999999"] {
        let kind = store.changes(&Cursor(text.into()), 10).await.map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::Invalid), "{text:?}");
    }
}

async fn p07_a_follower_knows_every_tick_that_is_committed_meanwhile(store: &Arc<dyn Store>) {
    let (committing, mut sender) = (store.clone(), Sender::new());
    let writer = tokio::spawn(async move {
        // Every batch spans three days and fills gaps between what is there.
        for round in 0..50_u64 {
            let ticks = (0..9).map(|at| tick(at % 3 * DAY + at, round * 37 % 50)).collect();
            send(&*committing, &sender.batch(Records { ticks, ..Records::default() })).await;
            tokio::task::yield_now().await;
        }
    });
    let mut follower = Follower::new();
    let mut limits = [1, 2, 5, 40].into_iter().cycle();
    while !writer.is_finished() {
        follower.page(&**store, limits.next().unwrap_or(1)).await;
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer does not panic");
    let stored = contents(&**store).await;
    assert_eq!(stored.ticks.len(), 450);
    follower.catch_up(&**store, 30).await;
    assert_same(&follower.contents(), &stored);
    let mut late = Follower::new();
    late.catch_up(&**store, 7).await;
    assert_same(&late.contents(), &stored);
}

async fn p07_a_dropped_day_is_not_yielded(store: &Arc<dyn Store>) {
    let batch: Vec<Tick> = (0..40).map(|at| tick(at % 4 * DAY, at as u64)).collect();
    commit_ticks(store, &batch).await;
    // One follower stands in the middle of it when the day goes, one starts afterwards.
    let mut early = Follower::new();
    early.page(&**store, 15).await;
    store.drop_segment(Timestamp(2 * DAY)).await.expect("the store drops a day");
    commit_ticks(store, &[tick(2 * DAY, 900), tick(7 * DAY, 1)]).await;
    let stored = contents(&**store).await;
    assert_eq!(stored.ticks.len(), 32);
    early.catch_up(&**store, 4).await;
    assert_same(&early.contents_within(&stored), &stored);
    let mut late = Follower::new();
    late.catch_up(&**store, 3).await;
    assert_same(&late.contents(), &stored);
}
