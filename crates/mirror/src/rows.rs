//! Both sides of a comparison as rising streams of keyed records, read page by page.

use std::collections::VecDeque;

use tallybook_core::{
    ColumnType, Decimal, Readback, Result, Row, Table, Tick, TickKey, TickQuery, TimeRange, Timestamp, Value,
    hash_bytes,
};

const PAGE: usize = 5_000;

/// A record to be compared: its key, its day, and its fields as they are shown.
pub(crate) trait Compared: PartialEq {
    /// What orders it.
    type Key: Ord;
    fn key(&self) -> Self::Key;
    /// For people.
    fn key_text(&self) -> String;
    /// The UTC day it belongs to, where it has one.
    fn day(&self) -> Option<Timestamp>;
    fn hash(&self) -> u64;
    /// Name and value of each field beside the key.
    fn fields(&self) -> Vec<(&'static str, String)>;
}

/// A stream of records that rise by their keys.
pub(crate) trait Records {
    type Record: Compared;
    async fn next(&mut self) -> Result<Option<Self::Record>>;
}

/// A row with its table.
#[derive(Debug)]
pub(crate) struct TableRow {
    table: &'static Table,
    row: Row,
}

impl PartialEq for TableRow {
    fn eq(&self, other: &Self) -> bool {
        // Only rows of one table are compared.
        self.row == other.row
    }
}

impl Compared for TableRow {
    type Key = Vec<Value>;

    fn key(&self) -> Vec<Value> {
        self.row[..self.table.key_len()].to_vec()
    }

    fn key_text(&self) -> String {
        let values = self.table.key().iter().zip(&self.row);
        let shown = |(column, value): (&tallybook_core::Column, &Value)| match (column.column_type, value) {
            (ColumnType::Time, Value::Int(time)) => Timestamp(*time).to_string(),
            (_, Value::Text(text)) => format!("{text:?}"),
            (_, value) => value.to_json().to_string(),
        };
        values.map(shown).collect::<Vec<_>>().join(" ")
    }

    fn day(&self) -> Option<Timestamp> {
        let is_time = |column: &&tallybook_core::Column| column.column_type == ColumnType::Time;
        let of_key = self.table.key().iter().find(is_time).map(|column| column.name);
        let at = self.table.position(of_key.or(self.table.retention)?)?;
        self.row.get(at)?.as_int().map(|time| Timestamp(time).day())
    }

    fn hash(&self) -> u64 {
        let mut bytes = Vec::with_capacity(256);
        for value in &self.row {
            match value {
                Value::Null => bytes.push(0),
                Value::Int(int) => {
                    bytes.push(1);
                    bytes.extend(int.to_le_bytes());
                }
                Value::Text(text) => add_bytes(&mut bytes, 2, text.as_bytes()),
                Value::Bytes(theirs) => add_bytes(&mut bytes, 4, theirs),
                summary => add_bytes(&mut bytes, 3, &summary.encode_summary().unwrap_or_default()),
            }
        }
        hash_bytes(&bytes)
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let key = self.table.key_len();
        let shown = |value: &Value| match value.encode_summary() {
            // What people see of it is an estimate; two that differ may have the same.
            Some(bytes) => format!("{} [{:016x}]", value.to_json(), hash_bytes(&bytes)),
            None => value.to_json().to_string(),
        };
        self.table.columns.iter().zip(&self.row).skip(key).map(|(column, value)| (column.name, shown(value))).collect()
    }
}

fn add_bytes(to: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    to.push(tag);
    to.extend((bytes.len() as u64).to_le_bytes());
    to.extend(bytes);
}

/// The rows of one table.
pub(crate) struct TableRows<'r, R: ?Sized> {
    side: &'r R,
    table: &'static Table,
    after: Option<Vec<Value>>,
    page: VecDeque<Row>,
    at_end: bool,
}

