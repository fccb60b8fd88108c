//! Records as the rows of a Parquet file, ours or another's: columns are known by their names.

use std::borrow::Cow;

use bytes::Bytes;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use tallybook_core::Timestamp;

use super::{Columns, FormatError, Names, Read, Readable, Values};

/// The texts of one field, in the rows of a row group.
struct Field {
    place: usize,
    texts: Vec<Option<String>>,
}

/// Reads a Parquet file a row group at a time.
pub struct ParquetReader<R> {
    file: Box<dyn FileReader>,
    columns: Columns<R>,
    names: Names,
    received: Timestamp,
    groups: std::ops::Range<usize>,
    rows: u64,
}

impl<R: Readable> ParquetReader<R> {
    /// A reader of records that arrived at `received`, where they do not say themselves.
    ///
    /// # Errors
    /// No Parquet file, or one of other records.
    pub fn new(file: impl ChunkReader + 'static, received: Timestamp) -> Result<Self, FormatError> {
        let file = SerializedFileReader::new(file).map_err(|error| no_file(&error))?;
        let columns = file.metadata().file_metadata().schema_descr().columns();
        let paths: Vec<String> = columns.iter().map(|column| column.path().string()).collect();
        let columns = Columns::new(paths.iter().map(String::as_str)).map_err(FormatError::Parquet)?;
        let (groups, file) = (0..file.num_row_groups(), Box::new(file));
        Ok(Self { file, columns, names: Names::default(), received, groups, rows: 0 })
    }

    /// Row groups that are still to come.
    pub fn groups_left(&self) -> usize {
        self.groups.len()
    }

    /// The records of the next row group; `None` at the end.
    ///
    /// # Errors
    /// The file is damaged, or a column is of a kind that no record has.
    pub fn next_group(&mut self) -> Result<Option<Read<R>>, FormatError> {
        let Some(group) = self.groups.next() else { return Ok(None) };
        let group = self.file.get_row_group(group).map_err(|error| no_file(&error))?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
        let mut fields = Vec::new();
        let columns = self.file.metadata().file_metadata().schema_descr().columns();
        for (index, column) in columns.iter().enumerate() {
            let Some(place) = self.columns.field(index) else { continue };
            let texts = texts(group.as_ref(), index, column, rows).map_err(|error| no_file(&error))?;
            fields.push(Field { place, texts });
        }
        let mut read = Read::default();
        for row in 0..rows {
            self.rows += 1;
            let mut values = Values::default();
            let set = fields.iter().try_for_each(|field| match &field.texts[row] {
                Some(text) => values.set::<R>(field.place, Cow::Borrowed(text)),
                None => Ok(()),
            });
            let record = set.and_then(|()| R::from_values(&values, &mut self.names, self.received));
            let shown = if record.is_err() { shown::<R>(&fields, row) } else { String::new() };
            read.push(record, self.rows, shown.as_bytes());
        }
        Ok(Some(read))
    }
}

fn no_file(error: &ParquetError) -> FormatError {
    FormatError::Parquet(error.to_string())
}

pub(super) fn read<R: Readable>(bytes: &[u8], received: Timestamp) -> Result<Read<R>, FormatError> {
    let mut reader = ParquetReader::new(Bytes::copy_from_slice(bytes), received)?;
    let mut read = Read::default();
    while let Some(group) = reader.next_group()? {
        read.records.extend(group.records);
        read.bad.extend(group.bad);
    }
    Ok(read)
}

/// A row, for people.
fn shown<R: Readable>(fields: &[Field], row: usize) -> String {
    let texts = fields.iter().filter_map(|field| {
        let text = field.texts[row].as_ref()?;
        Some(format!("{}={text}", R::FIELDS[field.place][0]))
    });
    texts.collect::<Vec<_>>().join(" ")
}

fn texts(
    group: &dyn RowGroupReader,
    index: usize,
    column: &ColumnDescriptor,
    rows: usize,
) -> Result<Vec<Option<String>>, ParquetError> {
    if column.max_rep_level() > 0 || column.max_def_level() > 1 {
        return Err(ParquetError::General(format!("the column `{}` is nested", column.name())));
    }
    let logical = column.logical_type_ref();
    let integer = |value: i64| match logical {
        Some(LogicalType::Timestamp { unit, .. }) => {
            let nanoseconds = match unit {
                TimeUnit::MILLIS => 1_000_000,
                TimeUnit::MICROS => 1_000,
                TimeUnit::NANOS => 1,
            };
            value.checked_mul(nanoseconds).map_or_else(|| value.to_string(), |value| Timestamp(value).to_string())
        }
        Some(LogicalType::Integer { is_signed: false, .. }) => (value as u64).to_string(),
        _ => value.to_string(),
    };
    match group.get_column_reader(index)? {
        ColumnReader::BoolColumnReader(reader) => collect(reader, rows, |value| Ok(value.to_string())),
        ColumnReader::Int32ColumnReader(reader) => collect(reader, rows, |value| Ok(integer(value.into()))),
        ColumnReader::Int64ColumnReader(reader) => collect(reader, rows, |value| Ok(integer(value))),
        ColumnReader::FloatColumnReader(reader) => collect(reader, rows, |value| Ok(value.to_string())),
        ColumnReader::DoubleColumnReader(reader) => collect(reader, rows, |value| Ok(value.to_string())),
        ColumnReader::ByteArrayColumnReader(reader) => {
            collect(reader, rows, |value| value.as_utf8().map(str::to_owned))
        }
        ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
            Err(ParquetError::General(format!("the column `{}` is neither a number nor a text", column.name())))
        }
    }
}

fn collect<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    rows: usize,
    text: impl Fn(T::T) -> Result<String, ParquetError>,
) -> Result<Vec<Option<String>>, ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (read, _, _) = reader.read_records(rows, Some(&mut levels), None, &mut values)?;
    if read != rows {
        return Err(ParquetError::General("a column has too few rows".to_owned()));
    }
    let mut values = values.into_iter().map(text);
    if levels.is_empty() {
        return values.map(|text| text.map(Some)).collect();
    }
    levels.into_iter().map(|level| if level == 0 { Ok(None) } else { values.next().transpose() }).collect()
}
