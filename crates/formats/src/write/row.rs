//! What a record must say of itself to be written.

use parquet::errors::Result;
use serde::Serialize;

use super::text::CsvLine;
use crate::columnar::Columns;

/// How a record looks in each format.
pub trait Row: Clone {
    /// The header of CSV.
    const COLUMNS: &'static [&'static str];
    /// The columns of Parquet.
    const SCHEMA: &'static str;

    /// The record as JSON has it.
    fn json(&self) -> impl Serialize;

    /// Writes the fields of a CSV line in the order of [`Row::COLUMNS`].
    fn csv(&self, line: &mut CsvLine<'_>);

    /// Writes the columns of a row group in the order of [`Row::SCHEMA`].
    fn parquet(columns: &mut Columns<'_, Self, Vec<u8>>) -> Result<()>;
}