impl<'r, R: Readback + ?Sized> TableRows<'r, R> {
    pub(crate) fn new(side: &'r R, table: &'static Table) -> Self {
        Self { side, table, after: None, page: VecDeque::new(), at_end: false }
    }
}

impl<R: Readback + ?Sized> Records for TableRows<'_, R> {
    type Record = TableRow;

    async fn next(&mut self) -> Result<Option<TableRow>> {
        if self.page.is_empty() && !self.at_end {
            let page = self.side.read_rows(self.table, self.after.as_deref(), PAGE).await?;
            self.at_end = page.len() < PAGE;
            self.after = page.last().map(|row| row[..self.table.key_len()].to_vec()).or(self.after.take());
            self.page = page.into();
        }
        Ok(self.page.pop_front().map(|row| TableRow { table: self.table, row }))
    }
}

impl Compared for Tick {
    type Key = (std::sync::Arc<str>, TickKey);

    fn key(&self) -> Self::Key {
        (self.symbol.clone(), Self::key(self))
    }

    fn key_text(&self) -> String {
        format!("{} {} {}", self.symbol, self.time, self.seq)
    }

    fn day(&self) -> Option<Timestamp> {
        Some(self.time.day())
    }

    fn hash(&self) -> u64 {
        let Self { symbol, time, seq, bid, ask, volume, source, flags, received } = self;
        let mut bytes = Vec::with_capacity(128);
        add_bytes(&mut bytes, 2, symbol.as_bytes());
        bytes.extend(time.0.to_le_bytes());
        bytes.extend(seq.to_le_bytes());
        for number in [bid, ask, volume] {
            let (mantissa, scale) = number.map_or((0, u8::MAX), |number| (number.mantissa(), number.scale()));
            bytes.extend(mantissa.to_le_bytes());
            bytes.push(scale);
        }
        add_bytes(&mut bytes, 2, source.as_bytes());
        bytes.push(flags.0);
        bytes.extend(received.0.to_le_bytes());
        hash_bytes(&bytes)
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let Self { symbol: _, time: _, seq: _, bid, ask, volume, source, flags, received } = self;
        let number = |number: &Option<Decimal>| number.map_or_else(|| "null".to_owned(), |number| number.to_string());
        vec![
            ("bid", number(bid)),
            ("ask", number(ask)),
            ("volume", number(volume)),
            ("source", format!("{source:?}")),
            ("flags", flags.0.to_string()),
            ("received", received.to_string()),
        ]
    }
}

/// All ticks, by symbol and key.
pub(crate) struct Ticks<'r, R: ?Sized> {
    side: &'r R,
    /// Symbols that were not read yet.
    symbols: VecDeque<std::sync::Arc<str>>,
    query: Option<TickQuery>,
    page: VecDeque<Tick>,
}

impl<'r, R: Readback + ?Sized> Ticks<'r, R> {
    pub(crate) async fn new(side: &'r R) -> Result<Self> {
        let symbols = side.read_symbols().await?.into_iter().map(|summary| summary.symbol).collect();
        Ok(Self { side, symbols, query: None, page: VecDeque::new() })
    }
}

impl<R: Readback + ?Sized> Records for Ticks<'_, R> {
    type Record = Tick;

    async fn next(&mut self) -> Result<Option<Tick>> {
        while self.page.is_empty() {
            let mut query = match self.query.take() {
                Some(query) => query,
                None => match self.symbols.pop_front() {
                    Some(symbol) => {
                        let range = TimeRange { from: Timestamp(i64::MIN), to: Timestamp(i64::MAX) };
                        TickQuery { symbol, range, after: None, newest_first: false, limit: PAGE }
                    }
                    None => return Ok(None),
                },
            };
            let page = self.side.read_ticks(&query).await?;
            if page.len() == PAGE {
                query.after = page.last().map(Tick::key);
                self.query = Some(query);
            }
            self.page = page.into();
        }
        Ok(self.page.pop_front())
    }
}
