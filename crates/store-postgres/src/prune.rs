//! Retention: rows leave by the time in their retention column, and empty partitions with them.

use tallybook_core::{Condition, Query, Result, Table, Timestamp};

use crate::PostgresStore;
use crate::error::failed;
use crate::partitions::is_cut_by_day;
use crate::rows;
use crate::select::Filter;
use crate::sql::quoted;

const OPERATION: &str = "pruning a table";

/// Removes rows older than `before` that fit the conditions, in the order of the key, at most `limit` of them.
pub(crate) async fn prune(
    store: &PostgresStore,
    table: &'static Table,
    before: Timestamp,
    conditions: &[Condition],
    limit: usize,
) -> Result<u64> {
    table.place(OPERATION)?;
    Query { conditions: conditions.to_vec(), ..Query::new(limit) }.check(table)?;
    let mut client = store.client(OPERATION).await?;
    let Some(column) = table.retention else { return Ok(0) };
    let mut filter = Filter::new(table, conditions);
    let parameter = filter.own_parameter(before.0);
    filter.push(format!("{} < {parameter}", quoted(column)));
    let limit = filter.own_parameter(i64::try_from(limit).unwrap_or(i64::MAX));
    let key: Vec<String> = table.key().iter().map(|column| quoted(column.name)).collect();
    let (name, key) = (quoted(table.name), key.join(", "));
    let sql = format!(
        "DELETE FROM {name} WHERE ({key}) IN (SELECT {key} FROM {name} {} ORDER BY {key} LIMIT {limit})",
        filter.to_sql()
    );
    let error = |error| failed(OPERATION, error);
    let removed = client.execute(&sql, &rows::borrowed(&filter.parameters)).await.map_err(error)?;
    if removed > 0 && is_cut_by_day(table) {
        store.partitions.drop_empty(&mut client, table, before).await.map_err(error)?;
    }
    Ok(removed)
}
