//! Removes rows that are older than they should be, in small chunks beside the writing.

use std::sync::Arc;

use tallybook_core::{Condition, Result, Store, TABLES, Table, Timestamp, Window};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::RetentionOptions;
use crate::shared::Shared;

/// Runs until a stop is asked for.
pub(crate) async fn run(store: Arc<dyn Store>, shared: Arc<Shared>, mut stop: watch::Receiver<Option<Instant>>) {
    tokio::select! {
        _ = stop.wait_for(Option::is_some) => {}
        () = rounds(store, &shared) => {}
    }
}

async fn rounds(store: Arc<dyn Store>, shared: &Shared) {
    let options = &shared.options.retention;
    sleep(options.first_after).await;
    loop {
        for Old { table, before, conditions } in old_rows(options, Timestamp::now()) {
            if let Err(error) = remove(store.as_ref(), shared, table, before, &conditions).await {
                tracing::warn!(table = table.name, %error, "old rows could not be removed; the next round tries again");
            }
        }
        sleep(options.every).await;
    }
}

async fn remove(
    store: &dyn Store,
    shared: &Shared,
    table: &'static Table,
    before: Timestamp,
    conditions: &[Condition],
) -> Result<()> {
    let RetentionOptions { chunk_rows, pause, .. } = shared.options.retention;
    loop {
        let removed = store.prune(table, before, conditions, chunk_rows).await?;
        shared.ledger().pruned(removed);
        if removed < chunk_rows as u64 {
            return Ok(());
        }
        sleep(pause).await;
    }
}

/// Rows of one table that are too old.
struct Old {
    table: &'static Table,
    before: Timestamp,
    conditions: Vec<Condition>,
}

/// What is too old at `now`: in tables of buckets each window has its own age, in the others all rows have one.
fn old_rows(options: &RetentionOptions, now: Timestamp) -> Vec<Old> {
    let before = |age: std::time::Duration| now.earlier(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
    let mut old = Vec::new();
    for table in TABLES.iter().filter(|table| table.retention.is_some()) {
        if table.position("window").is_none() {
            old.push(Old { table, before: before(options.dead_letters), conditions: Vec::new() });
            continue;
        }
        for (window, age) in [(Window::Hour, options.hour_buckets), (Window::Day, options.day_buckets)] {
            let conditions = vec![Condition::Equals("window", window.as_str().into())];
            old.push(Old { table, before: before(age), conditions });
        }
    }
    old
}
