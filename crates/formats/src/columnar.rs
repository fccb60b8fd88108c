//! Writing a row group of a Parquet file column by column, in the order of its schema.

use std::io::Write;

use parquet::data_type::{ByteArray, DataType};
use parquet::errors::{ParquetError, Result};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

/// The columns of one row group, whose rows are `records`.
pub struct Columns<'g, R, W: Write> {
    group: SerializedRowGroupWriter<'g, W>,
    records: &'g [R],
}

impl<'g, R, W: Write + Send> Columns<'g, R, W> {
    pub(crate) fn new(file: &'g mut SerializedFileWriter<W>, records: &'g [R]) -> Result<Self> {
        Ok(Self { group: file.next_row_group()?, records })
    }

    /// The next column, which has a value in every row.
    pub(crate) fn required<T: DataType>(&mut self, value: impl Fn(&R) -> T::T) -> Result<()> {
        let values: Vec<T::T> = self.records.iter().map(value).collect();
        self.write::<T>(&values, None)
    }

    /// The next column, which may lack values.
    pub(crate) fn optional<T: DataType>(&mut self, value: impl Fn(&R) -> Option<T::T>) -> Result<()> {
        let values: Vec<Option<T::T>> = self.records.iter().map(value).collect();
        let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
        let present: Vec<T::T> = values.into_iter().flatten().collect();
        self.write::<T>(&present, Some(&levels))
    }

    /// Ends the row group.
    pub(crate) fn close(self) -> Result<()> {
        self.group.close().map(drop)
    }

    fn write<T: DataType>(&mut self, values: &[T::T], levels: Option<&[i16]>) -> Result<()> {
        let column = self.group.next_column()?;
        let mut column = column.ok_or_else(|| ParquetError::General("a column too many".to_owned()))?;
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()
    }
}

pub(crate) fn bytes(text: &str) -> ByteArray {
    ByteArray::from(text.as_bytes().to_vec())
}
