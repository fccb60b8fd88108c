//! Values of the core as SQLite values, and back.

use rusqlite::Statement;
use rusqlite::types::ValueRef;
use tallybook_core::{Column, ColumnType, Error, Result, Row, Table, Value};

/// Binds values to `?1`, `?2` … in their order.
pub(crate) fn bind<'a>(
    statement: &mut Statement<'_>,
    values: impl IntoIterator<Item = &'a Value>,
) -> rusqlite::Result<()> {
    for (at, value) in values.into_iter().enumerate() {
        bind_one(statement, at + 1, value)?;
    }
    Ok(())
}

/// Binds one value to the parameter with this number.
pub(crate) fn bind_one(statement: &mut Statement<'_>, at: usize, value: &Value) -> rusqlite::Result<()> {
    match value {
        Value::Null => statement.raw_bind_parameter(at, rusqlite::types::Null),
        Value::Int(int) => statement.raw_bind_parameter(at, int),
        Value::Text(text) => statement.raw_bind_parameter(at, text.as_ref()),
        Value::Bytes(bytes) => statement.raw_bind_parameter(at, bytes.as_ref()),
        Value::Sketch(_) | Value::Histogram(_) => statement.raw_bind_parameter(at, value.encode_summary()),
    }
}

/// The columns of `table` from a result row, starting at `first`; sketches come back empty unless `sketches` is set, and
/// are then not expected among the columns.
pub(crate) fn read(table: &Table, from: &rusqlite::Row<'_>, first: usize, sketches: bool) -> Result<Row> {
    let mut at = first;
    let mut row = Row::with_capacity(table.columns.len());
    for column in table.columns {
        if !sketches && let Some(empty) = Value::empty_summary(column.column_type) {
            row.push(empty);
            continue;
        }
        let value = from.get_ref(at).map_err(|error| misread(table, column).with_source(error))?;
        row.push(value_of(column, value).ok_or_else(|| misread(table, column))?);
        at += 1;
    }
    Ok(row)
}

fn value_of(column: &Column, value: ValueRef<'_>) -> Option<Value> {
    match (column.column_type, value) {
        (_, ValueRef::Null) if column.nullable => Some(Value::Null),
        (ColumnType::Int | ColumnType::Time, ValueRef::Integer(int)) => Some(Value::Int(int)),
        (ColumnType::Text | ColumnType::Json, ValueRef::Text(text)) => {
            std::str::from_utf8(text).ok().map(|text| Value::Text(text.into()))
        }
        (ColumnType::Bytes, ValueRef::Blob(bytes)) => Some(Value::Bytes(bytes.into())),
        (summary, ValueRef::Blob(bytes)) => Value::decode_summary(summary, bytes).ok(),
        _ => None,
    }
}

fn misread(table: &Table, column: &Column) -> Error {
    Error::corrupt("reading a row", format!("{}.{} does not hold what it should", table.name, column.name))
}
