//! Rows as bytes of ClickHouse's format RowBinary, and back.

use std::sync::Arc;

use tallybook_core::shape::{Field, Kind};
use tallybook_core::{ColumnType, Decimal, Error, Result, Row, Table, Tick, TickFlags, Timestamp, Value};

const READING: &str = "reading from ClickHouse";

/// Adds a row of a described table and its revision.
pub(crate) fn add_row(to: &mut Vec<u8>, fields: &[Field], row: &Row, revision: u64) {
    for (field, value) in fields.iter().zip(row) {
        if field.nullable {
            to.push((*value == Value::Null).into());
        }
        match value {
            Value::Null => {}
            Value::Int(int) => to.extend(int.to_le_bytes()),
            Value::Text(text) => add_bytes(to, text.as_bytes()),
            Value::Bytes(bytes) => add_bytes(to, bytes),
            summary => add_bytes(to, &summary.encode_summary().unwrap_or_default()),
        }
    }
    to.extend(revision.to_le_bytes());
}

/// Adds a tick.
pub(crate) fn add_tick(to: &mut Vec<u8>, tick: &Tick) {
    let Tick { symbol, time, seq, bid, ask, volume, source, flags, received } = tick;
    add_bytes(to, symbol.as_bytes());
    to.extend(time.0.to_le_bytes());
    to.extend(seq.to_le_bytes());
    for number in [bid, ask, volume] {
        to.push(number.is_none().into());
        to.extend(number.iter().flat_map(|number| number.mantissa().to_le_bytes()));
        to.push(number.map_or(0, Decimal::scale));
    }
    add_bytes(to, source.as_bytes());
    to.push(flags.0);
    to.extend(received.0.to_le_bytes());
}

/// Adds how far a primary was followed.
pub(crate) fn add_state(to: &mut Vec<u8>, primary: &str, cursor: &str, seq: u64) {
    add_bytes(to, primary.as_bytes());
    add_bytes(to, cursor.as_bytes());
    to.extend(seq.to_le_bytes());
}

fn add_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    while length >= 0x80 {
        to.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    to.push(length as u8);
    to.extend(bytes);
}

/// Reads what was answered.
pub(crate) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn int(&mut self) -> Result<i64> {
        self.take().map(i64::from_le_bytes)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn byte(&mut self) -> Result<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn bytes(&mut self) -> Result<&'b [u8]> {
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f).checked_shl(shift).ok_or_else(cut_off)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn text(&mut self) -> Result<Arc<str>> {
        std::str::from_utf8(self.bytes()?).map(Into::into).map_err(|error| misread("a text").with_source(error))
    }

    /// A row of a described table, without its revision.
    pub(crate) fn row(&mut self, table: &'static Table, fields: &[Field]) -> Result<Row> {
        let mut row = Row::with_capacity(fields.len());
        for (field, column) in fields.iter().zip(table.columns) {
            if field.nullable && self.byte()? == 1 {
                row.push(Value::Null);
                continue;
            }
            row.push(match field.kind {
                Kind::Text => Value::Text(self.text()?),
                Kind::Bytes if column.column_type == ColumnType::Bytes => Value::Bytes(self.bytes()?.into()),
                Kind::Bytes => Value::decode_summary(column.column_type, self.bytes()?)?,
                _ => Value::Int(self.int()?),
            });
        }
        Ok(row)
    }

    pub(crate) fn tick(&mut self) -> Result<Tick> {
        let (symbol, time, seq) = (self.text()?, Timestamp(self.int()?), self.unsigned()?);
        let (bid, ask, volume) = (self.number()?, self.number()?, self.number()?);
        let (source, flags, received) = (self.text()?, TickFlags(self.byte()?), Timestamp(self.int()?));
        Ok(Tick { symbol, time, seq, bid, ask, volume, source, flags, received })
    }

    fn number(&mut self) -> Result<Option<Decimal>> {
        let mantissa = if self.byte()? == 1 { None } else { Some(self.int()?) };
        let scale = self.byte()?;
        let number = |mantissa| Decimal::new(mantissa, scale).map_err(|_| misread("a price"));
        mantissa.map(number).transpose()
    }
}

fn cut_off() -> Error {
    Error::new(tallybook_core::ErrorKind::Unavailable, READING, "the answer came in part")
}

fn misread(what: &str) -> Error {
    Error::corrupt(READING, format!("{what} is not what it should be; rebuild the mirror"))
}
