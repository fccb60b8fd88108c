//! Reading back, in the order of keys.

use async_trait::async_trait;
use bytes::Bytes;
use clickhouse::query::Query;
use tallybook_core::shape::Shape;
use tallybook_core::{Readback, Result, Row, SymbolSummary, Table, Tick, TickKey, TickQuery, Timestamp, Value};

use crate::ClickHouseMirror;
use crate::error::failed;
use crate::row_binary::Reader;
use crate::schema::list;

const READING: &str = "reading from ClickHouse";

async fn answer(query: Query) -> Result<Bytes> {
    let error = |failure| failed(READING, failure);
    query.fetch_bytes("RowBinary").map_err(error)?.collect().await.map_err(error)
}

fn bind(query: Query, value: &Value) -> Query {
    match value {
        Value::Text(text) => query.bind(text.as_ref()),
        value => query.bind(value.as_int().unwrap_or_default()),
    }
}

impl ClickHouseMirror {
    fn select(&self, columns: &str, shape: &Shape, rest: &str) -> String {
        format!("SELECT {columns} FROM {} FINAL {rest}", self.schema.rows(shape))
    }
}

#[async_trait]
impl Readback for ClickHouseMirror {
    async fn read_rows(&self, table: &'static Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>> {
        let shape = Shape::of(READING, table)?;
        let key = list(shape.key());
        let behind =
            after.map_or_else(String::new, |after| format!("WHERE ({key}) > ({})", vec!["?"; after.len()].join(", ")));
        let sql = self.select(&list(&shape.fields), shape, &format!("{behind} ORDER BY {key} LIMIT ?"));
        let query = after.into_iter().flatten().fold(self.client.query(&sql), bind).bind(limit as u64);
        let bytes = answer(query).await?;
        let (mut reader, mut rows) = (Reader::new(&bytes), Vec::new());
        while !reader.is_at_end() {
            rows.push(reader.row(table, &shape.fields)?);
        }
        Ok(rows)
    }

    async fn read_symbols(&self) -> Result<Vec<SymbolSummary>> {
        let columns = "toString(symbol) AS name, count(), min(time), max(time)";
        let sql = self.select(columns, Shape::ticks(), "GROUP BY name ORDER BY name");
        let bytes = answer(self.client.query(&sql)).await?;
        let (mut reader, mut symbols) = (Reader::new(&bytes), Vec::new());
        while !reader.is_at_end() {
            symbols.push(SymbolSummary {
                symbol: reader.text()?,
                count: reader.unsigned()?,
                first: Timestamp(reader.int()?),
                last: Timestamp(reader.int()?),
            });
        }
        Ok(symbols)
    }

    async fn read_ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        let TickQuery { symbol, range, after, newest_first, limit } = query;
        let (order, sign) = if *newest_first { (" DESC", "<") } else { ("", ">") };
        let behind = if after.is_some() { format!(" AND (time, seq) {sign} (?, ?)") } else { String::new() };
        let rest =
            format!("WHERE symbol = ? AND time >= ? AND time < ?{behind} ORDER BY time{order}, seq{order} LIMIT ?");
        let shape = Shape::ticks();
        let sql = self.select(&list(&shape.fields), shape, &rest);
        // The times alone leave days out.
        let (mut from, mut to) = (range.from.0, range.to.0);
        if let Some(TickKey { time, .. }) = after {
            if *newest_first {
                to = to.min(time.0.saturating_add(1));
            } else {
                from = from.max(time.0);
            }
        }
        let mut asked = self.client.query(&sql).bind(symbol.as_ref()).bind(from).bind(to);
        if let Some(TickKey { time, seq }) = after {
            asked = asked.bind(time.0).bind(*seq);
        }
        let bytes = answer(asked.bind(*limit as u64)).await?;
        let (mut reader, mut ticks) = (Reader::new(&bytes), Vec::new());
        while !reader.is_at_end() {
            ticks.push(reader.tick()?);
        }
        Ok(ticks)
    }
}
