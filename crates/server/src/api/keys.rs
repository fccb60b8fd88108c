//! The attribute keys of the names on a page, read in one go.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use tallybook_core::{AttributeKey, Condition, Query, Result, Scope, Signal, Store, StoreExt, Timestamp, Value};
use utoipa::ToSchema;

use super::page::of_service;
use super::schema;

/// Rows that are read at a time; a page has fewer keys than this unless its names carry hundreds each.
const ROWS_AT_A_TIME: usize = 20_000;

/// What is known of one attribute key of one name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyStats {
    /// Records that carried it.
    count: u64,
    /// Of all records, 0 to 100.
    percentage: f64,
    /// Distinct values, estimated: exact up to 128, within 2.3 % (one standard error) beyond.
    estimated_cardinality: u64,
    #[schema(schema_with = schema::time)]
    first_seen: Timestamp,
    #[schema(schema_with = schema::time)]
    last_seen: Timestamp,
}

/// Attribute keys and what is known of them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(value_type = BTreeMap<String, KeyStats>)]
pub(crate) struct Keys(BTreeMap<Arc<str>, KeyStats>);

/// The attribute keys of several names of one signal.
#[derive(Debug)]
pub(crate) struct KeysByName(HashMap<Arc<str>, Vec<AttributeKey>>);

impl KeysByName {
    /// Reads the keys of `names` as `service` (or all of them together) has them.
    pub(crate) async fn read(
        store: &dyn Store,
        signal: Signal,
        service: Option<&str>,
        names: impl Iterator<Item = Arc<str>>,
    ) -> Result<Self> {
        let names: Vec<Value> = names.map(Value::Text).collect();
        let mut by_name: HashMap<Arc<str>, Vec<AttributeKey>> = HashMap::with_capacity(names.len());
        if names.is_empty() {
            return Ok(Self(by_name));
        }
        let query = Query::new(ROWS_AT_A_TIME)
            .filter(Condition::Equals("signal", Value::from(signal.as_str())))
            .filter(of_service(service))
            .filter(Condition::In("name", names));
        for row in store.list_all::<AttributeKey>(query).await? {
            by_name.entry(row.name.clone()).or_default().push(row);
        }
        Ok(Self(by_name))
    }

    /// The keys of `name` in `scope`, as parts of `records`.
    pub(crate) fn of(&self, name: &str, scope: Scope, records: u64) -> Keys {
        let rows = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        let in_scope = rows.iter().filter(|row| row.scope == scope);
        Keys(in_scope.map(|row| (row.key.clone(), KeyStats::of(row, records))).collect())
    }
}

impl KeyStats {
    fn of(row: &AttributeKey, records: u64) -> Self {
        Self {
            count: row.count,
            percentage: percentage(row.count, records),
            estimated_cardinality: row.cardinality,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    }
}

/// `part` of `whole` in percent, with two decimals. The two are read one after the other while both grow, so the part may
/// be ahead: it is held at 100.
pub(crate) fn percentage(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    let percent = part as f64 * 100.0 / whole as f64;
    ((percent * 100.0).round() / 100.0).min(100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_between_0_and_100_with_two_decimals() {
        assert_eq!(percentage(1, 3).to_string(), "33.33");
        assert_eq!(percentage(101, 100).to_string(), "100");
        assert_eq!(percentage(5, 0).to_string(), "0");
    }
}
