//! Values of the core as PostgreSQL values, and back.

use tallybook_core::{Column, ColumnType, Error, Result, Row, Table, Value};
use tokio_postgres::types::ToSql;

/// A parameter of a statement.
pub(crate) type Parameter<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// The values of one column of many rows, as one array parameter.
pub(crate) fn array<'a>(rows: &'a [Row], at: usize, column: &Column) -> Parameter<'a> {
    let values = rows.iter().map(|row| &row[at]);
    match column.column_type {
        ColumnType::Int | ColumnType::Time => Box::new(values.map(Value::as_int).collect::<Vec<Option<i64>>>()),
        ColumnType::Text | ColumnType::Json => Box::new(values.map(Value::as_text).collect::<Vec<Option<&str>>>()),
        ColumnType::Bytes => {
            let bytes = values.map(|value| if let Value::Bytes(bytes) = value { Some(bytes.as_ref()) } else { None });
            Box::new(bytes.collect::<Vec<Option<&[u8]>>>())
        }
        ColumnType::Sketch | ColumnType::Histogram => {
            Box::new(values.map(|value| value.encode_summary().unwrap_or_default()).collect::<Vec<Vec<u8>>>())
        }
    }
}

/// One value as a parameter.
pub(crate) fn parameter(value: &Value) -> Parameter<'_> {
    match value {
        Value::Null => Box::new(None::<i64>),
        Value::Int(int) => Box::new(*int),
        Value::Text(text) => Box::new(text.as_ref()),
        Value::Bytes(bytes) => Box::new(bytes.as_ref()),
        Value::Sketch(_) | Value::Histogram(_) => Box::new(value.encode_summary().unwrap_or_default()),
    }
}

/// As the driver takes them.
pub(crate) fn borrowed<'a>(parameters: &'a [Parameter<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    parameters.iter().map(|parameter| parameter.as_ref() as &(dyn ToSql + Sync)).collect()
}

/// The columns of `table` from a result row, starting at `first`; sketches come back empty unless `sketches` is set, and
/// are then not expected among the columns.
pub(crate) fn read(table: &Table, from: &tokio_postgres::Row, first: usize, sketches: bool) -> Result<Row> {
    let mut at = first;
    let mut row = Row::with_capacity(table.columns.len());
    for column in table.columns {
        if !sketches && let Some(empty) = Value::empty_summary(column.column_type) {
            row.push(empty);
            continue;
        }
        row.push(value_of(column, from, at).map_err(|error| {
            Error::corrupt("reading a row", format!("{}.{} does not hold what it should", table.name, column.name))
                .with_source(error)
        })?);
        at += 1;
    }
    Ok(row)
}

fn value_of(
    column: &Column,
    from: &tokio_postgres::Row,
    at: usize,
) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
    Ok(match column.column_type {
        ColumnType::Int | ColumnType::Time => from.try_get::<_, Option<i64>>(at)?.map_or(Value::Null, Value::Int),
        ColumnType::Text | ColumnType::Json => from.try_get::<_, Option<&str>>(at)?.map_or(Value::Null, Value::from),
        ColumnType::Bytes => {
            from.try_get::<_, Option<&[u8]>>(at)?.map_or(Value::Null, |bytes| Value::Bytes(bytes.into()))
        }
        summary @ (ColumnType::Sketch | ColumnType::Histogram) => Value::decode_summary(summary, from.try_get(at)?)?,
    })
}
