//! A ping, written.

use parquet::data_type::{BoolType, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::Result;
use serde::Serialize;
use serde_json::value::RawValue;
use tallybook_core::{Ping, Timestamp};

use super::row::Row;
use super::text::CsvLine;
use crate::columnar::{Columns, bytes};

#[derive(Serialize)]
struct Json<'p> {
    target: &'p str,
    timestamp: Timestamp,
    latency_ms: Option<Box<RawValue>>,
    success: bool,
    ttl: Option<u64>,
    packet_size: Option<u64>,
    sequence: Option<u64>,
    jitter_ms: Option<Box<RawValue>>,
    error: Option<&'p str>,
}

impl Row for Ping {
    const COLUMNS: &'static [&'static str] =
        &["target", "timestamp", "latency_ms", "success", "ttl", "packet_size", "sequence", "jitter_ms", "error"];

    const SCHEMA: &'static str = "
        message ping {
            required binary target (STRING);
            required int64 timestamp (TIMESTAMP(NANOS, true));
            optional double latency_ms;
            required boolean success;
            optional int64 ttl (INTEGER(64, false));
            optional int64 packet_size (INTEGER(64, false));
            optional int64 sequence (INTEGER(64, false));
            optional double jitter_ms;
            optional binary error (STRING);
        }";

    fn json(&self) -> impl Serialize {
        // As a number that no floating point has touched.
        let number = |nanoseconds| RawValue::from_string(milliseconds(nanoseconds)).ok();
        Json {
            target: &self.target,
            timestamp: self.time,
            latency_ms: self.latency.and_then(number),
            success: self.success,
            ttl: self.ttl,
            packet_size: self.packet_size,
            sequence: self.sequence,
            jitter_ms: self.jitter.and_then(number),
            error: self.error.as_deref(),
        }
    }

    fn csv(&self, line: &mut CsvLine<'_>) {
        line.text(&self.target);
        line.value(Some(self.time));
        line.value(self.latency.map(milliseconds));
        line.value(Some(self.success));
        line.value(self.ttl);
        line.value(self.packet_size);
        line.value(self.sequence);
        line.value(self.jitter.map(milliseconds));
        line.text(self.error.as_deref().unwrap_or_default());
    }

    fn parquet(columns: &mut Columns<'_, Self, Vec<u8>>) -> Result<()> {
        columns.required::<ByteArrayType>(|ping| bytes(&ping.target))?;
        columns.required::<Int64Type>(|ping| ping.time.0)?;
        columns.optional::<DoubleType>(|ping| ping.latency.map(|latency| latency as f64 / 1e6))?;
        columns.required::<BoolType>(|ping| ping.success)?;
        columns.optional::<Int64Type>(|ping| ping.ttl.map(|ttl| ttl as i64))?;
        columns.optional::<Int64Type>(|ping| ping.packet_size.map(|size| size as i64))?;
        columns.optional::<Int64Type>(|ping| ping.sequence.map(|sequence| sequence as i64))?;
        columns.optional::<DoubleType>(|ping| ping.jitter.map(|jitter| jitter as f64 / 1e6))?;
        columns.optional::<ByteArrayType>(|ping| ping.error.as_deref().map(bytes))
    }
}

/// Nanoseconds as milliseconds, exactly.
fn milliseconds(nanoseconds: u64) -> String {
    let (whole, below) = (nanoseconds / 1_000_000, nanoseconds % 1_000_000);
    if below == 0 {
        return whole.to_string();
    }
    format!("{whole}.{below:06}").trim_end_matches('0').to_owned()
}
