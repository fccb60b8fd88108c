//! A sealed day of ticks: one immutable Parquet file, a few bytes a tick, which any Parquet reader opens.
//!
//! Rows rise by (symbol, time, seq). A row group holds one symbol, or several while they are small. The columns:
//!
//! | column | meaning |
//! |---|---|
//! | `symbol` | what is quoted |
//! | `time`, `time_nanos` | the producer's time: whole milliseconds, and the nanoseconds below |
//! | `seq` | tells ticks of the same symbol and time apart |
//! | `bid_mantissa`, `bid_scale` | the bid is `bid_mantissa / 10^bid_scale`; null where there is none |
//! | `spread_mantissa` | `ask_mantissa - bid_mantissa` where bid and ask have the same scale |
//! | `ask_mantissa`, `ask_scale` | the ask; `ask_mantissa` is null where `spread_mantissa` says it, or where there is none |
//! | `volume_mantissa`, `volume_scale` | the volume, likewise |
//! | `source` | who quotes; empty where unknown |
//! | `flags` | the bits of [`tallybook_core::TickFlags`] |
//! | `received` | when it arrived, in nanoseconds, in groups where many ticks share such a moment |
//! | `received_delay` | elsewhere: `received - time`, in nanoseconds |
//!
//! The ask is `coalesce(ask_mantissa, bid_mantissa + spread_mantissa) / 10^ask_scale`. The file's metadata holds its id
//! and its symbols with their counts, so that opening it reads no row.

mod columns;
mod file;
mod footer;
mod positioned;
mod rows;
mod write;

pub use file::SegmentFile;
pub use write::write;

use parquet::errors::ParquetError;
use tallybook_core::{Error, ErrorKind};

/// What a failed read means. The file was opened: what the disk does not give now, it will not give later.
fn unread(operation: &'static str, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) if is_of_disk(source.as_ref()) => {
            let context = "its disk fails to read the file; restore it from a backup";
            Error::new(ErrorKind::Unsupported, operation, context).with_source(source)
        }
        other => Error::corrupt(operation, "the file is no segment, or is damaged; restore it from a backup")
            .with_source(other),
    }
}

/// What a failed write means: what the disk refuses may go well later.
fn unwritten(operation: &'static str, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) if is_of_disk(source.as_ref()) => {
            Error::new(ErrorKind::Unavailable, operation, "the file cannot be written").with_source(source)
        }
        other => Error::new(ErrorKind::Internal, operation, "the segment cannot be written").with_source(other),
    }
}

fn is_of_disk(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.raw_os_error().is_some())
}
