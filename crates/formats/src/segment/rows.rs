//! Reading some rows of a row group: only the pages they lie in.

use std::ops::Range;
use std::sync::Arc;

use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use tallybook_core::{Decimal, Tick, TickFlags, TickKey, Timestamp};

use super::columns;
use super::write::MILLISECOND;
use crate::bounded::{BoundedFile, Budget, guarded};

/// What is read of a column at a time may come to when it is decompressed.
const MAX_COLUMN_BYTES: usize = 256 << 20;

pub(super) struct Rows<'f> {
    pub(super) file: &'f BoundedFile,
    pub(super) group: usize,
    pub(super) range: Range<usize>,
}

impl Rows<'_> {
    pub(super) fn keys(&self) -> Result<Vec<TickKey>> {
        let milliseconds = self.required::<Int64Type>(columns::TIME)?;
        let nanoseconds = self.required::<Int32Type>(columns::TIME_NANOS)?;
        let seqs = self.required::<Int64Type>(columns::SEQ)?;
        let times = milliseconds.into_iter().zip(nanoseconds).map(|(milliseconds, nanoseconds)| {
            Timestamp(milliseconds.wrapping_mul(MILLISECOND).wrapping_add(i64::from(nanoseconds)))
        });
        Ok(times.zip(seqs).map(|(time, seq)| TickKey { time, seq: seq as u64 }).collect())
    }

    /// The ticks of these rows, which are of these symbols and have these keys.
    pub(super) fn ticks<'s>(&self, symbols: impl Iterator<Item = &'s Arc<str>>, keys: &[TickKey]) -> Result<Vec<Tick>> {
        let bids = self.prices(columns::BID_MANTISSA, columns::BID_SCALE)?;
        let spreads = self.optional::<Int64Type>(columns::SPREAD_MANTISSA)?;
        let asks = self.prices(columns::ASK_MANTISSA, columns::ASK_SCALE)?;
        let volumes = self.prices(columns::VOLUME_MANTISSA, columns::VOLUME_SCALE)?;
        let sources = self.required::<ByteArrayType>(columns::SOURCE)?;
        let flags = self.required::<Int32Type>(columns::FLAGS)?;
        let received = self.optional::<Int64Type>(columns::RECEIVED)?;
        let delays = self.optional::<Int64Type>(columns::RECEIVED_DELAY)?;
        let mut source: Arc<str> = Arc::from("");
        let mut ticks = Vec::with_capacity(keys.len());
        for ((row, &TickKey { time, seq }), symbol) in keys.iter().enumerate().zip(symbols) {
            if source.as_bytes() != sources[row].data() {
                source = text(&sources[row])?;
            }
            let bid = bids[row].0;
            let ask = match (spreads[row], bid) {
                (Some(spread), Some(bid)) => Some(decimal(bid.mantissa().wrapping_add(spread), bid.scale().into())?),
                _ => asks[row].0,
            };
            let received = match (received[row], delays[row]) {
                (Some(received), _) => received,
                (None, Some(delay)) => time.0.wrapping_add(delay),
                (None, None) => return Err(damaged("a tick that was never received")),
            };
            ticks.push(Tick {
                symbol: symbol.clone(),
                time,
                seq,
                bid,
                ask,
                volume: volumes[row].0,
                source: source.clone(),
                flags: TickFlags(flags[row] as u8),
                received: Timestamp(received),
            });
        }
        Ok(ticks)
    }

    fn prices(&self, mantissa: usize, scale: usize) -> Result<Vec<Price>> {
        let mantissas = self.optional::<Int64Type>(mantissa)?;
        let scales = self.required::<Int32Type>(scale)?;
        let price = |(mantissa, scale): (Option<i64>, i32)| {
            mantissa.map(|mantissa| decimal(mantissa, scale)).transpose().map(Price)
        };
        mantissas.into_iter().zip(scales).map(price).collect()
    }

    fn required<T: DataType>(&self, column: usize) -> Result<Vec<T::T>> {
        Ok(self.column::<T>(column)?.1)
    }

    fn optional<T: DataType>(&self, column: usize) -> Result<Vec<Option<T::T>>> {
        let (levels, values) = self.column::<T>(column)?;
        let mut values = values.into_iter();
        Ok(levels.into_iter().map(|level| if level == 0 { None } else { values.next() }).collect())
    }

    /// The levels (of an optional column: 1 where there is a value) and the values of these rows.
    fn column<T: DataType>(&self, column: usize) -> Result<(Vec<i16>, Vec<T::T>)> {
        let budget = Budget::new(MAX_COLUMN_BYTES);
        let mut reader = get_typed_column_reader::<T>(self.file.column(self.group, column, &budget)?);
        let wanted = self.range.len();
        let (mut levels, mut values) = (Vec::with_capacity(wanted), Vec::with_capacity(wanted));
        let (skipped, read) = guarded(|| {
            let skipped = reader.skip_records(self.range.start)?;
            let (read, _, _) = reader.read_records(wanted, Some(&mut levels), None, &mut values)?;
            Ok((skipped, read))
        })?;
        if skipped == self.range.start && read == wanted { Ok((levels, values)) } else { Err(damaged("too few rows")) }
    }
}

/// A price, where there is one.
struct Price(Option<Decimal>);

fn decimal(mantissa: i64, scale: i32) -> Result<Decimal> {
    let scale = u8::try_from(scale).map_err(|_| damaged("a number with an impossible scale"))?;
    Decimal::new(mantissa, scale).map_err(|_| damaged("a number that is too long"))
}

fn text(bytes: &ByteArray) -> Result<Arc<str>> {
    bytes.as_utf8().map(Arc::from)
}

fn damaged(what: &str) -> ParquetError {
    ParquetError::General(format!("the segment holds {what}"))
}
