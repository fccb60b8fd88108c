//! Promise 7: who follows `changes` knows every row.

use std::collections::BTreeSet;
use std::sync::Arc;

use tallybook_core::{Cursor, ErrorKind, Records, Service, Store, TABLES};
use tokio::task::JoinSet;

use super::store_cases;
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
}

async fn p07_following_from_the_start_yields_every_row_once(store: &Arc<dyn Store>) {
    let mut follower = Follower::new();
    assert_eq!(follower.page(&**store, 10).await, (0, false), "an empty store has no changes");
    let mut fixtures = Fixtures::odd(50);
    for rows in [200, 1, 30, 150] {
        commit(&**store, fixtures.records(rows)).await;
    }
    let stored = contents(&**store).await;
    let rows: usize = stored.iter().map(Vec::len).sum();
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
        let mut touched = 0;
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
        commit(&**store, fixtures.records(2 * TABLES.len())).await;
        let page = store.changes(&cursor, usize::MAX).await.expect("the store lists changes");
        let revisions: BTreeSet<u64> = page.changes.iter().map(|change| change.revision).collect();
        assert_eq!(revisions.len(), 1, "{revisions:?}");
        assert!(revisions.first() > Some(&last), "{revisions:?} after {last}");
        last = revisions.first().copied().unwrap_or(last);
        cursor = page.next;
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
