//! Reading back, in the order of keys.

use std::sync::Arc;

use async_trait::async_trait;
use duckdb::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use duckdb::{Connection, ToSql, params_from_iter};
use tallybook_core::shape::Shape;
use tallybook_core::{
    ColumnType, Decimal, Error, Readback, Result, Row, SymbolSummary, Table, Tick, TickFlags, TickKey, TickQuery,
    Timestamp, Value,
};

use crate::DuckDbMirror;
use crate::error::failed;
use crate::schema::{list, quoted, rows};

const READING: &str = "reading from DuckDB";

fn misread(what: &str) -> Error {
    Error::corrupt(READING, format!("{what} is not what it should be; rebuild the mirror"))
}

/// All rows of an answer, each through `read`.
fn select<T>(
    connection: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
    mut read: impl FnMut(&duckdb::Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let error = |failure| failed(READING, &failure);
    let mut statement = connection.prepare(sql).map_err(error)?;
    let mut answer = statement.query(params_from_iter(params)).map_err(error)?;
    let mut rows = Vec::new();
    while let Some(row) = answer.next().map_err(error)? {
        rows.push(read(row)?);
    }
    Ok(rows)
}

fn column<T: FromSql>(row: &duckdb::Row<'_>, at: usize) -> Result<T> {
    row.get(at).map_err(|failure| failed(READING, &failure))
}

fn value(row: &duckdb::Row<'_>, at: usize, column_type: ColumnType) -> Result<Value> {
    match row.get_ref(at).map_err(|failure| failed(READING, &failure))? {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::BigInt(int) => Ok(Value::Int(int)),
        ValueRef::Text(bytes) => Ok(Value::Text(text(bytes).map_err(|_| misread("a text"))?)),
        ValueRef::Blob(bytes) if column_type == ColumnType::Bytes => Ok(Value::Bytes(bytes.into())),
        ValueRef::Blob(bytes) => Value::decode_summary(column_type, bytes),
        _ => Err(misread("a column")),
    }
}

fn text(bytes: &[u8]) -> FromSqlResult<Arc<str>> {
    std::str::from_utf8(bytes).map(Into::into).map_err(|error| FromSqlError::Other(Box::new(error)))
}

struct Text(Arc<str>);

impl FromSql for Text {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Text(bytes) => text(bytes).map(Self),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

fn tick(row: &duckdb::Row<'_>) -> Result<Tick> {
    let number = |mantissa: usize| -> Result<Option<Decimal>> {
        let scale = column(row, mantissa + 1)?;
        let number = |mantissa| Decimal::new(mantissa, scale).map_err(|_| misread("a price"));
        column::<Option<i64>>(row, mantissa)?.map(number).transpose()
    };
    Ok(Tick {
        symbol: column::<Text>(row, 0)?.0,
        time: Timestamp(column(row, 1)?),
        seq: column(row, 2)?,
        bid: number(3)?,
        ask: number(5)?,
        volume: number(7)?,
        source: column::<Text>(row, 9)?.0,
        flags: TickFlags(column(row, 10)?),
        received: Timestamp(column(row, 11)?),
    })
}

fn read_rows(
    connection: &Connection,
    table: &'static Table,
    after: Option<&[Value]>,
    limit: usize,
) -> Result<Vec<Row>> {
    let shape = Shape::of(READING, table)?;
    let key = list(shape.key());
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    for value in after.into_iter().flatten() {
        values.push(match value {
            Value::Text(text) => Box::new(text.to_string()),
            value => Box::new(value.as_int()),
        });
    }
    // The first column alone leaves most of what lies before out.
    let behind = after.map_or_else(String::new, |after| {
        let marks: Vec<String> = (1..=after.len()).map(|at| format!("?{at}")).collect();
        format!("WHERE {} >= ?1 AND ({key}) > ({})", quoted(shape.fields[0].name), marks.join(", "))
    });
    let sql = format!("SELECT {} FROM {} {behind} ORDER BY {key} LIMIT {limit}", list(&shape.fields), rows(shape));
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    select(connection, &sql, &values, |row| {
        table.columns.iter().enumerate().map(|(at, column)| value(row, at, column.column_type)).collect()
    })
}

fn read_ticks(connection: &Connection, query: &TickQuery) -> Result<Vec<Tick>> {
    let TickQuery { symbol, range, after, newest_first, limit } = query;
    let (order, sign) = if *newest_first { (" DESC", "<") } else { ("", ">") };
    let (mut from, mut to) = (range.from.0, range.to.0);
    if let Some(TickKey { time, .. }) = after {
        // The times alone leave most of what is not asked for out.
        if *newest_first {
            to = to.min(time.0.saturating_add(1));
        } else {
            from = from.max(time.0);
        }
    }
    let behind = if after.is_some() { format!(" AND (time, seq) {sign} (?4, ?5)") } else { String::new() };
    let shape = Shape::ticks();
    let sql = format!(
        "SELECT {} FROM {} WHERE symbol = ?1 AND time >= ?2 AND time < ?3{behind} \
         ORDER BY time{order}, seq{order} LIMIT {limit}",
        list(&shape.fields),
        rows(shape)
    );
    let symbol = symbol.as_ref();
    let mut params: Vec<&dyn ToSql> = vec![&symbol, &from, &to];
    let after = after.map(|TickKey { time, seq }| (time.0, seq));
    if let Some((time, seq)) = &after {
        params.extend([time as &dyn ToSql, seq]);
    }
    select(connection, &sql, &params, tick)
}

#[async_trait]
impl Readback for DuckDbMirror {
    async fn read_rows(&self, table: &'static Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>> {
        let after = after.map(<[Value]>::to_vec);
        self.in_file(move |file| read_rows(file.connection()?, table, after.as_deref(), limit)).await
    }

    async fn read_symbols(&self) -> Result<Vec<SymbolSummary>> {
        let sql = format!(
            "SELECT symbol, count(*)::UBIGINT, min(time), max(time) FROM {} GROUP BY symbol ORDER BY symbol",
            rows(Shape::ticks())
        );
        let summary = |row: &duckdb::Row<'_>| {
            Ok(SymbolSummary {
                symbol: column::<Text>(row, 0)?.0,
                count: column(row, 1)?,
                first: Timestamp(column(row, 2)?),
                last: Timestamp(column(row, 3)?),
            })
        };
        self.in_file(move |file| select(file.connection()?, &sql, &[], summary)).await
    }

    async fn read_ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        let query = query.clone();
        self.in_file(move |file| read_ticks(file.connection()?, &query)).await
    }
}
