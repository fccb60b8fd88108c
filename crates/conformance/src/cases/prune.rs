//! Promise 8: old rows go, others stay.

use std::sync::Arc;

use tallybook_core::{
    Condition, Error, ErrorKind, HOUR, MetricBucket, Record as _, Records, Store, TABLES, TemplateBucket, Timestamp,
    Value,
};

use super::store_cases;
use crate::Fixtures;
use crate::follower::Follower;
use crate::support::{assert_same, commit, contents, rows};

store_cases! {
    p08_rows_before_the_moment_go_and_others_stay,
    p08_no_more_than_the_limit_go_at_once,
    p08_a_condition_keeps_the_rows_that_do_not_fit,
    p08_a_table_without_retention_keeps_everything,
    p08_a_pruned_row_begins_anew,
    p08_an_unknown_column_is_invalid,
    p07_a_pruned_row_is_not_yielded,
}

async fn prune(store: &Arc<dyn Store>, table: &'static tallybook_core::Table, before: i64, limit: usize) -> u64 {
    store.prune(table, Timestamp(before), &[], limit).await.expect("the store prunes")
}

async fn p08_rows_before_the_moment_go_and_others_stay(store: &Arc<dyn Store>) {
    commit(&**store, Fixtures::odd(60).records(600)).await;
    for before in [i64::MIN, -HOUR, 0, 1, 2 * HOUR, i64::MAX] {
        for table in TABLES {
            let Some(column) = table.retention.and_then(|column| table.position(column)) else { continue };
            let (old, young): (Vec<_>, Vec<_>) =
                rows(&**store, table).await.into_iter().partition(|row| row[column] < Value::Int(before));
            assert_eq!(prune(store, table, before, usize::MAX).await, old.len() as u64, "`{}`", table.name);
            assert_eq!(rows(&**store, table).await, young, "`{}`", table.name);
        }
    }
}

async fn p08_no_more_than_the_limit_go_at_once(store: &Arc<dyn Store>) {
    commit(&**store, Fixtures::odd(61).records(600)).await;
    let mut left = rows(&**store, MetricBucket::TABLE).await.len();
    assert!(left > 12);
    assert_eq!(prune(store, MetricBucket::TABLE, i64::MAX, 0).await, 0);
    for limit in [1, 10, left, left] {
        let gone = prune(store, MetricBucket::TABLE, i64::MAX, limit).await;
        assert_eq!(gone, limit.min(left) as u64);
        left -= limit.min(left);
        assert_eq!(rows(&**store, MetricBucket::TABLE).await.len(), left);
    }
}

async fn p08_a_condition_keeps_the_rows_that_do_not_fit(store: &Arc<dyn Store>) {
    commit(&**store, Fixtures::odd(62).records(900)).await;
    let conditions = [Condition::Equals("window", "hour".into()), Condition::Differs("service", "a".into())];
    for table in TABLES.iter().filter(|table| table.position("window").is_some()) {
        let (window, service, start) = (
            table.position("window").unwrap_or(0),
            table.position("service").unwrap_or(0),
            table.position("start").unwrap_or(0),
        );
        let (gone, kept): (Vec<_>, Vec<_>) = rows(&**store, table).await.into_iter().partition(|row| {
            row[window] == "hour".into() && row[service] != "a".into() && row[start] < Value::Int(2 * HOUR)
        });
        assert!(!gone.is_empty() && !kept.is_empty());
        let pruned = store.prune(table, Timestamp(2 * HOUR), &conditions, usize::MAX).await.expect("the store prunes");
        assert_eq!(pruned, gone.len() as u64, "`{}`", table.name);
        assert_eq!(rows(&**store, table).await, kept, "`{}`", table.name);
    }
}

async fn p08_a_table_without_retention_keeps_everything(store: &Arc<dyn Store>) {
    commit(&**store, Fixtures::odd(63).records(300)).await;
    let before = contents(&**store).await;
    for table in TABLES.iter().filter(|table| table.retention.is_none()) {
        assert_eq!(prune(store, table, i64::MAX, usize::MAX).await, 0, "`{}`", table.name);
    }
    assert_same(&contents(&**store).await, &before);
}

async fn p08_a_pruned_row_begins_anew(store: &Arc<dyn Store>) {
    let bucket = TemplateBucket { start: Timestamp(0), count: 3, ..Fixtures::odd(64).record() };
    let mut records = Records::default();
    records.catalogue.template_buckets.push(bucket);
    commit(&**store, records.clone()).await;
    commit(&**store, records.clone()).await;
    assert_eq!(prune(store, TemplateBucket::TABLE, 1, 10).await, 1);
    commit(&**store, records).await;
    let count = rows(&**store, TemplateBucket::TABLE).await[0].last().cloned();
    assert_eq!(count, Some(Value::Int(3)));
}

async fn p08_an_unknown_column_is_invalid(store: &Arc<dyn Store>) {
    let conditions = [Condition::Equals("no_such_column", Value::Null)];
    let pruned = store.prune(MetricBucket::TABLE, Timestamp(0), &conditions, 10).await;
    assert_eq!(pruned.map_err(|error: Error| error.kind()), Err(ErrorKind::Invalid));
}

async fn p07_a_pruned_row_is_not_yielded(store: &Arc<dyn Store>) {
    commit(&**store, Fixtures::odd(65).records(600)).await;
    // One follower stands in the middle of it when rows go, one starts afterwards.
    let mut early = Follower::new();
    early.page(&**store, 400).await;
    for table in TABLES {
        prune(store, table, HOUR, usize::MAX).await;
    }
    let stored = contents(&**store).await;
    early.catch_up(&**store, 50).await;
    assert_same(&early.contents_within(&stored), &stored);
    let mut late = Follower::new();
    assert_eq!(late.catch_up(&**store, 1).await, stored.row_count());
    assert_same(&late.contents(), &stored);
}
