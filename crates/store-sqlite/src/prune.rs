//! Retention: rows leave by the time in their retention column.

use rusqlite::Connection;
use tallybook_core::{Condition, Query, Result, Table, Timestamp, Value};

use crate::error::failed;
use crate::filter::Filter;
use crate::rows;
use crate::sql::{self, quoted};

const OPERATION: &str = "pruning a table";
/// Free pages up to this share of the file stay: the next hour's buckets fill them again.
const FREE_SHARE: i64 = 8;

/// Removes rows older than `before` that fit the conditions, in the order of the key, at most `limit` of them.
pub(crate) fn prune(
    connection: &Connection,
    table: &'static Table,
    before: Timestamp,
    conditions: &[Condition],
    limit: usize,
) -> Result<u64> {
    sql::of(OPERATION, table)?;
    Query { conditions: conditions.to_vec(), ..Query::new(limit) }.check(table)?;
    let Some(column) = table.retention else { return Ok(0) };
    let mut filter = Filter::new(OPERATION, table, conditions)?;
    filter.push(format!("{} < ?", quoted(column)), [before.into()]);
    let key: Vec<String> = table.key().iter().map(|column| quoted(column.name)).collect();
    let name = quoted(table.name);
    let sql = format!(
        "DELETE FROM {name} WHERE rowid IN (SELECT rowid FROM {name} {} ORDER BY {} LIMIT ?)",
        filter.to_sql(),
        key.join(", "),
    );
    filter.values.push(Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
    let delete = || {
        let mut statement = connection.prepare_cached(&sql)?;
        rows::bind(&mut statement, &filter.values)?;
        statement.raw_execute()
    };
    let removed = delete().map_err(|error| failed(OPERATION, error))?;
    Ok(removed as u64)
}

/// Gives at most `pages` pages back to the file system, where much of the file is free; says whether it did.
pub(crate) fn shrink(connection: &Connection, pages: u32) -> rusqlite::Result<bool> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("freelist_count")? <= pragma("page_count")? / FREE_SHARE {
        return Ok(false);
    }
    // Each step frees one page.
    let mut statement = connection.prepare_cached(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut steps = statement.query([])?;
    while steps.next()?.is_some() {}
    Ok(true)
}
