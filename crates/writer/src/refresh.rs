//! Where several writers share a store, each learns the templates that the others bring to it. A line then counts under the
//! same text whichever writer takes it, and rows that mean the same become one.

use std::sync::Arc;
use std::time::Duration;

use tallybook_core::{ALL_SERVICES, Condition, Query, Result, Store, StoreExt, Template, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::shared::Shared;

/// Rows in one read; the fold is locked while it takes them in.
const PAGE_ROWS: usize = 1_000;
/// How much older than the last refresh a template may be, in nanoseconds: clocks differ, and records arrive late.
const MARGIN_NS: i64 = 60 * 1_000_000_000;

/// Runs until a stop is asked for.
pub(crate) async fn run(store: Arc<dyn Store>, shared: Arc<Shared>, mut stop: watch::Receiver<Option<Instant>>) {
    tokio::select! {
        _ = stop.wait_for(Option::is_some) => {}
        () = rounds(store.as_ref(), &shared, shared.options.refresh_every) => {}
    }
}

async fn rounds(store: &dyn Store, shared: &Shared, every: Duration) {
    let mut refreshed = Timestamp::now();
    loop {
        sleep(every).await;
        let begun = Timestamp::now();
        match refresh(store, shared, refreshed.earlier(MARGIN_NS)).await {
            Ok(()) => refreshed = begun,
            Err(error) => {
                tracing::warn!(%error, "templates of other servers could not be read; the next round tries again");
            }
        }
    }
}

/// Tells the fold which templates were seen since `since`.
async fn refresh(store: &dyn Store, shared: &Shared, since: Timestamp) -> Result<()> {
    let mut query = Query::new(PAGE_ROWS)
        .filter(Condition::Differs("service", ALL_SERVICES.into()))
        .filter(Condition::AtLeast("last_seen", since.0.into()))
        // Those with a count of 0 became part of others.
        .filter(Condition::AtLeast("count", 1.into()));
    loop {
        let page = store.list::<Template>(&query).await?;
        shared.learn(&page.items).await;
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(()),
        }
    }
}
