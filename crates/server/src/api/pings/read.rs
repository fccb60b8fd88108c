//! Reads pings and their sums, of one target or of many at once.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tallybook_core::{
    Condition, Ping, PingBucket, PingPart, PingSummary, Query, Resolution, Result, Store, StoreExt, TimeRange, Value,
};

/// Rows that are read in one call.
pub(super) const PAGE: usize = 10_000;

/// What the pings of each target come to within `range`: as many calls as there are parts, however many targets.
pub(super) async fn summaries(
    store: &dyn Store,
    targets: &[Arc<str>],
    range: TimeRange,
) -> Result<HashMap<Arc<str>, PingSummary>> {
    let parts = try_join_all(PingPart::cover(range).into_iter().map(|part| rows(store, targets, part))).await?;
    let mut sums: HashMap<Arc<str>, PingSummary> = HashMap::new();
    for rows in parts {
        match rows {
            Rows::Buckets(buckets) => {
                for bucket in &buckets {
                    sums.entry(bucket.target.clone()).or_default().add_bucket(bucket);
                }
            }
            Rows::Pings(pings) => {
                for ping in &pings {
                    sums.entry(ping.target.clone()).or_default().add_ping(ping);
                }
            }
        }
    }
    Ok(sums)
}

enum Rows {
    Buckets(Vec<PingBucket>),
    Pings(Vec<Ping>),
}

async fn rows(store: &dyn Store, targets: &[Arc<str>], part: PingPart) -> Result<Rows> {
    let of_targets = match targets {
        [target] => Condition::Equals("target", Value::Text(target.clone())),
        targets => Condition::In("target", targets.iter().cloned().map(Value::Text).collect()),
    };
    match part.resolution {
        Some(resolution) => {
            let query = buckets(resolution, part.range).filter(of_targets).with_sketches();
            store.list_all(query).await.map(Rows::Buckets)
        }
        None => store.list_all(pings(part.range).filter(of_targets)).await.map(Rows::Pings),
    }
}

/// The buckets of a length that begin within `range`.
pub(super) fn buckets(resolution: Resolution, range: TimeRange) -> Query {
    let query = Query::new(PAGE).filter(Condition::Equals("resolution", Value::from(resolution.as_str())));
    within(query, "start", range)
}

/// The pings within `range`.
pub(super) fn pings(range: TimeRange) -> Query {
    within(Query::new(PAGE), "time", range)
}

/// The condition that a row is of `target`.
pub(super) fn of_target(target: &str) -> Condition {
    Condition::Equals("target", Value::from(target))
}

fn within(query: Query, column: &'static str, range: TimeRange) -> Query {
    query
        .filter(Condition::AtLeast(column, range.from.into()))
        .filter(Condition::AtMost(column, range.to.earlier(1).into()))
}
