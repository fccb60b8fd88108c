//! What is larger in one window than it was in an earlier one, by the buckets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tallybook_core::{
    AttributeKeyBucket, Condition, DAY, MetricBucket, Query, Record, Result, Row, Signal, Store, TemplateBucket,
    TimeRange, Timestamp, Value, Window,
};

use super::{CANDIDATES, Changed, GrowthItem, GrowthKind};

/// Moments that lie further apart, or further back, are compared by day: hours are not kept for long.
const HOURS_UP_TO: i64 = 2 * DAY;
/// Rows that are read at a time.
const ROWS_AT_A_TIME: usize = 20_000;
/// The columns in which buckets of one thing differ from each other.
const WINDOW_COLUMNS: usize = 2;

/// What of `kind` grew from the window that holds the start of `range` to the one that holds its end.
pub(super) async fn read(
    store: &dyn Store,
    kind: GrowthKind,
    service: Option<&str>,
    range: TimeRange,
) -> Result<Vec<GrowthItem>> {
    match kind {
        GrowthKind::Metric => of_table::<MetricBucket>(store, "active_series", "name", service, range).await,
        GrowthKind::AttributeKey => of_table::<AttributeKeyBucket>(store, "cardinality", "key", service, range).await,
        GrowthKind::Template => of_table::<TemplateBucket>(store, "count", "template", service, range).await,
        // They have no buckets.
        GrowthKind::Service | GrowthKind::Span => Ok(Vec::new()),
    }
}

fn window_of(range: TimeRange, now: Timestamp) -> Window {
    if range.from.0 < now.0.saturating_sub(HOURS_UP_TO) { Window::Day } else { Window::Hour }
}

async fn of_table<R: Changed>(
    store: &dyn Store,
    size: &'static str,
    named_by: &'static str,
    service: Option<&str>,
    range: TimeRange,
) -> Result<Vec<GrowthItem>> {
    let window = window_of(range, Timestamp::now());
    let (earlier, later) = (window.start(range.from), window.start(range.to.earlier(1)));
    if earlier == later {
        return Ok(Vec::new());
    }
    let in_window = |start: Timestamp| {
        let mut query = Query::new(CANDIDATES)
            .filter(Condition::Equals("window", Value::from(window.as_str())))
            .filter(Condition::Equals("start", start.into()));
        query.conditions.extend(service.map(|service| Condition::Equals("service", Value::from(service))));
        query
    };
    let largest = store.select(R::TABLE, &in_window(later).sort(size, true)).await?.rows;
    if largest.is_empty() {
        return Ok(Vec::new());
    }
    let named_at = R::TABLE.position(named_by).unwrap_or_default();
    let names: BTreeSet<Value> = largest.iter().map(|row| row[named_at].clone()).collect();
    let mut query = in_window(earlier).filter(Condition::In(named_by, names.into_iter().collect()));
    query.limit = ROWS_AT_A_TIME;
    let size_at = R::TABLE.position(size).unwrap_or_default();
    let mut before: BTreeMap<Vec<Value>, u64> = BTreeMap::new();
    loop {
        let page = store.select(R::TABLE, &query).await?;
        before.extend(page.rows.into_iter().map(|row| (identity::<R>(&row), size_of_row(&row, size_at))));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    let mut grown = Vec::new();
    for row in largest {
        if let Some(&before) = before.get(&identity::<R>(&row))
            && before < size_of_row(&row, size_at)
        {
            grown.push(R::from_row(row)?.change(Some(before)));
        }
    }
    Ok(grown)
}

fn identity<R: Record>(row: &Row) -> Vec<Value> {
    row[WINDOW_COLUMNS..R::TABLE.key_len()].to_vec()
}

fn size_of_row(row: &Row, size_at: usize) -> u64 {
    row[size_at].as_int().and_then(|size| size.try_into().ok()).unwrap_or_default()
}

impl Changed for MetricBucket {
    fn change(self, before: Option<u64>) -> GrowthItem {
        GrowthItem {
            signal_type: Some(Signal::Metric),
            name: Some(self.name),
            ..GrowthItem::of(GrowthKind::Metric, self.service, before, self.active_series)
        }
    }
}

impl Changed for AttributeKeyBucket {
    fn change(self, before: Option<u64>) -> GrowthItem {
        GrowthItem {
            signal_type: Some(self.signal),
            name: Some(self.name),
            scope: Some(self.scope),
            key: Some(self.key),
            ..GrowthItem::of(GrowthKind::AttributeKey, self.service, before, self.cardinality)
        }
    }
}

impl Changed for TemplateBucket {
    fn change(self, before: Option<u64>) -> GrowthItem {
        GrowthItem {
            signal_type: Some(Signal::Log),
            name: Some(Arc::from(self.severity.as_str())),
            template: Some(self.template),
            ..GrowthItem::of(GrowthKind::Template, self.service, before, self.count)
        }
    }
}
