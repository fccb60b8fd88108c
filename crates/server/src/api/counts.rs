//! How the records of the names on a page spread over services, and over events, read in one go.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use tallybook_core::{ALL_SERVICES, Condition, Event, Query, Record, Result, Signal, Store, StoreExt, Table, Value};
use utoipa::ToSchema;

use super::page::of_service;

/// Rows that are read at a time.
const ROWS_AT_A_TIME: usize = 20_000;

/// How often each was seen, by name.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(value_type = BTreeMap<String, u64>)]
pub(crate) struct Counts(BTreeMap<Arc<str>, u64>);

/// The counts of several names.
#[derive(Debug, Default)]
pub(crate) struct CountsByName(HashMap<Arc<str>, Counts>);

impl CountsByName {
    fn add(&mut self, name: Arc<str>, what: Arc<str>, count: u64) {
        self.0.entry(name).or_default().0.insert(what, count);
    }

    /// The records of each name on a page by service. `R` is a table whose key is the service and `column`; `page` is each
    /// name with its records. A page of one `service` needs no reading.
    pub(crate) async fn by_service<R: Record>(
        store: &dyn Store,
        service: Option<&str>,
        column: &'static str,
        page: impl Iterator<Item = (Arc<str>, u64)>,
    ) -> Result<Self> {
        let mut counts = Self::default();
        if let Some(service) = service {
            let service: Arc<str> = service.into();
            page.for_each(|(name, records)| counts.add(name, service.clone(), records));
            return Ok(counts);
        }
        let names: Vec<Value> = page.map(|(name, _)| Value::Text(name)).collect();
        if names.is_empty() {
            return Ok(counts);
        }
        let mut query = Query::new(ROWS_AT_A_TIME)
            .filter(Condition::Differs("service", Value::from(ALL_SERVICES)))
            .filter(Condition::In(column, names));
        loop {
            let page = store.select(R::TABLE, &query).await?;
            for row in page.rows {
                if let Some((service, name, records)) = service_count(R::TABLE, column, &row) {
                    counts.add(name, service, records);
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(counts),
            }
        }
    }

    /// The events of each of `names`, as `service` (or all of them together) has them.
    pub(crate) async fn events(
        store: &dyn Store,
        signal: Signal,
        service: Option<&str>,
        names: impl Iterator<Item = Arc<str>>,
    ) -> Result<Self> {
        let names: Vec<Value> = names.map(Value::Text).collect();
        let mut counts = Self::default();
        if names.is_empty() {
            return Ok(counts);
        }
        let query = Query::new(ROWS_AT_A_TIME)
            .filter(Condition::Equals("signal", Value::from(signal.as_str())))
            .filter(of_service(service))
            .filter(Condition::In("name", names));
        for row in store.list_all::<Event>(query).await? {
            counts.add(row.name, row.event, row.count);
        }
        Ok(counts)
    }

    /// The counts of `name`.
    pub(crate) fn take(&mut self, name: &str) -> Counts {
        self.0.remove(name).unwrap_or_default()
    }
}

fn service_count(table: &Table, column: &str, row: &[Value]) -> Option<(Arc<str>, Arc<str>, u64)> {
    let value = |column| table.position(column).and_then(|at| row.get(at));
    let text = |column| match value(column) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let count = value("sample_count")?.as_int()?;
    Some((text("service")?, text(column)?, count.try_into().ok()?))
}
