//! Writing a segment: ticks in order, a row group at a time.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use tallybook_core::{Decimal, Error, ErrorKind, Result, Tick};

use super::footer::Footer;
use super::{SegmentFile, columns, unwritten};
use crate::columnar::{Columns, bytes};

pub(super) const OPERATION: &str = "writing a segment";
/// From so many rows on, the next symbol starts a group of its own.
const GROUP_ROWS: usize = 50_000;
/// Where the group of a single symbol is cut, so that a part of its day can be read alone.
const MAX_GROUP_ROWS: usize = 131_072;
/// The nanoseconds of the file's `time` unit.
pub(super) const MILLISECOND: i64 = 1_000_000;

/// Writes ticks that rise by (symbol, time, seq) to a new file at `path`, puts it on disk and opens it. `metadata` is
/// kept with them. Nothing is left to a reader until the last byte is there; what lies at `path` after an error is to be
/// removed.
///
/// # Errors
/// `Invalid` for ticks out of order, `Unavailable` where the disk refuses, and the first error of `ticks`.
pub fn write(
    path: &Path,
    metadata: BTreeMap<String, String>,
    ticks: impl Iterator<Item = Result<Tick>>,
) -> Result<SegmentFile> {
    let refused = |error| {
        let context = format!("`{}` cannot be written; check the disk", path.display());
        Error::new(ErrorKind::Unavailable, OPERATION, context).with_source(error)
    };
    let file = File::create(path).map_err(refused)?;
    let mut footer = Footer::new(metadata);
    let mut writer = GroupWriter::new(&file).map_err(|error| unwritten(OPERATION, error))?;
    let mut group: Vec<Tick> = Vec::new();
    for tick in ticks {
        let tick = tick?;
        if let Some(last) = group.last() {
            let (before, now) = ((&last.symbol, last.key()), (&tick.symbol, tick.key()));
            if before >= now {
                let context = format!("the tick {}, {}, {} is not in order", tick.symbol, tick.time, tick.seq);
                return Err(Error::invalid(OPERATION, context));
            }
            let complete = group.len() >= GROUP_ROWS && before.0 != now.0;
            if complete || group.len() >= MAX_GROUP_ROWS {
                writer.write(&group).map_err(|error| unwritten(OPERATION, error))?;
                group.clear();
            }
        }
        footer.count(&tick);
        group.push(tick);
    }
    writer.write(&group).map_err(|error| unwritten(OPERATION, error))?;
    writer.finish(&footer)?;
    file.sync_all().map_err(refused)?;
    SegmentFile::open(path)
}

struct GroupWriter<'f>(SerializedFileWriter<&'f File>);

impl<'f> GroupWriter<'f> {
    fn new(file: &'f File) -> Result<Self, ParquetError> {
        let properties = Arc::new(columns::properties()?);
        Ok(Self(SerializedFileWriter::new(file, columns::schema()?, properties)?))
    }

    /// In the order of the schema.
    fn write(&mut self, ticks: &[Tick]) -> Result<(), ParquetError> {
        if ticks.is_empty() {
            return Ok(());
        }
        let mut columns = Columns::new(&mut self.0, ticks)?;
        columns.required::<ByteArrayType>(|tick| bytes(&tick.symbol))?;
        columns.required::<Int64Type>(|tick| tick.time.0.div_euclid(MILLISECOND))?;
        columns.required::<Int32Type>(|tick| tick.time.0.rem_euclid(MILLISECOND) as i32)?;
        columns.required::<Int64Type>(|tick| tick.seq as i64)?;
        columns.optional::<Int64Type>(|tick| tick.bid.map(Decimal::mantissa))?;
        columns.required::<Int32Type>(|tick| scale(tick.bid))?;
        columns.optional::<Int64Type>(spread_mantissa)?;
        columns.optional::<Int64Type>(|tick| match spread_mantissa(tick) {
            Some(_) => None,
            None => tick.ask.map(Decimal::mantissa),
        })?;
        columns.required::<Int32Type>(|tick| scale(tick.ask))?;
        columns.optional::<Int64Type>(|tick| tick.volume.map(Decimal::mantissa))?;
        columns.required::<Int32Type>(|tick| scale(tick.volume))?;
        columns.required::<ByteArrayType>(|tick| bytes(&tick.source))?;
        columns.required::<Int32Type>(|tick| i32::from(tick.flags.0))?;
        let shared = arrives_together(ticks);
        columns.optional::<Int64Type>(|tick| shared.then_some(tick.received.0))?;
        columns.optional::<Int64Type>(|tick| (!shared).then(|| tick.received.0.wrapping_sub(tick.time.0)))?;
        columns.close()
    }

    fn finish(mut self, footer: &Footer) -> Result<()> {
        for pair in footer.to_key_values()? {
            self.0.append_key_value_metadata(pair);
        }
        self.0.close().map_err(|error| unwritten(OPERATION, error))?;
        Ok(())
    }
}

/// Whether moments of arrival are few, as they are after an import: then each is cheaper than a delay.
fn arrives_together(ticks: &[Tick]) -> bool {
    ticks.iter().map(|tick| tick.received).collect::<HashSet<_>>().len() <= ticks.len() / 16
}

fn spread_mantissa(tick: &Tick) -> Option<i64> {
    let (bid, ask) = (tick.bid?, tick.ask?);
    (bid.scale() == ask.scale()).then(|| ask.mantissa() - bid.mantissa())
}

fn scale(number: Option<Decimal>) -> i32 {
    number.map_or(0, |number| i32::from(number.scale()))
}
