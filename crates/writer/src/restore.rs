//! What a fold has to know of its store when it starts.

use tallybook_core::{ALL_SERVICES, Condition, Query, Record, Result, Store, StoreExt};
use tallybook_telemetry::{Fold, Known};

/// Rows in one read.
const PAGE_ROWS: usize = 10_000;

/// Tells `fold` what `store` holds: services, names, keys and templates, but no sketches, since what is written is united
/// with what is there. To be called before [`crate::Writer::start`].
///
/// # Errors
/// What the store says when it cannot be read.
pub async fn restore(store: &dyn Store, fold: &mut Fold) -> Result<()> {
    let each_service = || Query::new(PAGE_ROWS).filter(Condition::Differs("service", ALL_SERVICES.into()));
    pages(store, Query::new(PAGE_ROWS), fold, |services| Known { services, ..Known::default() }).await?;
    // Keys and events are known by the names that carry them.
    pages(store, each_service(), fold, |metrics| Known { metrics, ..Known::default() }).await?;
    pages(store, each_service(), fold, |spans| Known { spans, ..Known::default() }).await?;
    pages(store, each_service(), fold, |attribute_keys| Known { attribute_keys, ..Known::default() }).await?;
    pages(store, each_service(), fold, |events| Known { events, ..Known::default() }).await?;
    // Those with a count of 0 became part of others.
    let templates = each_service().filter(Condition::AtLeast("count", 1.into()));
    pages(store, templates, fold, |templates| Known { templates, ..Known::default() }).await
}

async fn pages<R: Record>(
    store: &dyn Store,
    mut query: Query,
    fold: &mut Fold,
    known: impl Fn(Vec<R>) -> Known,
) -> Result<()> {
    loop {
        let page = store.list::<R>(&query).await?;
        fold.restore(&known(page.items));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(()),
        }
    }
}
