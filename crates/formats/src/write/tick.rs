//! A tick, written.

use parquet::data_type::{ByteArrayType, DoubleType, Int64Type};
use parquet::errors::Result;
use serde::{Serialize, Serializer};
use tallybook_core::{Decimal, Tick, TickFlags, Timestamp};

use super::row::Row;
use super::text::CsvLine;
use crate::columnar::{Columns, bytes};

#[derive(Serialize)]
struct Json<'t> {
    symbol: &'t str,
    timestamp: Timestamp,
    seq: u64,
    bid: Option<Decimal>,
    ask: Option<Decimal>,
    volume: Option<Decimal>,
    lp: &'t str,
    #[serde(serialize_with = "list")]
    flags: TickFlags,
    received: Timestamp,
}

impl Row for Tick {
    const COLUMNS: &'static [&'static str] =
        &["symbol", "timestamp", "seq", "bid", "ask", "volume", "lp", "flags", "received"];

    const SCHEMA: &'static str = "
        message tick {
            required binary symbol (STRING);
            required int64 timestamp (TIMESTAMP(NANOS, true));
            required int64 seq;
            optional binary bid (STRING);
            optional binary ask (STRING);
            optional double bid_value;
            optional double ask_value;
            optional binary volume (STRING);
            required binary lp (STRING);
            required binary flags (STRING);
            required int64 received (TIMESTAMP(NANOS, true));
        }";

    fn json(&self) -> impl Serialize {
        Json {
            symbol: &self.symbol,
            timestamp: self.time,
            seq: self.seq,
            bid: self.bid,
            ask: self.ask,
            volume: self.volume,
            lp: &self.source,
            flags: self.flags,
            received: self.received,
        }
    }

    fn csv(&self, line: &mut CsvLine<'_>) {
        line.text(&self.symbol);
        line.value(Some(self.time));
        line.value(Some(self.seq));
        line.value(self.bid);
        line.value(self.ask);
        line.value(self.volume);
        line.text(&self.source);
        line.text(&joined(self.flags));
        line.value(Some(self.received));
    }

    fn parquet(columns: &mut Columns<'_, Self, Vec<u8>>) -> Result<()> {
        let text = |number: Decimal| bytes(&number.to_string());
        columns.required::<ByteArrayType>(|tick| bytes(&tick.symbol))?;
        columns.required::<Int64Type>(|tick| tick.time.0)?;
        columns.required::<Int64Type>(|tick| tick.seq as i64)?;
        columns.optional::<ByteArrayType>(|tick| tick.bid.map(text))?;
        columns.optional::<ByteArrayType>(|tick| tick.ask.map(text))?;
        columns.optional::<DoubleType>(|tick| tick.bid.map(Decimal::to_f64))?;
        columns.optional::<DoubleType>(|tick| tick.ask.map(Decimal::to_f64))?;
        columns.optional::<ByteArrayType>(|tick| tick.volume.map(text))?;
        columns.required::<ByteArrayType>(|tick| bytes(&tick.source))?;
        columns.required::<ByteArrayType>(|tick| bytes(&joined(tick.flags)))?;
        columns.required::<Int64Type>(|tick| tick.received.0)
    }
}

fn joined(flags: TickFlags) -> String {
    flags.names().collect::<Vec<_>>().join("|")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn list<S: Serializer>(flags: &TickFlags, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(flags.names())
}
