//! What was seen for the first time between two moments, by the all-time rows.

use std::sync::Arc;

use tallybook_core::{
    AttributeKey, Condition, Metric, Query, Record, Result, Service, Signal, Span, Store, StoreExt, Template,
    TimeRange, Timestamp, Value,
};

use super::super::page::of_service;
use super::{Changed, GrowthItem, GrowthKind};

/// What of `service` is new since `from`, the newest first, `limit` of each kind.
pub(crate) async fn new_of_service(
    store: &dyn Store,
    service: &str,
    from: Timestamp,
    limit: usize,
) -> Result<Vec<GrowthItem>> {
    let range = TimeRange { from, to: Timestamp(i64::MAX) };
    let mut items = Vec::new();
    for kind in [GrowthKind::Metric, GrowthKind::Span, GrowthKind::AttributeKey, GrowthKind::Template] {
        items.extend(read(store, kind, Some(service), range, limit).await?);
    }
    Ok(items)
}

/// What of `kind` was seen for the first time in `range`, the newest first, `limit` of them.
pub(super) async fn read(
    store: &dyn Store,
    kind: GrowthKind,
    service: Option<&str>,
    range: TimeRange,
    limit: usize,
) -> Result<Vec<GrowthItem>> {
    // Services and templates have no rows that sum up all services.
    let whose = match (kind, service) {
        (GrowthKind::Service, Some(service)) => vec![Condition::Equals("name", Value::from(service))],
        (GrowthKind::Service | GrowthKind::Template, None) => Vec::new(),
        _ => vec![of_service(service)],
    };
    match kind {
        GrowthKind::Service => of_table::<Service>(store, whose, range, limit).await,
        GrowthKind::Metric => of_table::<Metric>(store, whose, range, limit).await,
        GrowthKind::Span => of_table::<Span>(store, whose, range, limit).await,
        GrowthKind::AttributeKey => of_table::<AttributeKey>(store, whose, range, limit).await,
        GrowthKind::Template => of_table::<Template>(store, whose, range, limit).await,
    }
}

async fn of_table<R: Record + FirstSeen>(
    store: &dyn Store,
    whose: Vec<Condition>,
    range: TimeRange,
    limit: usize,
) -> Result<Vec<GrowthItem>> {
    let mut query = Query::new(limit)
        .filter(Condition::AtLeast("first_seen", range.from.into()))
        .filter(Condition::AtMost("first_seen", range.to.earlier(1).into()))
        .sort("first_seen", true);
    query.conditions.extend(whose);
    let page = store.list::<R>(&query).await?;
    let item = |row: R| {
        let first_seen = Some(row.first_seen());
        GrowthItem { first_seen, ..row.change(None) }
    };
    Ok(page.items.into_iter().map(item).filter(|item| item.after > 0).collect())
}

/// A row that says when it was seen first.
trait FirstSeen: Changed {
    fn first_seen(&self) -> Timestamp;
}

macro_rules! first_seen {
    ($($row:ty),*) => {
        $(impl FirstSeen for $row {
            fn first_seen(&self) -> Timestamp {
                self.first_seen
            }
        })*
    };
}
first_seen!(Service, Metric, Span, AttributeKey, Template);

impl Changed for Service {
    fn change(self, before: Option<u64>) -> GrowthItem {
        let records = self.metric_points + self.spans + self.log_records;
        GrowthItem::of(GrowthKind::Service, self.name, before, records)
    }
}

impl Changed for Metric {
    fn change(self, before: Option<u64>) -> GrowthItem {
        GrowthItem {
            signal_type: Some(Signal::Metric),
            name: Some(self.name),
            ..GrowthItem::of(GrowthKind::Metric, self.service, before, self.active_series)
        }
    }
}

impl Changed for Span {
    fn change(self, before: Option<u64>) -> GrowthItem {
        GrowthItem {
            signal_type: Some(Signal::Span),
            name: Some(self.name),
            ..GrowthItem::of(GrowthKind::Span, self.service, before, self.sample_count)
        }
    }
}

impl Changed for AttributeKey {
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

impl Changed for Template {
    fn change(self, before: Option<u64>) -> GrowthItem {
        GrowthItem {
            signal_type: Some(Signal::Log),
            name: Some(Arc::from(self.severity.as_str())),
            template: Some(self.template),
            ..GrowthItem::of(GrowthKind::Template, self.service, before, self.count)
        }
    }
}
