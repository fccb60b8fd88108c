//! Retention: rows leave by the time in their retention column.

use rusqlite::Connection;
use tallybook_core::{Column, Condition, Query, Result, Table, Timestamp, Value};

use crate::error::failed;
use crate::filter::Filter;
use crate::rows;
use crate::sql::quoted;

const OPERATION: &str = "pruning a table";

/// Removes rows older than `before` that fit the conditions, the oldest first, at most `limit` of them.
pub(crate) fn prune(
    connection: &Connection,
    table: &'static Table,
    before: Timestamp,
    conditions: &[Condition],
    limit: usize,
) -> Result<u64> {
    table.place(OPERATION)?;
    let Some((sql, values)) = statement(table, before, conditions, limit)? else { return Ok(0) };
    let delete = || {
        let mut statement = connection.prepare_cached(&sql)?;
        rows::bind(&mut statement, &values)?;
        statement.raw_execute()
    };
    let removed = delete().map_err(|error| failed(OPERATION, error))?;
    Ok(removed as u64)
}

/// `None` where rows stay for ever.
fn statement(
    table: &'static Table,
    before: Timestamp,
    conditions: &[Condition],
    limit: usize,
) -> Result<Option<(String, Vec<Value>)>> {
    Query { conditions: conditions.to_vec(), ..Query::new(limit) }.check(table)?;
    let Some(column) = table.retention.map(quoted) else { return Ok(None) };
    // What belongs to one key is found by the key, the rest by its age.
    let pinned = |column: &Column| {
        conditions.iter().any(|condition| matches!(condition, Condition::Equals(name, _) if *name == column.name))
    };
    let order = match table.key() {
        [first, rest @ ..] if pinned(first) => rest.first().unwrap_or(first).name,
        _ => table.retention.unwrap_or_default(),
    };
    let mut filter = Filter::new(OPERATION, table, conditions)?;
    filter.push(format!("{column} < ?"), [before.into()]);
    let name = quoted(table.name);
    let sql = format!(
        "DELETE FROM {name} WHERE rowid IN (SELECT rowid FROM {name} {} ORDER BY {} LIMIT ?)",
        filter.to_sql(),
        quoted(order),
    );
    filter.values.push(Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
    Ok(Some((sql, filter.values)))
}

#[cfg(test)]
mod tests {
    use tallybook_core::TABLES;

    use super::*;

    #[test]
    fn old_rows_are_found_by_an_index_and_never_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = crate::connection::open_writer(&folder.path().join("tallybook.db")).unwrap();
        crate::migrate::run(&mut connection).unwrap();
        for table in TABLES {
            // What shares a table is kept for different times, what belongs to an execution goes with it.
            let kinds = ["window", "resolution", "execution"];
            let kind = kinds.into_iter().find(|column| table.position(column).is_some());
            let kind: Vec<Condition> =
                kind.map(|column| Condition::Equals(column, "hour".into())).into_iter().collect();
            let Some((sql, values)) = statement(table, Timestamp(5), &kind, 500).unwrap() else { continue };
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            rows::bind(&mut explain, &values).unwrap();
            let mut steps = explain.raw_query();
            while let Some(step) = steps.next().unwrap() {
                let step: String = step.get(3).unwrap();
                assert!(!step.contains("SCAN") && !step.contains("B-TREE"), "{sql}: {step}");
            }
        }
    }
}
