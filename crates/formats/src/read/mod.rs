//! Reading: a record that is wrong costs only itself, and says where it is and what is wrong.

mod array;
mod columns;
mod csv;
mod json;
mod lines;
mod parquet;
mod ping;
mod reader;
mod tick;
mod values;

use tallybook_core::Timestamp;

use crate::Format;

pub use columns::Columns;
pub use parquet::ParquetReader;
pub use reader::Reader;
pub use values::{Names, Values};

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read<R> {
    /// The records, in their order.
    pub records: Vec<R>,
    /// What is none, in its order.
    pub bad: Vec<BadRecord>,
}

/// Input that is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Its line, or its place in the array or file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub error: String,
    /// The input, [`BadRecord::MAX_TEXT_BYTES`] at the most.
    pub text: String,
}

impl BadRecord {
    /// The most of the input that is kept, in bytes.
    pub const MAX_TEXT_BYTES: usize = 1_000;

    fn new(line: u64, error: String, input: &[u8]) -> Self {
        let input = String::from_utf8_lossy(&input[..input.len().min(Self::MAX_TEXT_BYTES)]);
        Self { line, error, text: clipped(&input, Self::MAX_TEXT_BYTES).to_owned() }
    }
}

/// A text without the mark of UTF-8 that some programs put before it.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// The first bytes of a text, cut between characters.
fn clipped(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Why input as a whole cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Not one JSON array or object.
    #[error("this is no JSON array of records: {0}")]
    Json(String),
    /// A header that does not name what every record needs.
    #[error("the first line is no CSV header of these records: {0}")]
    Header(String),
    /// No Parquet file, or one of other records.
    #[error("this is no Parquet file of these records: {0}")]
    Parquet(String),
}

impl<R> Default for Read<R> {
    fn default() -> Self {
        Self { records: Vec::new(), bad: Vec::new() }
    }
}

impl<R> Read<R> {
    /// Adds a record, or input that is none.
    pub fn push(&mut self, record: Result<R, String>, line: u64, input: &[u8]) {
        match record {
            Ok(record) => self.records.push(record),
            Err(error) => self.bad.push(BadRecord::new(line, error, input)),
        }
    }
}

/// A record that can be read: a [`tallybook_core::Tick`] or a [`tallybook_core::Ping`].
pub trait Readable: Sized {
    /// The fields it may have, each with the names it goes by, the one that we write first.
    const FIELDS: &'static [&'static [&'static str]];

    /// The fields, by their place in [`Readable::FIELDS`], that it cannot be without: one of each group.
    const NEEDED: &'static [&'static [usize]];

    /// Makes a record of the texts of its fields; `received` is when it arrived, where it does not say itself.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    fn from_values(values: &Values<'_>, names: &mut Names, received: Timestamp) -> Result<Self, String>;

    /// Reads a whole body.
    ///
    /// # Errors
    /// Only where the body as a whole is none of that format; records that are wrong are in [`Read::bad`].
    fn read(format: Format, bytes: &[u8], received: Timestamp) -> Result<Read<Self>, FormatError> {
        if format == Format::Parquet {
            return parquet::read(bytes, received);
        }
        let mut reader = Reader::new(format, received);
        let mut read = reader.push(bytes);
        let rest = reader.finish()?;
        read.records.extend(rest.records);
        read.bad.extend(rest.bad);
        Ok(read)
    }
}
