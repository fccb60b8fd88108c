//! Ticks and pings as files and bodies: sealed segments, and JSON, NDJSON, CSV and Parquet in and out.
//!
//! Pure: bytes in, records out, and the reverse. Only [`segment`] touches files.

mod bounded;
mod columnar;
mod format;
mod read;
pub mod segment;
mod write;

pub use format::Format;
pub use read::{BadRecord, Columns, FormatError, Names, ParquetReader, Read, Readable, Reader, Values};
pub use write::{Encoder, Writable, feed_json};
