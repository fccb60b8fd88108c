//! Records that come in pieces of any length.

use tallybook_core::Timestamp;

use super::array::ArrayReader;
use super::lines::LineReader;
use super::{FormatError, Read, Readable};
use crate::Format;

/// Reads JSON, NDJSON or CSV as it arrives: a request, a long stream, or a file that is larger than memory. Lines and
/// elements longer than 64 KiB are bad records.
pub struct Reader<R>(Kind<R>);

enum Kind<R> {
    Lines(LineReader<R>),
    Array(ArrayReader<R>),
    /// Bytes that no reader of this kind can read.
    Neither,
}

impl<R: Readable> Reader<R> {
    /// A reader of records that arrive at `received`. It reads no Parquet, which has its end before its beginning: see
    /// [`crate::ParquetReader`].
    pub fn new(format: Format, received: Timestamp) -> Self {
        Self(match format {
            Format::Json => Kind::Array(ArrayReader::new(received)),
            Format::Ndjson => Kind::Lines(LineReader::ndjson(received)),
            Format::Csv => Kind::Lines(LineReader::csv(received)),
            Format::Parquet => Kind::Neither,
        })
    }

    /// Says when the records that follow arrive.
    pub fn received(&mut self, moment: Timestamp) {
        match &mut self.0 {
            Kind::Lines(lines) => lines.received = moment,
            Kind::Array(array) => array.received = moment,
            Kind::Neither => {}
        }
    }

    /// The records that `chunk` completes. Those behind a CSV header that is of no use are all bad, and say so; of a JSON
    /// array that broke there are no more.
    pub fn push(&mut self, chunk: &[u8]) -> Read<R> {
        let mut read = Read::default();
        match &mut self.0 {
            Kind::Lines(lines) => lines.push(chunk, &mut read),
            Kind::Array(array) => array.push(chunk, &mut read),
            Kind::Neither => {}
        }
        read
    }

    /// Why nothing more can be read, where that is known already.
    pub fn trouble(&self) -> Option<FormatError> {
        match &self.0 {
            Kind::Lines(lines) => lines.trouble(),
            Kind::Array(array) => array.trouble().cloned(),
            Kind::Neither => Some(FormatError::Parquet("it cannot be read as it arrives".to_owned())),
        }
    }

    /// The record that no line break ended, where there is one.
    ///
    /// # Errors
    /// What arrived is none of that format: an array without an end, or lines without a header that is of use.
    pub fn finish(mut self) -> Result<Read<R>, FormatError> {
        let mut read = Read::default();
        match &mut self.0 {
            Kind::Lines(lines) => lines.finish(&mut read)?,
            Kind::Array(array) => array.finish()?,
            Kind::Neither => self.trouble().map_or(Ok(()), Err)?,
        }
        Ok(read)
    }
}
